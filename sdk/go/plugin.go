package carpe

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"carpe/internal/contract"
	"carpe/internal/migrating"
)

// Plugin is a rule with its description. A package holds one.
type Plugin[S any] struct {
	defaults    Rule[S]
	description contract.Description
}

// started is what the seam to the host needs of a rule, whatever its state is.
type started interface {
	Handle(batch contract.Batch) (contract.Effects, error)
	Migrate(fromVersion uint32, key string, state []byte) ([]byte, error)
	Description() contract.Description
}

// exported starts the rule that the package exports: nil if it exports none.
var exported func(configuration []byte) (started, error)

// Export makes a rule the plugin that this package builds. It is called once, where the package begins:
//
//	var plugin = carpe.Export(Overheat{}, carpe.Describe("overheat", "1.0.0", "A machine was too hot three times in a row.").
//		On("machine.temperature").
//		Moment("machine.overheating").
//		Action("notify.service"))
//
// The rule's exported fields are the operator's configuration, read by encoding/json; here they have their defaults. A
// field without a default must be configured, unless its tag says `omitempty` or `omitzero`. What is unknown is refused.
// Put the unit into each name: `json:"grace_seconds"`.
//
// It panics if something is wrong with the rule: then the plugin does not load, and says what.
func Export[S any](rule Rule[S], about *About) *Plugin[S] {
	if exported != nil {
		panic("carpe: this package exports two rules: write a package for each")
	}
	checkMethods(rule)
	checkState[S]()
	plugin := &Plugin[S]{rule, about.description}
	exported = func(configuration []byte) (started, error) { return plugin.Start(configuration) }
	return plugin
}

// Start reads the configuration. It is for the host, and for package carpetest.
func (plugin *Plugin[S]) Start(configuration []byte) (*Runner[S], error) {
	rule, err := configure(plugin.defaults, configuration)
	if err != nil {
		return nil, err
	}
	return newRunner(rule, plugin.description)
}

// checkMethods finds methods that would never be called, since their signatures are others than the interfaces say.
func checkMethods[S any](rule Rule[S]) {
	kind := reflect.TypeOf(rule)
	check := func(method string, isThere, is bool) {
		if isThere && !is {
			panic(fmt.Sprintf("carpe: %s of %s has not the signature that the package carpe says", method, kind))
		}
	}
	// The names are constants, so that the linker can leave out the methods of other types.
	_, isThere := kind.MethodByName("OnTimer")
	_, is := rule.(TimerRule[S])
	check("OnTimer", isThere, is)
	_, isThere = kind.MethodByName("OnOutcome")
	_, is = rule.(OutcomeRule[S])
	check("OnOutcome", isThere, is)
	_, isThere = kind.MethodByName("Check")
	_, is = rule.(Checked)
	check("Check", isThere, is)
	_, isThere = kind.MethodByName("Migrate")
	_, is = rule.(MigratingRule[S])
	check("Migrate", isThere, is)
	switch {
	case is && !migrating.IsExported:
		panic(fmt.Sprintf("carpe: %s has a method Migrate: write `import _ \"carpe/migration\"`, or the host does not know",
			kind))
	case !is && migrating.IsExported:
		panic(fmt.Sprintf("carpe: there is `import _ \"carpe/migration\"`, but %s has no method Migrate", kind))
	}
}

// checkState finds what would be forgotten from one input to the next.
func checkState[S any]() {
	kind := reflect.TypeFor[S]()
	if kind.Kind() != reflect.Struct || reflect.PointerTo(kind).Implements(reflect.TypeFor[json.Marshaler]()) {
		return
	}
	for _, field := range reflect.VisibleFields(kind) {
		if !field.IsExported() && !field.Anonymous {
			panic(fmt.Sprintf("carpe: the field `%s` of the state %s would not be kept: its name must begin with a capital",
				field.Name, kind))
		}
	}
}

var errNothingExported = errors.New(
	"the package exports no rule: write `var plugin = carpe.Export(...)` in its package main")
