package guest

import (
	"unsafe"

	"carpe/internal/contract"
)

// The records of the contract as they lie in memory: `wit/types.wit`, by the rules of the canonical ABI. Pointers there
// have 32 bits, while Go's have 64. A variant's or an option's payload stands after its tag, aligned.

type list struct {
	start, length uint32
}

type optionalList struct {
	isThere bool
	list    list
}

type keyedRecord struct {
	name  list
	state optionalList
}

type inputRecord struct {
	key       uint32
	time, now uint64
	tag       uint8
	// The largest of the three, an outcome.
	payload [10]uint32
}

type eventRecord struct {
	subscription uint32
	attributes   list
	data         dataRecord
}

type timerRecord struct {
	name list
}

type outcomeRecord struct {
	action, reference list
	status            uint8
	answer            dataRecord
	detail            list
}

type dataRecord struct {
	tag   uint8
	bytes list
}

// Copy is so many bytes of the host's, in memory of Go's own.
func Copy(start unsafe.Pointer, length uint32) []byte {
	return append(make([]byte, 0, length), unsafe.Slice((*byte)(start), length)...)
}

// CopyNumbers is as [Copy].
func CopyNumbers(start unsafe.Pointer, length uint32) []int64 {
	return append(make([]int64, 0, length), unsafe.Slice((*int64)(start), length)...)
}

// LiftBatch is what `handle` is given.
func LiftBatch(keys unsafe.Pointer, keyCount uint32, inputs unsafe.Pointer, inputCount uint32) contract.Batch {
	batch := contract.Batch{
		Keys:   make([]contract.Keyed, keyCount),
		Inputs: make([]contract.Input, inputCount),
	}
	for position, record := range unsafe.Slice((*keyedRecord)(keys), keyCount) {
		keyed := contract.Keyed{Name: liftText(record.name)}
		if record.state.isThere {
			keyed.State = liftBytes(record.state.list)
		}
		batch.Keys[position] = keyed
	}
	records := unsafe.Slice((*inputRecord)(inputs), inputCount)
	for position := range records {
		batch.Inputs[position] = liftInput(&records[position])
	}
	return batch
}

func liftInput(record *inputRecord) contract.Input {
	input := contract.Input{
		Key:  record.key,
		Time: contract.Instant(record.time),
		Now:  contract.Instant(record.now),
	}
	payload := unsafe.Pointer(&record.payload)
	switch record.tag {
	case 0:
		event := (*eventRecord)(payload)
		input.Event = &contract.Event{Subscription: event.subscription, Data: liftData(event.data)}
		if count := event.attributes.length; count > 0 {
			input.Event.Attributes = make([]*string, count)
			values := unsafe.Slice((*optionalList)(address(event.attributes.start)), count)
			for position, value := range values {
				if value.isThere {
					text := liftText(value.list)
					input.Event.Attributes[position] = &text
				}
			}
		}
	case 1:
		input.Timer = &contract.Timer{Name: liftText((*timerRecord)(payload).name)}
	default:
		outcome := (*outcomeRecord)(payload)
		input.Outcome = &contract.Outcome{
			Action:    liftText(outcome.action),
			Reference: liftText(outcome.reference),
			Status:    contract.Status(outcome.status),
			Answer:    liftData(outcome.answer),
			Detail:    liftText(outcome.detail),
		}
	}
	return input
}

func liftData(record dataRecord) contract.Data {
	kind := contract.DataKind(record.tag)
	if kind == contract.Absent {
		return contract.Data{}
	}
	return contract.Data{Kind: kind, Bytes: liftBytes(record.bytes)}
}

func liftBytes(list list) []byte {
	return Copy(address(list.start), list.length)
}

func liftText(list list) string {
	return string(unsafe.Slice((*byte)(address(list.start)), list.length))
}

// address is the pointer that the host means.
func address(start uint32) unsafe.Pointer {
	return unsafe.Add(unsafe.Pointer(nil), start)
}
