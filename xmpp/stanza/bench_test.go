package stanza

import (
	"fmt"
	"io"
	"strings"
	"testing"
)

// roster is the answer that a school server gives to a child at login.
func roster(items int) string {
	var b strings.Builder
	b.WriteString("<iq type='result' id='r1' to='ana@school.test/sugar'><query xmlns='jabber:iq:roster'>")
	for i := range items {
		fmt.Fprintf(&b, "<item jid='%040x@school.test' name='Child %d' subscription='both'><group>Online</group></item>", i, i)
	}
	b.WriteString("</query></iq>")
	return b.String()
}

// presences is what follows: everybody is there, with the same capabilities.
func presences(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "<presence from='%040x@school.test/sugar' to='9f3c00000000000000000000000000000000abcd@school.test/sugar'><priority>5</priority>"+
			"<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='http://laptop.org/telepathy' ver='q07IKJEyjvHSyhy//CH0CxmKi8w='/>"+
			"<x xmlns='vcard-temp:x:update'><photo/></x></presence>", i)
	}
	return b.String()
}

func benchmarkReader(b *testing.B, in string) {
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		r := NewReader(strings.NewReader(in), Limits{})
		for {
			if _, err := r.Next(); err == io.EOF {
				break
			} else if err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkReader_roster5000(b *testing.B) { benchmarkReader(b, roster(5000)) }

func BenchmarkReader_presences5000(b *testing.B) { benchmarkReader(b, presences(5000)) }

func BenchmarkReader_message(b *testing.B) {
	benchmarkReader(b, "<message from='room@conference.school.test/Ana' to='bob@school.test/sugar' type='groupchat' id='1'><body>Hello everybody, shall we &amp; play?</body></message>")
}

// BenchmarkReader_data is a block of a stream tube in a room.
func BenchmarkReader_data(b *testing.B) {
	benchmarkReader(b, "<message type='groupchat'><data xmlns='http://telepathy.freedesktop.org/xmpp/protocol/muc-bytestream'>"+strings.Repeat("QUJD", 1<<12)+"</data></message>")
}

func BenchmarkAppendXML_roster5000(b *testing.B) {
	e, err := Parse(roster(5000))
	if err != nil {
		b.Fatal(err)
	}
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		dst = e.AppendXML(dst[:0], NSClient)
	}
	b.SetBytes(int64(len(dst)))
}

// TestReader_allocations holds the price of a presence: its elements, their
// lists and what is new in it.
func TestReader_allocations(t *testing.T) {
	const n, ceiling = 1000, 14
	in := presences(n)
	perPresence := testing.AllocsPerRun(10, func() {
		r := NewReader(strings.NewReader(in), Limits{})
		for {
			if _, err := r.Next(); err != nil {
				return
			}
		}
	}) / n
	if perPresence > ceiling {
		t.Errorf("%.1f allocations for a presence, more than %d", perPresence, ceiling)
	}
}
