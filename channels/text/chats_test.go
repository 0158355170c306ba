package text

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"telepathy-olpc/channels"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/chat"
)

const (
	body      = "<body>hello</body>"
	composing = "<composing xmlns='" + chat.NSStates + "'/>"
	active    = "<active xmlns='" + chat.NSStates + "'/>"
	gone      = "<gone xmlns='" + chat.NSStates + "'/>"
	delay     = "<delay xmlns='urn:xmpp:delay' stamp='1999-12-31T00:00:00Z'/>"
	wanted    = "<request xmlns='" + chat.NSReceipts + "'/>"
)

// told is what clients hear of [body] when it is message n.
func told(path string, n int, extra ...string) []string {
	header := append([]string{
		"message-received=946684800", "message-sender=2", `message-sender-id="bob@school.test"`,
		"message-type=0", fmt.Sprintf("pending-message-id=%d", n),
	}, extra...)
	slices.SortFunc(header, func(a, b string) int {
		return strings.Compare(strings.Split(a, "=")[0], strings.Split(b, "=")[0])
	})
	return []string{
		fmt.Sprintf(`%s MessageReceived [{%s} {content="hello" content-type="text/plain"}]`, path, strings.Join(header, " ")),
		fmt.Sprintf(`%s Received %d 946684800 2 0 0 "hello"`, path, n),
	}
}

func sentText(to, content string) string {
	return "send <message to='" + to + "' type='chat' id='TOKEN'>" + content + "</message>"
}

func sentState(to, content string) string {
	return "send <message to='" + to + "' type='chat'>" + content + "</message>"
}

// expectSent has bob's chat say something and compares where it goes.
func (r *rig) expectSent(d *dialogue, want string) {
	r.t.Helper()
	r.say(d, Outgoing{Text: "hello"})
	if len(r.log) == 0 || r.log[0] != want {
		r.t.Errorf("want %s\nlog:\n%s", want, strings.Join(r.log, "\n"))
	}
	r.log = nil
}

func TestChats_request(t *testing.T) {
	run(t, func(r *rig) {
		d := r.request(bob)
		r.expect("opened /ImChannel1 with bob@school.test, initiator 1, requested true")
		if r.request(bob) != d {
			t.Error("another chat")
		}
		r.expect()
		r.chats.Request(&channels.Request{
			Kind:   tp.InterfaceChannelText.Name,
			Target: channels.Target{Type: tp.HandleTypeContact, Handle: bob, ID: bobBare},
			Answer: func(*channels.Channel, bool) { t.Error("a second channel is created") },
			Fail:   func(err error) { wantError(t, err, tp.ErrorNotAvailable) },
		})
		names := d.Channel.Details()[tp.PropertyChannelInterfaces].Value()
		want := []string{tp.InterfaceChannelMessages.Name, tp.InterfaceChannelChatState.Name, tp.InterfaceChannelDestroyable.Name}
		if diff := cmp.Diff(want, names); diff != "" {
			t.Errorf("interfaces (-want +got):\n%s", diff)
		}
		members := r.property(d.Channel.Path, tp.InterfaceChannelGroup, "Members")
		if diff := cmp.Diff([]uint32{me, bob}, members); diff != "" {
			t.Errorf("members (-want +got):\n%s", diff)
		}
	})
}

func TestChats_firstMessage(t *testing.T) {
	run(t, func(r *rig) {
		r.receive(chatFrom(bobSugar, body))
		r.expect(append([]string{"opened /ImChannel1 with bob@school.test, initiator 2, requested false"}, told("/ImChannel1", 1)...)...)
		r.receive("<message from='bob@school.test/phone' id='m2'>" + body + "<nick xmlns='http://jabber.org/protocol/nick'>Bobby</nick></message>")
		r.expect(told("/ImChannel1", 2, `message-token="m2"`, `sender-nickname="Bobby"`)...)
	})
}

// What opens no chat.
func TestChats_nothingToRead(t *testing.T) {
	run(t, func(r *rig) {
		for name, xml := range map[string]string{
			"state":             chatFrom(bobSugar, composing),
			"gone":              chatFrom(bobSugar, gone),
			"receipt":           chatFrom(bobSugar, "<received xmlns='"+chat.NSReceipts+"' id='1'/>"),
			"error":             "<message from='bob@school.test' type='error'>" + body + "</message>",
			"in a room":         "<message from='r@rooms.test/bob' type='groupchat'>" + body + "</message>",
			"of the room":       "<message from='r@rooms.test'>" + body + "</message>",
			"forged carbon":     chatFrom("mallory@school.test/x", body+"<received xmlns='urn:xmpp:carbons:2'/>"),
			"forged sent":       chatFrom("mallory@school.test/x", body+"<sent xmlns='urn:xmpp:carbons:2'/>"),
			"receipt requested": chatFrom(bobSugar, wanted),
		} {
			if r.receive(xml) {
				t.Errorf("%s is taken", name)
			}
			if len(r.open) > 0 {
				t.Fatalf("%s opens a chat", name)
			}
		}
	})
}

