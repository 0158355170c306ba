package presence

import (
	"maps"
	"slices"
	"sort"
	"strings"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/bus"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/disco"
)

const (
	// maxServices bounds how many features of one class count that differ in
	// their suffix: a client has some dozen services, a stranger any number.
	maxServices = 64
	// maxSuffix bounds the suffix of a feature, in bytes. Names of D-Bus
	// services, the longest there are, have no more.
	maxSuffix = 255
)

// ContactClass is a class of channels with a contact, and the feature by which
// a client shows that it can take part in them. It says both what can be
// requested of contacts who have the feature, and that we have it ourselves
// when a client on our bus handles such channels.
type ContactClass struct {
	// Feature is what a contact's client must announce; any contact will do
	// when it is empty.
	Feature string
	// Suffix is the full name of a property whose value stands behind
	// Feature, in as many features as there are values: the service of a tube.
	// Empty, there is one feature.
	Suffix string
	// Fixed are properties by full name, ChannelType and TargetHandleType
	// among them. Values are strings, bools or integers.
	Fixed   map[string]any
	Allowed []string // further full property names
}

// channelClass is Requestable_Channel_Class, (a{sv}as).
type channelClass struct {
	Fixed   map[string]dbus.Variant
	Allowed []string
}

// contactClass is a ContactClass with its form on D-Bus, which all contacts
// share.
type contactClass struct {
	ContactClass
	wire channelClass
}

// skill is one class in which a contact can take part: its place in the table,
// and the suffix if the class has any.
type skill struct {
	class  int
	suffix string
}

// classTable is all classes of channels that contacts can be asked for.
type classTable []contactClass

func (t *classTable) add(class ContactClass) {
	wire := channelClass{make(map[string]dbus.Variant, len(class.Fixed)), class.Allowed}
	for name, value := range class.Fixed {
		if kind, is := value.(tp.HandleType); is {
			class.Fixed = maps.Clone(class.Fixed)
			class.Fixed[name] = uint32(kind) // comparable with what clients send
		}
		wire.Fixed[name] = dbus.MakeVariant(value)
	}
	*t = append(*t, contactClass{class, wire})
}

// skills lists what a client with this info can do, in the table's order.
func (t classTable) skills(info *disco.Info) []skill {
	var list []skill
	for i, class := range t {
		switch {
		case class.Suffix != "":
			list = append(list, suffixes(i, class.Feature, info.Features)...)
		case class.Feature == "" || info.Has(class.Feature):
			list = append(list, skill{class: i})
		}
	}
	return list
}

// suffixes gives a skill for each feature that begins with prefix.
func suffixes(class int, prefix string, features []string) []skill {
	var list []skill
	for _, f := range features {
		suffix, has := strings.CutPrefix(f, prefix)
		if has && isSuffix(suffix) && len(list) < maxServices {
			list = append(list, skill{class, suffix})
		}
	}
	sortSkills(list)
	return slices.Compact(list)
}

func sortSkills(list []skill) {
	sort.Slice(list, func(i, j int) bool {
		a, b := list[i], list[j]
		return a.class < b.class || a.class == b.class && a.suffix < b.suffix
	})
}

// isSuffix tells whether a text may follow a feature. One with other
// characters could make the hash of all features unfit (XEP-0115 §5.4).
func isSuffix(s string) bool {
	other := func(r rune) bool { return r <= ' ' || r > '~' || r == '<' }
	return s != "" && len(s) <= maxSuffix && !strings.ContainsFunc(s, other)
}

// classes is the form of skills on D-Bus.
func (t classTable) classes(list []skill) []channelClass {
	all := make([]channelClass, len(list))
	for i, s := range list {
		class := t[s.class]
		all[i] = class.wire
		if class.Suffix != "" {
			all[i].Fixed = maps.Clone(class.wire.Fixed)
			all[i].Fixed[class.Suffix] = dbus.MakeVariant(s.suffix)
		}
	}
	return all
}

// features lists what is to be announced for a client that handles channels
// with these properties. The empty filter is that of a client that handles
// everything, as Sugar's shell does.
func (t classTable) features(filter map[string]dbus.Variant) []string {
	var list []string
	for i := range t {
		if f := t[i].feature(filter); f != "" {
			list = append(list, f)
		}
	}
	return list
}

// feature is the one to be announced for a client with this filter, empty
// when no incoming channel of the class passes it or, where the feature needs
// a suffix, the filter has none.
func (c *contactClass) feature(filter map[string]dbus.Variant) string {
	suffix := ""
	for name, v := range filter {
		value := v.Value()
		want, fixed := c.Fixed[name]
		passes := true
		switch {
		case fixed:
			passes = same(value, want)
		case name == c.Suffix:
			suffix, passes = value.(string)
		case name == tp.PropertyChannelRequested:
			passes = value == false // by others
		default:
			passes = slices.Contains(c.Allowed, name)
		}
		if !passes {
			return ""
		}
	}
	if c.Suffix != "" && (c.Feature == "" || !isSuffix(suffix)) {
		return ""
	}
	return c.Feature + suffix
}

// same compares a value from inside an a{sv} with one of the table. Integers
// come in any type there.
func same(value, want any) bool {
	if n, is := bus.Int(want); is {
		got, is := bus.Int(value)
		return is && got == n
	}
	return value == want
}
