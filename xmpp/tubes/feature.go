package tubes

import (
	"slices"
	"strings"
)

// Feature returns the feature that announces a program for tubes of a type to a
// service.
func Feature(t Type, service string) string { return NS + "/" + string(t) + "#" + service }

// ParseFeature reads the service out of such a feature.
func ParseFeature(feature string) (t Type, service string, ok bool) {
	rest, ok := strings.CutPrefix(feature, NS+"/")
	if !ok {
		return "", "", false
	}
	name, service, ok := strings.Cut(rest, "#")
	t = Type(name)
	if !ok || t != DBus && t != Stream || service == "" || len(service) > MaxText {
		return "", "", false
	}
	return t, service, true
}

// Supported tells whether one who has these features takes tubes. Any that
// begins like ours will do, as the documents differ in what follows.
func Supported(features []string) bool {
	return slices.ContainsFunc(features, func(f string) bool { return strings.HasPrefix(f, NS) })
}
