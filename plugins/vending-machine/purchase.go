package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"carpe"
	"carpe/log"
)

// Names of timers; those of orders are named after them.
const (
	timerAnswers = "answers"
	timerRetry   = "retry"
)

// Steps of a purchase.
const (
	stepAsking      = "asking"
	stepNegotiating = "negotiating"
	stepOrdering    = "ordering"
)

// Purchase is one that is under way: suppliers are asked, the best is negotiated with, once, and then it is ordered.
type Purchase struct {
	ID   string `json:"id"`
	Step string `json:"step"`
	// How many of each product.
	Lines map[string]int64 `json:"lines"`
	// Whose quotes are waited for.
	Asked []string `json:"asked,omitempty"`
	// Those that have come, and while it is negotiated or ordered those that are left: the best first.
	Quotes []Quote `json:"quotes,omitempty"`
}

// Quote is what a supplier asks for.
type Quote struct {
	Supplier string `json:"supplier"`
	// The price of one of each product; of what is not there the supplier has none.
	UnitCents map[string]int64 `json:"unit_cents"`
	Days      int64            `json:"days"`
}

type quoteAnswer struct {
	UnitCents map[string]int64 `json:"unit_cents"`
	Days      *int64           `json:"days"`
}

// buy begins a purchase, if something is low and nothing speaks against it.
func (rule VendingMachine) buy(key string, now carpe.Instant, machine *Machine, out *carpe.Output) {
	if machine.Stopped || machine.Purchase != nil || now < machine.RetryAt || len(machine.Orders) >= mostOrders {
		return
	}
	lines := rule.low(machine, now)
	if len(lines) == 0 {
		return
	}
	machine.Purchases++
	purchase := &Purchase{
		ID: fmt.Sprintf("%s-%d", key, machine.Purchases), Step: stepAsking, Lines: lines, Asked: slices.Clone(rule.Suppliers),
	}
	machine.Purchase = purchase
	moment := out.Moment("vending.low").Why("running low: " + strings.Join(sorted(lines), ", ")).ExpiresIn(rule.patience())
	for _, supplier := range rule.Suppliers {
		moment.ActionWithOutcome("supplier.quote", purchase.ID+"/"+supplier, carpe.Object{
			"machine": key, "supplier": supplier, "purchase": purchase.ID, "lines": lines,
		})
	}
	out.Timer(timerAnswers).After(rule.patience())
}

func (rule VendingMachine) onQuote(outcome *carpe.Outcome, machine *Machine, out *carpe.Output) error {
	purchase, supplier := machine.purchaseOf(outcome.Reference(), stepAsking)
	if purchase == nil || !slices.Contains(purchase.Asked, supplier) {
		// It comes too late.
		return nil
	}
	purchase.Asked = slices.DeleteFunc(purchase.Asked, func(asked string) bool { return asked == supplier })
	if outcome.Status() == carpe.Delivered {
		quote, err := rule.quoteOf(outcome, supplier, purchase.Lines)
		if err != nil {
			// What makes no sense is no offer; the others count.
			out.Fail(fmt.Sprintf("the quote of %s: %s", supplier, err))
		} else if len(quote.UnitCents) > 0 {
			purchase.Quotes = append(purchase.Quotes, quote)
		}
	}
	if len(purchase.Asked) == 0 {
		rule.compare(outcome.Key(), outcome.Now(), machine, out)
	}
	return nil
}

// quoteOf is a quote without what is too dear. It is not of more than what was asked for.
func (rule VendingMachine) quoteOf(outcome *carpe.Outcome, supplier string, lines map[string]int64) (Quote, error) {
	var answer quoteAnswer
	quote := Quote{Supplier: supplier, UnitCents: map[string]int64{}}
	if err := outcome.Answer(&answer); err != nil {
		return quote, err
	}
	if answer.Days == nil || *answer.Days < 0 || *answer.Days > 60 {
		return quote, carpe.Failure("`days` must be from 0 to 60")
	}
	quote.Days = *answer.Days
	for _, product := range sorted(lines) {
		cents, isOffered := answer.UnitCents[product]
		if isOffered && cents < 1 {
			return quote, fmt.Errorf("`unit_cents` of %s is %d: nobody sells for that", product, cents)
		}
		if isOffered && cents <= rule.Products[product].MaxUnitCents {
			quote.UnitCents[product] = cents
		}
	}
	return quote, nil
}

