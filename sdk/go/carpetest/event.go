package carpetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"

	"carpe"
	"carpe/internal/contract"
	"carpe/internal/pointer"
)

// Event is an event for a test: see [NewEvent].
type Event struct {
	attributes map[string]string
	time       *carpe.Instant
	data       contract.Data
}

// NewEvent is an event of this CloudEvents `type`, without data, at the time at which the timeline stands when it is sent.
func NewEvent(eventType string) Event {
	return Event{attributes: map[string]string{"type": eventType}}
}

// Subject gives it a CloudEvents `subject`: what it is about, unless the subscription says otherwise.
func (event Event) Subject(subject string) Event {
	return event.Attribute("subject", subject)
}

// Attribute gives it a CloudEvents attribute.
func (event Event) Attribute(name, value string) Event {
	attributes := map[string]string{name: value}
	for known, value := range event.attributes {
		if known != name {
			attributes[known] = value
		}
	}
	event.attributes = attributes
	return event
}

// Time says when it happened. The timeline moves on to it, if it is later.
func (event Event) Time(instant carpe.Instant) Event {
	event.time = &instant
	return event
}

// Data gives it JSON data: what encoding/json makes of it. It panics if that is nothing.
func (event Event) Data(data any) Event {
	text, err := json.Marshal(data)
	if err != nil {
		panic(fmt.Sprintf("the data of an event cannot be written as JSON: %s", err))
	}
	return event.JSON(string(text))
}

// JSON gives it data that says that it is JSON: it need not be.
func (event Event) JSON(text string) Event {
	event.data = contract.Data{Kind: contract.JSON, Bytes: []byte(text)}
	return event
}

// Binary gives it data that is not JSON.
func (event Event) Binary(bytes []byte) Event {
	event.data = contract.Data{Kind: contract.Binary, Bytes: bytes}
	return event
}

func takes(subscription contract.Subscription, eventType string) bool {
	if beginning, is := strings.CutSuffix(subscription.EventType, "*"); is {
		return strings.HasPrefix(eventType, beginning)
	}
	return eventType == subscription.EventType
}

func (event Event) keyOf(subscription contract.Subscription) (key string, is bool) {
	switch subscription.KeyedBy.Kind {
	case contract.ByAttribute:
		key, is = event.attributes[subscription.KeyedBy.Name]
		return key, is
	case contract.ByData:
		if event.data.Kind != contract.JSON {
			return "", false
		}
		return keyIn(event.data.Bytes, subscription.KeyedBy.Name)
	default:
		return "", true
	}
}

// keyIn is a string, or a whole number's digits.
func keyIn(text []byte, at string) (key string, is bool) {
	found, err := pointer.Find(text, at)
	if err != nil || found == nil {
		return "", false
	}
	decoder := json.NewDecoder(bytes.NewReader(found))
	decoder.UseNumber()
	var value any
	if decoder.Decode(&value) != nil {
		return "", false
	}
	switch value := value.(type) {
	case string:
		return value, true
	case json.Number:
		number, is := new(big.Rat).SetString(value.String())
		if !is || !number.IsInt() {
			return "", false
		}
		return number.Num().String(), true
	default:
		return "", false
	}
}
