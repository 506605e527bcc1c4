package carpetest

import (
	"encoding/json"

	"carpe"
	"carpe/internal/contract"
)

// Happened is what came of what a test did, in order.
type Happened struct {
	// Moments that occurred.
	Moments []Moment
	// Failures are of inputs that were set aside: what the rule said is wrong.
	Failures []string
}

// Moment is a moment that occurred.
type Moment struct {
	// Key is that of the input that made it occur.
	Key string
	// Kind is its kind.
	Kind string
	// Why is for people.
	Why string
	// Subject is whom it concerns; empty if that is the key.
	Subject string
	// Data is the facts of it, as JSON; empty if there are none.
	Data string
	// Time is when it occurred: the input's time.
	Time carpe.Instant
	// Expires is until when its actions may be taken; 0 if they may be for ever.
	Expires carpe.Instant
	// Actions are what to do about it.
	Actions []Action
}

// Action is an action that was emitted.
type Action struct {
	// Key is the moment's.
	Key string
	// Name is its name.
	Name string
	// Reference is what its outcome is told by; empty if none is wanted.
	Reference string
	// Data is what the other side needs to know, as JSON.
	Data string
}

// Kinds are those of the moments.
func (happened *Happened) Kinds() []string {
	kinds := []string{}
	for _, moment := range happened.Moments {
		kinds = append(kinds, moment.Kind)
	}
	return kinds
}

// Actions are those of all moments.
func (happened *Happened) Actions() []Action {
	actions := []Action{}
	for _, moment := range happened.Moments {
		actions = append(actions, moment.Actions...)
	}
	return actions
}

// ActionNames are those of all moments' actions.
func (happened *Happened) ActionNames() []string {
	names := []string{}
	for _, action := range happened.Actions() {
		names = append(names, action.Name)
	}
	return names
}

// Read reads the action's data into what `to` points to, as [json.Unmarshal] does.
func (action Action) Read(to any) error {
	return json.Unmarshal([]byte(action.Data), to)
}

func newMoment(key string, time carpe.Instant, moment contract.Moment) Moment {
	text := func(given *string) string {
		if given == nil {
			return ""
		}
		return *given
	}
	happened := Moment{
		Key: key, Kind: moment.Kind, Why: moment.Why, Subject: text(moment.Subject), Data: string(moment.Data), Time: time,
	}
	if moment.Expires != nil {
		happened.Expires = *moment.Expires
	}
	for _, action := range moment.Actions {
		happened.Actions = append(happened.Actions, Action{key, action.Name, text(action.Reference), string(action.Data)})
	}
	return happened
}