// onAnswersDue goes on with the answers that there are.
func (rule VendingMachine) onAnswersDue(key string, now carpe.Instant, machine *Machine, out *carpe.Output) {
	if machine.Purchase == nil {
		return
	}
	switch machine.Purchase.Step {
	case stepAsking:
		rule.compare(key, now, machine, out)
	case stepNegotiating:
		rule.order(key, now, machine, out)
	}
}

// compare puts the best quote first and negotiates with its supplier. The best has most of what is wanted; then it is the
// cheapest, then the quickest, then that of the supplier who stands first.
func (rule VendingMachine) compare(key string, now carpe.Instant, machine *Machine, out *carpe.Output) {
	purchase := machine.Purchase
	place := func(quote Quote) int { return slices.Index(rule.Suppliers, quote.Supplier) }
	slices.SortFunc(purchase.Quotes, func(one, other Quote) int {
		return cmp.Or(
			cmp.Compare(len(other.UnitCents), len(one.UnitCents)),
			cmp.Compare(one.cents(purchase.Lines), other.cents(purchase.Lines)),
			cmp.Compare(one.Days, other.Days),
			cmp.Compare(place(one), place(other)),
		)
	})
	if len(purchase.Quotes) == 0 {
		rule.giveUp(key, now, machine, out, "no supplier has made an offer that makes sense")
		return
	}
	best := purchase.Quotes[0]
	if rule.DiscountPercent == 0 {
		rule.order(key, now, machine, out)
		return
	}
	purchase.Step, purchase.Asked = stepNegotiating, nil
	offered := best.cents(purchase.Lines)
	out.Moment("vending.offered").
		Why(fmt.Sprintf("%s offers for %d cents: the best of %d", best.Supplier, offered, len(purchase.Quotes))).
		ExpiresIn(rule.patience()).
		ActionWithOutcome("supplier.negotiate", purchase.ID+"/"+best.Supplier, carpe.Object{
			"machine": key, "supplier": best.Supplier, "purchase": purchase.ID,
			"offered_cents": offered, "wanted_percent_off": rule.DiscountPercent,
		})
	out.Timer(timerAnswers).After(rule.patience())
}

func (rule VendingMachine) onNegotiated(outcome *carpe.Outcome, machine *Machine, out *carpe.Output) error {
	purchase, supplier := machine.purchaseOf(outcome.Reference(), stepNegotiating)
	if purchase == nil || purchase.Quotes[0].Supplier != supplier {
		return nil
	}
	if outcome.Status() == carpe.Delivered {
		var answer struct {
			PercentOff int64 `json:"percent_off"`
		}
		err := outcome.Answer(&answer)
		if err == nil && (answer.PercentOff < 0 || answer.PercentOff > 90) {
			err = fmt.Errorf("`percent_off` is %d: it must be from 0 to 90", answer.PercentOff)
		}
		if err != nil {
			out.Fail(fmt.Sprintf("what %s says of the price: %s", supplier, err))
		} else {
			for product, cents := range purchase.Quotes[0].UnitCents {
				// In the supplier's favour, as nobody sells for nothing.
				purchase.Quotes[0].UnitCents[product] = (cents*(100-answer.PercentOff) + 99) / 100
			}
		}
	}
	rule.order(outcome.Key(), outcome.Now(), machine, out)
	return nil
}

