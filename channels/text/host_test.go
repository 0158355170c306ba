package text

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"

	"telepathy-olpc/channels"
	"telepathy-olpc/internal/bus"
	"telepathy-olpc/internal/handle"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
)

// Handles of the story, in the order in which the rig makes them.
const (
	me  uint32 = 1
	bob uint32 = 2
)

const (
	bobBare  = "bob@school.test"
	bobSugar = "bob@school.test/sugar"
	bobPhone = "bob@school.test/phone"
)

// epoch is where the clock of synctest begins.
const epoch = 946684800

// rig is a Connection with chats. Its log has all that leaves it, in order:
// signals, stanzas and what happens to channels.
type rig struct {
	t        testing.TB
	handles  handle.Set
	log      []string
	quiet    bool // nothing is logged
	open     []*channels.Channel
	objects  map[dbus.ObjectPath]bus.Object
	seesUs   map[string]bool
	features map[string]bool
	chats    *Chats
}

var _ Host = (*rig)(nil)

func newRig(t testing.TB) *rig {
	r := &rig{t: t, objects: map[dbus.ObjectPath]bus.Object{}, seesUs: map[string]bool{}, features: map[string]bool{}}
	r.handles.Contacts.Ensure(jidOf("me@school.test"))
	r.handles.Contacts.Ensure(jidOf(bobBare))
	r.chats = NewChats(r, func(bare jid.JID) bool { return bare.Domain() == "rooms.test" })
	return r
}

// run runs a test on a clock of its own.
func run(t *testing.T, test func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		test(r)
		if len(r.log) > 0 {
			t.Errorf("left in the log:\n%s", strings.Join(r.log, "\n"))
		}
	})
}

func jidOf(s string) jid.JID {
	j, err := jid.ParseLenient(s)
	if err != nil {
		panic(err)
	}
	return j
}

func (r *rig) note(format string, a ...any) {
	if !r.quiet {
		r.log = append(r.log, fmt.Sprintf(format, a...))
	}
}

// expect compares the log since the last call.
func (r *rig) expect(want ...string) {
	r.t.Helper()
	if diff := cmp.Diff(want, r.log); diff != "" && len(want)+len(r.log) > 0 {
		r.t.Errorf("log (-want +got):\n%s", diff)
	}
	r.log = nil
}

func (r *rig) ChannelPath(name string) dbus.ObjectPath { return dbus.ObjectPath("/" + name) }
func (r *rig) Export(o bus.Object)                     { r.objects[o.Path] = o }
func (r *rig) Handles() *handle.Set                    { return &r.handles }
func (r *rig) SelfHandle() uint32                      { return me }
func (r *rig) SeesUs(who jid.JID) bool                 { return r.seesUs[who.String()] }

func (r *rig) HasFeature(who jid.JID, feature string) bool {
	return r.features[who.String()+" "+feature]
}

func (r *rig) Send(e *stanza.Element) {
	if !r.quiet {
		r.note("send %s", hideToken(e.String()))
	}
}

func (r *rig) Opened(ch *channels.Channel, requests ...*channels.Request) {
	r.open = append(r.open, ch)
	for i, req := range requests {
		req.Answer(ch, i == 0)
	}
	r.note("opened %s with %s, initiator %d, requested %v", ch.Path, ch.Target.ID, ch.Initiator, ch.Requested)
}

func (r *rig) Closed(ch *channels.Channel) {
	r.open = slices.DeleteFunc(r.open, func(o *channels.Channel) bool { return o == ch })
	delete(r.objects, ch.Path)
	r.note("closed %s", ch.Path)
}

func (r *rig) EmitFrom(path dbus.ObjectPath, s tp.Signal, args ...any) {
	if r.quiet {
		return
	}
	parts := make([]string, len(args))
	for i, arg := range args {
		parts[i] = show(arg)
	}
	r.note("%s %s %s", path, s.Name, hideToken(strings.Join(parts, " ")))
}

// hideToken replaces what is made by chance.
func hideToken(s string) string {
	const length = 26
	isToken := func(c rune) bool { return c >= 'A' && c <= 'Z' || c >= '2' && c <= '7' }
	for i := 0; i+length <= len(s); i++ {
		if strings.IndexFunc(s[i:i+length], func(c rune) bool { return !isToken(c) }) < 0 {
			s = s[:i] + "TOKEN" + s[i+length:]
		}
	}
	return s
}

// show writes parts of messages in the order of their keys.
func show(v any) string {
	switch v := v.(type) {
	case dbus.Variant:
		return show(v.Value())
	case part:
		var all []string
		for _, key := range slices.Sorted(maps.Keys(v)) {
			all = append(all, key+"="+show(v[key]))
		}
		return "{" + strings.Join(all, " ") + "}"
	case []part:
		var all []string
		for _, p := range v {
			all = append(all, show(p))
		}
		return "[" + strings.Join(all, " ") + "]"
	case string:
		return fmt.Sprintf("%q", v)
	}
	if value := reflect.ValueOf(v); value.Kind() == reflect.Uint32 {
		return fmt.Sprint(value.Uint())
	}
	return fmt.Sprint(v)
}

// receive lets a stanza come in.
func (r *rig) receive(xml string) bool {
	r.t.Helper()
	e, err := stanza.Parse(xml)
	if err != nil {
		r.t.Fatal(err)
	}
	return r.chats.HandleMessage(e)
}

// chatFrom is a message of type chat.
func chatFrom(from, content string) string {
	return "<message from='" + from + "' type='chat'>" + content + "</message>"
}

// request asks for the chat with a contact.
func (r *rig) request(contact uint32) *dialogue {
	r.t.Helper()
	who, _ := r.handles.Contacts.ID(contact)
	var got *channels.Channel
	r.chats.Request(&channels.Request{
		Kind:   tp.InterfaceChannelText.Name,
		Target: channels.Target{Type: tp.HandleTypeContact, Handle: contact, ID: who.String()},
		Ensure: true,
		Answer: func(ch *channels.Channel, _ bool) { got = ch },
		Fail:   func(err error) { r.t.Errorf("request: %v", err) },
	})
	if got == nil {
		r.t.Fatal("the request is not answered")
	}
	return r.chats.open[who]
}

// bobsChat is a chat with bob, requested.
func (r *rig) bobsChat() *dialogue {
	r.t.Helper()
	d := r.request(bob)
	r.log = nil
	return d
}

// say sends a text and gives back the token.
func (r *rig) say(d *dialogue, o Outgoing) string {
	r.t.Helper()
	var token string
	if err := d.Conversation.send(o, func(t string) {
		token = t
		r.note("reply")
	}); err != nil {
		r.t.Errorf("send: %v", err)
	}
	return token
}

// property reads one of an exported object.
func (r *rig) property(path dbus.ObjectPath, facts *tp.Interface, name string) any {
	r.t.Helper()
	for _, i := range r.objects[path].Interfaces {
		if i.Facts == facts {
			return i.Properties[name]()
		}
	}
	r.t.Fatalf("%s has no %s", path, facts.Name)
	return nil
}

// wantError compares the name of an error.
func wantError(t testing.TB, err error, want tp.ErrorName) {
	t.Helper()
	e, is := err.(*tp.Error)
	if !is || e.Name != want {
		t.Errorf("error %v, want %s", err, want)
	}
}
