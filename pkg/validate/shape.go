// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package validate

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	schedconfigv1 "k8s.io/kube-scheduler/config/v1"
	kjson "sigs.k8s.io/json"
)

// shape compares a document with the Go types that it is decoded into. The
// decoder itself stops at the first wrong type and has no notion of what else
// a key could be.
type shape struct {
	scheme   *runtime.Scheme
	problems []Problem
}

// mapping compares a mapping with a struct, deletes from it what is wrong, and
// reports that.
func (s *shape) mapping(path *field.Path, m map[string]any, t reflect.Type) {
	fields := fieldsOf(t)
	s.special(path, m, t, fields)
	for _, key := range sortedKeys(m) {
		keyPath := path.Child(key) // a nil path has children, too
		fieldType, known := fields[key]
		if !known {
			accepted := sortedKeys(fields)
			s.report(Problem{Field: keyPath.String(), Message: "unknown field" + didYouMean(key, accepted), Accepted: accepted})
			delete(m, key)
			continue
		}
		if !s.ok(keyPath, m[key], fieldType) {
			delete(m, key)
		}
	}
}

// ok compares any value with a type. If it returns false, the caller drops the value.
func (s *shape) ok(path *field.Path, value any, t reflect.Type) bool {
	if value == nil && t.Kind() == reflect.Pointer {
		return true
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if isLeaf(t) {
		return s.leaf(path, value, t)
	}
	if value == nil {
		return true // null leaves a field as it is; but a leaf such as a duration may not take it
	}
	switch t.Kind() {
	case reflect.Struct:
		m, ok := value.(map[string]any)
		if ok {
			s.mapping(path, m, t)
			return true
		}
	case reflect.Map:
		m, ok := value.(map[string]any)
		if ok {
			for _, key := range sortedKeys(m) {
				if !s.ok(path.Key(key), m[key], t.Elem()) {
					delete(m, key)
				}
			}
			return true
		}
	case reflect.Slice:
		list, ok := value.([]any)
		if ok {
			for i := range list {
				if !s.ok(path.Index(i), list[i], t.Elem()) {
					list[i] = nil // keeps the places of the others, so that later paths hold
				}
			}
			return true
		}
	}
	s.wrongType(path, value, t)
	return false
}

// leaf lets the decoder itself judge a value that has no fields of its own.
func (s *shape) leaf(path *field.Path, value any, t reflect.Type) bool {
	data, err := json.Marshal(value)
	if err == nil {
		err = kjson.UnmarshalCaseSensitivePreserveInts(data, reflect.New(t).Interface())
	}
	if err != nil {
		s.wrongType(path, value, t)
	}
	return err == nil
}

// special handles the three types that mean more than their Go type says.
func (s *shape) special(path *field.Path, m map[string]any, t reflect.Type, fields map[string]reflect.Type) {
	switch t {
	case reflect.TypeFor[schedconfigv1.PluginConfig]():
		// The plugin's name decides the type of its arguments.
		name, _ := m["name"].(string)
		args, err := s.scheme.New(schedconfigv1.SchemeGroupVersion.WithKind(name + "Args"))
		if err != nil {
			return // no such plugin, or one without arguments: a matter of meaning
		}
		fields["args"] = reflect.TypeOf(args).Elem()
		if written, ok := m["args"].(map[string]any); ok {
			s.oneOf(path.Child("args"), written, "kind", name+"Args")
			s.oneOf(path.Child("args"), written, "apiVersion", schedconfigv1.SchemeGroupVersion.String())
		}
	case reflect.TypeFor[schedconfigv1.Plugin](), reflect.TypeFor[schedconfigv1.ResourceSpec]():
		// Once decoded, a weight of 0 is the same as none, and becomes 1.
		weight, ok := m["weight"].(json.Number)
		if !ok {
			return
		}
		w, err := weight.Int64()
		if err == nil && (w < 1 || w > 100) {
			s.report(Problem{Field: path.Child("weight").String(), Message: "the weight is out of range", Accepted: []string{"1 to 100"}})
			delete(m, "weight")
		}
	}
}

// oneOf drops a key of a mapping unless it has the one value that is accepted.
func (s *shape) oneOf(path *field.Path, m map[string]any, key, accepted string) {
	if got, ok := m[key]; ok && got != accepted {
		s.report(Problem{Field: path.Child(key).String(), Message: "this does not belong to the plugin", Accepted: []string{accepted}})
		delete(m, key)
	}
}

func (s *shape) wrongType(path *field.Path, value any, t reflect.Type) {
	message := "wrong type: " + kindOf(value)
	switch value.(type) {
	case nil:
		message = "there is no value"
	case json.Number:
		message = "this number does not fit"
	}
	s.report(Problem{Field: path.String(), Message: message, Accepted: []string{describe(t)}})
}

func (s *shape) report(p Problem) { s.problems = append(s.problems, p) }

// fieldsOf maps the JSON names of a struct's fields, with those of inlined
// structs, to their types.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	fields := map[string]reflect.Type{}
	for _, f := range reflect.VisibleFields(t) {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" && name != "-" {
			fields[name] = f.Type
		}
	}
	return fields
}

// isLeaf tells whether the decoder sees one value where Go may see several.
func isLeaf(t reflect.Type) bool {
	if reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()) {
		return true
	}
	switch t.Kind() {
	case reflect.Struct, reflect.Map:
		return false
	case reflect.Slice:
		return t.Elem().Kind() == reflect.Uint8 // base64
	}
	return true
}

// describe says what a type accepts, in the words of the file.
func describe(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[metav1.Duration]():
		return "a duration such as 15s"
	case reflect.TypeFor[runtime.RawExtension]():
		return "a mapping"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int32:
		return "an integer of 32 bits"
	case reflect.Int, reflect.Int64:
		return "an integer of 64 bits"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.String:
		return "a string"
	case reflect.Slice:
		if isLeaf(t) {
			return "a base64 string"
		}
		return "a list"
	case reflect.Struct, reflect.Map:
		return "a mapping"
	}
	return t.String()
}

// kindOf says what a decoded value is, in the words of the file.
func kindOf(value any) string {
	switch value.(type) {
	case bool:
		return "a boolean"
	case json.Number:
		return "a number"
	case string:
		return "a string"
	case []any:
		return "a list"
	case map[string]any:
		return "a mapping"
	}
	return fmt.Sprintf("%T", value)
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