func TestChats_kinds(t *testing.T) {
	run(t, func(r *rig) {
		for _, c := range []struct{ xml, want string }{
			{"<message from='bob@school.test/x' type='headline'>" + body + "</message>", `1 946684800 2 2 0 "hello"`},
			{"<message from='bob@school.test/x'>" + body + "</message>", `2 946684800 2 0 0 "hello"`},
			{chatFrom(bobSugar, "<body>/me laughs</body>"), `3 946684800 2 1 0 "laughs"`},
			{chatFrom(bobSugar, "<body/>"), `4 946684800 2 0 0 ""`},
			{chatFrom(bobSugar, body+delay), `5 946684800 2 0 0 "hello"`},
		} {
			r.receive(c.xml)
			if got := r.log[len(r.log)-1]; got != "/ImChannel1 Received "+c.want {
				t.Errorf("%s is told as %s", c.xml, got)
			}
		}
		if sent := r.chats.open[jidOf(bobBare)].pendingMessages()[4][0][keySent].Value(); sent != int64(946598400) {
			t.Errorf("delayed since %v", sent)
		}
		r.log = nil
		r.receive("<message type='headline'><body>Down at five</body></message>")
		if r.log[0] != "opened /ImChannel2 with me@school.test, initiator 1, requested false" {
			t.Errorf("log: %v", r.log)
		}
		r.log = nil
	})
}

// Strangers can't take the places of those whom the user knows.
func TestChats_bounded(t *testing.T) {
	run(t, func(r *rig) {
		write := func(who string) {
			r.receive(chatFrom(who+"/x", body))
		}
		r.quiet = true
		for n := range maxStrangers {
			write(fmt.Sprintf("stranger%d@away.test", n))
		}
		r.quiet = false
		write("late@away.test")
		r.expect("send <message to='late@away.test/x' type='error'><error type='wait'><resource-constraint xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>")
		r.receive("<message from='late@away.test/x' type='error'>" + body + "</message>")
		r.expect()
		r.quiet = true
		r.receive(chatFrom("stranger1@away.test/x", body)) // has a place
		for n := range maxChats {
			who := fmt.Sprintf("friend%d@school.test", n)
			r.seesUs[who] = true
			write(who)
		}
		if len(r.open) != maxChats {
			t.Errorf("%d chats are open", len(r.open))
		}
		r.request(r.handles.Contacts.Ensure(jidOf("own-choice@school.test")))
		if len(r.open) != maxChats+1 {
			t.Errorf("%d chats are open", len(r.open))
		}
	})
}

func TestChats_device(t *testing.T) {
	run(t, func(r *rig) {
		d := r.bobsChat()
		hello := "<body>hello</body>"
		r.expectSent(d, sentText(bobBare, hello+active))
		receive := func(xml string) {
			r.receive(xml)
			r.log = nil
		}
		receive(chatFrom(bobSugar, body+active))
		r.expectSent(d, sentText(bobSugar, hello+active))
		receive(chatFrom(bobPhone, body)) // the latest, and it reads no states
		r.expectSent(d, sentText(bobPhone, hello))
		receive(chatFrom(bobSugar, composing)) // a person at another one
		r.expectSent(d, sentText(bobSugar, hello+active))

		for name, xml := range map[string]string{
			"kept on the way": chatFrom(bobPhone, body+delay),
			"headline":        "<message from='bob@school.test/phone' type='headline'>" + body + "</message>",
			"error":           "<message from='bob@school.test/phone' type='error'/>",
			"receipt":         chatFrom(bobPhone, "<received xmlns='"+chat.NSReceipts+"' id='1'/>"),
		} {
			receive(xml)
			t.Log(name)
			r.expectSent(d, sentText(bobSugar, hello+active))
		}
		r.chats.Seen(jidOf(bobPhone))
		r.expectSent(d, sentText(bobBare, hello+active))
		receive(chatFrom(bobSugar, body+active))
		r.chats.Left(jidOf(bobSugar))
		r.log = nil
		r.expectSent(d, sentText(bobBare, hello+active))
		receive(chatFrom(bobSugar, body+active))
		receive(chatFrom(bobSugar, gone))
		r.expectSent(d, sentText(bobBare, hello+active))
		r.chats.Seen(jidOf("eve@school.test/x"))
		r.chats.Left(jidOf("eve@school.test/x"))
	})
}

