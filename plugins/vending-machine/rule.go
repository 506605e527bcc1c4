// A vending machine that buys for itself: see README.md.
package main

import (
	"fmt"
	"slices"
	"time"

	"carpe"
)

const (
	day = 24 * time.Hour
	// An event that claims to be further ahead of the host, or further behind, is set aside.
	mostAhead  = time.Minute
	mostBehind = 7 * day
	// More of one product at once is no sale, no count and no delivery of a machine's.
	mostUnits = 10_000
	// So many fit into a machine's state, with all orders.
	mostProducts = 50
	// A purchase asks each of them at once, in one moment.
	mostSuppliers = 16
)

// VendingMachine is the operator's configuration. All machines of a rule sell the same products.
type VendingMachine struct {
	Suppliers []string           `json:"suppliers"`
	Products  map[string]Product `json:"products"`

	// What may be spent for a machine in each period of the timeline.
	BudgetCents int64 `json:"budget_cents"`
	PeriodDays  int64 `json:"period_days"`

	// How long a delivery is taken to need, until deliveries have shown it.
	LeadDays int64 `json:"lead_days"`
	// For how long the stock is to last when a delivery comes, and after it.
	SafetyDays int64 `json:"safety_days"`
	CoverDays  int64 `json:"cover_days"`

	// How long quotes, and the answer to what was negotiated, are waited for.
	AnswerMinutes int64 `json:"answer_minutes"`
	// What a supplier is asked to come down by.
	DiscountPercent int64 `json:"discount_percent"`
	// How long after the day that was promised an order is missing.
	GraceHours int64 `json:"grace_hours"`
	// When to try again after nobody sold.
	RetryHours int64 `json:"retry_hours"`

	MinCelsius float64 `json:"min_celsius"`
	MaxCelsius float64 `json:"max_celsius"`
	// So many faults in 24 hours are usual; with one more the machine stops.
	FaultsAllowed int `json:"faults_allowed"`
}

// Product is what a machine sells.
type Product struct {
	PriceCents int64 `json:"price_cents"`
	// How many there is room for.
	Capacity int64 `json:"capacity"`
	// At this stock it is low, however little is sold.
	MinStock int64 `json:"min_stock"`
	// More is not paid for one.
	MaxUnitCents int64 `json:"max_unit_cents"`
}

// Machine is what is remembered of a machine.
type Machine struct {
	Stocks map[string]*Stock `json:"stocks,omitempty"`
	// The purchase that is under way, if one is, and how many there were.
	Purchase  *Purchase `json:"purchase,omitempty"`
	Purchases int64     `json:"purchases,omitempty"`
	// No purchase begins before.
	RetryAt carpe.Instant `json:"retry_at,omitempty"`
	// Orders that are on their way, or that something is missing of: the oldest first.
	Orders []*Order `json:"orders,omitempty"`
	// What was spent in a period.
	Period     int64 `json:"period,omitempty"`
	SpentCents int64 `json:"spent_cents,omitempty"`
	// How long deliveries needed; 0: none has come.
	LeadHours int64 `json:"lead_hours,omitempty"`
	// Those of the last 24 hours.
	Faults  []Fault `json:"faults,omitempty"`
	Stopped bool    `json:"stopped,omitempty"`
}

var plugin = carpe.Export(
	VendingMachine{
		PeriodDays: 30, LeadDays: 3, SafetyDays: 1, CoverDays: 7, AnswerMinutes: 60, DiscountPercent: 5, GraceHours: 24,
		RetryHours: 12, MinCelsius: 1, MaxCelsius: 9, FaultsAllowed: 3,
	},
	carpe.Describe("vending-machine", "1.0.0", "A vending machine buys what runs low, within its budget, and stops when it is broken.").
		On("vending.sold").
		On("vending.delivered").
		On("vending.counted").
		On("vending.measured").
		On("vending.faulted").
		On("vending.serviced").
		Moment("vending.low").
		Moment("vending.offered").
		Moment("vending.ordered").
		Moment("vending.not-bought").
		Moment("vending.received").
		Moment("vending.short").
		Moment("vending.overdue").
		Moment("vending.stopped").
		Moment("vending.resumed").
		Action("supplier.quote").
		Action("supplier.negotiate").
		Action("supplier.order").
		Action("supplier.complain").
		Action("people.tell").
		Action("service.call"))

func main() {}

