package muc

import (
	"testing"

	"telepathy-olpc/xmpp/stanza"
)

const ping = `<iq type='get' to='coven@chat.shakespeare.lit/thirdwitch'><ping xmlns='urn:xmpp:ping'/></iq>`

// XEP-0410 §3, and what servers say besides.
func TestRoom_selfPing(t *testing.T) {
	in := map[stanza.Condition]bool{
		stanza.ServiceUnavailable: true, stanza.FeatureNotImplemented: true, stanza.NotAllowed: true,
		stanza.RemoteServerNotFound: true, stanza.RemoteServerTimeout: true, stanza.InternalServerError: true,
		stanza.RecipientUnavailable: true, stanza.ResourceConstraint: true, stanza.UnexpectedRequest: true, // to wait for
	}
	for _, condition := range stanza.Conditions() {
		t.Run(string(condition), func(t *testing.T) {
			w := newWorld(t)
			w.enter(Entry{})
			w.r.Check()
			w.r.Check()
			w.wantAsked(ping)
			w.refuse(condition)
			if w.r.IsJoined() != in[condition] {
				t.Errorf("in the room: %v", w.r.IsJoined())
			}
		})
	}
	for name, err := range map[string]error{"answered": nil, "silence": errSilence} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.enter(Entry{})
			w.r.Check()
			w.reply(parse(t, `<iq type='result'/>`), err)
			w.wantSent()
			w.r.Check()
			w.wantAsked(ping, ping)
		})
	}
}

func TestRoom_selfPingAfterSilence(t *testing.T) {
	w := newWorld(t)
	w.enter(Entry{})
	w.get(presence("late", member_))
	w.fire("room silent")
	w.wantAsked()
	w.fire("room silent")
	w.wantAsked(ping)
	w.fire("room silent") // no answer yet
	w.wantAsked()
	w.answer("")
	w.get(`<message from='` + coven + `' type='groupchat'/>`)
	w.fire("room silent")
	w.wantAsked()
}

func TestRoom_selfPingAfterErrors(t *testing.T) {
	for _, c := range []struct {
		name, in string
		asked    bool
	}{
		{"presence", refusal("thirdwitch", "update", "not-acceptable"), true},
		{"presence, from the room", refusal("", "update", "not-acceptable"), true},
		{"presence of another", refusal("firstwitch", "", "not-acceptable"), false},
		{"message", `<message from='` + coven + `' type='error' id='1'><error><not-acceptable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>`, true},
		{"message, no such room", `<message from='` + coven + `' type='error' id='1'><error><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>`, true},
		{"message, no voice", `<message from='` + coven + `' type='error' id='1'><error><forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>`, false},
		{"message to another", `<message from='` + coven + `/late' type='error' id='1'><error><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>`, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.enter(Entry{})
			w.get(c.in)
			if (len(w.asked) == 1) != c.asked {
				t.Errorf("asked %v", w.asked)
			}
		})
	}
}

// The answer comes when it does not matter any more.
func TestRoom_selfPingLate(t *testing.T) {
	for name, between := range map[string]func(w *world){
		"left":    func(w *world) { w.r.Leave("") },
		"closed":  func(w *world) { w.r.Close() },
		"renamed": func(w *world) { w.get(unavailable("thirdwitch", `<item nick='b'/><status code='303'/>`)) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.enter(Entry{})
			w.r.Check()
			between(w)
			w.sent = nil
			w.refuse(stanza.ItemNotFound)
			w.wantSent()
		})
	}
}

// forget has the room forget us, and us notice.
func (w *world) forgotten() {
	w.t.Helper()
	w.r.Check()
	w.wantAsked(ping)
	w.refuse(stanza.NotAcceptable)
}

