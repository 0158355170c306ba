package muc

import (
	"fmt"
	"strings"
	"testing"

	"telepathy-olpc/xmpp/stanza"
)

func TestRoom_join(t *testing.T) {
	w := newWorld(t)
	w.join(Entry{Password: "cauldronburn", Presence: func() *stanza.Element {
		return stanza.New(stanza.NSClient, "presence", stanza.New(stanza.NSClient, "show", stanza.Text("away")))
	}})
	w.wantSent(`<presence to='coven@chat.shakespeare.lit/thirdwitch' id='join-1'><show>away</show>` +
		`<x xmlns='http://jabber.org/protocol/muc'><password>cauldronburn</password><history maxchars='0'/></x></presence>`)
	w.get(
		presence("firstwitch", owner_),
		presence("secondwitch", `<item affiliation='admin' role='moderator'/>`),
		`<presence from='coven@chat.shakespeare.lit' id='caps'><c xmlns='http://jabber.org/protocol/caps'/></presence>`,
	)
	w.want()
	if w.r.IsJoined() {
		t.Error("joined before the list is over")
	}
	w.get(presence("thirdwitch", member_+`<status code='100'/>`+selfCode+`<status code='210'/>`))
	w.want("joined firstwitch,secondwitch,thirdwitch")
	if o, ok := w.r.Occupant("secondwitch"); !ok || !w.r.IsJoined() || describe(o) != "secondwitch admin moderator" {
		t.Errorf("second witch: %v %v", o, ok)
	}
	w.wantSent()
}

func TestRoom_joinWithHistory(t *testing.T) {
	w := newWorld(t)
	w.join(Entry{History: true})
	w.wantSent(`<presence to='coven@chat.shakespeare.lit/thirdwitch' id='join-1'><x xmlns='http://jabber.org/protocol/muc'/></presence>`)
}

// The golden traces of a school's ejabberd.
func TestRoom_joinOnSchoolServer(t *testing.T) {
	w := newWorld(t)
	w.r = New(Config{Host: w, After: w.after, Events: w.events(),
		Self: addr(t, "926bbd1a@schoolserver.test/sugar"), Room: addr(t, "46f0e2e6@conference.schoolserver.test")})
	w.join(Entry{Nick: "Bob"})
	w.get(
		`<presence to='926bbd1a@schoolserver.test/sugar' from='46f0e2e6@conference.schoolserver.test' id='2378'><c ver='X0=' node='http://www.process-one.net/en/ejabberd/' hash='sha-1' xmlns='http://jabber.org/protocol/caps'/></presence>`,
		`<presence xml:lang='en' to='926bbd1a@schoolserver.test/sugar' from='46f0e2e6@conference.schoolserver.test/Alice'><x xmlns='vcard-temp:x:update'><photo/></x><tubes xmlns='http://telepathy.freedesktop.org/xmpp/tubes'/><x xmlns='http://jabber.org/protocol/muc#user'><item jid='e82a57a0@schoolserver.test/sugar' role='moderator' affiliation='owner'/></x></presence>`,
		`<presence xml:lang='en' to='926bbd1a@schoolserver.test/sugar' from='46f0e2e6@conference.schoolserver.test/Bob'><x xmlns='vcard-temp:x:update'><photo/></x><tubes xmlns='http://telepathy.freedesktop.org/xmpp/tubes'/><x xmlns='http://jabber.org/protocol/muc#user'><item jid='926bbd1a@schoolserver.test/sugar' role='participant' affiliation='none'/><status code='100'/><status code='110'/></x></presence>`,
		`<message to='926bbd1a@schoolserver.test/sugar' from='46f0e2e6@conference.schoolserver.test' type='groupchat'><subject/></message>`,
		`<message xml:lang='en' to='926bbd1a@schoolserver.test/sugar' from='46f0e2e6@conference.schoolserver.test/Alice' type='groupchat' id='9d31'><active xmlns='http://jabber.org/protocol/chatstates'/><body>hello from A</body></message>`,
		`<message xml:lang='en' to='926bbd1a@schoolserver.test/sugar' from='46f0e2e6@conference.schoolserver.test/Bob' type='groupchat' id='8884'><active xmlns='http://jabber.org/protocol/chatstates'/><body>hello from B</body></message>`,
		`<message to='926bbd1a@schoolserver.test/sugar' from='46f0e2e6@conference.schoolserver.test' type='groupchat' id='1050'><x xmlns='http://jabber.org/protocol/muc#user'><status code='172'/><status code='104'/></x></message>`,
	)
	w.want("joined Alice,Bob", `subject ""`, `message groupchat Alice "hello from A" own=false`, `message groupchat Bob "hello from B" own=true`, "reconfigured")
	if o, _ := w.r.Occupant("Alice"); describe(o) != "Alice owner moderator e82a57a0@schoolserver.test/sugar" || o.Presence.Child("http://telepathy.freedesktop.org/xmpp/tubes", "tubes") == nil {
		t.Errorf("Alice: %+v", o)
	}
	w.sent = nil
	w.r.Leave("", stanza.New("http://telepathy.freedesktop.org/xmpp/tubes", "tubes"))
	w.wantSent(`<presence type='unavailable' to='46f0e2e6@conference.schoolserver.test/Bob'><tubes xmlns='http://telepathy.freedesktop.org/xmpp/tubes'/></presence>`)
	w.get(`<presence to='926bbd1a@schoolserver.test/sugar' from='46f0e2e6@conference.schoolserver.test' type='unavailable' id='5900'/>`)
	w.want()
	w.get(`<presence xml:lang='en' to='926bbd1a@schoolserver.test/sugar' from='46f0e2e6@conference.schoolserver.test/Bob' type='unavailable'><x xmlns='http://jabber.org/protocol/muc#user'><item jid='926bbd1a@schoolserver.test/sugar' role='none' affiliation='none'/><status code='110'/></x></presence>`)
	w.want("ended parted")
}

