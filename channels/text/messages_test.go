package text

import (
	"errors"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"

	"telepathy-olpc/internal/tp"
)

// partOf makes a part of keys and values by turns.
func partOf(pairs ...any) part {
	p := part{}
	for i := 0; i < len(pairs); i += 2 {
		p[pairs[i].(string)] = dbus.MakeVariant(pairs[i+1])
	}
	return p
}

func plainOf(text string) part { return partOf(keyContentType, plain, keyContent, text) }

func TestParseMessage(t *testing.T) {
	html := partOf(keyAlternative, "main", keyContentType, "text/html", keyContent, "<b>a</b>")
	alternative := partOf(keyAlternative, "main", keyContentType, plain, keyContent, "a")
	for _, c := range []struct {
		name    string
		message []part
		want    *Outgoing // nil: InvalidArgument
	}{
		{"as Empathy sends it", []part{partOf(keyType, uint32(0)), plainOf("hello")}, &Outgoing{Text: "hello"}},
		{"no type", []part{{}, plainOf("hello")}, &Outgoing{Text: "hello"}},
		{"type as Python guesses it", []part{partOf(keyType, int32(1)), plainOf("a")}, &Outgoing{Type: 1, Text: "a"}},
		{"type in 64 bits", []part{partOf(keyType, int64(2)), plainOf("a")}, &Outgoing{Type: 2, Text: "a"}},
		{"type in a byte", []part{partOf(keyType, byte(1)), plainOf("a")}, &Outgoing{Type: 1, Text: "a"}},
		{"empty text", []part{{}, plainOf("")}, &Outgoing{}},
		{"capitals and parameters", []part{{}, partOf(keyContentType, "Text/Plain; charset=utf-8", keyContent, "a")}, &Outgoing{Text: "a"}},
		{"two texts", []part{{}, plainOf("a"), plainOf("b")}, &Outgoing{Text: "a\nb"}},
		{"alternatives", []part{{}, html, alternative, plainOf("b")}, &Outgoing{Text: "a\nb"}},
		{"the better alternative first", []part{{}, alternative, html}, &Outgoing{Text: "a"}},
		{"keys that say nothing", []part{partOf("supersedes", "x", "message-token", "mine"), plainOf("a")}, &Outgoing{Text: "a"}},
		{"empty interface", []part{partOf(keyInterface, ""), plainOf("a")}, &Outgoing{Text: "a"}},

		{"nothing", nil, nil},
		{"no body", []part{{}}, nil},
		{"part without type", []part{{}, partOf(keyContent, "a")}, nil},
		{"part without content", []part{{}, partOf(keyContentType, plain)}, nil},
		{"bytes for text", []part{{}, partOf(keyContentType, plain, keyContent, []byte("a"))}, nil},
		{"attachment", []part{{}, plainOf("a"), partOf(keyContentType, "image/png", keyContent, []byte("a"))}, nil},
		{"HTML alone", []part{{}, html}, nil},
		{"HTML beside another text", []part{{}, html, plainOf("a")}, nil},
		{"for another interface", []part{partOf(keyInterface, "org.example.Game"), plainOf("a")}, nil},
		{"part for another interface", []part{{}, partOf(keyContentType, plain, keyContent, "a", keyInterface, "org.example.Game")}, nil},
		{"type of nothing", []part{partOf(keyType, "normal"), plainOf("a")}, nil},
		{"delivery report", []part{partOf(keyType, uint32(4)), plainOf("a")}, nil},
		{"type that is none", []part{partOf(keyType, uint32(99)), plainOf("a")}, nil},
		{"negative type", []part{partOf(keyType, int32(-1)), plainOf("a")}, nil},
		{"type of 33 bits", []part{partOf(keyType, uint64(1)<<32), plainOf("a")}, nil},
		{"forged sender", []part{partOf(keySender, uint32(2)), plainOf("a")}, nil},
		{"forged time", []part{partOf(keySent, int64(2)), plainOf("a")}, nil},
		{"pending id", []part{partOf(keyPendingID, uint32(2)), plainOf("a")}, nil},
	} {
		got, err := parseMessage(c.message)
		if c.want == nil {
			var e *tp.Error
			if !errors.As(err, &e) || e.Name != tp.ErrorInvalidArgument {
				t.Errorf("%s: %v, %v, want InvalidArgument", c.name, got, err)
			}
			continue
		}
		if diff := cmp.Diff(*c.want, got); diff != "" || err != nil {
			t.Errorf("%s: error %v, (-want +got):\n%s", c.name, err, diff)
		}
	}
}

func TestContent(t *testing.T) {
	run(t, func(r *rig) {
		d := r.bobsChat()
		d.Receive(Message{Sender: bob, Text: "a"})
		r.log = nil
		for _, c := range []struct {
			id    uint32
			parts []uint32
			want  map[uint32]dbus.Variant
		}{
			{1, []uint32{1}, map[uint32]dbus.Variant{1: dbus.MakeVariant("a")}},
			{1, []uint32{}, map[uint32]dbus.Variant{}},
			{1, []uint32{0}, nil},
			{1, []uint32{1, 2}, nil},
			{1, []uint32{1 << 31}, nil},
			{2, []uint32{1}, nil},
		} {
			got, err := d.content(c.id, c.parts)
			if diff := cmp.Diff(c.want, got, cmp.Comparer(func(a, b dbus.Variant) bool { return a.String() == b.String() })); diff != "" {
				t.Errorf("%d, %v (-want +got):\n%s", c.id, c.parts, diff)
			}
			if c.want == nil {
				wantError(t, err, tp.ErrorInvalidArgument)
			}
		}
	})
}

// What is too long would end the session, also if it is so only on the wire.
func TestSend_tooLong(t *testing.T) {
	run(t, func(r *rig) {
		d := r.bobsChat()
		for _, c := range []struct {
			name, text string
			fits       bool
		}{
			{"longest", strings.Repeat("a", maxText), true},
			{"too long", strings.Repeat("a", maxText+1), false},
			{"longest of markup", strings.Repeat("&", maxText/5), true},
			{"too long when escaped", strings.Repeat("&", maxText/5+1), false},
			{"too long when replaced", strings.Repeat("\x01", maxText/3+1), false},
		} {
			r.quiet = true
			err := d.Conversation.send(Outgoing{Text: c.text}, func(string) {})
			if c.fits != (err == nil) {
				t.Errorf("%s: %v", c.name, err)
			}
			if !c.fits {
				wantError(t, err, tp.ErrorInvalidArgument)
			}
		}
	})
}
