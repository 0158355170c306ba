package presence

import (
	"testing"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/caps"
	"telepathy-olpc/xmpp/disco"
)

// capsFilter makes a client's filter from names and values.
func capsFilter(pairs ...any) map[string]dbus.Variant {
	f := make(map[string]dbus.Variant)
	for i := 0; i < len(pairs); i += 2 {
		f[pairs[i].(string)] = dbus.MakeVariant(pairs[i+1])
	}
	return f
}

func TestFeatures_ofFilters(t *testing.T) {
	const (
		kind   = tp.PropertyChannelChannelType
		target = tp.PropertyChannelTargetHandleType
	)
	file, tube := tp.InterfaceChannelFileTransfer.Name, tp.InterfaceChannelStreamTube.Name
	var table classTable
	for _, c := range []ContactClass{capsText, capsFile, capsTube} {
		table.add(c)
	}
	for _, row := range []struct {
		name   string
		filter map[string]dbus.Variant
		want   []string
	}{
		{"everything, as Sugar's shell", capsFilter(), []string{capsFeature}},
		{"an int32, as from Python", capsFilter(kind, file, target, int32(1)), []string{capsFeature}},
		{"an int64, as from mission-control", capsFilter(kind, file, target, int64(1)), []string{capsFeature}},
		{"a uint32, as specified", capsFilter(kind, file, target, uint32(1)), []string{capsFeature}},
		{"a byte", capsFilter(kind, file, target, byte(1)), []string{capsFeature}},
		{"a text for a number", capsFilter(kind, file, target, "1"), nil},
		{"without target", capsFilter(kind, file), []string{capsFeature}},
		{"without type", capsFilter(target, int32(1)), []string{capsFeature}},
		{"of rooms", capsFilter(kind, file, target, int32(2)), nil},
		{"of another type", capsFilter(kind, "org.example.Type"), nil},
		{"from others", capsFilter(kind, file, tp.PropertyChannelRequested, false), []string{capsFeature}},
		{"only those it asked for", capsFilter(kind, file, tp.PropertyChannelRequested, true), nil},
		{"some of them", capsFilter(kind, file, tp.PropertyChannelFileTransferSize, uint64(5)), []string{capsFeature}},
		{"with a property that no such channel has", capsFilter(kind, file, "org.example.Property", "x"), nil},
		{"one service", capsFilter(kind, tube, target, int32(1), capsService, "rsync"), []string{capsPrefix + "rsync"}},
		{"a service with no type", capsFilter(capsService, "rsync"), []string{capsPrefix + "rsync"}},
		{"any service", capsFilter(kind, tube, target, int32(1)), nil},
		{"the empty service", capsFilter(kind, tube, capsService, ""), nil},
		{"a service that spoils hashes", capsFilter(kind, tube, capsService, "a<b"), nil},
		{"a service that is a number", capsFilter(kind, tube, capsService, 7), nil},
		{"a list for a text", capsFilter(kind, []string{file}), nil},
	} {
		if diff := cmp.Diff(row.want, table.features(row.filter)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", row.name, diff)
		}
	}
}

func TestUpdateCapabilities(t *testing.T) {
	s := newCaps(t, capsFile, capsTube)
	service := func(name string) map[string]dbus.Variant { return capsFilter(capsService, name) }
	update := func(list ...handlerCapabilities) { s.do(func() { s.hub.update(list) }) }
	has := func(want ...string) {
		t.Helper()
		var got []string
		for _, f := range s.hub.own.Info().Features {
			if f == capsFeature || len(f) > len(capsPrefix) && f[:len(capsPrefix)] == capsPrefix {
				got = append(got, f)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("features of clients (-want +got):\n%s", diff)
		}
	}
	presences := func(want int) {
		t.Helper()
		if len(s.sent) != want {
			t.Errorf("%d presences, want %d", len(s.sent), want)
		}
		s.sent = nil
	}
	type client = handlerCapabilities
	type filters = []map[string]dbus.Variant

	update(client{"chess", filters{service("chess")}, nil}, client{"shell", filters{{}}, []string{"token"}})
	presences(0)
	s.want()
	s.connect()
	has(capsFeature, capsPrefix+"chess")

	update(client{"chess", filters{service("chess")}, nil})
	presences(0) // nothing new
	s.want()

	update(client{"chess", filters{service("chess2"), service("chess3")}, nil}, client{"shell", nil, nil})
	has(capsPrefix+"chess2", capsPrefix+"chess3")
	presences(1)
	s.want(capsChanged(map[uint32][]channelClass{1: {capsClass(capsTube, "chess2"), capsClass(capsTube, "chess3")}}))

	update(client{"other", filters{service("chess3")}, nil}) // two clients for one
	presences(0)
	update(client{"chess", nil, nil}, client{"other", nil, nil})
	has()
	presences(1)
	s.want(capsChanged(map[uint32][]channelClass{1: {}}))
	if len(s.hub.clients) != 0 {
		t.Errorf("kept of clients that are gone: %v", s.hub.clients)
	}
}

func TestUpdateCapabilities_tooMany(t *testing.T) {
	s := newCaps(t, capsTube).connect()
	var all []map[string]dbus.Variant
	for i := range 2 * maxClientFeatures {
		all = append(all, capsFilter(capsService, string(rune('a'+i%26))+string(rune('a'+i/26))))
	}
	s.do(func() { s.hub.update([]handlerCapabilities{{"greedy", all, nil}}) })
	if got, want := len(s.hub.own.Info().Features), len(always)+maxClientFeatures; got != want {
		t.Errorf("%d features, want %d", got, want)
	}
	if announced, is := caps.Parse(s.sent[0]); !is || caps.Verify(announced, s.hub.own.Info()) != nil {
		t.Error("what was announced can't be verified")
	}
}

func TestClientTypes_ofInfos(t *testing.T) {
	for _, row := range []struct {
		name       string
		identities []disco.Identity
		want       []string
	}{
		{"none", nil, []string{}},
		{"one", []disco.Identity{{Category: "client", Type: "phone"}}, []string{"phone"}},
		{"two in languages", []disco.Identity{{Category: "client", Type: "web"}, {Category: "client", Type: "pc", Lang: "en"}, {Category: "client", Type: "pc", Lang: "de"}}, []string{"pc", "web"}},
		{"of another category", []disco.Identity{{Category: "conference", Type: "pc"}}, []string{}},
		{"unheard of", []disco.Identity{{Category: "client", Type: "toaster"}}, []string{}},
	} {
		if diff := cmp.Diff(row.want, typesOf(&disco.Info{Identities: row.identities})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", row.name, diff)
		}
	}
}
