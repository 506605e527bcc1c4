package carpe

import "carpe/internal/migrating"

// Another lets a test export one more rule, that migrates or not. It gives what puts things back.
func Another(migrates bool) (back func()) {
	before, was := exported, migrating.IsExported
	exported, migrating.IsExported = nil, migrates
	return func() { exported, migrating.IsExported = before, was }
}
