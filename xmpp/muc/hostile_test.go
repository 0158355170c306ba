package muc

import (
	"fmt"
	"strings"
	"testing"

	"telepathy-olpc/xmpp/stanza"
)

func TestRoom_thousandJoinAtOnce(t *testing.T) {
	w := newWorld(t)
	w.enter(Entry{})
	for i := range 1000 {
		w.get(presence(fmt.Sprint("child", i), fmt.Sprintf(`<item affiliation='none' role='participant' jid='child%d@school.test/sugar'/>`, i)))
	}
	if len(w.log) != 1000 || len(w.r.Occupants()) != 1003 {
		t.Errorf("%d events, %d occupants", len(w.log), len(w.r.Occupants()))
	}
	w.checkMirror()
}

func TestRoom_nicksThatAreNone(t *testing.T) {
	w := newWorld(t)
	w.enter(Entry{})
	for i := range 5000 {
		for _, nick := range []string{"", strings.Repeat("a", 1024+i)} {
			if w.receive(parse(t, presence(nick, member_))) {
				t.Fatalf("taken: %.20q", nick)
			}
		}
	}
	w.want()
}

func TestRoom_tooManyOccupants(t *testing.T) {
	w := newWorld(t)
	w.join(Entry{})
	for i := range maxOccupants + 100 {
		w.get(presence(fmt.Sprint("child", i), member_))
	}
	w.get(presence("thirdwitch", member_+selfCode))
	w.log = nil
	if len(w.r.Occupants()) != maxOccupants+1 {
		t.Errorf("%d occupants", len(w.r.Occupants()))
	}
	w.get(presence("child10050", member_), unavailable("child10050", ""), presence("child5", owner_), unavailable("child6", ""), unavailable("child7", ""), presence("late", member_))
	w.want("changed child5 owner moderator", "left child6 parted", "left child7 parted", "entered late member participant")
	w.get(unavailable("thirdwitch", `<item nick='b'/><status code='303'/>`))
	w.want("renamed thirdwitch b")
}

// Presences beyond the limit are told but not kept.
func TestRoom_enormousPresences(t *testing.T) {
	w := newWorld(t)
	w.enter(Entry{})
	big := stanza.New("x", "big", stanza.Text(strings.Repeat("a", maxPresenceBytes/10)))
	for i := range 20 {
		from := stanza.A("from", coven+fmt.Sprintf("/child%02d", i))
		w.receive(stanza.New(stanza.NSClient, "presence", from, big))
		w.receive(stanza.New(stanza.NSClient, "presence", from, big, big))
	}
	kept, sum := 0, 0
	for _, o := range w.r.Occupants() {
		if o.Presence != nil {
			kept++
			sum += weigh(o.Presence)
		}
	}
	if sum > maxPresenceBytes || sum != w.r.weight || kept < 3+4 {
		t.Errorf("%d presences with %d bytes are kept, %d on the books", kept, sum, w.r.weight)
	}
	if got := w.mirror["child19"].Presence; got == nil {
		t.Error("not told")
	}
	for i := range 20 {
		w.get(unavailable(fmt.Sprintf("child%02d", i), ""))
	}
	w.get(unavailable("firstwitch", ""), unavailable("secondwitch", ""))
	if own, _ := w.r.Occupant("thirdwitch"); w.r.weight != weigh(own.Presence) {
		t.Errorf("%d bytes on the books with nobody there but us", w.r.weight)
	}
}

func TestRoom_manyStatuses(t *testing.T) {
	w := newWorld(t)
	w.enter(Entry{})
	w.get(unavailable("firstwitch", strings.Repeat(`<status code='1'/><status/><status code='99999999999999999999'/>`, 1000)+`<status code='301'/>`))
	w.want("left firstwitch parted")
}

