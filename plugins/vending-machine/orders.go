package main

import (
	"fmt"
	"slices"
	"strings"

	"carpe"
)

const (
	// No purchase begins while so many are open.
	mostOrders = 8
	// How long an order that something is missing of is waited for.
	keepDays = 14
)

// Order is one that is on its way, or that something is missing of.
type Order struct {
	ID       string `json:"id"`
	Supplier string `json:"supplier"`
	// What has not come, of each product, and what one of them costs.
	Missing   map[string]int64 `json:"missing"`
	UnitCents map[string]int64 `json:"unit_cents"`
	Cents     int64            `json:"cents"`
	OrderedAt carpe.Instant    `json:"ordered_at"`
	DueAt     carpe.Instant    `json:"due_at"`
	// In which it was paid for.
	Period int64 `json:"period"`
	// It was complained about, and is not counted on any more.
	Complained bool `json:"complained,omitempty"`
}

func (rule VendingMachine) onOrderTaken(outcome *carpe.Outcome, machine *Machine, out *carpe.Output) {
	place := machine.placeOf(outcome.Reference())
	isOurs := machine.Purchase != nil && machine.Purchase.Step == stepOrdering &&
		strings.HasPrefix(outcome.Reference(), machine.Purchase.ID+"/")
	switch status := outcome.Status(); {
	case status == carpe.Delivered || status == carpe.Failed:
		// Of one that failed nobody knows whether it was taken: it is waited for, and missing if it was not.
		if isOurs {
			machine.Purchase = nil
		}
	case place >= 0 && !machine.Orders[place].Complained:
		// It was not taken: the money is there again, and the next quote's turn comes.
		order := machine.Orders[place]
		machine.Orders = slices.Delete(machine.Orders, place, place+1)
		out.Timer(order.ID).Cancel()
		if order.Period == machine.Period {
			machine.SpentCents -= order.Cents
		}
		switch {
		case isOurs && status == carpe.Withheld:
			// The operator's word: to order from the next would be to go round it.
			why := "order " + order.ID + " was withheld"
			if detail := outcome.Detail(); detail != "" {
				why += ": " + detail
			}
			rule.giveUp(outcome.Key(), outcome.Now(), machine, out, why)
		case isOurs && machine.Stopped:
			machine.Purchase = nil
		case isOurs:
			rule.order(outcome.Key(), outcome.Now(), machine, out)
		}
	}
}

func (rule VendingMachine) onDelivered(event *carpe.Event, machine *Machine, out *carpe.Output) error {
	var delivery struct {
		Order string           `json:"order"`
		Lines map[string]int64 `json:"lines"`
	}
	if err := event.Data(&delivery); err != nil {
		return err
	}
	if len(delivery.Lines) == 0 && delivery.Order == "" {
		return carpe.Failure("`lines` is missing: it must say what has come of each product")
	}
	for _, product := range sorted(delivery.Lines) {
		units := delivery.Lines[product]
		if _, is := rule.Products[product]; !is {
			return fmt.Errorf("no machine sells `%s`: it is not among the `products`", product)
		}
		if units < 0 || units > mostUnits {
			return fmt.Errorf("%d %s cannot have come", units, product)
		}
	}
	if delivery.Order != "" {
		place := machine.placeOf(delivery.Order)
		if place < 0 {
			return fmt.Errorf("nothing is missing of order `%s`: it has come already, or was never made", delivery.Order)
		}
		if err := rule.receive(event, machine, place, delivery.Lines, out); err != nil {
			return err
		}
	}
	for _, product := range sorted(delivery.Lines) {
		stock := machine.stock(product, event.Now())
		if stock.Known && event.Time() < stock.CountedAt {
			// It was counted with the rest.
			continue
		}
		stock.Known = true
		stock.Units += delivery.Lines[product]
		if room := rule.Products[product].Capacity; stock.Units > room {
			rule.fault(event, machine, out, fmt.Sprintf("has %d %s, where there is room for %d", stock.Units, product, room))
			stock.Units = room
		}
	}
	return nil
}

// receive takes what has come of an order, and complains about the rest.
func (rule VendingMachine) receive(
	event *carpe.Event, machine *Machine, place int, came map[string]int64, out *carpe.Output,
) error {
	order := machine.Orders[place]
	missing := map[string]int64{}
	for product, units := range order.Missing {
		if units > came[product] {
			missing[product] = units - came[product]
		}
	}
	isLate := order.Complained
	if isLate {
		// A repeat of what has come before would be more than what is missing.
		for _, product := range sorted(came) {
			if came[product] > order.Missing[product] {
				return fmt.Errorf("of order `%s` %d %s were missing, and %d have come: is it reported twice?", order.ID,
					order.Missing[product], product, came[product])
			}
		}
	} else {
		// Three parts of what was usual, and one of what is new.
		hours := max(int64(event.Time().Sub(order.OrderedAt).Hours()), 1)
		if machine.LeadHours > 0 {
			hours = (3*machine.LeadHours + hours) / 4
		}
		machine.LeadHours = min(hours, 60*24)
	}
	order.Missing = missing
	if machine.Purchase != nil && machine.Purchase.Step == stepOrdering &&
		strings.HasPrefix(order.ID, machine.Purchase.ID+"/") {
		// It was taken, whatever the outcome will be.
		machine.Purchase = nil
	}
	if len(missing) == 0 {
		machine.Orders = slices.Delete(machine.Orders, place, place+1)
		out.Timer(order.ID).Cancel()
		moment := out.Moment("vending.received").Why("all of order " + order.ID + " has come")
		if isLate {
			moment.Action("supplier.complain", carpe.Object{
				"machine": event.Key(), "supplier": order.Supplier, "order": order.ID, "withdrawn": true,
			})
		}
		return nil
	}
	rule.complain(event.Key(), "vending.short", "not all of order "+order.ID+" has come", order, out)
	order.Complained = true
	out.Timer(order.ID).At(event.Now().Add(keepDays * day))
	return nil
}

// onOrderDue notices what was ordered and never came; later it is forgotten.
func (rule VendingMachine) onOrderDue(key, id string, now carpe.Instant, machine *Machine, out *carpe.Output) {
	place := machine.placeOf(id)
	if place < 0 {
		return
	}
	order := machine.Orders[place]
	if order.Complained {
		machine.Orders = slices.Delete(machine.Orders, place, place+1)
		return
	}
	if machine.Purchase != nil && strings.HasPrefix(id, machine.Purchase.ID+"/") {
		machine.Purchase = nil
	}
	rule.complain(key, "vending.overdue", "order "+id+" has not come", order, out)
	order.Complained = true
	out.Timer(id).At(now.Add(keepDays * day))
}

func (rule VendingMachine) complain(key, kind, why string, order *Order, out *carpe.Output) {
	cents := int64(0)
	for product, units := range order.Missing {
		cents += units * order.UnitCents[product]
	}
	out.Moment(kind).Why(why).Action("supplier.complain", carpe.Object{
		"machine": key, "supplier": order.Supplier, "order": order.ID, "missing": order.Missing, "cents": cents,
	})
}

// onTheWay is how many of a product are counted on.
func (machine *Machine) onTheWay(product string) (units int64) {
	for _, order := range machine.Orders {
		if !order.Complained {
			units += order.Missing[product]
		}
	}
	return units
}

// placeOf is where an order stands among those that are open; -1 if it does not.
func (machine *Machine) placeOf(id string) int {
	return slices.IndexFunc(machine.Orders, func(order *Order) bool { return order.ID == id })
}
