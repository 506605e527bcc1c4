package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"carpe"
	"carpe/carpetest"
)

const key = "m7"

func configuration(changes carpe.Object) carpe.Object {
	configured := carpe.Object{
		"suppliers": []string{"north", "south"},
		"products": carpe.Object{
			"cola":  carpe.Object{"price_cents": 150, "capacity": 40, "min_stock": 4, "max_unit_cents": 90},
			"water": carpe.Object{"price_cents": 100, "capacity": 20, "min_stock": 2, "max_unit_cents": 60},
		},
		"budget_cents": 10_000,
	}
	for name, value := range changes {
		configured[name] = value
	}
	return configured
}

type machineTest struct {
	*carpetest.RuleTest[Machine]
	t *testing.T
}

func begin(t *testing.T, changes carpe.Object) machineTest {
	t.Helper()
	return machineTest{carpetest.New(t, plugin, configuration(changes)), t}
}

func (test machineTest) send(kind string, data carpe.Object) *carpetest.Happened {
	test.t.Helper()
	return test.Send(carpetest.NewEvent("vending." + kind).Subject(key).Data(data))
}

func (test machineTest) count(stocks carpe.Object) *carpetest.Happened {
	test.t.Helper()
	return test.send("counted", carpe.Object{"stocks": stocks})
}

func (test machineTest) sell(product string, paid int64) *carpetest.Happened {
	test.t.Helper()
	return test.send("sold", carpe.Object{"product": product, "paid_cents": paid})
}

// quote answers what a supplier was asked for.
func quote(cola, water, days int64) carpe.Object {
	return carpe.Object{"unit_cents": carpe.Object{"cola": cola, "water": water}, "days": days}
}

func (test machineTest) kinds(happened *carpetest.Happened, kinds ...string) *carpetest.Happened {
	test.t.Helper()
	if !slices.Equal(happened.Kinds(), kinds) || len(happened.Failures) > 0 {
		test.t.Fatalf("got %q and %q, not %q", happened.Kinds(), happened.Failures, kinds)
	}
	return happened
}

func (test machineTest) fails(happened *carpetest.Happened, says string) {
	test.t.Helper()
	if len(happened.Failures) != 1 || !strings.Contains(happened.Failures[0], says) {
		test.t.Fatalf("%q is not in %q", says, happened.Failures)
	}
}

// asked is a machine that has run out of both, and what it asks.
func asked(t *testing.T, changes carpe.Object) (machineTest, []carpetest.Action) {
	t.Helper()
	test := begin(t, changes)
	return test, test.kinds(test.count(carpe.Object{"cola": 0, "water": 0}), "vending.low").Actions()
}

// ordered is one that has ordered from `south`, which offers for less and comes down by 5 percent.
func ordered(t *testing.T, changes carpe.Object) (machineTest, carpetest.Action) {
	t.Helper()
	test, asks := asked(t, changes)
	test.kinds(test.Answer(asks[0], carpe.Delivered, quote(80, 50, 2)))
	negotiation := test.kinds(test.Answer(asks[1], carpe.Delivered, quote(60, 50, 3)), "vending.offered").Actions()
	happened := test.Answer(negotiation[0], carpe.Delivered, carpe.Object{"percent_off": 5})
	return test, test.kinds(happened, "vending.ordered").Actions()[0]
}

