package cmtest

import (
	"reflect"
	"testing"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"
)

// As gives a decoded D-Bus value a Go type: structs come from the []any that
// godbus decodes to, integers and strings may be named types, and variants are
// unwrapped where T has no variant. Such a T tells more by a [cmp.Diff] than
// what godbus gives. It fails the test when the shapes differ.
func As[T any](t testing.TB, v any) T {
	t.Helper()
	var typed T
	if err := dbus.Store([]any{v}, &typed); err != nil {
		t.Fatalf("%s is not a %T: %v", show(reflect.ValueOf(v)), typed, err)
	}
	return typed
}

// Equal fails the test unless got, given the type of want as [As] does, is want.
func Equal[T any](t testing.TB, got any, want T) {
	t.Helper()
	typed, same := got.(T)
	if !same {
		typed = As[T](t, got)
	}
	if diff := cmp.Diff(want, typed); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// Same tells whether a decoded D-Bus value equals want once it has want's type.
func Same(got, want any) bool {
	typed := reflect.New(reflect.TypeOf(want))
	if got == nil || dbus.Store([]any{got}, typed.Interface()) != nil {
		return false
	}
	return cmp.Equal(typed.Elem().Interface(), want)
}
