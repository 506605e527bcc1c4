// The rule of `tests/conformance`, with the SDK for Go.
package main

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"carpe"
	_ "carpe/migration"
)

// Conform is the operator's configuration.
type Conform struct {
	Greeting string `json:"greeting"`
	Limit    uint64 `json:"limit"`
}

// Memory is how many events the key has had, and what it was told to remember.
type Memory struct {
	Count uint64          `json:"count"`
	Value json.RawMessage `json:"value"`
}

// Deed is one thing to do: its members.
type Deed map[string]json.RawMessage

var plugin = carpe.Export(Conform{Limit: 1000}, carpe.Describe("conform", "1.0.0", "Does what events tell it to.").
	On("conform.*").Attribute("id").Attribute("type").Attribute("note").
	On("other").KeyedByData("/about/id").
	Moment("conform.said").Moment("conform.acted").
	Action("conform.do").Action("conform.tell").
	StateVersion(2))

func main() {}

// Check refuses what types cannot.
func (rule Conform) Check() error {
	if rule.Greeting == "" {
		return carpe.Failure("`greeting` is empty")
	}
	return nil
}

// OnEvent does the event's deeds.
func (rule Conform) OnEvent(event *carpe.Event, memory *Memory, out *carpe.Output) error {
	memory.Count++
	if memory.Count > rule.Limit {
		return fmt.Errorf("more than %d events", rule.Limit)
	}
	deeds, err := deedsOf(event)
	if err != nil {
		return err
	}
	isForgotten := false
	for _, deed := range deeds {
		if err := rule.do(deed, event, memory, out); err != nil {
			return err
		}
		if _, is := deed["forget"]; is {
			isForgotten = true
		}
	}
	if isForgotten {
		*memory = Memory{}
	}
	return nil
}

// OnTimer says what it remembers.
func (rule Conform) OnTimer(timer *carpe.Timer, memory *Memory, out *carpe.Output) error {
	out.Moment("conform.said").Why("timer " + timer.Name()).Data(carpe.Object{
		"count": memory.Count, "value": memory.Value, "time": timer.Time(), "now": timer.Now(),
	})
	if timer.Name() == "again" && memory.Count > 0 {
		memory.Count--
		out.Timer("again").At(timer.Time().Add(time.Second))
	}
	return nil
}

// OnOutcome says what became of the action.
func (rule Conform) OnOutcome(outcome *carpe.Outcome, _ *Memory, out *carpe.Output) error {
	var answer json.RawMessage
	if err := outcome.Answer(&answer); err != nil {
		answer = nil
	}
	out.Moment("conform.said").Why("outcome " + outcome.Status().String()).Data(carpe.Object{
		"action": outcome.Action(), "reference": outcome.Reference(), "answer": answer,
	})
	return nil
}

// Migrate reads version 1: the count in decimal digits, and nothing else.
func (rule Conform) Migrate(fromVersion uint32, _ string, state []byte) (*Memory, error) {
	if fromVersion == 1 && string(state) == "forget" {
		return nil, nil
	}
	count, err := strconv.ParseUint(string(state), 10, 64)
	if fromVersion != 1 || err != nil || len(state) > 15 {
		return nil, carpe.Failure("the state is no count")
	}
	return &Memory{Count: count}, nil
}

func deedsOf(event *carpe.Event) ([]Deed, error) {
	// What is kept as it is written may hold a number that is none: this finds it.
	var all any
	if err := event.Data(&all); err != nil {
		return nil, err
	}
	var data map[string]json.RawMessage
	if err := event.Data(&data); err != nil {
		return nil, err
	}
	if data == nil {
		return nil, carpe.Failure("the data is no object")
	}
	text, isThere := data["do"]
	if !isThere {
		return nil, nil
	}
	var deeds []Deed
	if err := json.Unmarshal(text, &deeds); err != nil || deeds == nil {
		return nil, carpe.Failure("`do` must be a list of objects")
	}
	return deeds, nil
}

