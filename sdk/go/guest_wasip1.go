package carpe

import (
	"errors"
	"runtime/debug"
	"unsafe"

	"carpe/internal/contract"
	"carpe/internal/guest"
	"carpe/internal/migrating"
)

// Of the 64 MiB that an instance may have by default, [guest.ArgumentBytes] are set aside, and some are the runtime's: the
// collector works harder rather than let the heap grow past this.
const heapBytes = 32 << 20

func init() {
	debug.SetMemoryLimit(heapBytes)
}

// loaded is the rule between `init` and `handle`.
var loaded started

//go:wasmexport carpe:rule/rule@0.1.0#init
func exportInit(configuration unsafe.Pointer, length uint32) uint32 {
	text := guest.Copy(configuration, length)
	guest.Lifted()
	if loaded != nil {
		return guest.LowerError(errors.New("`init` was called before"))
	}
	if exported == nil {
		return guest.LowerError(errNothingExported)
	}
	rule, err := exported(text)
	if err != nil {
		return guest.LowerError(err)
	}
	loaded, migrating.Migrate = rule, rule.Migrate
	description := rule.Description()
	return guest.LowerDescription(&description)
}

//go:wasmexport carpe:rule/rule@0.1.0#handle
func exportHandle(keys unsafe.Pointer, keyCount uint32, inputs unsafe.Pointer, inputCount uint32) uint32 {
	batch := guest.LiftBatch(keys, keyCount, inputs, inputCount)
	guest.Lifted()
	effects, err := handle(batch)
	if err != nil {
		return guest.LowerError(err)
	}
	return guest.LowerEffects(&effects)
}

//go:wasmexport carpe:rule/columns@0.1.0#handle-events
func exportHandleEvents(
	text unsafe.Pointer, textLength uint32, states unsafe.Pointer, statesLength uint32, keys uint32,
	numbers unsafe.Pointer, numberCount uint32,
) uint32 {
	columns := contract.Columns{
		Text:    guest.Copy(text, textLength),
		States:  guest.Copy(states, statesLength),
		Keys:    keys,
		Numbers: guest.CopyNumbers(numbers, numberCount),
	}
	guest.Lifted()
	batch, err := columns.Batch()
	if err != nil {
		return guest.LowerError(err)
	}
	effects, err := handle(batch)
	if err != nil {
		return guest.LowerError(err)
	}
	return guest.LowerColumns(&effects)
}

func handle(batch contract.Batch) (contract.Effects, error) {
	if loaded == nil {
		return contract.Effects{}, errors.New("`init` was not called, or it failed")
	}
	return loaded.Handle(batch)
}
