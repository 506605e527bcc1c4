// Package carpe is for writing rules for Carpe in Go.
//
// Four ideas are all there is to know:
//   - a [Rule] is a pure function, typed by the operator's configuration: its fields;
//   - an [Event] is what happened, about one key, e.g. one machine;
//   - the state, the rule's type parameter, is what the rule remembers of that key;
//   - an [Output] takes what should follow: moments with actions, and timers.
//
// [Export] makes a rule the plugin that its package builds.
//
// What holds:
//   - A rule has no clock, no files, no network, no memory of its own. It depends on its configuration, the input and
//     the key's state alone, so every decision can be computed again. Sort the keys of a map before you range over
//     it: its order is nobody's promise.
//   - An error sets one input aside. What that input had changed is undone: its state, timers and moments. It goes to
//     the dead letters with the message; the others count. A panic does the same, and its message names file and line.
//   - States are kept as JSON (encoding/json), so an operator can read them and a rule written anew in another
//     language can go on with them. A field that is added needs no migration. A state equal to the zero value is not
//     kept at all, so a key that has come to rest takes no room.
//   - Instants are milliseconds since the Unix epoch: [Instant].
//
// The package carpetest runs a rule natively, without WebAssembly, with a timeline of its own. The package log writes
// to the operator's log.
package carpe

import "carpe/internal/contract"

// Instant is milliseconds since the Unix epoch, from 0 on and below [InstantLimit].
type Instant = contract.Instant

// InstantLimit is where instants end: at 2^53.
const InstantLimit = contract.InstantLimit

// Status is what became of an action.
type Status = contract.Status

const (
	// Delivered says that the other side took it.
	Delivered = contract.Delivered
	// Rejected says that the other side refused it for good.
	Rejected = contract.Rejected
	// Withheld says that it never went out: a guardrail of the operator's stopped it, or no route takes it.
	Withheld = contract.Withheld
	// Failed says that the host gave up, or that the moment expired after a try whose result is not known: it may or
	// may not have been taken.
	Failed = contract.Failed
	// Expired says that the moment expired before the first try: it was not taken.
	Expired = contract.Expired
)

// Object is a JSON object, for data that needs no type of its own. Its members are written in the order of their names.
type Object = map[string]any

// Failure is why an input makes no sense to a rule, in words for the operator who finds it among the dead letters. Any
// other error does as well.
type Failure string

// Error is the message.
func (failure Failure) Error() string {
	return string(failure)
}
