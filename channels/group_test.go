package channels

import (
	"fmt"
	"testing"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"

	"telepathy-olpc/internal/bus"
	"telepathy-olpc/internal/handle"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/jid"
)

// fakeHost keeps what was emitted, and knows five contacts.
type fakeHost struct {
	handles handle.Set
	emitted []string
}

func newFakeHost(t *testing.T) *fakeHost {
	t.Helper()
	h := &fakeHost{}
	for _, name := range []string{"self", "ada", "bob", "cleo", "dan"} {
		j, err := jid.Parse(name + "@school.test")
		if err != nil {
			t.Fatal(err)
		}
		h.handles.Contacts.Ensure(j)
	}
	return h
}

func (h *fakeHost) ChannelPath(name string) dbus.ObjectPath { return dbus.ObjectPath("/c/" + name) }
func (h *fakeHost) Export(bus.Object)                       {}
func (h *fakeHost) Handles() *handle.Set                    { return &h.handles }
func (h *fakeHost) SelfHandle() uint32                      { return 1 }
func (h *fakeHost) Opened(*Channel, ...*Request)            {}
func (h *fakeHost) Closed(*Channel)                         {}
func (h *fakeHost) EmitFrom(_ dbus.ObjectPath, s tp.Signal, args ...any) {
	h.emitted = append(h.emitted, fmt.Sprint(s.Name, args))
}

// take returns what was emitted since the last time.
func (h *fakeHost) take() []string {
	e := h.emitted
	h.emitted = nil
	return e
}

func newGroup(h *fakeHost) *Group { return &Group{Channel: &Channel{Path: "/c/1", host: h}, Self: 1} }

func TestGroup_Apply(t *testing.T) {
	h := newFakeHost(t)
	g := newGroup(h)
	for _, step := range []struct {
		name    string
		change  Change
		changed string // MembersChanged; empty if there is none
		members []uint32
	}{
		{"two come", Change{Added: []uint32{2, 3}}, "MembersChanged[ [2 3] [] [] [] 0 0]", []uint32{2, 3}},
		{"one of them again", Change{Added: []uint32{3}}, "", []uint32{2, 3}},
		{"a stranger goes", Change{Removed: []uint32{5}}, "", []uint32{2, 3}},
		{"one waits for us", Change{LocalPending: []uint32{4}, Actor: 2, Reason: tp.ChannelGroupChangeReasonInvited, Message: "come"},
			"MembersChanged[come [] [] [4] [] 2 4]", []uint32{2, 3}},
		{"and comes in", Change{Added: []uint32{4}}, "MembersChanged[ [4] [] [] [] 0 0]", []uint32{2, 3, 4}},
		{"a member waits again", Change{RemotePending: []uint32{2}}, "MembersChanged[ [] [] [] [2] 0 0]", []uint32{3, 4}},
		{"all go", Change{Removed: []uint32{2, 3, 4}, Actor: 3}, "MembersChanged[ [] [2 3 4] [] [] 3 0]", []uint32{}},
	} {
		t.Run(step.name, func(t *testing.T) {
			g.Apply(step.change)
			got := h.take()
			if step.changed == "" {
				if len(got) != 0 {
					t.Errorf("emitted %v, want nothing", got)
				}
			} else if len(got) != 2 || got[0] != step.changed {
				t.Errorf("emitted %v, want %s and its detailed form", got, step.changed)
			}
			if diff := cmp.Diff(step.members, g.Members()); diff != "" {
				t.Errorf("members -want +got:\n%s", diff)
			}
		})
	}
}

func TestGroup_localPendingInfo(t *testing.T) {
	g := newGroup(newFakeHost(t))
	g.Fill(Change{Added: []uint32{2}})
	g.Fill(Change{LocalPending: []uint32{1}, Actor: 2, Reason: tp.ChannelGroupChangeReasonInvited, Message: "come"})
	want := []localPendingInfo{{1, 2, tp.ChannelGroupChangeReasonInvited, "come"}}
	if diff := cmp.Diff(want, g.localPendingInfo()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	ids := map[uint32]string{1: "self@school.test", 2: "ada@school.test"}
	if diff := cmp.Diff(ids, g.memberIdentifiers()); diff != "" {
		t.Errorf("identifiers -want +got:\n%s", diff)
	}
}

func TestRequest_Match(t *testing.T) {
	const kind, size = "org.example.Type", "org.example.Size"
	classes := []Class{{
		Fixed:   map[string]any{tp.PropertyChannelChannelType: kind, tp.PropertyChannelTargetHandleType: tp.HandleTypeRoom},
		Allowed: []string{tp.PropertyChannelTargetHandle, size},
	}}
	for _, row := range []struct {
		name       string
		request    Request
		properties []string
		fits, fail bool
	}{
		{"all that is needed", Request{Kind: kind, Target: Target{Type: tp.HandleTypeRoom}}, nil, true, false},
		{"with what is allowed", Request{Kind: kind, Target: Target{Type: tp.HandleTypeRoom}}, []string{size, tp.PropertyChannelTargetHandle}, true, false},
		{"with something unknown", Request{Kind: kind, Target: Target{Type: tp.HandleTypeRoom}}, []string{"org.example.Else"}, false, true},
		{"another target", Request{Kind: kind, Target: Target{Type: tp.HandleTypeContact}}, nil, false, false},
		{"another type", Request{Kind: "org.example.Other", Target: Target{Type: tp.HandleTypeRoom}}, nil, false, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			row.request.Properties = map[string]dbus.Variant{}
			for _, name := range append(row.properties, tp.PropertyChannelChannelType, tp.PropertyChannelTargetHandleType) {
				row.request.Properties[name] = dbus.MakeVariant(true)
			}
			fits, err := row.request.Match(classes)
			if fits != row.fits || (err != nil) != row.fail {
				t.Errorf("Match = %v, %v", fits, err)
			}
		})
	}
}
