package main

import (
	"fmt"

	"carpe"
)

// mostFaults is how many are remembered at most.
const mostFaults = 20

// Fault is something that a machine in order does not do.
type Fault struct {
	At   carpe.Instant `json:"at"`
	What string        `json:"what"`
}

func (rule VendingMachine) onMeasured(event *carpe.Event, machine *Machine, out *carpe.Output) error {
	celsius, err := event.Number("/celsius")
	if err != nil {
		return err
	}
	if celsius < rule.MinCelsius || celsius > rule.MaxCelsius {
		rule.fault(event, machine, out,
			fmt.Sprintf("%g °C, where %g to %g are right", celsius, rule.MinCelsius, rule.MaxCelsius))
	}
	return nil
}

func (rule VendingMachine) onFaulted(event *carpe.Event, machine *Machine, out *carpe.Output) error {
	what, err := event.Text("/what")
	if err != nil {
		return err
	}
	if text := []rune(what); len(text) > 100 {
		what = string(text[:100])
	}
	rule.fault(event, machine, out, what)
	return nil
}

// onServiced begins anew: a person has seen to the machine.
func (rule VendingMachine) onServiced(now carpe.Instant, machine *Machine, out *carpe.Output) {
	machine.Faults = nil
	if machine.Stopped {
		machine.Stopped = false
		out.Moment("vending.resumed").Why("somebody has seen to the machine")
	}
}

// fault notes one, and stops the machine at one too many. What was ordered is still received.
func (rule VendingMachine) fault(event *carpe.Event, machine *Machine, out *carpe.Output, what string) {
	since := event.Now().Add(-day)
	var faults []Fault
	for _, fault := range append(machine.Faults, Fault{event.Time(), what}) {
		if fault.At > since {
			faults = append(faults, fault)
		}
	}
	if len(faults) > mostFaults {
		faults = faults[len(faults)-mostFaults:]
	}
	machine.Faults = faults
	if machine.Stopped || len(faults) <= rule.FaultsAllowed {
		return
	}
	machine.Stopped = true
	if machine.Purchase != nil && machine.Purchase.Step != stepOrdering {
		machine.Purchase = nil
		out.Timer(timerAnswers).Cancel()
	}
	out.Moment("vending.stopped").
		Why(fmt.Sprintf("%d faults in 24 hours, the last: %s", len(faults), what)).
		Data(carpe.Object{"faults": faults}).
		Action("service.call", carpe.Object{"machine": event.Key(), "faults": faults})
}
