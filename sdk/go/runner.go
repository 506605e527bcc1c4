package carpe

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path"
	"reflect"
	"runtime"
	"strings"

	"carpe/internal/contract"
	"carpe/internal/migrating"
)

// Runner runs a rule over batches: the same code under the host and in a native test. Authors have no use for it.
type Runner[S any] struct {
	rule        Rule[S]
	onTimer     TimerRule[S]
	onOutcome   OutcomeRule[S]
	description contract.Description
	// What the zero value of the state is written as: a state equal to it is not kept.
	zero []byte
	// Whether a copy of a state shares nothing with it, and it can always be written.
	isPlain bool
}

// stateOf is a key of the batch. Its state is read when the first of its inputs is handled.
type stateOf[S any] struct {
	name    string
	before  []byte
	current *S
	// What the current state is written as, once an input has left it behind.
	written []byte
}

func newRunner[S any](rule Rule[S], description contract.Description) (*Runner[S], error) {
	var state S
	zero, err := json.Marshal(state)
	if err != nil {
		return nil, fmt.Errorf("the state %T cannot be written as JSON: %w", state, err)
	}
	runner := &Runner[S]{rule: rule, description: description, zero: zero, isPlain: isPlain(reflect.TypeFor[S]())}
	runner.onTimer, _ = rule.(TimerRule[S])
	runner.onOutcome, _ = rule.(OutcomeRule[S])
	return runner, nil
}

// Description is what the rule is.
func (runner *Runner[S]) Description() contract.Description {
	return runner.description
}

// Handle decides. What is wrong with one input becomes a failure of that input.
func (runner *Runner[S]) Handle(batch contract.Batch) (contract.Effects, error) {
	states := make([]stateOf[S], len(batch.Keys))
	for position, key := range batch.Keys {
		states[position] = stateOf[S]{name: key.Name, before: key.State}
	}
	out := &Output{}
	for cause := range batch.Inputs {
		input := &batch.Inputs[cause]
		if int(input.Key) >= len(states) {
			return contract.Effects{}, fmt.Errorf("input %d is about key %d, which the batch lacks", cause, input.Key)
		}
		out.begin(uint32(cause), input.Now)
		if err := runner.handleInput(&states[input.Key], input, out); err != nil {
			out.undo(err)
		}
	}
	for position := range states {
		state := &states[position]
		if state.written == nil && state.current != nil {
			// Nothing that is plain fails.
			state.written, _ = json.Marshal(state.current)
		}
		after := state.written
		if after == nil {
			continue
		}
		if bytes.Equal(after, runner.zero) {
			after = nil
		}
		if !bytes.Equal(after, state.before) || (after == nil) != (state.before == nil) {
			out.effects.States = append(out.effects.States, contract.StateChange{Key: uint32(position), State: after})
		}
	}
	return out.effects, nil
}

// Migrate brings a state of an earlier version along; nil: it is forgotten, or today's zero value.
func (runner *Runner[S]) Migrate(fromVersion uint32, key string, before []byte) (after []byte, err error) {
	rule, is := runner.rule.(MigratingRule[S])
	if !is || !migrating.IsExported {
		return nil, fmt.Errorf("this version of the rule cannot read states of version %d", fromVersion)
	}
	defer runner.recoverInto(&err)
	state, err := rule.Migrate(fromVersion, key, before)
	if err != nil || state == nil {
		return nil, err
	}
	after, err = json.Marshal(state)
	if err != nil {
		return nil, fmt.Errorf("the migrated state cannot be written as JSON: %w", err)
	}
	if bytes.Equal(after, runner.zero) {
		after = nil
	}
	return after, nil
}

