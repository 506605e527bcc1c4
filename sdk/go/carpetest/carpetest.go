// Package carpetest runs a rule natively, as the host would, in an ordinary test: without WebAssembly, and with a
// timeline of its own.
//
//	func TestThreeTimesTooHot(t *testing.T) {
//		test := carpetest.New(t, plugin, carpe.Object{"max_celsius": 80})
//		for _, celsius := range []float64{81, 82, 83} {
//			test.Send(carpetest.NewEvent("machine.temperature").Subject("press-1").Data(carpe.Object{"celsius": celsius}))
//		}
//		...
//	}
package carpetest

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"
	"time"

	"carpe"
	"carpe/internal/contract"
)

// Start is where the timeline begins: 2026-01-01T00:00:00Z.
const Start carpe.Instant = 1_767_225_600_000

// RuleTest is a rule, with states, timers and a timeline. Each input is a batch of its own. What the host would refuse
// fails the test.
type RuleTest[S any] struct {
	t      testing.TB
	runner *carpe.Runner[S]
	// What a host keeps.
	now    carpe.Instant
	states map[string][]byte
	timers map[timerID]carpe.Instant
}

type timerID struct {
	key, name string
}

// New loads the rule with a configuration: what encoding/json makes of it. The test fails if the rule refuses it.
func New[S any](t testing.TB, plugin *carpe.Plugin[S], configuration any) *RuleTest[S] {
	t.Helper()
	test, err := TryNew(t, plugin, configuration)
	if err != nil {
		t.Fatalf("the rule refuses its configuration: %s", err)
	}
	return test
}

// TryNew is as [New], but gives what the operator would be told is wrong with the configuration.
func TryNew[S any](t testing.TB, plugin *carpe.Plugin[S], configuration any) (*RuleTest[S], error) {
	t.Helper()
	text, err := json.Marshal(configuration)
	if err != nil {
		t.Fatalf("the configuration cannot be written as JSON: %s", err)
	}
	runner, err := plugin.Start(text)
	if err != nil {
		return nil, err
	}
	return &RuleTest[S]{t, runner, Start, map[string][]byte{}, map[timerID]carpe.Instant{}}, nil
}

// Send gives the rule an event, once for each subscription that matches, after the timers due by then. Filters are not
// evaluated.
func (test *RuleTest[S]) Send(event Event) *Happened {
	test.t.Helper()
	at := test.now
	if event.time != nil {
		at = *event.time
	}
	if at < 0 || at >= carpe.InstantLimit {
		test.t.Fatalf("the host refuses an event of time %d: it is not from 0 on and below 2^53", at)
	}
	test.now = max(test.now, at)
	happened := &Happened{}
	test.fireDue(happened)
	isGiven := false
	for position, subscription := range test.runner.Description().Subscriptions {
		key, is := event.keyOf(subscription)
		if !is || !takes(subscription, event.attributes["type"]) {
			continue
		}
		isGiven = true
		given := &contract.Event{Subscription: uint32(position), Data: event.data}
		for _, name := range subscription.Attributes {
			var value *string
			if text, is := event.attributes[name]; is {
				value = &text
			}
			given.Attributes = append(given.Attributes, value)
		}
		test.handle(key, contract.Input{Time: at, Event: given}, happened)
	}
	if !isGiven {
		test.t.Fatalf("no subscription takes this event, or it has not the key that the subscription names: %v %s",
			event.attributes, event.data.Bytes)
	}
	test.fireDue(happened)
	return happened
}

// Advance moves the timeline on, and gives the rule what comes due, each timer at its instant.
func (test *RuleTest[S]) Advance(by time.Duration) *Happened {
	test.t.Helper()
	return test.AdvanceTo(test.now.Add(by))
}

// AdvanceTo moves the timeline on to an instant; one already past changes nothing.
func (test *RuleTest[S]) AdvanceTo(instant carpe.Instant) *Happened {
	test.t.Helper()
	happened := &Happened{}
	for {
		next, is := test.nextDue()
		if !is || test.timers[next] > instant {
			break
		}
		// The idle host appends a tick at each of these instants.
		test.now = max(test.now, test.timers[next])
		test.fireDue(happened)
	}
	test.now = max(test.now, instant)
	return happened
}

// Answer says what became of an action that was emitted with a reference. `answer` is what the other side said: what
// encoding/json makes of it, or nothing if it is nil.
func (test *RuleTest[S]) Answer(action Action, status carpe.Status, answer any) *Happened {
	test.t.Helper()
	return test.AnswerWithDetail(action, status, answer, "")
}