// Which of the presences on the way in is our own.
func TestRoom_whichIsSelf(t *testing.T) {
	for _, c := range []struct {
		name     string
		presence []string
		nick     string // "" for not in
	}{
		{"nick and code", []string{presence("thirdwitch", member_+selfCode)}, "thirdwitch"},
		{"no code", []string{presence("thirdwitch", member_)}, "thirdwitch"},
		{"no item", []string{`<presence from='` + coven + `/thirdwitch'/>`}, "thirdwitch"},
		{"nick changed by the service", []string{presence("third", member_+selfCode+`<status code='210'/>`)}, "third"},
		{"own address", []string{presence("third", `<item jid='hag66@shakespeare.lit/laptop'/>`+selfCode)}, "third"},
		{"code with another's address", []string{presence("evil", `<item jid='evil@x/y'/>`+selfCode)}, ""},
		{"code of somebody who is in", []string{presence("evil", member_), presence("evil", member_+selfCode)}, ""},
		{"our nick with another's address", []string{presence("thirdwitch", `<item jid='evil@x/y'/>`)}, ""},
		{"an address that the gateway makes up", []string{presence("thirdwitch", `<item jid='evil@x/y'/>`+selfCode)}, "thirdwitch"},
		{"code in an x of the occupant's own", []string{`<presence from='` + coven + `/evil'><x xmlns='http://jabber.org/protocol/muc#user'><status code='110'/></x><x xmlns='http://jabber.org/protocol/muc#user'><item/></x></presence>`}, ""},
		{"code that is no number", []string{presence("evil", `<status code='110.'/>`)}, ""},
		{"error", []string{`<presence type='error' from='` + coven + `/evil' id='x'><x xmlns='http://jabber.org/protocol/muc#user'><status code='110'/></x></presence>`}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.join(Entry{})
			w.get(c.presence...)
			if w.r.IsJoined() != (c.nick != "") || c.nick != "" && w.r.Nick() != c.nick {
				t.Errorf("joined %v as %q", w.r.IsJoined(), w.r.Nick())
			}
			w.get(presence("thirdwitch", member_+selfCode))
			if !w.r.IsJoined() {
				t.Error("not in after all")
			}
			w.checkMirror()
		})
	}
}

