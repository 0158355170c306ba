package dbuswire

import (
	"strings"
	"testing"
)

func TestNames(t *testing.T) {
	for path, want := range map[string]bool{
		"/": true, "/a": true, "/a/B_9": true,
		"": false, "a": false, "//": false, "/a/": false, "/a//b": false, "/a-b": false, "/ä": false, "/a\x00": false,
	} {
		if got := IsPath(path); got != want {
			t.Errorf("IsPath(%q) = %v", path, got)
		}
	}
	for name, want := range map[string]bool{
		"a.b": true, "org.x_9.Error": true,
		"": false, "a": false, ".a": false, "a.": false, "a..b": false, "a.9": false, "a.b-c": false, "a.\x00": false,
		"a." + strings.Repeat("b", 253): true, "a." + strings.Repeat("b", 254): false,
	} {
		if got := IsInterface(name); got != want {
			t.Errorf("IsInterface(%q) = %v", name, got)
		}
	}
	for name, want := range map[string]bool{
		"a.b": true, "org.x_9.a-b": true, "-a.b": true, ":1.2": true, ":2.QWRh-_": true, ":1.2.x": true,
		"": false, ":": false, ":1": false, ":1.": false, ":.1": false, ":1..2": false, "a": false, "a.9": false, "a.b/c": false,
		"a." + strings.Repeat("b", 253): true, ":1." + strings.Repeat("b", 253): false,
	} {
		if got := IsBusName(name); got != want {
			t.Errorf("IsBusName(%q) = %v", name, got)
		}
	}
	for name, want := range map[string]bool{
		"A": true, "_9": true, strings.Repeat("b", 255): true,
		"": false, "9": false, "a.b": false, "a-b": false, "ä": false, strings.Repeat("b", 256): false,
	} {
		if got := IsMember(name); got != want {
			t.Errorf("IsMember(%q) = %v", name, got)
		}
	}
}