func TestItAsksComparesNegotiatesAndOrders(t *testing.T) {
	test, order := ordered(t, nil)
	var data struct {
		Order     string
		Supplier  string
		Lines     map[string]int64
		UnitCents map[string]int64 `json:"unit_cents"`
		Cents     int64
	}
	if err := order.Read(&data); err != nil {
		t.Fatal(err)
	}
	// 57 and 48 cents, the latter rounded up; one more than the least stock, as nothing is known of how it sells.
	if data.Supplier != "south" || data.Lines["cola"] != 5 || data.Lines["water"] != 3 || data.UnitCents["cola"] != 57 ||
		data.UnitCents["water"] != 48 || data.Cents != 5*57+3*48 {
		t.Fatalf("%+v", data)
	}
	test.kinds(test.Answer(order, carpe.Delivered, nil))
	if state := test.State(key); state.SpentCents != data.Cents || state.Purchase != nil || len(state.Orders) != 1 {
		t.Fatalf("%+v", state)
	}
	due, isSet := test.Timer(key, data.Order)
	if !isSet || due != carpetest.Start.Add(4*day) {
		t.Fatal("it is due in three days, and a day of grace", due, isSet)
	}
	test.Advance(2 * day)
	happened := test.send("delivered", carpe.Object{"order": data.Order, "lines": data.Lines})
	test.kinds(happened, "vending.received")
	state := test.State(key)
	if state.Stocks["cola"].Units != 5 || state.Stocks["water"].Units != 3 || len(state.Orders) != 0 || state.LeadHours != 48 {
		t.Fatalf("%+v", state)
	}
	if _, isSet := test.Timer(key, data.Order); isSet {
		t.Fatal("nothing is waited for any more")
	}
	// The same once more: it came already.
	test.fails(test.send("delivered", carpe.Object{"order": data.Order, "lines": data.Lines}), "nothing is missing of order")
}

func TestTheRateOfSaleAndTheLeadTimeSayWhatIsLow(t *testing.T) {
	test := begin(t, nil)
	test.kinds(test.count(carpe.Object{"cola": 40}))
	// Four a day: three days of lead and one of safety need 16.
	for sold := 1; ; sold++ {
		happened := test.sell("cola", 150)
		if sold%4 == 0 {
			test.Advance(day)
		}
		if len(happened.Moments) == 0 {
			if sold == 40 {
				t.Fatal("nothing was low")
			}
			continue
		}
		var data struct{ Lines map[string]int64 }
		if err := happened.Actions()[0].Read(&data); err != nil {
			t.Fatal(err)
		}
		// On the first of the day 21 are sold in 6 days: 14 for four days. 39 are wanted for eleven.
		if left := test.State(key).Stocks["cola"].Units; left != 14 && left != 15 && left != 16 {
			t.Fatal(sold, left)
		} else if data.Lines["cola"] < 40-left-4 || data.Lines["cola"] > 40-left {
			t.Fatal(sold, left, data)
		}
		return
	}
}

func TestTheBudgetIsNeverOverspent(t *testing.T) {
	// It pays for one cola at 57 cents and, by the shorter supply, three waters at 48.
	test, order := ordered(t, carpe.Object{"budget_cents": 5 * 57})
	var data struct {
		Lines map[string]int64
		Cents int64
	}
	if err := order.Read(&data); err != nil || data.Cents > 5*57 || data.Lines["cola"] == 0 {
		t.Fatal(data, err)
	}
	test.Answer(order, carpe.Delivered, nil)
	// Nothing is left for the rest, until the period ends.
	asks := test.kinds(test.count(carpe.Object{"cola": 1}), "vending.low").Actions()
	test.Answer(asks[0], carpe.Rejected, nil)
	happened := test.Answer(asks[1], carpe.Delivered, quote(60, 50, 3))
	happened = test.Answer(happened.Actions()[0], carpe.Failed, nil)
	test.kinds(happened, "vending.not-bought")
	if !strings.Contains(happened.Moments[0].Why, "285 of 285 cents are spent") {
		t.Fatal(happened.Moments[0].Why)
	}
	retry, isSet := test.Timer(key, timerRetry)
	period := 30 * day.Milliseconds()
	if !isSet || int64(retry)%period != 0 || retry < test.Now() || retry > test.Now().Add(30*day) {
		t.Fatal(retry, isSet)
	}
	test.kinds(test.count(carpe.Object{"cola": 0}))
	if kinds := test.AdvanceTo(retry).Kinds(); !slices.Contains(kinds, "vending.low") {
		t.Fatal(kinds)
	}
	if spent := test.State(key).SpentCents; spent != 0 {
		t.Fatal(spent)
	}
}

