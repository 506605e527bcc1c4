// Package migrating joins the package migration to the rule, whichever is there.
package migrating

// IsExported says whether the plugin exports the contract's `migration`.
var IsExported bool

// Migrate brings a state along, once the rule has started; nil forgets it.
var Migrate func(fromVersion uint32, key string, state []byte) ([]byte, error)