func TestRoom_nickConflict(t *testing.T) {
	w := newWorld(t)
	w.join(Entry{})
	want := []string{"thirdwitch_", "thirdwitch__", "thirdwitch___"}
	for i, nick := range want {
		w.sent = nil
		id := fmt.Sprint("join-", i+1)
		w.get(refusal(strings.TrimSuffix(nick, "_"), id, "conflict"), refusal("", id, "conflict"))
		w.wantSent(`<presence to='coven@chat.shakespeare.lit/` + nick + `' id='join-` + fmt.Sprint(i+2) + `'><x xmlns='http://jabber.org/protocol/muc'><history maxchars='0'/></x></presence>`)
	}
	w.want()
	w.get(presence("thirdwitch___", member_+selfCode))
	w.want("joined thirdwitch___")

	w = newWorld(t)
	w.join(Entry{})
	for range 4 {
		w.get(refusal("", "", "conflict"))
	}
	w.want("ended nicknames taken (conflict)")
}

// XEP-0045 §7.2.5 to §7.2.10, and what servers say besides.
func TestRoom_refused(t *testing.T) {
	for _, condition := range stanza.Conditions() {
		if condition == stanza.Conflict {
			continue
		}
		t.Run(string(condition), func(t *testing.T) {
			w := newWorld(t)
			w.join(Entry{})
			w.get(refusal("thirdwitch", "join-1", string(condition)))
			w.want(fmt.Sprintf("ended refused (%s)", condition))
			if w.receive(parse(t, presence("thirdwitch", selfCode))) {
				t.Error("taken after the end")
			}
		})
	}
}

// Errors that are not the answer to the wish to enter.
func TestRoom_refusalOfOthers(t *testing.T) {
	w := newWorld(t)
	w.join(Entry{})
	w.get(refusal("thirdwitch", "update", "not-acceptable"), refusal("firstwitch", "", "forbidden"), refusal("thirdwitch", "join-7", "forbidden"))
	w.want()
	w.get(refusal("ThirdWitch", "join-1", "forbidden")) // prepared by the server
	w.want("ended refused (forbidden)")
}

func TestRoom_nickThatIsNone(t *testing.T) {
	for _, nick := range []string{"", "\x01", strings.Repeat("a", 2000), "\xff"} {
		w := newWorld(t)
		w.r.Join(Entry{Nick: nick})
		w.wantSent()
		if len(w.log) != 1 || !strings.HasPrefix(w.log[0], "ended refused (nick: ") {
			t.Errorf("nick %.10q: %v", nick, w.log)
		}
	}
}

func TestRoom_joinTimeout(t *testing.T) {
	const wish = `<presence to='coven@chat.shakespeare.lit/thirdwitch' id='join-1'><x xmlns='http://jabber.org/protocol/muc'><history maxchars='0'/></x></presence>`
	const gone = `<presence type='unavailable' to='coven@chat.shakespeare.lit/thirdwitch'/>`
	w := newWorld(t)
	w.join(Entry{})
	w.fire("join unheard")
	w.wantSent(wish, wish)
	w.fire("join timeout")
	w.wantSent(gone)
	w.want("ended timed out")

	w = newWorld(t)
	w.join(Entry{})
	w.get(presence("firstwitch", member_))
	w.fire("join unheard")
	w.wantSent(wish)
	w.get(presence("secondwitch", member_))
	w.fire("join timeout")
	w.wantSent(gone)
	w.want("ended timed out")
}

// The room hears the wish to enter twice after all.
func TestRoom_joinedTwice(t *testing.T) {
	w := newWorld(t)
	w.join(Entry{})
	w.fire("join unheard")
	for range 2 {
		w.get(presence("firstwitch", member_), presence("thirdwitch", member_+selfCode))
	}
	w.want("joined firstwitch,thirdwitch", "changed firstwitch member participant", "self thirdwitch member participant")
}

