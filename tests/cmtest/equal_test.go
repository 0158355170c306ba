package cmtest

import (
	"testing"

	"github.com/godbus/dbus/v5"
)

func TestSame(t *testing.T) {
	type pair struct {
		Number uint32
		Text   string
	}
	type number uint32
	variant := func(v any) dbus.Variant { return dbus.MakeVariant(v) }
	for name, row := range map[string]struct {
		got, want any
		same      bool
	}{
		"plain":               {"x", "x", true},
		"named":               {uint32(7), number(7), true},
		"an i for a u":        {int32(7), uint32(7), false},
		"a number for a text": {uint32('x'), "x", false},
		"nothing":             {nil, "x", false},
		"struct":              {[]any{uint32(1), "one"}, pair{1, "one"}, true},
		"struct too short":    {[]any{uint32(1)}, pair{1, ""}, false},
		"list of structs":     {[][]any{{uint32(1), "one"}}, []pair{{1, "one"}}, true},
		"empty list":          {[]string{}, []string{}, true},
		"map of maps":         {map[string]map[string]dbus.Variant{"a": {"b": variant("c")}}, map[string]map[string]any{"a": {"b": "c"}}, true},
		"map in a variant":    {variant(map[string]dbus.Variant{"a": variant(true)}), map[string]bool{"a": true}, true},
		"struct in a map":     {map[uint32][]any{1: {uint32(2), "x"}}, map[uint32]pair{1: {2, "x"}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			if Same(row.got, row.want) != row.same {
				t.Errorf("%v and %v: same is not %v", row.got, row.want, row.same)
			}
		})
	}
}
