package cmtest

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"
)

// As gives a decoded D-Bus value a Go type: structs come from the []any that
// godbus decodes to, numbers and texts may be of named types, variants are
// unwrapped. It fails the test when the shapes differ; an i is not a u.
func As[T any](t testing.TB, v any) T {
	t.Helper()
	var typed T
	if err := assign(reflect.ValueOf(&typed).Elem(), reflect.ValueOf(v)); err != nil {
		t.Fatalf("%s is not a %T: %v", show(reflect.ValueOf(v)), typed, err)
	}
	return typed
}

// Equal fails the test unless got, given the type of want as [As] does, is want.
func Equal[T any](t testing.TB, got any, want T) {
	t.Helper()
	if diff := cmp.Diff(want, As[T](t, got)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// Same tells whether a decoded D-Bus value equals want once it has want's type.
func Same(got, want any) bool {
	typed := reflect.New(reflect.TypeOf(want)).Elem()
	return assign(typed, reflect.ValueOf(got)) == nil && cmp.Equal(typed.Interface(), want)
}

// assign stores a decoded D-Bus value. [dbus.Store] cannot unwrap variants in
// maps of maps, and takes any number for any other.
func assign(to, from reflect.Value) error {
	for from.IsValid() && from.Kind() == reflect.Interface {
		from = from.Elem()
	}
	if !from.IsValid() {
		return fmt.Errorf("nothing for a %s", to.Type())
	}
	if v, is := from.Interface().(dbus.Variant); is {
		return assign(to, reflect.ValueOf(v.Value()))
	}
	switch {
	case to.Kind() == reflect.Interface:
		to.Set(plain(from))
	case to.Kind() == reflect.Struct && from.Kind() == reflect.Slice && to.NumField() == from.Len():
		for i := range from.Len() {
			if err := assign(to.Field(i), from.Index(i)); err != nil {
				return err
			}
		}
	case to.Kind() == reflect.Slice && from.Kind() == reflect.Slice:
		to.Set(reflect.MakeSlice(to.Type(), from.Len(), from.Len()))
		for i := range from.Len() {
			if err := assign(to.Index(i), from.Index(i)); err != nil {
				return err
			}
		}
	case to.Kind() == reflect.Map && from.Kind() == reflect.Map:
		return assignMap(to, from)
	case to.Kind() == from.Kind() && from.CanConvert(to.Type()):
		to.Set(from.Convert(to.Type()))
	default:
		return fmt.Errorf("%s for a %s", from.Type(), to.Type())
	}
	return nil
}

func assignMap(to, from reflect.Value) error {
	to.Set(reflect.MakeMapWithSize(to.Type(), from.Len()))
	for k, v := range from.Seq2() {
		key, value := reflect.New(to.Type().Key()).Elem(), reflect.New(to.Type().Elem()).Elem()
		if err := assign(key, k); err != nil {
			return err
		}
		if err := assign(value, v); err != nil {
			return err
		}
		to.SetMapIndex(key, value)
	}
	return nil
}

// plain unwraps the variants in a map; the rest stays as godbus decoded it.
func plain(v reflect.Value) reflect.Value {
	if m, is := v.Interface().(map[string]dbus.Variant); is {
		unwrapped := make(map[string]any, len(m))
		for name, value := range m {
			unwrapped[name] = plain(reflect.ValueOf(value.Value())).Interface()
		}
		return reflect.ValueOf(unwrapped)
	}
	return v
}