func TestRoom_rejoin(t *testing.T) {
	w := newWorld(t)
	w.enter(Entry{History: true, Password: "x"})
	w.forgotten()
	w.wantSent(`<presence to='coven@chat.shakespeare.lit/thirdwitch' id='join-2'><x xmlns='http://jabber.org/protocol/muc'><password>x</password><history maxchars='0'/></x></presence>`)
	w.get(
		unavailable("thirdwitch", `<status code='332'/>`), // late news of the old stay
		refusal("thirdwitch", "update", "not-acceptable"), // and of what we sent in it
		presence("secondwitch", member_),
		presence("newcomer", member_),
	)
	w.want("changed secondwitch member participant", "entered newcomer member participant")
	w.get(presence("thirdwitch", member_+selfCode))
	w.want("self thirdwitch member participant", "left firstwitch disconnected", "rejoined")
	w.forgotten()
	w.get(presence("thirdwitch", member_+selfCode))
	w.want("self thirdwitch member participant", "left newcomer disconnected", "left secondwitch disconnected", "rejoined")
}

// Our old nick is taken: by our own ghost, or by somebody else.
func TestRoom_rejoinUnderAnotherNick(t *testing.T) {
	w := newWorld(t)
	w.enter(Entry{})
	w.forgotten()
	w.get(refusal("thirdwitch", "join-2", "conflict"))
	w.want("renamed thirdwitch thirdwitch_")
	w.get(presence("thirdwitch", member_), presence("firstwitch", owner_), presence("thirdwitch_", member_+selfCode))
	w.want("entered thirdwitch member participant", "changed firstwitch owner moderator", "self thirdwitch_ member participant", "left secondwitch disconnected", "rejoined")

	w = newWorld(t)
	w.enter(Entry{})
	w.forgotten()
	w.get(presence("thirdwitch", `<item jid='evil@x/y'/>`), presence("fourth", member_+selfCode+`<status code='210'/>`))
	w.want("renamed thirdwitch fourth", "self fourth member participant", "left firstwitch disconnected", "left secondwitch disconnected", "rejoined")

	w = newWorld(t) // the new nick is that of somebody who has gone unseen
	w.join(Entry{})
	w.get(presence("thirdwitch_", member_), presence("thirdwitch", member_+selfCode))
	w.forgotten()
	w.get(refusal("thirdwitch", "join-2", "conflict"), presence("thirdwitch_", member_+selfCode))
	w.want("joined thirdwitch,thirdwitch_", "left thirdwitch_ disconnected", "renamed thirdwitch thirdwitch_", "self thirdwitch_ member participant", "rejoined")
}

func TestRoom_rejoinFails(t *testing.T) {
	w := newWorld(t)
	w.enter(Entry{})
	w.forgotten()
	w.get(refusal("thirdwitch", "join-2", "forbidden"))
	w.want("ended refused (forbidden)")

	w = newWorld(t)
	w.enter(Entry{})
	w.forgotten()
	w.fire("join unheard")
	w.fire("join timeout")
	w.want("ended timed out")
}

func TestRoom_rejoinLeftInCallback(t *testing.T) {
	for name, want := range map[string][]string{
		"self":     {"self thirdwitch member participant"},
		"left":     {"self thirdwitch member participant", "left firstwitch disconnected"},
		"rejoined": {"self thirdwitch member participant", "left firstwitch disconnected", "left secondwitch disconnected", "rejoined"},
	} {
		for how, act := range map[string]func(r *Room){"leave": func(r *Room) { r.Leave("") }, "close": (*Room).Close} {
			t.Run(name+" "+how, func(t *testing.T) {
				w := newWorld(t)
				w.enter(Entry{})
				w.forgotten()
				w.on[name] = func() { act(w.r) }
				w.get(presence("thirdwitch", member_+selfCode))
				w.want(want...)
			})
		}
	}
}

// The room does not exist any more: it is set up as it was.
func TestRoom_rejoinCreates(t *testing.T) {
	w := newWorld(t)
	w.enter(Entry{Settings: Settings{Private: true}})
	w.forgotten()
	w.get(presence("thirdwitch", owner_+selfCode+`<status code='201'/>`))
	w.want("self thirdwitch owner moderator")
	w.answer(form(`<field var='muc#roomconfig_publicroom' type='boolean'><value>1</value></field>`))
	w.get(presence("firstwitch", member_))
	w.answer("")
	w.want("changed firstwitch member participant", "left secondwitch disconnected", "rejoined")
}
