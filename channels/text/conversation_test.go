package text

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"telepathy-olpc/channels"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/chat"
	"telepathy-olpc/xmpp/stanza"
)

func TestRead(t *testing.T) {
	for _, c := range []struct {
		name string
		in   chat.Message
		want Message
	}{
		{"chat", chat.Message{Type: chat.Chat, ID: "1", Body: "a"}, Message{Token: "1", Text: "a"}},
		{"normal", chat.Message{Type: chat.Normal, Body: "a"}, Message{Text: "a"}},
		{"headline", chat.Message{Type: chat.Headline, Body: "a"}, Message{Type: tp.ChannelTextMessageTypeNotice, Text: "a"}},
		{"in a room", chat.Message{Type: chat.Groupchat, Body: "a"}, Message{Text: "a"}},
		{"XEP-0245", chat.Message{Type: chat.Chat, Body: "/me laughs"}, Message{Type: tp.ChannelTextMessageTypeAction, Text: "laughs"}},
		{"no deed", chat.Message{Type: chat.Chat, Body: "/me"}, Message{Text: "/me"}},
		{"no word", chat.Message{Type: chat.Chat, Body: "/me "}, Message{Text: "/me "}},
		{"another word", chat.Message{Type: chat.Chat, Body: "/meow a"}, Message{Text: "/meow a"}},
		{"not at the beginning", chat.Message{Type: chat.Chat, Body: " /me a"}, Message{Text: " /me a"}},
		{"delayed", chat.Message{Type: chat.Chat, Stamp: time.Unix(5, 0)}, Message{Sent: time.Unix(5, 0)}},
	} {
		if diff := cmp.Diff(c.want, Read(&c.in)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

// What is sent as a deed reads as one.
func TestOutgoing_body(t *testing.T) {
	for _, o := range []Outgoing{{Text: "a"}, {Type: tp.ChannelTextMessageTypeAction, Text: "laughs"}} {
		got := Read(&chat.Message{Type: chat.Chat, Body: o.Body()})
		if got.Type != o.Type || got.Text != o.Text {
			t.Errorf("%+v is read as %+v", o, got)
		}
	}
}

// room is a conversation of several.
func (r *rig) room(send func(Outgoing) error) *Conversation {
	c := New(Config{Handles: &r.handles, Self: r.SelfHandle, Send: send})
	c.Channel = &channels.Channel{Path: "/Room", Type: tp.InterfaceChannelText, Interfaces: c.Interfaces(), Immutable: c.Immutable()}
	c.Channel.Export(r)
	return c
}

func TestReceive(t *testing.T) {
	run(t, func(r *rig) {
		c := r.room(nil)
		c.Receive(Message{Sender: bob, Nickname: "Bob", Token: "m1", Text: "hello"})
		r.expect(
			`/Room MessageReceived [{message-received=946684800 message-sender=2 message-sender-id="bob@school.test" message-token="m1" message-type=0 pending-message-id=1 sender-nickname="Bob"} {content="hello" content-type="text/plain"}]`,
			`/Room Received 1 946684800 2 0 0 "hello"`)
		time.Sleep(time.Minute)
		c.Receive(Message{Type: tp.ChannelTextMessageTypeAction, Sent: time.Unix(86400, 5), Scrollback: true})
		r.expect(
			`/Room MessageReceived [{message-received=946684860 message-sent=86400 message-type=1 pending-message-id=2 scrollback=true} {content="" content-type="text/plain"}]`,
			`/Room Received 2 946684860 0 1 4 ""`)
		if diff := cmp.Diff([]pendingText{{1, epoch, bob, 0, 0, "hello"}, {2, epoch + 60, 0, 1, 4, ""}}, c.list(false)); diff != "" {
			t.Errorf("pending (-want +got):\n%s", diff)
		}
		if got := c.pendingMessages(); len(got) != 2 || show(got[0][1]) != `{content="hello" content-type="text/plain"}` {
			t.Errorf("PendingMessages: %v", got)
		}
	})
}

func TestReceive_tooLong(t *testing.T) {
	run(t, func(r *rig) {
		c := r.room(nil)
		r.quiet = true
		c.Receive(Message{Sender: bob, Text: strings.Repeat("ä", maxText)})
		got := c.list(false)[0]
		if len(got.Text) != maxText || got.Flags != tp.ChannelTextMessageFlagsTruncated {
			t.Errorf("%d bytes, flags %d", len(got.Text), got.Flags)
		}
		if truncated := c.pendingMessages()[0][1][keyTruncated].Value(); truncated != true {
			t.Errorf("truncated: %v", truncated)
		}
	})
}

// Nobody acknowledges: clients that are there hear of every message all the
// same, and of what goes for it.
func TestReceive_overflow(t *testing.T) {
	run(t, func(r *rig) {
		c := r.room(nil)
		r.quiet = true
		for range maxPending {
			c.Receive(Message{Sender: bob, Text: "x"})
		}
		r.quiet = false
		c.Receive(Message{Sender: bob, Text: "y"})
		if len(r.log) != 4 || !strings.HasPrefix(r.log[0], "/Room PendingMessagesRemoved [1 2 3 ") || r.log[1] != "/Room LostMessage " ||
			!strings.HasPrefix(r.log[2], "/Room MessageReceived ") || r.log[3] != `/Room Received 4097 946684800 2 0 0 "y"` {
			t.Errorf("log:\n%s", strings.Join(r.log, "\n"))
		}
		r.log = nil
		wantError(t, c.acknowledge([]uint32{1}), tp.ErrorInvalidArgument)
		if err := c.acknowledge([]uint32{4097}); err != nil {
			t.Error(err)
		}
		r.expect("/Room PendingMessagesRemoved [4097]")
	})
}

func TestAcknowledge(t *testing.T) {
	run(t, func(r *rig) {
		c := r.room(nil)
		r.quiet = true
		for range 4 {
			c.Receive(Message{Sender: bob})
		}
		r.quiet = false
		wantError(t, c.acknowledge([]uint32{1, 9}), tp.ErrorInvalidArgument)
		r.expect()
		if err := errors.Join(c.acknowledge([]uint32{2, 1}), c.acknowledge(nil)); err != nil {
			t.Error(err)
		}
		r.expect("/Room PendingMessagesRemoved [1 2]")
		wantError(t, c.acknowledge([]uint32{1}), tp.ErrorInvalidArgument)
		if got := c.list(true); len(got) != 2 {
			t.Errorf("%d are pending", len(got))
		}
		r.expect("/Room PendingMessagesRemoved [3 4]")
		if got := c.list(true); len(got) != 0 {
			t.Errorf("%d are pending", len(got))
		}
	})
}

// The reply is first, and all say what others will read.
func TestSend(t *testing.T) {
	run(t, func(r *rig) {
		var handed []Outgoing
		c := r.room(func(o Outgoing) error {
			handed = append(handed, o)
			r.note("handed over %s", o.Body())
			return nil
		})
		send := func(o Outgoing) (token string) {
			t.Helper()
			err := c.send(o, func(got string) {
				token = got
				r.note("reply")
			})
			if err != nil || token != handed[len(handed)-1].Token {
				t.Errorf("token %q, handed over %v, error %v", token, handed, err)
			}
			return token
		}
		first := send(Outgoing{Text: "a\x01b\r\n\t"})
		r.expect(
			"handed over a\uFFFDb\r\n\t", "reply",
			`/Room MessageSent [{message-sender=1 message-sender-id="me@school.test" message-sent=946684800 message-token="TOKEN" message-type=0} {content="a`+"\uFFFD"+`b\r\n\t" content-type="text/plain"}] 0 "TOKEN"`,
			`/Room Sent 946684800 0 "a`+"\uFFFD"+`b\r\n\t"`)
		second := send(Outgoing{Type: tp.ChannelTextMessageTypeAction, Text: "laughs", Receipt: true})
		r.expect(
			"handed over /me laughs", "reply",
			`/Room MessageSent [{message-sender=1 message-sender-id="me@school.test" message-sent=946684800 message-token="TOKEN" message-type=1} {content="laughs" content-type="text/plain"}] 1 "TOKEN"`,
			`/Room Sent 946684800 1 "laughs"`)
		if first == second || len(first) < 16 {
			t.Errorf("tokens %q and %q", first, second)
		}
	})
}

// Of what was not sent nobody hears.
func TestSend_refused(t *testing.T) {
	run(t, func(r *rig) {
		c := r.room(func(Outgoing) error { return tp.Errorf(tp.ErrorNotAvailable, "no") })
		err := c.send(Outgoing{Text: "a"}, func(string) { t.Error("answered") })
		wantError(t, err, tp.ErrorNotAvailable)
		if len(c.sent) > 0 {
			t.Error("remembered")
		}
	})
}

func TestFailed(t *testing.T) {
	run(t, func(r *rig) {
		var last Outgoing
		c := r.room(func(o Outgoing) error { last = o; return nil })
		c.cfg.Recipient = bob
		send := func(text string) string {
			r.quiet = true
			defer func() { r.quiet = false }()
			if err := c.send(Outgoing{Text: text}, func(string) {}); err != nil {
				t.Error(err)
			}
			return last.Token
		}
		time.Sleep(time.Second)
		token := send("a")
		time.Sleep(time.Second)
		c.Failed("somebody's", stanza.NewError(stanza.ServiceUnavailable, ""))
		r.expect()
		c.Failed(token, stanza.NewError(stanza.ServiceUnavailable, "Gone fishing"))
		r.expect(
			`/Room MessageReceived [{delivery-echo=[{message-sender=1 message-sender-id="me@school.test" message-sent=946684801 message-token="TOKEN" message-type=0} {content="a" content-type="text/plain"}] delivery-error=1 delivery-error-message="service-unavailable" delivery-status=3 delivery-token="TOKEN" message-received=946684802 message-sender=2 message-sender-id="bob@school.test" message-type=4 pending-message-id=1} {content="Gone fishing" content-type="text/plain"}]`,
			`/Room Received 1 946684802 2 4 2 "Gone fishing"`,
			`/Room SendError 1 946684801 0 "a"`)
		c.Failed(token, stanza.NewError(stanza.ServiceUnavailable, "")) // twice
		r.expect()

		long := send(strings.Repeat("b", 2*maxEcho))
		c.Failed(long, stanza.NewError(stanza.UnexpectedRequest, ""))
		echo := strings.Repeat("b", maxEcho)
		r.expect(
			`/Room MessageReceived [{delivery-echo=[{message-sender=1 message-sender-id="me@school.test" message-sent=946684802 message-token="TOKEN" message-type=0} {content="`+echo+`" content-type="text/plain" truncated=true}] delivery-error-message="unexpected-request" delivery-status=2 delivery-token="TOKEN" message-received=946684802 message-sender=2 message-sender-id="bob@school.test" message-type=4 pending-message-id=2}]`,
			`/Room Received 2 946684802 2 4 2 ""`,
			`/Room SendError 0 946684802 0 "`+echo+`"`)
		if err := c.acknowledge([]uint32{1, 2}); err != nil {
			t.Error(err)
		}
		r.log = nil
	})
}

func TestSendErrors_decided(t *testing.T) {
	for _, condition := range stanza.Conditions() {
		if _, decided := sendErrors[condition]; !decided {
			t.Errorf("%s is in no row", condition)
		}
	}
	if len(sendErrors) != len(stanza.Conditions()) {
		t.Errorf("%d rows for %d conditions", len(sendErrors), len(stanza.Conditions()))
	}
}

// Only who asks hears that a message has arrived, and once.
func TestDelivered(t *testing.T) {
	run(t, func(r *rig) {
		d := r.bobsChat()
		r.quiet = true
		plain, asked := r.say(d, Outgoing{Text: "a"}), r.say(d, Outgoing{Text: "b", Receipt: true})
		r.quiet = false
		d.Delivered(plain)
		d.Delivered("somebody's")
		d.Delivered("")
		r.expect()
		d.Delivered(asked)
		d.Delivered(asked)
		r.expect(
			`/ImChannel1 MessageReceived [{delivery-status=1 delivery-token="TOKEN" message-received=946684800 message-sender=2 message-sender-id="bob@school.test" message-type=4 pending-message-id=1}]`,
			`/ImChannel1 Received 1 946684800 2 4 2 ""`)
	})
}

func TestMemory_bounded(t *testing.T) {
	var m memory
	for n := range 10 * maxRemembered {
		m.add(Outgoing{Token: strings.Repeat("x", n)}, 0)
	}
	if len(m) != maxRemembered || len(m[len(m)-1].token) != 10*maxRemembered-1 {
		t.Errorf("%d are remembered", len(m))
	}
}

func TestWireStates(t *testing.T) {
	for s := tp.ChannelChatStateGone; s <= tp.ChannelChatStateComposing; s++ {
		if got, is := StateOf(WireState(s)); !is || got != s {
			t.Errorf("state %d is %q, and that is %d", s, WireState(s), got)
		}
	}
	if s, is := StateOf(""); is {
		t.Errorf("no state is %d", s)
	}
}