func TestChats_send(t *testing.T) {
	run(t, func(r *rig) {
		d := r.bobsChat()
		r.say(d, Outgoing{Text: "<\x00>", Receipt: true})
		r.expect(
			sentText(bobBare, "<body>&lt;\uFFFD&gt;</body>"+active+wanted), "reply",
			`/ImChannel1 MessageSent [{message-sender=1 message-sender-id="me@school.test" message-sent=946684800 message-token="TOKEN" message-type=0} {content="<`+"\uFFFD"+`>" content-type="text/plain"}] 1 "TOKEN"`,
			`/ImChannel1 Sent 946684800 0 "<`+"\uFFFD"+`>"`,
			`/ImChannel1 ChatStateChanged 1 2`)
		r.say(d, Outgoing{Type: tp.ChannelTextMessageTypeNotice, Text: "a"})
		if r.log[0] != "send <message to='bob@school.test' type='normal' id='TOKEN'><body>a</body></message>" {
			t.Errorf("notice: %s", r.log[0])
		}
		r.log = nil
	})
}

// A private message in a room belongs to a chat with the occupant.
func TestChats_occupant(t *testing.T) {
	run(t, func(r *rig) {
		const ann = "r@rooms.test/ann"
		r.receive(chatFrom(ann, body+wanted))
		r.receive("<message from='" + ann + "' type='chat' id='m2'>" + body + wanted + "</message>")
		if want := "opened /ImChannel1 with r@rooms.test/ann, initiator 3, requested false"; r.log[0] != want {
			t.Errorf("%s, want %s", r.log[0], want)
		}
		if want := "send <message to='" + ann + "' type='chat'><received xmlns='urn:xmpp:receipts' id='m2'/></message>"; r.log[len(r.log)-1] != want {
			t.Errorf("%s, want %s", r.log[len(r.log)-1], want)
		}
		r.log = nil
		private := "<x xmlns='" + nsMUCUser + "'/>"
		d := r.chats.open[jidOf(ann)]
		r.expectSent(d, sentText(ann, "<body>hello</body>"+private))
		r.receive(chatFrom(ann, body+active))
		r.log = nil
		r.expectSent(d, sentText(ann, "<body>hello</body>"+active+private))
		r.receive("<message from='" + ann + "' type='chat'>" + gone + "</message>")
		r.log = nil
		r.expectSent(d, sentText(ann, "<body>hello</body>"+active+private))
	})
}

// That a message has arrived tells that we are on-line.
func TestChats_receipts(t *testing.T) {
	run(t, func(r *rig) {
		d := r.bobsChat()
		ask := "<message from='" + bobSugar + "' type='chat' id='m1'>" + body + wanted + "</message>"
		r.receive(ask)
		r.expect(told("/ImChannel1", 1, `message-token="m1"`)...)
		r.seesUs[bobBare] = true
		r.receive(ask)
		r.expect(append(told("/ImChannel1", 2, `message-token="m1"`),
			"send <message to='bob@school.test/sugar' type='chat'><received xmlns='urn:xmpp:receipts' id='m1'/></message>")...)

		r.quiet = true
		token := r.say(d, Outgoing{Text: "a", Receipt: true})
		r.quiet = false
		r.receive(chatFrom("eve@school.test/x", "<received xmlns='"+chat.NSReceipts+"' id='"+token+"'/>"))
		r.expect()
		r.receive(chatFrom(bobPhone, "<received xmlns='"+chat.NSReceipts+"' id='"+token+"'/>"))
		if len(r.log) != 2 || !strings.Contains(r.log[0], "delivery-status=1") {
			t.Errorf("log: %v", r.log)
		}
		r.log = nil
	})
}

func TestChats_error(t *testing.T) {
	run(t, func(r *rig) {
		d := r.bobsChat()
		r.quiet = true
		token := r.say(d, Outgoing{Text: "a"})
		r.quiet = false
		back := func(from, id string) string {
			return "<message from='" + from + "' type='error' id='" + id + "'>" + body + composing +
				"<error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>"
		}
		r.receive(back("eve@school.test", token))
		r.receive(back(bobBare, "forged"))
		r.receive(back(bobBare, ""))
		r.expect()
		r.receive(back(bobBare, token))
		if len(r.log) != 3 || r.log[2] != `/ImChannel1 SendError 1 946684800 0 "a"` {
			t.Errorf("log: %v", r.log)
		}
		r.log = nil
	})
}

