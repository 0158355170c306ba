package text

import (
	"strconv"
	"testing"

	"telepathy-olpc/xmpp/stanza"
)

// BenchmarkReceive is a message from a contact, from the stanza to the signals'
// arguments, acknowledged at once as Sugar does it.
func BenchmarkReceive(b *testing.B) {
	r := newRig(b)
	r.quiet = true
	d := r.bobsChat()
	e, err := stanza.Parse("<message from='" + bobSugar + "' to='me@school.test/sugar' type='chat' id='m1'>" + body + active + "</message>")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		r.chats.HandleMessage(e)
		if err := d.acknowledge([]uint32{d.pending.last}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkReceive_unacknowledged is one that joins as many others as there can be.
func BenchmarkReceive_unacknowledged(b *testing.B) {
	r := newRig(b)
	r.quiet = true
	d := r.bobsChat()
	b.ReportAllocs()
	for b.Loop() {
		d.Receive(Message{Sender: bob, Token: "m1", Text: "hello"})
	}
}

// BenchmarkSendMessage is a message of ours, from the parts as they come in a
// call to the stanza and the signals' arguments.
func BenchmarkSendMessage(b *testing.B) {
	r := newRig(b)
	r.quiet = true
	d := r.bobsChat()
	message := []part{partOf(keyType, uint32(0)), plainOf("message number " + strconv.Itoa(b.N))}
	b.ReportAllocs()
	for b.Loop() {
		o, err := parseMessage(message)
		if err != nil {
			b.Fatal(err)
		}
		if err := d.Conversation.send(o, func(string) {}); err != nil {
			b.Fatal(err)
		}
	}
}
