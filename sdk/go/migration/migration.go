// Package migration is imported for its effect: the plugin then exports the contract's `migration`, so that the host
// knows that the rule can read states of an earlier format. See [carpe.MigratingRule].
//
//	import _ "carpe/migration"
package migration

import "carpe/internal/migrating"

func init() {
	migrating.IsExported = true
}