// order orders from the first of the quotes that are left what the budget allows, the scarcest first.
func (rule VendingMachine) order(key string, now carpe.Instant, machine *Machine, out *carpe.Output) {
	purchase := machine.Purchase
	out.Timer(timerAnswers).Cancel()
	var quote Quote
	var lines map[string]int64
	var cents int64
	isTooDear := false
	for len(lines) == 0 && len(purchase.Quotes) > 0 {
		quote, purchase.Quotes = purchase.Quotes[0], purchase.Quotes[1:]
		lines, cents = rule.affordable(machine, purchase.Lines, quote, now)
		isTooDear = len(lines) == 0
	}
	switch {
	case isTooDear:
		rule.giveUpUntilNextPeriod(key, machine, out)
		return
	case len(lines) == 0:
		rule.giveUp(key, now, machine, out, "no supplier has taken the order")
		return
	}
	purchase.Step, purchase.Asked = stepOrdering, nil
	order := &Order{
		ID: purchase.ID + "/" + quote.Supplier, Supplier: quote.Supplier, Missing: lines, Cents: cents, OrderedAt: now,
		DueAt: now.Add(time.Duration(quote.Days)*day + time.Duration(rule.GraceHours)*time.Hour), UnitCents: quote.UnitCents,
		Period: machine.Period,
	}
	machine.Orders = append(machine.Orders, order)
	machine.SpentCents += cents
	out.Moment("vending.ordered").
		Why(fmt.Sprintf("%s for %d cents, of %d that are left", quote.Supplier, cents,
			rule.BudgetCents-machine.SpentCents+cents)).
		ExpiresIn(rule.patience()).
		ActionWithOutcome("supplier.order", order.ID, carpe.Object{
			"machine": key, "supplier": quote.Supplier, "order": order.ID, "lines": lines, "unit_cents": quote.UnitCents,
			"cents": cents, "days": quote.Days,
		})
	out.Timer(order.ID).At(order.DueAt)
}

// affordable is what of the lines a supplier has, and the rest of the budget pays: first what lasts for the shortest time.
func (rule VendingMachine) affordable(
	machine *Machine, lines map[string]int64, quote Quote, now carpe.Instant,
) (affordable map[string]int64, cents int64) {
	hoursLeft := func(product string) int64 {
		stock := machine.stock(product, now)
		return (stock.Units + machine.onTheWay(product)) * 24 * 60 / max(stock.needed(24*60), 1)
	}
	products := sorted(quote.UnitCents)
	slices.SortStableFunc(products, func(one, other string) int { return cmp.Compare(hoursLeft(one), hoursLeft(other)) })
	left := rule.BudgetCents - machine.SpentCents
	affordable = map[string]int64{}
	for _, product := range products {
		if units := min(lines[product], left/quote.UnitCents[product]); units > 0 {
			affordable[product] = units
			left -= units * quote.UnitCents[product]
			cents += units * quote.UnitCents[product]
		}
	}
	return affordable, cents
}

// giveUp ends a purchase that came to nothing: after a while it is tried again.
func (rule VendingMachine) giveUp(key string, now carpe.Instant, machine *Machine, out *carpe.Output, why string) {
	rule.endWithout(key, machine, out, why, now.Add(time.Duration(rule.RetryHours)*time.Hour))
}

func (rule VendingMachine) giveUpUntilNextPeriod(key string, machine *Machine, out *carpe.Output) {
	why := fmt.Sprintf("%d of %d cents are spent: the rest does not pay for any", machine.SpentCents, rule.BudgetCents)
	next := carpe.Instant((machine.Period + 1) * rule.PeriodDays * day.Milliseconds())
	rule.endWithout(key, machine, out, why, next)
}

func (rule VendingMachine) endWithout(key string, machine *Machine, out *carpe.Output, why string, retry carpe.Instant) {
	lines := machine.Purchase.Lines
	machine.Purchase, machine.RetryAt = nil, retry
	out.Timer(timerAnswers).Cancel()
	out.Timer(timerRetry).At(retry)
	out.Moment("vending.not-bought").Why(why).
		Action("people.tell", carpe.Object{"machine": key, "lines": lines, "why": why})
}

// purchaseOf is the purchase that an answer is about, if it is at this step, and whose answer it is.
func (machine *Machine) purchaseOf(reference, step string) (purchase *Purchase, supplier string) {
	if machine.Purchase == nil || machine.Purchase.Step != step {
		return nil, ""
	}
	supplier, is := strings.CutPrefix(reference, machine.Purchase.ID+"/")
	if !is {
		log.Debug("an answer about %s comes too late", reference)
		return nil, ""
	}
	return machine.Purchase, supplier
}

func (rule VendingMachine) patience() time.Duration {
	return time.Duration(rule.AnswerMinutes) * time.Minute
}

// cents is what the lines cost, as far as they are offered.
func (quote Quote) cents(lines map[string]int64) (cents int64) {
	for product, units := range lines {
		cents += units * quote.UnitCents[product]
	}
	return cents
}
