package carpe

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// configure reads the operator's configuration over the defaults: into a copy of them.
func configure[S any](defaults Rule[S], configuration []byte) (Rule[S], error) {
	given := reflect.ValueOf(defaults)
	isPointer := given.Kind() == reflect.Pointer
	if isPointer {
		given = given.Elem()
	}
	configured := reflect.New(given.Type())
	configured.Elem().Set(given)
	if err := checkFields(given, configuration); err != nil {
		return nil, fmt.Errorf("configuration%w", err)
	}
	decoder := json.NewDecoder(bytes.NewReader(configuration))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(configured.Interface()); err != nil {
		return nil, fmt.Errorf("configuration: %w", readable(err))
	}
	if !isPointer {
		configured = configured.Elem()
	}
	rule := configured.Interface().(Rule[S])
	if checked, is := rule.(Checked); is {
		if err := checked.Check(); err != nil {
			return nil, fmt.Errorf("configuration: %w", err)
		}
	}
	return rule, nil
}

// readable says of a value that it is of another type than it should be, without words of Go's.
func readable(err error) error {
	var mismatch *json.UnmarshalTypeError
	switch {
	case !errors.As(err, &mismatch):
		return err
	case mismatch.Field == "":
		return fmt.Errorf("it is a JSON %s: it must be %s", mismatch.Value, wanted(mismatch.Type))
	default:
		return fmt.Errorf("`%s` is a JSON %s: it must be %s", mismatch.Field, mismatch.Value, wanted(mismatch.Type))
	}
}

// wanted is what JSON calls a type.
func wanted(kind reflect.Type) string {
	switch kind.Kind() {
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return "a whole number"
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "a whole number from 0 on"
	default:
		return "a " + kind.String()
	}
}

// checkFields finds what encoding/json lets pass: a field that is missing, null, or written in another case.
func checkFields(defaults reflect.Value, configuration []byte) error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(configuration, &members); err != nil || members == nil {
		text := []rune(strings.TrimSpace(string(configuration)))
		if !json.Valid(configuration) {
			return fmt.Errorf(" is not valid JSON: %w", err)
		}
		return fmt.Errorf(" is %s: it must be an object", string(text[:min(len(text), 40)]))
	}
	if defaults.Kind() != reflect.Struct {
		return nil
	}
	var names []string
	for _, field := range reflect.VisibleFields(defaults.Type()) {
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if !field.IsExported() || name == "-" || field.Anonymous && name == "" {
			continue
		}
		if name == "" {
			name = field.Name
		}
		names = append(names, name)
		value, isGiven := members[name]
		isOptional := strings.Contains(options, "omitzero") || strings.Contains(options, "omitempty")
		switch {
		case !isGiven && !isOptional && defaults.FieldByIndex(field.Index).IsZero():
			return fmt.Errorf(": `%s` is missing", name)
		case isGiven && string(value) == "null":
			return fmt.Errorf(": `%s` is null: it must be a value, or not be there", name)
		}
	}
	for name := range members {
		if !slices.Contains(names, name) {
			if len(names) == 0 {
				return fmt.Errorf(": `%s` is unknown: the rule has no settings", name)
			}
			return fmt.Errorf(": `%s` is unknown: there is `%s`", name, strings.Join(names, "`, `"))
		}
	}
	return nil
}
