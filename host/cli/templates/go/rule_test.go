package main

import (
	"testing"

	"carpe"
	"carpe/carpetest"
)

func TestThreeTimesInARow(t *testing.T) {
	test := carpetest.New(t, plugin, carpe.Object{"max_celsius": 90})
	for place, reading := range []struct{ celsius, actions int }{
		{91, 0}, {92, 0}, {93, 1}, {94, 0}, {20, 0}, {91, 0}, {92, 0}, {93, 1},
	} {
		event := carpetest.NewEvent("machine.temperature").Subject("press-1").Data(carpe.Object{"celsius": reading.celsius})
		if got := len(test.Send(event).Actions()); got != reading.actions {
			t.Fatalf("reading %d: %d actions, not %d", place, got, reading.actions)
		}
	}
}
