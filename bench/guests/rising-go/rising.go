// A gauge has risen in three readings in a row, and stands high.
package main

import (
	"fmt"

	"carpe"
)

// Rising is the operator's configuration.
type Rising struct {
	AboveCM int64 `json:"above_cm"`
}

// Gauge is what is remembered of one.
type Gauge struct {
	CM    int64 `json:"cm"`
	Rises int   `json:"rises"`
}

var plugin = carpe.Export(Rising{}, carpe.Describe("rising", "0.1.0",
	"A gauge has risen in three readings in a row, and stands high.").
	On("gauge.level").Moment("flood.rising").Action("alert"))

func main() {}

// OnEvent compares a reading with the one before.
func (rule Rising) OnEvent(event *carpe.Event, gauge *Gauge, out *carpe.Output) error {
	var reading struct {
		Level int64  `json:"level"`
		N     uint64 `json:"n"`
	}
	if err := event.Data(&reading); err != nil {
		return err
	}
	if gauge.CM > 0 && reading.Level > gauge.CM {
		gauge.Rises++
	} else {
		gauge.Rises = 0
	}
	gauge.CM = reading.Level
	if gauge.Rises >= 3 && reading.Level > rule.AboveCM {
		out.Moment("flood.rising").
			Why(fmt.Sprintf("%d cm, and rising", reading.Level)).
			Action("alert", carpe.Object{"gauge": event.Key(), "n": reading.N, "level": reading.Level})
	}
	return nil
}