// handleInput lets the state count only if the input succeeds: one that fails leaves it as it was.
func (runner *Runner[S]) handleInput(state *stateOf[S], input *contract.Input, out *Output) error {
	isRead := state.current == nil
	if isRead {
		current, err := state.read()
		if err != nil {
			return err
		}
		state.current = current
	}
	if runner.isPlain {
		before := *state.current
		err := runner.decide(state, input, out)
		switch {
		case err != nil && isRead:
			// No input has succeeded: what was kept stays as it was written.
			state.current = nil
		case err != nil:
			*state.current = before
		}
		return err
	}
	err := runner.decide(state, input, out)
	if err == nil {
		var written []byte
		if written, err = json.Marshal(state.current); err == nil {
			state.written = written
			return nil
		}
		err = fmt.Errorf("the state of key `%s` cannot be written as JSON: %w", state.name, err)
	}
	// It may share memory with what it was before: the next input reads that again.
	state.current = nil
	return err
}

// read is the state as the last input that succeeded left it behind.
func (state *stateOf[S]) read() (*S, error) {
	current := new(S)
	text := state.before
	if state.written != nil {
		text = state.written
	}
	if text == nil {
		return current, nil
	}
	if err := json.Unmarshal(text, current); err != nil {
		return nil, fmt.Errorf("the state of key `%s` cannot be read: %w (if its format changed, let the state version grow "+
			"and migrate it)", state.name, err)
	}
	return current, nil
}

func (runner *Runner[S]) decide(state *stateOf[S], input *contract.Input, out *Output) (err error) {
	origin := origin{state.name, input.Time, input.Now}
	defer runner.recoverInto(&err)
	switch {
	case input.Event != nil:
		if int(input.Event.Subscription) >= len(runner.description.Subscriptions) {
			return fmt.Errorf("the rule has no subscription %d", input.Event.Subscription)
		}
		err = runner.rule.OnEvent(&Event{origin, input.Event, runner.description.Subscriptions}, state.current, out)
	case input.Timer != nil && runner.onTimer != nil:
		err = runner.onTimer.OnTimer(&Timer{origin, input.Timer}, state.current, out)
	case input.Outcome != nil && runner.onOutcome != nil:
		err = runner.onOutcome.OnOutcome(&Outcome{origin, input.Outcome}, state.current, out)
	}
	if err == nil {
		err = out.broken
	}
	return err
}

// recoverInto makes a panic of the rule an error that says where it was.
func (runner *Runner[S]) recoverInto(err *error) {
	panicked := recover()
	if panicked == nil {
		return
	}
	kind := reflect.TypeOf(runner.rule)
	if kind.Kind() == reflect.Pointer {
		kind = kind.Elem()
	}
	*err = fmt.Errorf("panic: %v%s", panicked, place(kind.PkgPath()+"."))
}

// place is the innermost line of the rule's own package, or else of what is not Go's, among those that led to a panic.
func place(prefix string) string {
	callers := make([]uintptr, 64)
	frames := runtime.CallersFrames(callers[:runtime.Callers(3, callers)])
	place := ""
	for {
		frame, more := frames.Next()
		isRule := strings.HasPrefix(frame.Function, prefix)
		if isRule || place == "" && !strings.HasPrefix(frame.Function, "runtime.") {
			place = fmt.Sprintf(" (%s:%d)", path.Base(frame.File), frame.Line)
		}
		if isRule || !more {
			return place
		}
	}
}

// isPlain says whether values of a type hold nothing but truth values, whole numbers and strings of their own.
func isPlain(kind reflect.Type) bool {
	writes := reflect.PointerTo(kind)
	for _, writer := range []reflect.Type{
		reflect.TypeFor[json.Marshaler](), reflect.TypeFor[interface{ MarshalText() ([]byte, error) }](),
	} {
		if writes.Implements(writer) {
			return false
		}
	}
	switch kind.Kind() {
	case reflect.Bool, reflect.String, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return true
	case reflect.Array:
		return isPlain(kind.Elem())
	case reflect.Struct:
		for position := range kind.NumField() {
			if !isPlain(kind.Field(position).Type) {
				return false
			}
		}
		return true
	default:
		return false
	}
}