func TestRoom_leave(t *testing.T) {
	w := newWorld(t)
	w.enter(Entry{})
	w.r.Leave("gone where the goblins go")
	w.r.Leave("again")
	w.wantSent(`<presence type='unavailable' to='coven@chat.shakespeare.lit/thirdwitch'><status>gone where the goblins go</status></presence>`)
	w.get(presence("late", member_), unavailable("firstwitch", ""), `<message from='`+coven+`/firstwitch' type='groupchat'><body>a</body></message>`)
	w.want()
	w.fire("leave timeout")
	w.want("ended parted")

	w = newWorld(t)
	w.join(Entry{})
	w.r.Leave("")
	w.get(presence("thirdwitch", member_+selfCode), unavailable("third", selfCode)) // renamed by the service on the way in
	w.want("ended parted")

	w = newWorld(t)
	w.join(Entry{})
	w.r.Leave("")
	w.get(refusal("thirdwitch", "join-1", "forbidden"))
	w.want("ended parted")

	w = newWorld(t)
	w.r.Leave("")
	w.want("ended parted")
	w.r.Join(Entry{Nick: "late"})
	w.wantSent()
}

func TestRoom_close(t *testing.T) {
	w := newWorld(t)
	w.enter(Entry{})
	w.r.Close()
	w.r.Leave("")
	w.r.UpdatePresence()
	w.r.Check()
	if w.receive(parse(t, presence("late", member_))) || len(w.timers) != 0 || len(w.asked) != 0 {
		t.Error("still alive")
	}
	w.wantSent()
	w.want()
}

