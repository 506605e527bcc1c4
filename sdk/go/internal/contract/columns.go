package contract

import (
	"errors"
	"math"
)

// none stands for the length of what is not there.
const none = -1

var errColumns = errors.New("the batch's columns are not what the contract says")

// Columns is a batch of events in a few flat lists: `columns.event-columns` (`wit/columns.wit`).
type Columns struct {
	Text, States []byte
	Keys         uint32
	Numbers      []int64
}

// StateLength is `columns.state-length`.
type StateLength struct {
	Key    uint32
	Length int32
}

// Batch is what the columns mean. It shares their memory.
func (columns Columns) Batch() (Batch, error) {
	reader := columnReader{text: columns.Text, states: columns.States, numbers: columns.Numbers}
	// Each has two numbers, and each input six at least: no count that comes from outside asks for more memory.
	if uint64(columns.Keys)*2 > uint64(len(columns.Numbers)) {
		return Batch{}, errColumns
	}
	batch := Batch{Keys: make([]Keyed, columns.Keys)}
	for position := range batch.Keys {
		name, is := reader.next(&reader.text)
		if !is {
			return Batch{}, errColumns
		}
		state, _ := reader.next(&reader.states)
		batch.Keys[position] = Keyed{Name: string(name), State: state}
	}
	count := len(reader.numbers) / 6
	batch.Inputs = make([]Input, 0, count)
	events := make([]Event, 0, count)
	for len(reader.numbers) > 0 && !reader.isBroken {
		input := Input{
			Key:  uint32(reader.number(math.MaxUint32)),
			Time: Instant(reader.number(int64(InstantLimit))),
			Now:  Instant(reader.number(int64(InstantLimit))),
		}
		event := Event{Subscription: uint32(reader.number(math.MaxUint32))}
		if data, is := reader.next(&reader.text); is {
			event.Data = Data{Kind: JSON, Bytes: data}
		}
		// Each attribute has a number.
		if attributes := reader.number(int64(len(reader.numbers))); attributes > 0 {
			event.Attributes = make([]*string, attributes)
		}
		for position := range event.Attributes {
			if value, is := reader.next(&reader.text); is {
				text := string(value)
				event.Attributes[position] = &text
			}
		}
		events = append(events, event)
		input.Event = &events[len(events)-1]
		batch.Inputs = append(batch.Inputs, input)
	}
	if reader.isBroken || len(reader.text) > 0 || len(reader.states) > 0 {
		return Batch{}, errColumns
	}
	return batch, nil
}

// StateColumns is what `columns.effect-columns` has for the states.
func (effects *Effects) StateColumns() (changes []StateLength, states []byte) {
	changes = make([]StateLength, len(effects.States))
	for position, change := range effects.States {
		length := int32(none)
		if change.State != nil {
			length = int32(len(change.State))
			states = append(states, change.State...)
		}
		changes[position] = StateLength{Key: change.Key, Length: length}
	}
	return changes, states
}

// columnReader reads columns from their beginnings on. It goes on after a fault, and gives nothing more.
type columnReader struct {
	text, states []byte
	numbers      []int64
	isBroken     bool
}

// number is the next one: from 0 to `most`.
func (reader *columnReader) number(most int64) int64 {
	if reader.isBroken || len(reader.numbers) == 0 || reader.numbers[0] < 0 || reader.numbers[0] > most {
		reader.isBroken = true
		return 0
	}
	number := reader.numbers[0]
	reader.numbers = reader.numbers[1:]
	return number
}

// next is the next part of a column, by its length.
func (reader *columnReader) next(column *[]byte) (part []byte, is bool) {
	if len(reader.numbers) > 0 && reader.numbers[0] == none {
		reader.numbers = reader.numbers[1:]
		return nil, false
	}
	length := reader.number(int64(len(*column)))
	if reader.isBroken {
		return nil, false
	}
	// With no room behind: who appends to it gets a copy.
	part, *column = (*column)[:length:length], (*column)[length:]
	return part, true
}