func TestWhoDoesNotAnswerIsNotWaitedForForEver(t *testing.T) {
	test, asks := asked(t, nil)
	test.kinds(test.Answer(asks[0], carpe.Delivered, quote(80, 50, 2)))
	test.kinds(test.Advance(59 * time.Minute))
	happened := test.kinds(test.Advance(time.Minute), "vending.offered")
	// Nor is the one that is negotiated with: its first offer counts.
	happened = test.kinds(test.Advance(time.Hour), "vending.ordered")
	// An answer that comes too late changes nothing.
	test.kinds(test.Answer(asks[1], carpe.Delivered, quote(1, 1, 1)))
	// The other side may have taken the order, or not: it is waited for, and missing.
	test.kinds(test.Answer(happened.Actions()[0], carpe.Failed, nil))
	happened = test.Advance(3 * day)
	if kinds := happened.Kinds(); kinds[0] != "vending.overdue" || kinds[1] != "vending.low" {
		t.Fatal("it is missing, and is bought elsewhere", kinds)
	}
}

func TestAnOrderThatIsRefusedGoesToTheNext(t *testing.T) {
	test, order := ordered(t, nil)
	happened := test.kinds(test.Answer(order, carpe.Rejected, nil), "vending.ordered")
	var data struct {
		Supplier string
		Cents    int64
	}
	if err := happened.Actions()[0].Read(&data); err != nil || data.Supplier != "north" {
		t.Fatal(data, err)
	}
	if state := test.State(key); state.SpentCents != data.Cents || len(state.Orders) != 1 {
		t.Fatalf("%+v", state)
	}
	happened = test.kinds(test.Answer(happened.Actions()[0], carpe.Expired, nil), "vending.not-bought")
	state := test.State(key)
	if state.SpentCents != 0 || len(state.Orders) != 0 || state.RetryAt != test.Now().Add(12*time.Hour) {
		t.Fatalf("%+v", state)
	}
	test.kinds(test.sell("water", 100))
	test.kinds(test.Advance(12*time.Hour), "vending.low")
}

func TestAnOrderThatIsWithheldIsNotMadeAndGoesToNobodyElse(t *testing.T) {
	test, order := ordered(t, nil)
	happened := test.kinds(test.Answer(order, carpe.Withheld, nil), "vending.not-bought")
	if why := happened.Moments[0].Why; why != "order m7-1/south was withheld" {
		t.Fatal(why)
	}
	state := test.State(key)
	if state.SpentCents != 0 || len(state.Orders) != 0 || state.Purchase != nil {
		t.Fatalf("%+v", state)
	}
	test.kinds(test.sell("water", 100))
	test.kinds(test.Advance(12*time.Hour), "vending.low")
}

func TestWhatIsMissingIsComplainedAboutAndMayStillCome(t *testing.T) {
	test, order := ordered(t, nil)
	test.Answer(order, carpe.Delivered, nil)
	id := order.Reference
	deliver := func(cola, water int64) *carpetest.Happened {
		return test.send("delivered", carpe.Object{"order": id, "lines": carpe.Object{"cola": cola, "water": water}})
	}
	happened := deliver(5, 1)
	if happened.Kinds()[0] != "vending.short" {
		t.Fatal(happened.Kinds())
	}
	var data struct {
		Missing map[string]int64
		Cents   int64
	}
	if err := happened.Actions()[0].Read(&data); err != nil || data.Missing["water"] != 2 || len(data.Missing) != 1 ||
		data.Cents != 2*48 {
		t.Fatal(data, err)
	}
	// The same report again is more than what is missing.
	test.fails(deliver(5, 1), "is it reported twice?")
	happened = deliver(0, 2)
	if happened.Kinds()[0] != "vending.received" || happened.ActionNames()[0] != "supplier.complain" {
		t.Fatal(happened)
	}
	if units := test.State(key).Stocks["water"].Units; units != 3 {
		t.Fatal(units)
	}
}

