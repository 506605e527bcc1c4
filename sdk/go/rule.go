package carpe

// Rule is what an author writes: what should follow from what happened, given what is remembered.
//
// The type that has the methods is the operator's configuration: see [Export]. S is the state, what is remembered per
// key: any type that encoding/json writes and reads again. Its zero value stands for a key that nothing is known of.
//
// The methods must be pure: what they do may depend on their arguments and the configuration alone.
//
// A rule may have more methods: those of [TimerRule], [OutcomeRule], [MigratingRule] and [Checked].
type Rule[S any] interface {
	// OnEvent is called with each event that a subscription matched. An error says why the event makes no sense: it
	// goes to the dead letters, and has changed nothing.
	OnEvent(event *Event, state *S, out *Output) error
}

// TimerRule is a rule with timers.
type TimerRule[S any] interface {
	// OnTimer is called when a timer that the rule set for this key came due. It is no longer set.
	OnTimer(timer *Timer, state *S, out *Output) error
}

// OutcomeRule is a rule that asks what became of its actions.
type OutcomeRule[S any] interface {
	// OnOutcome is called once it is known what became of an action that was emitted with a reference.
	OnOutcome(outcome *Outcome, state *S, out *Output) error
}

// MigratingRule is a rule that can read states of an earlier format. It needs `import _ "carpe/migration"`.
type MigratingRule[S any] interface {
	// Migrate brings one key's state from an earlier [About.StateVersion] to today's; nil forgets it. After an error
	// the state is as it was, and the key's inputs are set aside until a version comes that can.
	Migrate(fromVersion uint32, key string, state []byte) (*S, error)
}

// Checked is a rule whose configuration needs more checks than its types do.
type Checked interface {
	// Check is called once, when the plugin is loaded. An error says what is wrong, naming the field: the plugin is
	// then refused.
	Check() error
}
