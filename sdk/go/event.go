package carpe

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"carpe/internal/contract"
	"carpe/internal/pointer"
)

// Event is something that happened, about one key.
type Event struct {
	origin
	given         *contract.Event
	subscriptions []contract.Subscription
}

// Timer is a timer that came due. Its Time is the instant that it was set to.
type Timer struct {
	origin
	given *contract.Timer
}

// Outcome is what became of an action. Its Time is when that was known.
type Outcome struct {
	origin
	given *contract.Outcome
}

// origin is what all inputs have.
type origin struct {
	key       string
	time, now Instant
}

// Key is what it is about, e.g. the machine's id: see the subscription's key.
func (origin *origin) Key() string {
	return origin.key
}

// Time is when it happened. That of an event may be earlier than that of an event before it.
func (origin *origin) Time() Instant {
	return origin.time
}

// Now is where the timeline stands: never earlier than for an input before it, nor than a timer's time. Timers and expiry
// go by it. A timer that repeats counts from here: that skips what was missed.
func (origin *origin) Now() Instant {
	return origin.now
}

// Kind is its CloudEvents `type`.
func (event *Event) Kind() string {
	// A pattern asks for the attribute: see [About.On].
	if kind, err := event.Attribute("type"); err == nil {
		return kind
	}
	return event.subscriptions[event.given.Subscription].EventType
}

// Subscription is which subscription matched, counted from 0 in the order of the description's On.
func (event *Event) Subscription() int {
	return int(event.given.Subscription)
}

// Attribute is the value of a CloudEvents attribute that the subscription asks for. It is an error if the event has
// none, or the subscription doesn't ask for it.
func (event *Event) Attribute(name string) (string, error) {
	position := slices.Index(event.subscriptions[event.given.Subscription].Attributes, name)
	if position < 0 {
		return "", fmt.Errorf("attribute `%s` is not asked for: add `.Attribute(%q)` to the rule's description", name, name)
	}
	if position < len(event.given.Attributes) && event.given.Attributes[position] != nil {
		return *event.given.Attributes[position], nil
	}
	return "", fmt.Errorf("the event has no attribute `%s`", name)
}

// Data reads its JSON data into what `to` points to, as [json.Unmarshal] does.
func (event *Event) Data(to any) error {
	return unmarshal("the event's data", event.given.Data, to)
}

// Number is a number in its JSON data.
//
// This and its likes take a JSON Pointer, e.g. `/engine/celsius`, and read the data once per call: for more than a few
// fields [Event.Data] is quicker. It is an error if there is no JSON data, nothing at the pointer, or something else.
func (event *Event) Number(pointer string) (float64, error) {
	return at(event, pointer, "a number", func(text string) (float64, error) { return strconv.ParseFloat(text, 64) })
}

// Integer is a whole number in its JSON data: see [Event.Number].
func (event *Event) Integer(pointer string) (int64, error) {
	return at(event, pointer, "a whole number", func(text string) (int64, error) {
		return strconv.ParseInt(text, 10, 64)
	})
}

// Text is a string in its JSON data: see [Event.Number].
func (event *Event) Text(pointer string) (string, error) {
	return at(event, pointer, "a string", func(text string) (value string, err error) {
		if text[0] != '"' {
			return "", errors.New("it is none")
		}
		return value, json.Unmarshal([]byte(text), &value)
	})
}

// Bool is a truth value in its JSON data: see [Event.Number].
func (event *Event) Bool(pointer string) (bool, error) {
	return at(event, pointer, "true or false", func(text string) (bool, error) {
		if text != "true" && text != "false" {
			return false, errors.New("it is none")
		}
		return text == "true", nil
	})
}

// Value is the JSON text of whatever stands at a JSON Pointer; nil if nothing does, or null. The pointer "" stands for
// all of the data.
func (event *Event) Value(pointer string) (json.RawMessage, error) {
	value, err := event.find(pointer)
	if string(value) == "null" {
		value = nil
	}
	return value, err
}

// Binary is its data, if there is any and it is not JSON; else nil.
func (event *Event) Binary() []byte {
	if event.given.Data.Kind == contract.Binary {
		return event.given.Data.Bytes
	}
	return nil
}

// Name is as the rule named it.
func (timer *Timer) Name() string {
	return timer.given.Name
}

// Action is the action's name.
func (outcome *Outcome) Action() string {
	return outcome.given.Action
}

// Reference is what the rule gave the action to tell it by.
func (outcome *Outcome) Reference() string {
	return outcome.given.Reference
}

// Status is what became of it.
func (outcome *Outcome) Status() Status {
	return outcome.given.Status
}

// Detail is for people: why it was not taken. May be empty.
func (outcome *Outcome) Detail() string {
	return outcome.given.Detail
}

// Answer reads what the other side answered into what `to` points to, as [json.Unmarshal] does: e.g. the body of a
// webhook's response. It is an error if it answered nothing, or something else.
func (outcome *Outcome) Answer(to any) error {
	return unmarshal("the answer", outcome.given.Answer, to)
}

func unmarshal(whose string, data contract.Data, to any) error {
	text, err := jsonOf(whose, data)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, to); err != nil {
		return fmt.Errorf("%s: %w", whose, readable(err))
	}
	return nil
}

func jsonOf(whose string, data contract.Data) ([]byte, error) {
	switch data.Kind {
	case contract.JSON:
		if isTooDeep(data.Bytes) {
			return nil, fmt.Errorf("%s is nested deeper than %d lists and objects", whose, deepest)
		}
		return data.Bytes, nil
	case contract.Absent:
		return nil, fmt.Errorf("%s is absent", whose)
	default:
		return nil, fmt.Errorf("%s is not JSON", whose)
	}
}

// find is the text of what stands at a JSON Pointer in the data; nil: nothing.
func (event *Event) find(at string) (json.RawMessage, error) {
	text, err := jsonOf("the event's data", event.given.Data)
	if err != nil {
		return nil, err
	}
	found, err := pointer.Find(text, at)
	if err != nil {
		return nil, fmt.Errorf("the event's data is not valid JSON: %w", err)
	}
	return found, nil
}

// deepest is how deep JSON may be nested, as in the other languages. encoding/json goes on to 10,000, for which an
// instance has no stack: one absurd event would end it.
const deepest = 127

func isTooDeep(text []byte) bool {
	if len(text) <= deepest || bytes.Count(text, []byte{'['})+bytes.Count(text, []byte{'{'}) <= deepest {
		return false
	}
	depth, isText := 0, false
	for position := 0; position < len(text); position++ {
		switch letter := text[position]; {
		case letter == '"':
			isText = !isText
		case isText && letter == '\\':
			position++
		case isText:
		case letter == '[' || letter == '{':
			if depth++; depth > deepest {
				return true
			}
		case letter == ']' || letter == '}':
			depth--
		}
	}
	return false
}

func at[T any](event *Event, pointer, wanted string, parse func(text string) (T, error)) (value T, err error) {
	found, err := event.find(pointer)
	if err != nil {
		return value, err
	}
	if found == nil {
		return value, fmt.Errorf("the event's data has nothing at `%s`, where %s should be", pointer, wanted)
	}
	if value, err = parse(string(found)); err != nil {
		text := []rune(string(found))
		text = text[:min(len(text), 40)]
		return value, fmt.Errorf("the event's data has %s at `%s`, where %s should be", string(text), pointer, wanted)
	}
	return value, nil
}