func TestAnOrderThatNeverComesIsForgottenAfterTwoWeeks(t *testing.T) {
	test, order := ordered(t, nil)
	test.Answer(order, carpe.Delivered, nil)
	test.Advance(4 * day)
	if orders := test.State(key).Orders; len(orders) != 1 || !orders[0].Complained {
		t.Fatalf("%+v", orders)
	}
	test.Advance(keepDays * day)
	if orders := test.State(key).Orders; len(orders) != 0 {
		t.Fatalf("%+v", orders)
	}
}

func TestItStopsWhenItIsBroken(t *testing.T) {
	for name, fault := range map[string]func(test machineTest) *carpetest.Happened{
		"without coins": func(test machineTest) *carpetest.Happened { return test.sell("cola", 0) },
		"too warm":      func(test machineTest) *carpetest.Happened { return test.send("measured", carpe.Object{"celsius": 31}) },
		"absurdly cold": func(test machineTest) *carpetest.Happened {
			return test.send("measured", carpe.Object{"celsius": -400})
		},
		"too full":  func(test machineTest) *carpetest.Happened { return test.count(carpe.Object{"cola": 41}) },
		"by itself": func(test machineTest) *carpetest.Happened { return test.send("faulted", carpe.Object{"what": "jam"}) },
	} {
		test := begin(t, nil)
		test.count(carpe.Object{"cola": 30, "water": 20})
		for range 3 {
			test.kinds(fault(test))
		}
		happened := test.kinds(fault(test), "vending.stopped")
		if !slices.Equal(happened.ActionNames(), []string{"service.call"}) {
			t.Fatal(name, happened)
		}
		// It calls once, and buys nothing.
		test.kinds(fault(test))
		test.kinds(test.count(carpe.Object{"cola": 0, "water": 0}))
		test.kinds(test.send("serviced", carpe.Object{}), "vending.resumed", "vending.low")
	}
}

func TestFaultsThatAreFarApartAreUsual(t *testing.T) {
	test := begin(t, nil)
	test.count(carpe.Object{"cola": 30})
	for range 20 {
		test.kinds(test.send("measured", carpe.Object{"celsius": 12}))
		test.Advance(9 * time.Hour)
	}
}

func TestAMachineThatStopsBreaksOffItsPurchase(t *testing.T) {
	test, asks := asked(t, nil)
	for range 4 {
		test.sell("cola", 150)
	}
	if state := test.State(key); !state.Stopped || state.Purchase != nil {
		t.Fatalf("it sold what it had not: %+v", state)
	}
	test.kinds(test.Answer(asks[0], carpe.Delivered, quote(1, 1, 1)))
	test.kinds(test.Advance(day))
	// What was ordered before is taken.
	test, order := ordered(t, nil)
	for range 4 {
		test.send("faulted", carpe.Object{"what": "jam"})
	}
	test.kinds(test.Answer(order, carpe.Delivered, nil))
	lines := carpe.Object{"cola": 5, "water": 3}
	test.kinds(test.send("delivered", carpe.Object{"order": order.Reference, "lines": lines}), "vending.received")
	// One that is refused goes to nobody else.
	test, order = ordered(t, nil)
	for range 4 {
		test.send("faulted", carpe.Object{"what": "jam"})
	}
	test.kinds(test.Answer(order, carpe.Rejected, nil))
	if state := test.State(key); state.Purchase != nil || state.SpentCents != 0 {
		t.Fatalf("%+v", state)
	}
}