// Who comes, goes and changes, with XEP-0045's own examples.
func TestRoom_occupants(t *testing.T) {
	for _, c := range []struct {
		name   string
		get    []string
		events []string
	}{
		{"enters", []string{presence("fourth", member_)}, []string{"entered fourth member participant"}},
		{"shown later", []string{presence("firstwitch", `<item affiliation='owner' role='moderator' jid='crone1@shakespeare.lit/desktop'/>`), presence("firstwitch", owner_)},
			[]string{"changed firstwitch owner moderator crone1@shakespeare.lit/desktop", "changed firstwitch owner moderator crone1@shakespeare.lit/desktop"}},
		{"no item", []string{`<presence from='` + coven + `/firstwitch'><show>away</show></presence>`, `<presence from='` + coven + `/old'/>`},
			[]string{"changed firstwitch owner moderator", "entered old none participant"}},
		{"items nobody knows", []string{presence("fourth", `<item affiliation='king' role='jester' jid='@'/>`)}, []string{"entered fourth none none"}},
		{"self", []string{presence("thirdwitch", `<item affiliation='none' role='visitor'/>`)}, []string{"self thirdwitch none visitor"}},
		{"forged self", []string{presence("firstwitch", owner_+selfCode)}, []string{"changed firstwitch owner moderator"}},
		{"forged new room", []string{presence("firstwitch", owner_+`<status code='201'/>`)}, []string{"changed firstwitch owner moderator"}},
		{"leaves", []string{`<presence type='unavailable' from='` + coven + `/firstwitch'><status>bye</status></presence>`}, []string{`left firstwitch parted saying "bye"`}},
		{"leaves twice", []string{unavailable("firstwitch", ""), unavailable("firstwitch", "")}, []string{"left firstwitch parted"}},
		{"stranger leaves", []string{unavailable("nobody", `<status code='303'/>`)}, nil},
		{"kicked", []string{unavailable("firstwitch", `<item affiliation='none' role='none'><actor nick='Fluellen' jid='fluellen@shakespeare.lit'/><reason>Avaunt, you cullion!</reason></item><status code='307'/>`)},
			[]string{`left firstwitch kicked by Fluellen<fluellen@shakespeare.lit> "Avaunt, you cullion!"`}},
		{"banned", []string{unavailable("firstwitch", `<item affiliation='outcast' role='none'><actor nick='Darcy'/><reason>Treason</reason></item><status code='301'/>`)},
			[]string{`left firstwitch banned by Darcy<> "Treason"`}},
		{"affiliation lost", []string{unavailable("firstwitch", `<status code='321'/>`)}, []string{"left firstwitch not affiliated"}},
		{"members only", []string{unavailable("firstwitch", `<status code='322'/>`)}, []string{"left firstwitch members only"}},
		{"shutdown", []string{unavailable("firstwitch", `<status code='332'/>`)}, []string{"left firstwitch shutdown"}},
		{"failed", []string{unavailable("firstwitch", `<status code='307'/><status code='333'/>`)}, []string{"left firstwitch disconnected"}},
		{"renamed", []string{unavailable("firstwitch", `<item affiliation='owner' role='moderator' nick='oldhag'/><status code='303'/>`), presence("oldhag", owner_)},
			[]string{"renamed firstwitch oldhag", "changed oldhag owner moderator"}},
		{"renamed to nothing", []string{unavailable("firstwitch", `<item/><status code='303'/>`)}, []string{"left firstwitch parted"}},
		{"renamed to what is none", []string{unavailable("firstwitch", `<item nick='`+strings.Repeat("a", 2000)+`'/><status code='303'/>`)}, []string{"left firstwitch parted"}},
		{"renamed to us", []string{unavailable("firstwitch", `<item nick='thirdwitch'/><status code='303'/>`)}, []string{"left firstwitch parted"}},
		{"renamed to another", []string{unavailable("firstwitch", `<item nick='secondwitch'/><status code='303'/>`)}, []string{"left secondwitch disconnected", "renamed firstwitch secondwitch"}},
		{"renamed to the same", []string{unavailable("firstwitch", `<item nick='firstwitch'/><status code='303'/>`)}, nil},
		{"self renamed", []string{unavailable("thirdwitch", `<item affiliation='member' jid='`+hag66+`' role='participant' nick='oldhag'/><status code='303'/>`+selfCode), presence("oldhag", member_+selfCode)},
			[]string{"renamed thirdwitch oldhag", "self oldhag member participant"}},
		{"another under the same nick", []string{presence("fourth", `<item jid='a@x/1'/>`), presence("fourth", `<item jid='a@x/2'/>`), presence("fourth", `<item jid='b@x/1'/>`)},
			[]string{"entered fourth none none a@x/1", "changed fourth none none a@x/2", "left fourth disconnected", "entered fourth none none b@x/1"}},
		{"other types", []string{`<presence type='subscribe' from='` + coven + `/firstwitch'/>`, `<presence type='error' from='` + coven + `/firstwitch'/>`}, nil},
		{"we are kicked", []string{unavailable("thirdwitch", `<item role='none'><actor nick='Fluellen'/><reason>Avaunt</reason></item><status code='307'/>`+selfCode), presence("late", "")},
			[]string{`ended kicked by Fluellen<> "Avaunt"`}},
		{"we are banned", []string{unavailable("thirdwitch", `<status code='301'/><status code='307'/>`)}, []string{"ended banned"}},
		{"we are no member", []string{unavailable("thirdwitch", `<status code='321'/>`)}, []string{"ended not affiliated"}},
		{"for members only", []string{unavailable("thirdwitch", `<status code='322'/>`)}, []string{"ended members only"}},
		{"service stops", []string{unavailable("thirdwitch", `<status code='332'/>`)}, []string{"ended shutdown"}},
		{"we failed", []string{unavailable("thirdwitch", `<status code='333'/>`)}, []string{"ended disconnected"}},
		{"we are gone", []string{`<presence type='unavailable' from='` + coven + `/thirdwitch'/>`}, []string{"ended parted"}},
		{"destroyed", []string{unavailable("thirdwitch", `<item affiliation='none' role='none'/><destroy jid='coven2@chat.shakespeare.lit'><reason>Macbeth doth come.</reason><password>x</password></destroy>`)},
			[]string{`ended destroyed "Macbeth doth come." to coven2@chat.shakespeare.lit x`}},
		{"destroyed without more", []string{unavailable("thirdwitch", `<destroy jid='@'/>`)}, []string{"ended destroyed"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.enter(Entry{})
			for _, s := range c.get {
				w.receive(parse(t, s))
			}
			w.want(c.events...)
		})
	}
}