// Check refuses what types cannot.
func (rule VendingMachine) Check() error {
	if count := len(rule.Suppliers); count == 0 || count > mostSuppliers {
		return fmt.Errorf("`suppliers` names %d: it must name from 1 to %d", count, mostSuppliers)
	}
	for position, supplier := range rule.Suppliers {
		if supplier == "" || slices.Contains(rule.Suppliers[:position], supplier) {
			return fmt.Errorf("`suppliers` names %q: each needs a name of its own", supplier)
		}
	}
	if count := len(rule.Products); count == 0 || count > mostProducts {
		return fmt.Errorf("`products` names %d: it must name from 1 to %d", count, mostProducts)
	}
	for _, name := range sorted(rule.Products) {
		product := rule.Products[name]
		switch {
		case product.Capacity < 1 || product.Capacity > mostUnits:
			return fmt.Errorf("`capacity` of product `%s` must be from 1 to %d", name, mostUnits)
		case product.MinStock < 0 || product.MinStock >= product.Capacity:
			return fmt.Errorf("`min_stock` of product `%s` must be from 0 on, and below its `capacity`", name)
		case product.PriceCents < 1 || product.PriceCents > 1_000_000:
			return fmt.Errorf("`price_cents` of product `%s` must be from 1 to 1000000", name)
		case product.MaxUnitCents < 1 || product.MaxUnitCents > 1_000_000:
			return fmt.Errorf("`max_unit_cents` of product `%s` must be from 1 to 1000000", name)
		}
	}
	for _, field := range []struct {
		name               string
		value, least, most int64
	}{
		{"budget_cents", rule.BudgetCents, 0, 1_000_000_000},
		{"period_days", rule.PeriodDays, 1, 366},
		{"lead_days", rule.LeadDays, 0, 60},
		{"safety_days", rule.SafetyDays, 0, 60},
		{"cover_days", rule.CoverDays, 1, 60},
		{"answer_minutes", rule.AnswerMinutes, 1, 7 * 24 * 60},
		{"discount_percent", rule.DiscountPercent, 0, 50},
		{"grace_hours", rule.GraceHours, 0, 24 * 60},
		{"retry_hours", rule.RetryHours, 1, 24 * 60},
		{"faults_allowed", int64(rule.FaultsAllowed), 0, mostFaults - 1},
	} {
		if field.value < field.least || field.value > field.most {
			return fmt.Errorf("`%s` is %d: it must be from %d to %d", field.name, field.value, field.least, field.most)
		}
	}
	if rule.MinCelsius >= rule.MaxCelsius {
		return carpe.Failure("`min_celsius` must be below `max_celsius`")
	}
	return nil
}

// OnEvent takes what happened in a machine, and buys what is then low.
func (rule VendingMachine) OnEvent(event *carpe.Event, machine *Machine, out *carpe.Output) error {
	if ahead := event.Time().Sub(event.Now()); ahead > mostAhead {
		return fmt.Errorf("it claims to be of %s, which is yet to come", event.Time().Time().Format(time.RFC3339))
	} else if ahead < -mostBehind {
		return fmt.Errorf("it is of %s, which is more than a week ago", event.Time().Time().Format(time.RFC3339))
	}
	machine.beginPeriod(event.Now(), rule.PeriodDays)
	var err error
	switch event.Kind() {
	case "vending.sold":
		err = rule.onSold(event, machine, out)
	case "vending.delivered":
		err = rule.onDelivered(event, machine, out)
	case "vending.counted":
		err = rule.onCounted(event, machine, out)
	case "vending.measured":
		err = rule.onMeasured(event, machine, out)
	case "vending.faulted":
		err = rule.onFaulted(event, machine, out)
	case "vending.serviced":
		rule.onServiced(event.Now(), machine, out)
	}
	if err != nil {
		return err
	}
	rule.buy(event.Key(), event.Now(), machine, out)
	return nil
}

// OnTimer goes on where something was waited for.
func (rule VendingMachine) OnTimer(timer *carpe.Timer, machine *Machine, out *carpe.Output) error {
	machine.beginPeriod(timer.Now(), rule.PeriodDays)
	switch timer.Name() {
	case timerAnswers:
		rule.onAnswersDue(timer.Key(), timer.Now(), machine, out)
	case timerRetry:
		machine.RetryAt = 0
	default:
		rule.onOrderDue(timer.Key(), timer.Name(), timer.Now(), machine, out)
	}
	rule.buy(timer.Key(), timer.Now(), machine, out)
	return nil
}

// OnOutcome takes what suppliers answer.
func (rule VendingMachine) OnOutcome(outcome *carpe.Outcome, machine *Machine, out *carpe.Output) error {
	machine.beginPeriod(outcome.Now(), rule.PeriodDays)
	var err error
	switch outcome.Action() {
	case "supplier.quote":
		err = rule.onQuote(outcome, machine, out)
	case "supplier.negotiate":
		err = rule.onNegotiated(outcome, machine, out)
	case "supplier.order":
		rule.onOrderTaken(outcome, machine, out)
	}
	return err
}

// beginPeriod gives the machine a new budget where a period begins.
func (machine *Machine) beginPeriod(now carpe.Instant, days int64) {
	if period := int64(now) / (days * day.Milliseconds()); period > machine.Period {
		machine.Period, machine.SpentCents = period, 0
	}
}

// sorted is the names of a map in the only order that they have.
func sorted[Value any](of map[string]Value) []string {
	names := make([]string, 0, len(of))
	for name := range of {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
