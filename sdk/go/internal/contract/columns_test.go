package contract

import (
	"math"
	"reflect"
	"slices"
	"testing"
)

// columns is `a` with a state, `ä` without, and `b`; four events.
func columns() Columns {
	return Columns{
		Text:   []byte(`aäb{"add":-5}x{"add":2}{}`),
		States: []byte(`{"sum":5}not a state`),
		Keys:   3,
		Numbers: []int64{
			1, 9, 2, -1, 1, 11,
			0, 10, 20, 0, 10, 1, 1,
			1, 11, 21, 1, 9, 0,
			2, 12, 22, 1, 2, 0,
			1, 13, 23, 0, -1, 1, -1,
		},
	}
}

func TestColumnsMeanWhatRecordsMean(t *testing.T) {
	batch, err := columns().Batch()
	if err != nil {
		t.Fatal(err)
	}
	x := "x"
	json := func(text string) Data { return Data{JSON, []byte(text)} }
	wanted := Batch{
		Keys: []Keyed{{"a", []byte(`{"sum":5}`)}, {"ä", nil}, {"b", []byte("not a state")}},
		Inputs: []Input{
			{Key: 0, Time: 10, Now: 20, Event: &Event{0, []*string{&x}, json(`{"add":-5}`)}},
			{Key: 1, Time: 11, Now: 21, Event: &Event{1, nil, json(`{"add":2}`)}},
			{Key: 2, Time: 12, Now: 22, Event: &Event{1, nil, json(`{}`)}},
			{Key: 1, Time: 13, Now: 23, Event: &Event{0, []*string{nil}, Data{}}},
		},
	}
	if !reflect.DeepEqual(batch, wanted) {
		t.Fatalf("%+v", batch)
	}
}

func TestColumnsThatDoNotAddUpAreRefused(t *testing.T) {
	for place := range columns().Numbers {
		for _, number := range []int64{-2, 1 << 40, math.MinInt64, math.MaxInt64} {
			broken := columns()
			broken.Numbers[place] = number
			// An error, where one is due, and nothing else; an instant may be many.
			_, _ = broken.Batch()
		}
		cut := columns()
		cut.Numbers = cut.Numbers[:place]
		// Without the last input, whose text is empty, nothing is left over.
		if _, err := cut.Batch(); (err == nil) != (place == 25) {
			t.Errorf("cut at %d: %v", place, err)
		}
	}
	for _, more := range []Columns{
		{Text: []byte("x")}, {States: []byte("x")}, {Keys: math.MaxUint32}, {Keys: 1, Numbers: []int64{-1, -1}},
		{Numbers: []int64{0, 0, 0, 0, -1, math.MaxInt64}},
	} {
		if _, err := more.Batch(); err == nil {
			t.Errorf("%+v is a batch", more)
		}
	}
}

func TestStatesInColumns(t *testing.T) {
	effects := Effects{States: []StateChange{{1, []byte("ab")}, {5, nil}, {7, []byte{}}, {8, []byte("c")}}}
	changes, states := effects.StateColumns()
	if !slices.Equal(changes, []StateLength{{1, 2}, {5, -1}, {7, 0}, {8, 1}}) || string(states) != "abc" {
		t.Fatal(changes, string(states))
	}
}