func TestRoom_stanzasOfOthers(t *testing.T) {
	w := newWorld(t)
	foreign := []string{
		`<presence from='other@chat.shakespeare.lit/thirdwitch' type='unavailable'/>`, `<presence/>`, `<presence from='@'/>`,
		`<presence from='coven@chat.shakespeare.lit/'/>`, `<message from='other@chat.shakespeare.lit/a' type='groupchat'><body>a</body></message>`,
	}
	for _, s := range append(foreign, presence("thirdwitch", selfCode)) {
		if w.receive(parse(t, s)) {
			t.Errorf("taken before we want to enter: %s", s)
		}
	}
	w.enter(Entry{})
	for _, s := range foreign {
		if w.receive(parse(t, s)) {
			t.Errorf("taken: %s", s)
		}
	}
	w.want()
}

func TestRoom_messages(t *testing.T) {
	const from = `<message from='` + coven
	for _, c := range []struct{ name, in, event string }{
		{"from one", from + `/firstwitch' type='groupchat' id='1'><body>a</body></message>`, `message groupchat firstwitch "a" own=false`},
		{"own", from + `/thirdwitch' type='groupchat'><body>a</body></message>`, `message groupchat thirdwitch "a" own=true`},
		{"from who has left", from + `/nobody' type='groupchat'><body>a</body></message>`, `message groupchat nobody "a" own=false`},
		{"from the room", from + `' type='groupchat'><body>a</body></message>`, `message groupchat  "a" own=false`},
		{"no body", from + `/firstwitch' type='groupchat'><properties xmlns='p'/></message>`, `message groupchat firstwitch "" own=false`},
		{"private", from + `/firstwitch' type='chat'><body>a</body><x xmlns='http://jabber.org/protocol/muc#user'/></message>`, `message chat firstwitch "a" own=false`},
		{"private, our nick", from + `/thirdwitch' type='chat'><body>a</body></message>`, `message chat thirdwitch "a" own=false`},
		{"subject", from + `/secondwitch' type='groupchat'><subject>Fire Burn!</subject></message>`, `subject "Fire Burn!" secondwitch`},
		{"subject with body", from + `/secondwitch' type='groupchat'><subject>Fire</subject><body>a</body></message>`, `message groupchat secondwitch "a" own=false`},
		{"private with subject", from + `/secondwitch' type='chat'><subject>Fire</subject></message>`, `message chat secondwitch "" own=false`},
		{"not anonymous any more", from + `' type='groupchat'><x xmlns='http://jabber.org/protocol/muc#user'><status code='172'/></x></message>`, "reconfigured"},
		{"forged by one", from + `/firstwitch' type='groupchat'><x xmlns='http://jabber.org/protocol/muc#user'><status code='172'/></x></message>`, `message groupchat firstwitch "" own=false`},
		{"declined", from + `'><x xmlns='http://jabber.org/protocol/muc#user'><decline from='hecate@shakespeare.lit'><reason>Sorry</reason></decline></x></message>`, `declined hecate@shakespeare.lit "Sorry"`},
		{"forged decline", from + `/firstwitch' type='chat'><x xmlns='http://jabber.org/protocol/muc#user'><decline from='hecate@shakespeare.lit'/></x></message>`, `message chat firstwitch "" own=false`},
		{"failed", from + `' type='error' id='7'><error type='auth'><forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>`, "failed 7  forbidden"},
		{"private failed", from + `/gone' type='error' id='7'><error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>`, "failed 7 gone item-not-found"},
		{"forged copy", from + `/firstwitch' type='groupchat'><sent xmlns='urn:xmpp:carbons:2'/><body>a</body></message>`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.enter(Entry{})
			w.get(c.in)
			if c.event == "" {
				w.want()
			} else {
				w.want(c.event)
			}
			w.wantAsked()
		})
	}
}