func (rule Conform) do(deed Deed, event *carpe.Event, memory *Memory, out *carpe.Output) error {
	for _, kind := range []string{"say", "greet", "show", "set", "timer", "cancel", "act", "forget", "fail"} {
		if _, is := deed[kind]; is {
			return rule.doKind(kind, deed, event, memory, out)
		}
	}
	return fmt.Errorf("no such deed: %s", deed)
}

func (rule Conform) doKind(kind string, deed Deed, event *carpe.Event, memory *Memory, out *carpe.Output) error {
	switch kind {
	case "say":
		why, err := member[string](deed, "say")
		if err != nil {
			return err
		}
		said := out.Moment("conform.said").Why(why)
		if data, is := deed["data"]; is && string(data) != "null" {
			said.Data(data)
		}
	case "greet":
		if err := isTrue(deed, "greet"); err != nil {
			return err
		}
		out.Moment("conform.said").Why(rule.Greeting + ", " + event.Key())
	case "show":
		if string(deed["show"]) == `"event"` {
			return show(event, out)
		}
		if err := isTrue(deed, "show"); err != nil {
			return err
		}
		facts := carpe.Object{"count": memory.Count, "value": memory.Value, "key": event.Key()}
		out.Moment("conform.said").Why("state").Data(facts)
	case "set":
		memory.Value = deed["set"]
	case "timer":
		return setTimer(deed, out)
	case "cancel":
		name, err := member[string](deed, "cancel")
		if err != nil {
			return err
		}
		out.Timer(name).Cancel()
	case "act":
		return act(deed, out)
	case "forget":
		return isTrue(deed, "forget")
	case "fail":
		message, err := member[string](deed, "fail")
		if err != nil {
			return err
		}
		return carpe.Failure(message)
	}
	return nil
}

func show(event *carpe.Event, out *carpe.Output) error {
	var data json.RawMessage
	if err := event.Data(&data); err != nil {
		return err
	}
	facts := carpe.Object{
		"subscription": event.Subscription(), "time": event.Time(), "now": event.Now(), "data": data,
	}
	for _, name := range []string{"id", "type", "note"} {
		facts[name] = nil
		if value, err := event.Attribute(name); err == nil {
			facts[name] = value
		}
	}
	out.Moment("conform.said").Why("event").Data(facts)
	return nil
}

func setTimer(deed Deed, out *carpe.Output) error {
	name, err := member[string](deed, "timer")
	if err != nil {
		return err
	}
	if _, is := deed["at"]; is {
		at, err := whole(deed, "at")
		if err != nil {
			return err
		}
		out.Timer(name).At(carpe.Instant(at))
		return nil
	}
	milliseconds, err := whole(deed, "in")
	if err != nil {
		return err
	}
	out.Timer(name).After(time.Duration(milliseconds) * time.Millisecond)
	return nil
}

func act(deed Deed, out *carpe.Output) error {
	reference, err := member[string](deed, "act")
	if err != nil {
		return err
	}
	acted := out.Moment("conform.acted").Why("acted")
	if _, is := deed["about"]; is {
		subject, err := member[string](deed, "about")
		if err != nil {
			return err
		}
		acted.Subject(subject)
	}
	if _, is := deed["expires"]; is {
		instant, err := whole(deed, "expires")
		if err != nil {
			return err
		}
		acted.ExpiresAt(carpe.Instant(instant))
	}
	acted.ActionWithOutcome("conform.do", reference, deed["data"])
	acted.Action("conform.tell", carpe.Object{})
	return nil
}

func isTrue(deed Deed, name string) error {
	if string(deed[name]) != "true" {
		return fmt.Errorf("`%s` of a deed is not true", name)
	}
	return nil
}

// A whole number from 0 on.
func whole(deed Deed, name string) (int64, error) {
	value, err := member[int64](deed, name)
	if err == nil && value < 0 {
		err = fmt.Errorf("`%s` of a deed is %d", name, value)
	}
	return value, err
}

func member[T any](deed Deed, name string) (value T, err error) {
	// For which a value stays as it is.
	if string(deed[name]) == "null" {
		return value, fmt.Errorf("`%s` of a deed is null", name)
	}
	if err := json.Unmarshal(deed[name], &value); err != nil {
		return value, fmt.Errorf("`%s` of a deed: %w", name, err)
	}
	return value, nil
}