// FuzzRoom asserts that whatever a room sends, in any order, with timers and
// answers in between, events and books agree: Joined and Ended come at most
// once, nothing follows Ended, nobody enters twice or leaves without having
// been there.
func FuzzRoom(f *testing.F) {
	head := presence("firstwitch", owner_) + presence("thirdwitch", member_+selfCode)
	for _, s := range []string{
		head, presence("thirdwitch", owner_+selfCode+`<status code='201'/>`),
		head + presence("firstwitch", `<item jid='a@b/c'/>`) + presence("firstwitch", `<item jid='d@b/c'/>`),
		head + unavailable("firstwitch", `<item nick='b'/><status code='303'/>`) + unavailable("thirdwitch", `<item nick='b'/><status code='303'/>`) + presence("b", selfCode),
		head + unavailable("thirdwitch", `<destroy jid='a@b'/>`) + presence("late", member_),
		refusal("thirdwitch", "join-1", "conflict") + presence("thirdwitch", member_) + presence("thirdwitch_", selfCode),
		head + `<timer/><timer/><refuse/>` + refusal("thirdwitch", "join-2", "conflict") + presence("thirdwitch", member_) + presence("x", selfCode),
		head + `<message type='error' from='` + coven + `'><error><not-acceptable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message><refuse/>` + presence("thirdwitch", selfCode),
		head + `<message type='groupchat' from='` + coven + `/a'><subject/></message><leave/>` + unavailable("thirdwitch", ""),
		presence("thirdwitch", owner_+selfCode+`<status code='201'/>`) + `<answer>` + form(`<field var='muc#roomconfig_whois'/>`) + `</answer><answer/>`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		w := newWorld(t)
		w.join(Entry{Settings: ForActivity()})
		r := stanza.NewReader(strings.NewReader(in), stanza.Limits{})
		for {
			e, err := r.Next()
			if err != nil {
				break
			}
			w.play(e)
			w.checkMirror()
			if w.r.weight < 0 || len(w.r.held) > maxHeld {
				t.Fatalf("weight %d, %d held", w.r.weight, len(w.r.held))
			}
		}
		if n := strings.Count("\n"+strings.Join(w.log, "\n"), "\njoined"); n > 1 {
			t.Errorf("joined %d times", n)
		}
		w.r.Close()
		if len(w.timers) != 0 {
			t.Errorf("timers left behind")
		}
	})
}

// play does what an element of a fuzzer's script says.
func (w *world) play(e *stanza.Element) {
	switch e.Local() {
	case "timer":
		for label := range w.timers {
			w.fire(label)
			return
		}
	case "leave":
		w.r.Leave("")
	case "refuse", "answer":
		if len(w.open) == 0 {
			return
		}
		if e.Local() == "refuse" {
			w.refuse(stanza.ItemNotFound)
		} else {
			w.reply(e, nil)
		}
	default:
		w.receive(e)
	}
}

// BenchmarkRoom_join is what a child waits for who comes into a full room: its
// occupants' presences, as a school's ejabberd sends them.
func BenchmarkRoom_join(b *testing.B) {
	for _, n := range []int{50, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var list []*stanza.Element
			for i := range n {
				list = append(list, parse(b, `<presence xml:lang='en' to='`+hag66+`' from='`+coven+fmt.Sprintf("/child%d", i)+`'><x xmlns='vcard-temp:x:update'><photo/></x>`+
					`<tubes xmlns='http://telepathy.freedesktop.org/xmpp/tubes'/><x xmlns='http://jabber.org/protocol/muc#user'>`+
					fmt.Sprintf(`<item jid='child%d@school.test/sugar' role='participant' affiliation='none'/></x></presence>`, i)))
			}
			list = append(list, parse(b, presence("thirdwitch", member_+selfCode)))
			b.ReportAllocs()
			for b.Loop() {
				w := newWorld(b)
				w.join(Entry{})
				for _, e := range list {
					w.r.HandlePresence(e)
				}
				if len(w.mirror) != n+1 {
					b.Fatal("not joined")
				}
			}
		})
	}
}

// BenchmarkRoom_message is one message of many in a room.
func BenchmarkRoom_message(b *testing.B) {
	w := newWorld(b)
	w.r.cfg.Events.Message = func(Message) {}
	w.join(Entry{})
	w.get(presence("thirdwitch", member_+selfCode))
	e := parse(b, `<message xml:lang='en' to='`+hag66+`' from='`+coven+`/firstwitch' type='groupchat' id='9d31'><active xmlns='http://jabber.org/protocol/chatstates'/><body>hello from A</body></message>`)
	b.ReportAllocs()
	for b.Loop() {
		w.r.HandleMessage(e)
	}
}