func TestRoom_subjectIsKept(t *testing.T) {
	w := newWorld(t)
	w.enter(Entry{})
	w.get(`<message from='` + coven + `/secondwitch' type='groupchat'><subject>Fire Burn!</subject><delay xmlns='urn:xmpp:delay' from='` + coven + `' stamp='2002-10-13T23:58:37Z'/></message>`)
	if s := w.r.Subject(); s.Text != "Fire Burn!" || s.Nick != "secondwitch" || s.Message.Stamp.Year() != 2002 {
		t.Errorf("subject %+v", s)
	}
}

func TestRoom_invitationIsLeftToOthers(t *testing.T) {
	w := newWorld(t)
	w.enter(Entry{})
	if w.receive(parse(t, `<message from='`+coven+`'><x xmlns='http://jabber.org/protocol/muc#user'><invite from='crone1@shakespeare.lit'/></x></message>`)) {
		t.Error("taken")
	}
	w.want()
}

func TestRoom_messagesWaitForJoined(t *testing.T) {
	w := newWorld(t)
	w.join(Entry{})
	w.get(`<message from='` + coven + `' type='error' id='1'/>`)
	for range maxHeld + 10 {
		w.get(`<message from='` + coven + `/firstwitch' type='groupchat'><body>a</body></message>`)
	}
	w.want()
	w.get(presence("thirdwitch", member_+selfCode))
	if len(w.log) != 1+maxHeld || w.log[0] != "joined thirdwitch" {
		t.Errorf("%d events, first %q", len(w.log), w.log[0])
	}

	w = newWorld(t)
	w.join(Entry{})
	w.get(`<message from='`+coven+`/firstwitch' type='groupchat'><body>a</body></message>`, `<message from='`+coven+`/firstwitch' type='groupchat'><body>b</body></message>`)
	w.on["message"] = w.r.Close
	w.get(presence("thirdwitch", member_+selfCode))
	w.want("joined thirdwitch", `message groupchat firstwitch "a" own=false`)
}

// Callbacks that leave or close the room in the middle of things.
func TestRoom_leftInCallback(t *testing.T) {
	leave := func(w *world) func() { return func() { w.r.Leave("") } }
	for _, c := range []struct {
		name, event string
		get         []string
		want        []string
	}{
		{"joined", "joined", nil, []string{"joined firstwitch,secondwitch,thirdwitch"}},
		{"replaced", "left", []string{presence("firstwitch", `<item jid='a@x/1'/>`), presence("firstwitch", `<item jid='b@x/1'/>`)},
			[]string{"joined firstwitch,secondwitch,thirdwitch", "changed firstwitch none none a@x/1", "left firstwitch disconnected"}},
		{"renamed onto another", "left", []string{unavailable("firstwitch", `<item nick='secondwitch'/><status code='303'/>`)},
			[]string{"joined firstwitch,secondwitch,thirdwitch", "left secondwitch disconnected"}},
		{"renamed", "renamed", []string{unavailable("thirdwitch", `<item nick='b'/><status code='303'/>`), presence("b", selfCode)},
			[]string{"joined firstwitch,secondwitch,thirdwitch", "renamed thirdwitch b"}},
	} {
		for how, act := range map[string]func(w *world) func(){"leave": leave, "close": func(w *world) func() { return w.r.Close }} {
			t.Run(c.name+" "+how, func(t *testing.T) {
				w := newWorld(t)
				w.join(Entry{})
				w.on[c.event] = act(w)
				for _, s := range append([]string{presence("firstwitch", ""), presence("secondwitch", ""), presence("thirdwitch", selfCode)}, c.get...) {
					w.receive(parse(t, s))
				}
				w.want(c.want...)
			})
		}
	}
}

func TestRoom_updatePresence(t *testing.T) {
	w := newWorld(t)
	tubes := 0
	w.enter(Entry{Presence: func() *stanza.Element {
		tubes++
		return stanza.New(stanza.NSClient, "presence", stanza.New("tubes", "tubes", stanza.A("n", fmt.Sprint(tubes))))
	}})
	w.r.UpdatePresence()
	w.wantSent(`<presence to='coven@chat.shakespeare.lit/thirdwitch' id='update'><tubes xmlns='tubes' n='2'/></presence>`)
}
