package migration

import (
	"errors"
	"unsafe"

	"carpe/internal/guest"
	"carpe/internal/migrating"
)

//go:wasmexport carpe:rule/migration@0.1.0#migrate
func exportMigrate(
	fromVersion uint32, key unsafe.Pointer, keyLength uint32, state unsafe.Pointer, stateLength uint32,
) uint32 {
	name, before := string(guest.Copy(key, keyLength)), guest.Copy(state, stateLength)
	guest.Lifted()
	if migrating.Migrate == nil {
		return guest.LowerError(errors.New("`init` was not called, or it failed"))
	}
	after, err := migrating.Migrate(fromVersion, name, before)
	if err != nil {
		return guest.LowerError(err)
	}
	return guest.LowerMigrated(after)
}
