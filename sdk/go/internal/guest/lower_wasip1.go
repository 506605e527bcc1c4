package guest

import (
	"strings"
	"unsafe"

	"carpe/internal/contract"
)

type optionalInstant struct {
	isThere bool
	instant uint64
}

type descriptionRecord struct {
	tag                    uint8
	name, version, summary list
	settings               optionalList
	subscriptions          list
	moments, actions       list
	stateVersion           uint32
}

type subscriptionRecord struct {
	eventType  list
	filter     optionalList
	keyedBy    keyedByRecord
	attributes list
}

type keyedByRecord struct {
	tag  uint8
	name list
}

type effectsRecord struct {
	tag                               uint8
	states, timers, moments, failures list
}

type columnsRecord struct {
	tag                                        uint8
	changes, states, timers, moments, failures list
}

type stateRecord struct {
	key   uint32
	state optionalList
}

type stateLengthRecord struct {
	key    uint32
	length int32
}

type timerChangeRecord struct {
	cause uint32
	name  list
	at    optionalInstant
}

type momentRecord struct {
	cause         uint32
	kind, why     list
	subject, data optionalList
	expires       optionalInstant
	actions       list
}

type actionRecord struct {
	name      list
	reference optionalList
	data      list
}

type failureRecord struct {
	input   uint32
	message list
}

type errorRecord struct {
	tag     uint8
	message list
}

type migratedRecord struct {
	tag   uint8
	state optionalList
}

// alive holds what the host reads after a call, which no pointer of Go's names.
var alive []any

// keep begins anew.
func keep(first any) {
	clear(alive)
	alive = append(alive[:0], first)
}

// LowerError is a result that is an error.
func LowerError(err error) uint32 {
	message := strings.ToValidUTF8(err.Error(), "\uFFFD")
	keep(message)
	return lower(&errorRecord{1, lowerText(message)})
}

// LowerDescription is what `init` returns.
func LowerDescription(description *contract.Description) uint32 {
	keep(description)
	subscriptions := make([]subscriptionRecord, len(description.Subscriptions))
	for position, subscription := range description.Subscriptions {
		subscriptions[position] = subscriptionRecord{
			eventType:  lowerText(subscription.EventType),
			filter:     optional(subscription.Filter != "", lowerText(subscription.Filter)),
			keyedBy:    keyedByRecord{uint8(subscription.KeyedBy.Kind), lowerText(subscription.KeyedBy.Name)},
			attributes: lowerTexts(subscription.Attributes),
		}
	}
	return lower(&descriptionRecord{
		name:          lowerText(description.Name),
		version:       lowerText(description.Version),
		summary:       lowerText(description.Summary),
		settings:      optional(description.Settings != "", lowerText(description.Settings)),
		subscriptions: lowerList(subscriptions),
		moments:       lowerTexts(description.Moments),
		actions:       lowerTexts(description.Actions),
		stateVersion:  description.StateVersion,
	})
}

// LowerEffects is what `handle` returns.
func LowerEffects(effects *contract.Effects) uint32 {
	keep(effects)
	states := make([]stateRecord, len(effects.States))
	for position, change := range effects.States {
		states[position] = stateRecord{change.Key, optional(change.State != nil, lowerBytes(change.State))}
	}
	return lower(&effectsRecord{
		states:   lowerList(states),
		timers:   lowerTimers(effects.Timers),
		moments:  lowerMoments(effects.Moments),
		failures: lowerFailures(effects.Failures),
	})
}

// LowerColumns is what `handle-events` returns.
func LowerColumns(effects *contract.Effects) uint32 {
	keep(effects)
	lengths, states := effects.StateColumns()
	changes := make([]stateLengthRecord, len(lengths))
	for position, length := range lengths {
		changes[position] = stateLengthRecord{length.Key, length.Length}
	}
	alive = append(alive, states)
	return lower(&columnsRecord{
		changes:  lowerList(changes),
		states:   lowerBytes(states),
		timers:   lowerTimers(effects.Timers),
		moments:  lowerMoments(effects.Moments),
		failures: lowerFailures(effects.Failures),
	})
}

// LowerMigrated is what `migrate` returns: none if it is nil.
func LowerMigrated(state []byte) uint32 {
	keep(state)
	return lower(&migratedRecord{state: optional(state != nil, lowerBytes(state))})
}

func lowerTimers(changes []contract.TimerChange) list {
	records := make([]timerChangeRecord, len(changes))
	for position, change := range changes {
		records[position] = timerChangeRecord{change.Cause, lowerText(change.Name), lowerInstant(change.At)}
	}
	return lowerList(records)
}

func lowerMoments(moments []contract.Moment) list {
	records := make([]momentRecord, len(moments))
	for position, moment := range moments {
		records[position] = momentRecord{
			cause:   moment.Cause,
			kind:    lowerText(moment.Kind),
			why:     lowerText(moment.Why),
			subject: lowerOptional(moment.Subject),
			data:    optional(moment.Data != nil, lowerBytes(moment.Data)),
			expires: lowerInstant(moment.Expires),
			actions: lowerActions(moment.Actions),
		}
	}
	return lowerList(records)
}

func lowerActions(actions []contract.Action) list {
	records := make([]actionRecord, len(actions))
	for position, action := range actions {
		records[position] = actionRecord{
			name:      lowerText(action.Name),
			reference: lowerOptional(action.Reference),
			data:      lowerBytes(action.Data),
		}
	}
	return lowerList(records)
}

func lowerFailures(failures []contract.Failure) list {
	records := make([]failureRecord, len(failures))
	for position, failure := range failures {
		records[position] = failureRecord{failure.Input, lowerText(failure.Message)}
	}
	return lowerList(records)
}

func lowerTexts(texts []string) list {
	records := make([]list, len(texts))
	for position, text := range texts {
		records[position] = lowerText(text)
	}
	return lowerList(records)
}

// lower is the address of a result.
func lower[Record any](record *Record) uint32 {
	alive = append(alive, record)
	return uint32(uintptr(unsafe.Pointer(record)))
}

func lowerList[Record any](records []Record) list {
	if len(records) == 0 {
		return list{}
	}
	alive = append(alive, records)
	return list{uint32(uintptr(unsafe.Pointer(unsafe.SliceData(records)))), uint32(len(records))}
}

// lowerText and lowerBytes rely on somebody else to keep what they are given alive.
func lowerText(text string) list {
	return list{uint32(uintptr(unsafe.Pointer(unsafe.StringData(text)))), uint32(len(text))}
}

func lowerBytes(bytes []byte) list {
	return list{uint32(uintptr(unsafe.Pointer(unsafe.SliceData(bytes)))), uint32(len(bytes))}
}

func lowerOptional(text *string) optionalList {
	if text == nil {
		return optionalList{}
	}
	return optionalList{true, lowerText(*text)}
}

func lowerInstant(instant *contract.Instant) optionalInstant {
	if instant == nil {
		return optionalInstant{}
	}
	return optionalInstant{true, uint64(*instant)}
}

func optional(isThere bool, list list) optionalList {
	return optionalList{isThere, list}
}