func TestChats_states(t *testing.T) {
	run(t, func(r *rig) {
		d := r.bobsChat()
		set := func(s tp.ChannelChatState) {
			t.Helper()
			if err := d.changeState(s); err != nil {
				t.Errorf("state %d: %v", s, err)
			}
		}
		set(tp.ChannelChatStateInactive) // as it is
		r.expect()
		set(tp.ChannelChatStateComposing)
		r.expect("/ImChannel1 ChatStateChanged 1 4") // who knows whether bob reads it
		r.features[bobBare+" "+chat.NSStates] = true
		set(tp.ChannelChatStatePaused)
		r.expect(sentState(bobBare, "<paused xmlns='"+chat.NSStates+"'/>"), "/ImChannel1 ChatStateChanged 1 3")
		wantError(t, d.changeState(tp.ChannelChatStateGone), tp.ErrorInvalidArgument)
		wantError(t, d.changeState(5), tp.ErrorInvalidArgument)
		wantError(t, d.changeState(1<<31), tp.ErrorInvalidArgument)

		r.receive(chatFrom(bobSugar, composing))
		r.receive(chatFrom(bobSugar, composing))
		r.expect("/ImChannel1 ChatStateChanged 2 4")
		want := map[uint32]tp.ChannelChatState{me: tp.ChannelChatStatePaused, bob: tp.ChannelChatStateComposing}
		if diff := cmp.Diff(want, r.property("/ImChannel1", tp.InterfaceChannelChatState, "ChatStates")); diff != "" {
			t.Errorf("ChatStates (-want +got):\n%s", diff)
		}
		set(tp.ChannelChatStateActive)
		r.expect(sentState(bobSugar, active), "/ImChannel1 ChatStateChanged 1 2")

		r.receive(chatFrom(bobSugar, body)) // composed, but not by a client that says so
		r.expect(append(told("/ImChannel1", 1), "/ImChannel1 ChatStateChanged 2 2")...)
		set(tp.ChannelChatStateComposing)
		r.expect("/ImChannel1 ChatStateChanged 1 4")
		r.receive(chatFrom(bobSugar, composing+delay)) // long ago
		r.expect()
		r.receive(chatFrom(bobSugar, composing))
		r.expect("/ImChannel1 ChatStateChanged 2 4")
		r.chats.Left(jidOf(bobPhone))
		r.expect()
		r.receive(chatFrom(bobSugar, composing))
		r.chats.Left(jidOf(bobSugar))
		r.expect("/ImChannel1 ChatStateChanged 2 1")
		set(tp.ChannelChatStateInactive)
		if states := d.chatStates(); len(states) != 0 {
			t.Errorf("all are inactive, but %v", states)
		}
		r.log = nil
	})
}

func TestChats_close(t *testing.T) {
	run(t, func(r *rig) {
		d := r.bobsChat()
		d.close(true)
		r.expect("closed /ImChannel1") // bob has never heard of it
		d = r.request(bob)
		r.expect("opened /ImChannel2 with bob@school.test, initiator 1, requested true")
		r.receive(chatFrom(bobSugar, composing))
		r.say(d, Outgoing{Text: "a"})
		r.log = nil
		d.close(true)
		r.expect(sentState(bobSugar, gone), "closed /ImChannel2")
		r.receive(chatFrom(bobSugar, composing))
		r.expect()
	})
}

// Closed with a message nobody has acknowledged, a chat comes back with it,
// until it is destroyed.
func TestChats_rescue(t *testing.T) {
	run(t, func(r *rig) {
		d := r.bobsChat()
		r.receive(chatFrom(bobSugar, body))
		r.say(d, Outgoing{Text: "a"})
		r.log = nil
		d.close(true)
		r.expect("closed /ImChannel1", "opened /ImChannel2 with bob@school.test, initiator 2, requested false")
		if got := d.list(false); len(got) != 1 || got[0].Flags != tp.ChannelTextMessageFlagsRescued {
			t.Errorf("pending: %v", got)
		}
		if rescued := d.pendingMessages()[0][0][keyRescued].Value(); rescued != true {
			t.Errorf("rescued: %v", rescued)
		}
		r.receive(chatFrom(bobSugar, body))
		r.expect(told("/ImChannel2", 2)...)
		if r.request(bob).Channel.Path != "/ImChannel2" {
			t.Error("a third channel")
		}
		if err := d.acknowledge([]uint32{1}); err != nil {
			t.Error(err)
		}
		d.close(true)
		r.expect("/ImChannel2 PendingMessagesRemoved [1]", "closed /ImChannel2",
			"opened /ImChannel3 with bob@school.test, initiator 2, requested false")
		d.close(false)
		r.expect("closed /ImChannel3")
		if len(r.chats.open)+len(r.open) > 0 {
			t.Error("it is still there")
		}
	})
}

// Sugar acknowledges no reports.
func TestChats_reportsComeNotBack(t *testing.T) {
	run(t, func(r *rig) {
		d := r.bobsChat()
		token := r.say(d, Outgoing{Text: "a", Receipt: true})
		d.Delivered(token)
		r.log = nil
		d.close(true)
		r.expect("closed /ImChannel1")
	})
}