func TestQuotesThatMakeNoSenseAreNone(t *testing.T) {
	for _, answer := range []any{
		nil, "free", quote(-5, 50, 2), quote(0, 50, 2), quote(60, 50, 61), carpe.Object{"unit_cents": carpe.Object{"cola": 1}},
		carpe.Object{"unit_cents": carpe.Object{"cola": 0.5}, "days": 1},
	} {
		test, asks := asked(t, nil)
		test.fails(test.Answer(asks[0], carpe.Delivered, answer), "the quote of north: ")
		// The other one counts.
		test.kinds(test.Answer(asks[1], carpe.Delivered, quote(60, 50, 3)), "vending.offered")
	}
	// One that is too dear, or of nothing that is wanted, is none either.
	test, asks := asked(t, nil)
	test.kinds(test.Answer(asks[0], carpe.Delivered, quote(91, 61, 1)))
	happened := test.Answer(asks[1], carpe.Delivered, carpe.Object{"unit_cents": carpe.Object{"tea": 1}, "days": 1})
	test.kinds(happened, "vending.not-bought")
}

func TestAnAnswerToTheNegotiationThatMakesNoSenseChangesNoPrice(t *testing.T) {
	for _, answer := range []any{nil, "no", carpe.Object{"percent_off": -1}, carpe.Object{"percent_off": 100}} {
		test, asks := asked(t, nil)
		test.Answer(asks[0], carpe.Rejected, nil)
		happened := test.Answer(asks[1], carpe.Delivered, quote(60, 50, 3))
		happened = test.Answer(happened.Actions()[0], carpe.Delivered, answer)
		test.fails(happened, "what south says of the price: ")
		if !strings.HasPrefix(happened.Moments[0].Why, "south for 450 cents") {
			t.Fatal(happened)
		}
	}
}

func TestABetterSelectionIsBetterThanALowerPrice(t *testing.T) {
	test, asks := asked(t, carpe.Object{"discount_percent": 0})
	test.Answer(asks[0], carpe.Delivered, carpe.Object{"unit_cents": carpe.Object{"cola": 1}, "days": 0})
	happened := test.kinds(test.Answer(asks[1], carpe.Delivered, quote(90, 60, 9)), "vending.ordered")
	if !strings.HasPrefix(happened.Moments[0].Why, "south") {
		t.Fatal(happened)
	}
}

func TestOrderAndLatenessOfEvents(t *testing.T) {
	test := begin(t, nil)
	at := func(kind string, at carpe.Instant, data carpe.Object) *carpetest.Happened {
		t.Helper()
		return test.Send(carpetest.NewEvent("vending." + kind).Subject(key).Time(at).Data(data))
	}
	start := carpetest.Start
	at("counted", start.Add(time.Hour), carpe.Object{"stocks": carpe.Object{"cola": 30}})
	// A sale and a delivery from before the count are in it; an older count is none.
	at("sold", start, carpe.Object{"product": "cola", "paid_cents": 150})
	at("delivered", start, carpe.Object{"lines": carpe.Object{"cola": 5}})
	at("counted", start, carpe.Object{"stocks": carpe.Object{"cola": 1}})
	stock := test.State(key).Stocks["cola"]
	if stock.Units != 30 || stock.Sold[0] != 1 {
		t.Fatalf("%+v", stock)
	}
	// A sale of yesterday that comes late lowers the stock, if it was not counted since, and counts for its day.
	test.Advance(2 * day)
	at("sold", start.Add(26*time.Hour), carpe.Object{"product": "cola", "units": 2, "paid_cents": 300})
	if stock := test.State(key).Stocks["cola"]; stock.Units != 28 || stock.Sold != [rateDays]int64{0, 2, 1} {
		t.Fatalf("%+v", stock)
	}
	test.fails(at("sold", start.Add(-8*day), carpe.Object{"product": "cola", "paid_cents": 150}), "more than a week ago")
	// Years of silence are no work.
	test.Advance(4000 * day)
	test.kinds(test.sell("cola", 150))
	if stock := test.State(key).Stocks["cola"]; stock.Sold != [rateDays]int64{1} {
		t.Fatalf("%+v", stock)
	}
}

