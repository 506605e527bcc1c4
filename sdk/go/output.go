package carpe

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"carpe/internal/contract"
)

// Output takes what should follow from one input. Nothing happens unless the input succeeds; then all of it does.
type Output struct {
	effects contract.Effects
	cause   uint32
	now     Instant
	// Where the effects of the input begin.
	timers, moments, failures int
	// The first of what was given that cannot be written as JSON.
	broken error
}

// Moment is a moment in the making: something that occurred and passes.
type Moment struct {
	out *Output
	// Which of the output's moments it is.
	position int
}

// TimerSetting is a timer that is to be set or cancelled: say when, by one of its methods.
type TimerSetting struct {
	out  *Output
	name string
}

// Moment says that a moment of this kind, which the rule's description names, occurred: about the input's key, at its
// time.
//
//	out.Moment("flood.rising").
//		Why("the river rose 40 cm in an hour").
//		ExpiresIn(time.Hour).
//		Action("alert.residents", carpe.Object{"gauge": event.Key()})
func (out *Output) Moment(kind string) *Moment {
	out.effects.Moments = append(out.effects.Moments, contract.Moment{Cause: out.cause, Kind: clean(kind)})
	return &Moment{out, len(out.effects.Moments) - 1}
}

// Timer is a timer of the input's key, by its name. Keys don't share timers.
func (out *Output) Timer(name string) TimerSetting {
	return TimerSetting{out, clean(name)}
}

// Fail sets the input aside, with what is wrong with it for people, but keeps what the rule makes of it: for an input of
// which a part makes sense. To keep nothing, return an error instead.
func (out *Output) Fail(message string) {
	out.effects.Failures = append(out.effects.Failures, contract.Failure{Input: out.cause, Message: clean(message)})
}

// Why is one line for people: why now.
func (moment *Moment) Why(why string) *Moment {
	moment.effect().Why = clean(why)
	return moment
}

// Subject is whom or what it concerns, e.g. a person's id, if that is not the key: what consent, caps and erasure go by.
func (moment *Moment) Subject(subject string) *Moment {
	subject = clean(subject)
	moment.effect().Subject = &subject
	return moment
}

// Data is for programs: the facts of it, as encoding/json writes them.
func (moment *Moment) Data(data any) *Moment {
	moment.effect().Data = moment.json("data", data)
	return moment
}

// ExpiresAt says until when its actions may be taken.
func (moment *Moment) ExpiresAt(instant Instant) *Moment {
	instant = instant.Add(0)
	moment.effect().Expires = &instant
	return moment
}

// ExpiresIn says for how long, from the timeline's now, its actions may be taken.
func (moment *Moment) ExpiresIn(duration time.Duration) *Moment {
	return moment.ExpiresAt(moment.out.now.Add(duration))
}

// Action is what to do about it, and what the other side needs to know. What becomes of it is not told.
func (moment *Moment) Action(name string, data any) *Moment {
	return moment.action(name, nil, data)
}

// ActionWithOutcome is what to do about it. The rule's OnOutcome is called, once, with what became of it and this
// reference, by which the rule can tell its actions apart.
func (moment *Moment) ActionWithOutcome(name, reference string, data any) *Moment {
	reference = clean(reference)
	return moment.action(name, &reference, data)
}

// At sets the timer to an instant on the timeline, in place of an earlier setting. One already past is due at once.
func (timer TimerSetting) At(instant Instant) {
	instant = instant.Add(0)
	timer.change(&instant)
}

// After sets it to so long after the timeline's now. Fractions of a millisecond are cut.
func (timer TimerSetting) After(duration time.Duration) {
	timer.At(timer.out.now.Add(duration))
}

// Cancel cancels it. If it is not set, that does nothing.
func (timer TimerSetting) Cancel() {
	timer.change(nil)
}

func (timer TimerSetting) change(at *Instant) {
	out := timer.out
	out.effects.Timers = append(out.effects.Timers, contract.TimerChange{Cause: out.cause, Name: timer.name, At: at})
}

func (moment *Moment) effect() *contract.Moment {
	return &moment.out.effects.Moments[moment.position]
}

func (moment *Moment) action(name string, reference *string, data any) *Moment {
	written := moment.json("action `"+name+"`", data)
	effect := moment.effect()
	effect.Actions = append(effect.Actions, contract.Action{Name: clean(name), Reference: reference, Data: written})
	return moment
}

func (moment *Moment) json(of string, data any) []byte {
	written, err := json.Marshal(data)
	if err != nil && moment.out.broken == nil {
		kind := moment.effect().Kind
		moment.out.broken = fmt.Errorf("%s of moment `%s` cannot be written as JSON: %w", of, kind, err)
	}
	return written
}

// clean is a text as the contract takes it: Unicode. encoding/json does the same with strings in data.
func clean(text string) string {
	return strings.ToValidUTF8(text, "\uFFFD")
}

func (out *Output) begin(cause uint32, now Instant) {
	out.cause, out.now, out.broken = cause, now, nil
	effects := &out.effects
	out.timers, out.moments, out.failures = len(effects.Timers), len(effects.Moments), len(effects.Failures)
}

// undo takes back what the input gave, and sets it aside.
func (out *Output) undo(err error) {
	effects := &out.effects
	effects.Timers = effects.Timers[:out.timers]
	effects.Moments = effects.Moments[:out.moments]
	effects.Failures = effects.Failures[:out.failures]
	out.Fail(err.Error())
}
