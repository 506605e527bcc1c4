// A machine was too hot three times in a row. See README.md.
package main

import "carpe"

// {{Name}} is the operator's configuration.
type {{Name}} struct {
	MaxCelsius float64 `json:"max_celsius"`
}

// Machine is what is remembered of a machine.
type Machine struct {
	Hot int `json:"hot"`
}

var plugin = carpe.Export({{Name}}{}, carpe.Describe("{{name}}", "0.1.0", "A machine was too hot three times in a row.").
	On("machine.temperature").Moment("machine.overheating").Action("notify.service"))

func main() {}

// OnEvent counts how many times in a row a machine was too hot.
func (rule {{Name}}) OnEvent(event *carpe.Event, machine *Machine, out *carpe.Output) error {
	celsius, err := event.Number("/celsius")
	if err != nil {
		return err
	}
	if celsius <= rule.MaxCelsius {
		machine.Hot = 0
		return nil
	}
	machine.Hot++
	if machine.Hot == 3 {
		out.Moment("machine.overheating").
			Why("too hot three times in a row").
			Action("notify.service", carpe.Object{"machine": event.Key()})
	}
	return nil
}