// AnswerWithDetail is as [RuleTest.Answer], with what the host says for people.
func (test *RuleTest[S]) AnswerWithDetail(action Action, status carpe.Status, answer any, detail string) *Happened {
	test.t.Helper()
	if action.Reference == "" {
		test.t.Fatalf("action `%s` has no reference: no outcome of it is wanted", action.Name)
	}
	outcome := &contract.Outcome{Action: action.Name, Reference: action.Reference, Status: status, Detail: detail}
	if answer != nil {
		text, err := json.Marshal(answer)
		if err != nil {
			test.t.Fatalf("the answer cannot be written as JSON: %s", err)
		}
		outcome.Answer = contract.Data{Kind: contract.JSON, Bytes: text}
	}
	happened := &Happened{}
	test.fireDue(happened)
	test.handle(action.Key, contract.Input{Time: test.now, Outcome: outcome}, happened)
	test.fireDue(happened)
	return happened
}

// Now is where the timeline stands.
func (test *RuleTest[S]) Now() carpe.Instant {
	return test.now
}

// State is what is remembered of a key; the zero value, if nothing is.
func (test *RuleTest[S]) State(key string) (state S) {
	test.t.Helper()
	if text, is := test.states[key]; is {
		if err := json.Unmarshal(text, &state); err != nil {
			test.t.Fatalf("the state of key `%s` cannot be read: %s", key, err)
		}
	}
	return state
}

// StateText is what the host keeps of a key; empty, if nothing.
func (test *RuleTest[S]) StateText(key string) string {
	return string(test.states[key])
}

// SetState makes the host keep this of a key: e.g. what an earlier version wrote.
func (test *RuleTest[S]) SetState(key, text string) {
	test.states[key] = []byte(text)
}

// Migrate brings a state of an earlier version along, as the host keeps it; empty: it is forgotten.
func (test *RuleTest[S]) Migrate(fromVersion uint32, key, text string) (string, error) {
	after, err := test.runner.Migrate(fromVersion, key, []byte(text))
	return string(after), err
}

// Keys are those that have a state, sorted: those whose state is the zero value have none.
func (test *RuleTest[S]) Keys() []string {
	return slices.Sorted(maps.Keys(test.states))
}

// Timer is when a timer of a key is due, if it is set.
func (test *RuleTest[S]) Timer(key, name string) (due carpe.Instant, isSet bool) {
	due, isSet = test.timers[timerID{key, name}]
	return due, isSet
}

// As many timers a key may have come due before one entry, as in the host by default.
const maxTimersAtOnce = 1_000

func (test *RuleTest[S]) nextDue() (next timerID, is bool) {
	before := func(one, other timerID) bool {
		ours, theirs := test.timers[one], test.timers[other]
		if ours != theirs {
			return ours < theirs
		}
		return one.name < other.name || one.name == other.name && one.key < other.key
	}
	for id := range test.timers {
		if !is || before(id, next) {
			next, is = id, true
		}
	}
	return next, is
}

// fireDue gives the rule all timers due by now.
func (test *RuleTest[S]) fireDue(happened *Happened) {
	test.t.Helper()
	fired := map[string]int{}
	for {
		next, is := test.nextDue()
		due := test.timers[next]
		if !is || due > test.now {
			return
		}
		delete(test.timers, next)
		fired[next.key]++
		if fired[next.key] > maxTimersAtOnce {
			test.t.Fatalf("more than %d timers of key `%s` came due at once, at last `%s`: to repeat, count from Now, not "+
				"from the timer's Time", maxTimersAtOnce, next.key, next.name)
		}
		test.handle(next.key, contract.Input{Time: due, Timer: &contract.Timer{Name: next.name}}, happened)
	}
}

func (test *RuleTest[S]) handle(key string, input contract.Input, happened *Happened) {
	test.t.Helper()
	input.Now = test.now
	effects, err := test.runner.Handle(contract.Batch{
		Keys:   []contract.Keyed{{Name: key, State: test.states[key]}},
		Inputs: []contract.Input{input},
	})
	if err != nil {
		// Alone in its batch: set aside.
		happened.Failures = append(happened.Failures, err.Error())
		return
	}
	for _, change := range effects.States {
		if change.State == nil {
			delete(test.states, key)
		} else {
			test.states[key] = change.State
		}
	}
	for _, change := range effects.Timers {
		id := timerID{key, change.Name}
		switch {
		case change.At == nil:
			delete(test.timers, id)
		case input.Timer != nil:
			// One set by a timer is due at least 1 ms after that one.
			test.timers[id] = max(*change.At, input.Time+1)
		default:
			test.timers[id] = *change.At
		}
	}
	for _, moment := range effects.Moments {
		test.checkDeclared(moment)
		happened.Moments = append(happened.Moments, newMoment(key, input.Time, moment))
	}
	for _, failure := range effects.Failures {
		happened.Failures = append(happened.Failures, failure.Message)
	}
}

func (test *RuleTest[S]) checkDeclared(moment contract.Moment) {
	test.t.Helper()
	description := test.runner.Description()
	if !slices.Contains(description.Moments, moment.Kind) {
		test.t.Fatalf("moment `%s` is not declared: add `.Moment(%q)`", moment.Kind, moment.Kind)
	}
	for _, action := range moment.Actions {
		if !slices.Contains(description.Actions, action.Name) {
			test.t.Fatalf("action `%s` is not declared: add `.Action(%q)`", action.Name, action.Name)
		}
	}
}
