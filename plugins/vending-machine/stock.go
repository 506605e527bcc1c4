package main

import (
	"fmt"

	"carpe"
)

// rateDays is how many days, the current one included, a rate of sale is of.
const rateDays = 8

// Stock is what a machine has of a product, and how it sells.
type Stock struct {
	Units int64 `json:"units"`
	// Nothing is bought before the stock has been counted, or goods came in.
	Known bool `json:"known,omitempty"`
	// The last count: what happened before is part of it.
	CountedAt carpe.Instant `json:"counted_at,omitempty"`
	// What was sold on each day, today's first; and which days since the epoch today and the first were.
	Sold     [rateDays]int64 `json:"sold"`
	Today    int64           `json:"today"`
	FirstDay int64           `json:"first_day"`
}

type sale struct {
	Product   string `json:"product"`
	Units     *int64 `json:"units"`
	PaidCents *int64 `json:"paid_cents"`
}

func (rule VendingMachine) onSold(event *carpe.Event, machine *Machine, out *carpe.Output) error {
	var sale sale
	if err := event.Data(&sale); err != nil {
		return err
	}
	product, is := rule.Products[sale.Product]
	if !is {
		return fmt.Errorf("no machine sells `%s`: it is not among the `products`", sale.Product)
	}
	units := int64(1)
	if sale.Units != nil {
		units = *sale.Units
	}
	if units < 1 || units > product.Capacity {
		return fmt.Errorf("`units` is %d: it must be from 1 to %d, which there is room for", units, product.Capacity)
	}
	if sale.PaidCents == nil || *sale.PaidCents < 0 || *sale.PaidCents > 1_000*units*product.PriceCents {
		return carpe.Failure("`paid_cents` is missing, or no sum that is paid for it")
	}
	stock := machine.stock(sale.Product, event.Now())
	stock.sell(event.Time(), units)
	// What was sold before the last count is missing from it already.
	if stock.Known && event.Time() >= stock.CountedAt {
		if stock.Units < units {
			rule.fault(event, machine, out, fmt.Sprintf("sold %d %s, and had %d", units, sale.Product, stock.Units))
		}
		stock.Units = max(stock.Units-units, 0)
	}
	if paid, due := *sale.PaidCents, units*product.PriceCents; paid < due {
		rule.fault(event, machine, out, fmt.Sprintf("sold %s for %d cents instead of %d", sale.Product, paid, due))
	}
	return nil
}

func (rule VendingMachine) onCounted(event *carpe.Event, machine *Machine, out *carpe.Output) error {
	var counted struct {
		Stocks map[string]int64 `json:"stocks"`
	}
	if err := event.Data(&counted); err != nil {
		return err
	}
	if len(counted.Stocks) == 0 {
		return carpe.Failure("`stocks` is missing: it must say what there is of each product")
	}
	for _, name := range sorted(counted.Stocks) {
		units := counted.Stocks[name]
		product, is := rule.Products[name]
		if !is {
			return fmt.Errorf("no machine sells `%s`: it is not among the `products`", name)
		}
		stock := machine.stock(name, event.Now())
		switch {
		case stock.Known && event.Time() < stock.CountedAt:
			// A later count has come already.
		case units < 0 || units > product.Capacity:
			rule.fault(event, machine, out,
				fmt.Sprintf("counted %d %s, where there is room for %d", units, name, product.Capacity))
		default:
			stock.Units, stock.Known, stock.CountedAt = units, true, event.Time()
		}
	}
	return nil
}

// stock is that of a product, as of a day.
func (machine *Machine) stock(product string, now carpe.Instant) *Stock {
	if machine.Stocks == nil {
		machine.Stocks = map[string]*Stock{}
	}
	today := int64(now) / day.Milliseconds()
	stock, is := machine.Stocks[product]
	if !is {
		stock = &Stock{Today: today, FirstDay: today}
		machine.Stocks[product] = stock
	}
	for ; stock.Today < today; stock.Today++ {
		if today-stock.Today > rateDays {
			stock.Today = today - rateDays
		}
		copy(stock.Sold[1:], stock.Sold[:])
		stock.Sold[0] = 0
	}
	return stock
}

// sell counts a sale for its day, also one that comes late.
func (stock *Stock) sell(at carpe.Instant, units int64) {
	soldOn := int64(at) / day.Milliseconds()
	if ago := max(stock.Today-soldOn, 0); ago < rateDays {
		stock.Sold[ago] += units
	}
	stock.FirstDay = min(stock.FirstDay, soldOn)
}

// needed is how many are sold in so many hours, rounded up, by the rate of the last days.
func (stock *Stock) needed(hours int64) int64 {
	sold := int64(0)
	for _, units := range stock.Sold {
		sold += units
	}
	days := min(stock.Today-stock.FirstDay+1, rateDays)
	return (sold*hours + days*24 - 1) / (days * 24)
}

// leadHours is how long a delivery is taken to need.
func (rule VendingMachine) leadHours(machine *Machine) int64 {
	if machine.LeadHours > 0 {
		return machine.LeadHours
	}
	return rule.LeadDays * 24
}

// low is what should be bought of each product that will not last until a delivery comes.
func (rule VendingMachine) low(machine *Machine, now carpe.Instant) map[string]int64 {
	lines := map[string]int64{}
	for _, name := range sorted(rule.Products) {
		if _, is := machine.Stocks[name]; !is {
			continue
		}
		product, stock := rule.Products[name], machine.stock(name, now)
		if !stock.Known {
			continue
		}
		there := stock.Units + machine.onTheWay(name)
		least := max(product.MinStock, stock.needed(rule.leadHours(machine)+rule.SafetyDays*24))
		if there > min(least, product.Capacity-1) {
			continue
		}
		wanted := max(stock.needed(rule.leadHours(machine)+(rule.SafetyDays+rule.CoverDays)*24), product.MinStock+1)
		if units := min(wanted, product.Capacity) - there; units > 0 {
			lines[name] = units
		}
	}
	return lines
}
