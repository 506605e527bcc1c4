package carpe

import (
	"encoding/json"
	"slices"
	"strings"

	"carpe/internal/contract"
)

// About is what a rule is, is given and may give: the second argument of [Export]. It begins with [Describe]. What is
// said of a subscription (its key, filter and attributes) is said of the latest On before it.
//
//	carpe.Describe("order-unpaid", "1.0.0", "An order was not paid in time.").
//		On("order.*").KeyedByData("/order/id").Attribute("source").
//		On("payment.received").KeyedByAttribute("orderid").Filter("amount > 0").
//		Moment("order.unpaid").
//		Action("notify.customer").Action("order.cancel")
type About struct {
	description contract.Description
}

// Describe begins to say what a rule is: its name, to which state, timers and outcomes belong across versions; its
// semantic version; and one line for people.
func Describe(name, version, summary string) *About {
	return &About{contract.Description{Name: name, Version: version, Summary: summary, StateVersion: 1}}
}

// On says that the rule is given events of this CloudEvents `type`, keyed by their `subject`. A trailing `*` stands for
// any rest.
func (about *About) On(eventType string) *About {
	subscription := contract.Subscription{
		EventType: eventType,
		KeyedBy:   contract.KeyedBy{Kind: contract.ByAttribute, Name: "subject"},
	}
	if strings.HasSuffix(eventType, "*") {
		// Without its `type`, an event that a pattern matched could not be told from the others.
		subscription.Attributes = []string{"type"}
	}
	about.description.Subscriptions = append(about.description.Subscriptions, subscription)
	return about
}

// KeyedByAttribute says that such events are about what a CloudEvents attribute says, e.g. `source`.
func (about *About) KeyedByAttribute(name string) *About {
	about.latest("KeyedByAttribute").KeyedBy = contract.KeyedBy{Kind: contract.ByAttribute, Name: name}
	return about
}

// KeyedByData says that such events are about what their JSON data says at a JSON Pointer, e.g. `/order/id`: a string or
// a whole number.
func (about *About) KeyedByData(pointer string) *About {
	about.latest("KeyedByData").KeyedBy = contract.KeyedBy{Kind: contract.ByData, Name: pointer}
	return about
}

// KeyedByNothing says that all such events have one key, whose name is empty.
func (about *About) KeyedByNothing() *About {
	about.latest("KeyedByNothing").KeyedBy = contract.KeyedBy{Kind: contract.ByNothing}
	return about
}

// Filter says that only such events are given for which this CloudEvents SQL expression is true. The host evaluates it
// at a small fraction of what a call costs.
func (about *About) Filter(expression string) *About {
	about.latest("Filter").Filter = expression
	return about
}

// Attribute says that such events come with this CloudEvents attribute, for [Event.Attribute].
func (about *About) Attribute(name string) *About {
	latest := about.latest("Attribute")
	if !slices.Contains(latest.Attributes, name) {
		latest.Attributes = append(latest.Attributes, name)
	}
	return about
}

// Moment says that the rule may return moments of this kind.
func (about *About) Moment(kind string) *About {
	about.description.Moments = append(about.description.Moments, kind)
	return about
}

// Action says that the rule may return this action.
func (about *About) Action(name string) *About {
	about.description.Actions = append(about.description.Actions, name)
	return about
}

// Settings gives a JSON Schema of the configuration: what encoding/json makes of it.
func (about *About) Settings(schema any) *About {
	text, err := json.Marshal(schema)
	if err != nil {
		panic("carpe: the schema of the settings cannot be written as JSON: " + err.Error())
	}
	about.description.Settings = string(text)
	return about
}

// StateVersion says which version the state's format has: 1, unless said otherwise. Let it grow when today's type cannot
// read what yesterday's wrote, and write a [MigratingRule].
func (about *About) StateVersion(version uint32) *About {
	about.description.StateVersion = version
	return about
}

func (about *About) latest(what string) *contract.Subscription {
	subscriptions := about.description.Subscriptions
	if len(subscriptions) == 0 {
		panic("carpe: " + what + " says something of a subscription: begin with On")
	}
	return &subscriptions[len(subscriptions)-1]
}
