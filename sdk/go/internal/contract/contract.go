// Package contract holds what passes between the host and a rule: it mirrors `carpe:rule/types` (`wit/types.wit`), so
// that a rule runs the same way under the host and in a native test.
package contract

import (
	"math"
	"time"
)

// InstantLimit is where instants end.
const InstantLimit Instant = 1 << 53

// Instant is milliseconds since the Unix epoch, from 0 on and below [InstantLimit].
type Instant int64

// Add is so long after it. Fractions of a millisecond are cut; what no instant can be becomes the first or the last.
func (instant Instant) Add(duration time.Duration) Instant {
	sum := min(max(instant, 0), InstantLimit) + Instant(duration.Milliseconds())
	return min(max(sum, 0), InstantLimit-1)
}

// Sub is how long it is after the earlier one, as far as a duration can say (292 years).
func (instant Instant) Sub(earlier Instant) time.Duration {
	milliseconds := int64(instant - earlier)
	limit := int64(math.MaxInt64 / time.Millisecond)
	return time.Duration(min(max(milliseconds, -limit), limit)) * time.Millisecond
}

// Time is the instant for people, in UTC.
func (instant Instant) Time() time.Time {
	return time.UnixMilli(int64(instant)).UTC()
}

// Status is what became of an action.
type Status uint8

const (
	// Delivered says that the other side took it.
	Delivered Status = iota
	// Rejected says that the other side refused it for good.
	Rejected
	// Withheld says that it never went out: a guardrail of the operator's stopped it, or no route takes it.
	Withheld
	// Failed says that the host gave up, or that the moment expired after a try whose result is not known: it may or
	// may not have been taken.
	Failed
	// Expired says that the moment expired before the first try: it was not taken.
	Expired
)

// String is as the contract writes it, e.g. `delivered`.
func (status Status) String() string {
	names := [...]string{"delivered", "rejected", "withheld", "failed", "expired"}
	if int(status) < len(names) {
		return names[status]
	}
	return "unknown"
}

// Description is what a rule is, and what it wants to be given.
type Description struct {
	Name, Version, Summary string
	// Settings is a JSON Schema; empty if there is none.
	Settings      string
	Subscriptions []Subscription
	Moments       []string
	Actions       []string
	StateVersion  uint32
}

// Subscription is one kind of event that a rule is given.
type Subscription struct {
	EventType string
	// Filter is empty if there is none.
	Filter     string
	KeyedBy    KeyedBy
	Attributes []string
}

// KeyedBy says where the key of an event is found.
type KeyedBy struct {
	Kind KeyKind
	// Name is that of the attribute, or the JSON Pointer.
	Name string
}

// KeyKind is one of the ways in which events are keyed.
type KeyKind uint8

// In the contract's order.
const (
	ByAttribute KeyKind = iota
	ByData
	ByNothing
)

// Batch is what is to be handled in one call.
type Batch struct {
	Keys   []Keyed
	Inputs []Input
}

// Keyed is a key with its state; none is nil.
type Keyed struct {
	Name  string
	State []byte
}

// Input is one thing to decide about: exactly one of its three pointers is set.
type Input struct {
	Key       uint32
	Time, Now Instant
	Event     *Event
	Timer     *Timer
	Outcome   *Outcome
}

// Event is an event that a subscription matched.
type Event struct {
	Subscription uint32
	// Attributes has nil where the event has no such attribute.
	Attributes []*string
	Data       Data
}

// Timer is a timer that came due.
type Timer struct {
	Name string
}

// Outcome is what became of an action.
type Outcome struct {
	Action, Reference string
	Status            Status
	Answer            Data
	Detail            string
}

// Data is that of an event, or an answer.
type Data struct {
	Kind  DataKind
	Bytes []byte
}

// DataKind says what data is.
type DataKind uint8

// In the contract's order.
const (
	Absent DataKind = iota
	JSON
	Binary
)

// Effects is what should change.
type Effects struct {
	States   []StateChange
	Timers   []TimerChange
	Moments  []Moment
	Failures []Failure
}

// StateChange is a new state for a key; nil: it has none any more.
type StateChange struct {
	Key   uint32
	State []byte
}

// TimerChange sets a timer, or cancels it if At is nil.
type TimerChange struct {
	Cause uint32
	Name  string
	At    *Instant
}

// Moment is a moment that occurred.
type Moment struct {
	Cause     uint32
	Kind, Why string
	Subject   *string
	// Data is JSON; nil if there is none.
	Data    []byte
	Expires *Instant
	Actions []Action
}

// Action is what to do about a moment.
type Action struct {
	Name      string
	Reference *string
	Data      []byte
}

// Failure is an input that the rule could not make sense of.
type Failure struct {
	Input   uint32
	Message string
}