func TestAbsurdEventsAreSetAside(t *testing.T) {
	test := begin(t, nil)
	test.count(carpe.Object{"cola": 30, "water": 20})
	before := test.StateText(key)
	for _, absurd := range []struct {
		kind string
		data any
		says string
	}{
		{"sold", carpe.Object{"product": "tea", "paid_cents": 1}, "no machine sells `tea`"},
		{"sold", carpe.Object{"product": "cola", "paid_cents": 150, "units": 0}, "`units` is 0"},
		{"sold", carpe.Object{"product": "cola", "paid_cents": 150, "units": 1e6}, "`units` is 1000000"},
		{"sold", carpe.Object{"product": "cola"}, "`paid_cents` is missing"},
		{"sold", carpe.Object{"product": "cola", "paid_cents": -1}, "no sum"},
		{"sold", carpe.Object{"product": "cola", "paid_cents": 1e12}, "no sum"},
		{"sold", carpe.Object{"product": "cola", "paid_cents": 1.5}, "the event's data: "},
		{"sold", []int{}, "the event's data: "},
		{"counted", carpe.Object{}, "`stocks` is missing"},
		{"counted", carpe.Object{"stocks": carpe.Object{"cola": 5, "tea": 1}}, "no machine sells `tea`"},
		{"delivered", carpe.Object{}, "`lines` is missing"},
		{"delivered", carpe.Object{"lines": carpe.Object{"cola": -1}}, "-1 cola cannot have come"},
		{"delivered", carpe.Object{"lines": carpe.Object{"tea": 1}}, "no machine sells `tea`"},
		{"delivered", carpe.Object{"order": "m7-1/north", "lines": carpe.Object{"cola": 1}}, "nothing is missing of order"},
		{"measured", carpe.Object{"celsius": "warm"}, "where a number should be"},
		{"faulted", carpe.Object{}, "where a string should be"},
	} {
		event := carpetest.NewEvent("vending." + absurd.kind).Subject(key).Data(absurd.data)
		test.fails(test.Send(event), absurd.says)
		if after := test.StateText(key); after != before {
			t.Fatal(absurd, before, after)
		}
	}
}

func TestAConfigurationThatCannotWorkIsRefused(t *testing.T) {
	product := func(changes carpe.Object) carpe.Object {
		cola := carpe.Object{"price_cents": 150, "capacity": 40, "min_stock": 4, "max_unit_cents": 90}
		for name, value := range changes {
			cola[name] = value
		}
		return carpe.Object{"products": carpe.Object{"cola": cola}}
	}
	for _, wrong := range []struct {
		changes carpe.Object
		says    string
	}{
		{carpe.Object{"suppliers": []string{}}, "`suppliers` names 0"},
		{carpe.Object{"suppliers": make([]string, 17)}, "`suppliers` names 17"},
		{carpe.Object{"suppliers": []string{"a", "a"}}, "each needs a name of its own"},
		{carpe.Object{"products": carpe.Object{}}, "`products` names 0"},
		{product(carpe.Object{"capacity": 0}), "`capacity` of product `cola`"},
		{product(carpe.Object{"min_stock": 40}), "`min_stock` of product `cola`"},
		{product(carpe.Object{"price_cents": 0}), "`price_cents` of product `cola`"},
		{product(carpe.Object{"max_unit_cents": -1}), "`max_unit_cents` of product `cola`"},
		{product(carpe.Object{"colour": "red"}), "colour"},
		{carpe.Object{"budget_cents": -1}, "`budget_cents` is -1"},
		{carpe.Object{"period_days": 0}, "`period_days` is 0"},
		{carpe.Object{"cover_days": 1.5}, "`cover_days` is a JSON number"},
		{carpe.Object{"faults_allowed": 20}, "`faults_allowed` is 20"},
		{carpe.Object{"min_celsius": 9}, "`min_celsius` must be below `max_celsius`"},
		{carpe.Object{"supplier": "north"}, "`supplier` is unknown"},
	} {
		_, err := carpetest.TryNew(t, plugin, configuration(wrong.changes))
		if err == nil || !strings.Contains(err.Error(), wrong.says) {
			t.Errorf("%v: %v", wrong.changes, err)
		}
	}
}
