// Package pointer finds one value in a JSON text.
package pointer

import (
	"encoding/json"
	"strconv"
	"strings"
)

// Find is the text of what stands at a JSON Pointer (RFC 6901); nil: nothing. Of a name that comes twice the last counts.
// The whole text is read, so an error anywhere in it is found.
func Find(text []byte, pointer string) (json.RawMessage, error) {
	var found json.RawMessage
	if err := json.Unmarshal(text, &found); err != nil {
		return nil, err
	}
	if pointer == "" {
		return found, nil
	}
	if pointer[0] != '/' {
		return nil, nil
	}
	for _, name := range strings.Split(pointer[1:], "/") {
		name = strings.NewReplacer("~1", "/", "~0", "~").Replace(name)
		found = child(found, name)
		if found == nil {
			return nil, nil
		}
	}
	return found, nil
}

// child is the part of a valid JSON text with this name, or index in a list.
func child(text json.RawMessage, name string) json.RawMessage {
	switch text[0] {
	case '{':
		var members map[string]json.RawMessage
		if json.Unmarshal(text, &members) == nil {
			return members[name]
		}
	case '[':
		var elements []json.RawMessage
		index, err := strconv.Atoi(name)
		// RFC 6901: no leading zeros, no sign.
		if err != nil || strconv.Itoa(index) != name || index < 0 {
			return nil
		}
		if json.Unmarshal(text, &elements) == nil && index < len(elements) {
			return elements[index]
		}
	}
	return nil
}
