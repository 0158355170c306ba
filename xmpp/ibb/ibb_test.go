package ibb

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"telepathy-olpc/xmpp/stanza"
	"telepathy-olpc/xmpp/xmpptest"
)

var parse = xmpptest.Element

var openTable = []struct {
	name, in string
	want     Open
	err      error
}{
	{"XEP-0047 example 1", `<open xmlns='http://jabber.org/protocol/ibb' block-size='4096' sid='i781hf64' stanza='iq'/>`, Open{"i781hf64", 4096}, nil},
	{"by messages", `<open xmlns='http://jabber.org/protocol/ibb' block-size='65535' sid='a' stanza='message'/>`, Open{"a", 65535}, nil},
	{"kind of stanza absent", `<open xmlns='http://jabber.org/protocol/ibb' block-size='1' sid='a'/>`, Open{"a", 1}, nil},
	{"kind of stanza unknown", `<open xmlns='http://jabber.org/protocol/ibb' block-size='1' sid='a' stanza='presence'/>`, Open{}, ErrMalformed},
	{"size absent", `<open xmlns='http://jabber.org/protocol/ibb' sid='a'/>`, Open{}, ErrMalformed},
	{"size empty", `<open xmlns='http://jabber.org/protocol/ibb' block-size='' sid='a'/>`, Open{}, ErrMalformed},
	{"size 0", `<open xmlns='http://jabber.org/protocol/ibb' block-size='0' sid='a'/>`, Open{}, ErrMalformed},
	{"size huge", `<open xmlns='http://jabber.org/protocol/ibb' block-size='65536' sid='a'/>`, Open{}, ErrMalformed},
	{"size endless", `<open xmlns='http://jabber.org/protocol/ibb' block-size='99999999999999999999' sid='a'/>`, Open{}, ErrMalformed},
	{"size negative", `<open xmlns='http://jabber.org/protocol/ibb' block-size='-1' sid='a'/>`, Open{}, ErrMalformed},
	{"size in words", `<open xmlns='http://jabber.org/protocol/ibb' block-size='0x10' sid='a'/>`, Open{}, ErrMalformed},
	{"id absent", `<open xmlns='http://jabber.org/protocol/ibb' block-size='4096'/>`, Open{}, ErrMalformed},
	{"id long", `<open xmlns='http://jabber.org/protocol/ibb' block-size='4096' sid='` + strings.Repeat("a", maxSID+1) + `'/>`, Open{}, ErrMalformed},
}

func TestParseOpen(t *testing.T) {
	for _, c := range openTable {
		got, err := ParseOpen(parse(t, c.in))
		if err != c.err {
			t.Errorf("%s: %v, want %v", c.name, err, c.err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
	if got := (Open{"i781hf64", 4096}).Element(); !got.Equal(parse(t, openTable[0].in)) {
		t.Errorf("built %s", got)
	}
}

// data is one block of a stream with blocks of eight.
func data(seq, text string) string {
	return `<data xmlns='http://jabber.org/protocol/ibb' seq='` + seq + `' sid='s'>` + text + `</data>`
}

var dataTable = []struct {
	name, in string
	want     Data
	err      error
}{
	{"full", data("0", "MTIzNDU2Nzg="), Data{"s", 0, []byte("12345678")}, nil},
	{"one byte", data("65535", "MQ=="), Data{"s", 65535, []byte("1")}, nil},
	{"empty", data("1", ""), Data{"s", 1, []byte{}}, nil},
	{"over by one", data("1", "MTIzNDU2Nzg5"), Data{}, ErrTooLarge},
	{"over by much", data("1", strings.Repeat("MTIz", 100)), Data{}, ErrTooLarge},
	{"no base64", data("1", "&lt;&gt;"), Data{}, ErrMalformed},
	{"no padding", data("1", "MQ"), Data{}, ErrMalformed},
	{"bits in the padding", data("1", "MR=="), Data{}, ErrMalformed},
	{"newline", data("1", "MTIz\nMQ=="), Data{}, ErrMalformed},
	{"space", data("1", " MQ=="), Data{}, ErrMalformed},
	{"for URLs", data("1", "-_-_"), Data{}, ErrMalformed},
	{"padding inside", data("1", "MQ==MQ=="), Data{}, ErrMalformed},
	{"number absent", `<data xmlns='http://jabber.org/protocol/ibb' sid='s'>MQ==</data>`, Data{}, ErrMalformed},
	{"number 65536", data("65536", "MQ=="), Data{}, ErrMalformed},
	{"number negative", data("-1", "MQ=="), Data{}, ErrMalformed},
	{"number with a sign", data("+1", "MQ=="), Data{}, ErrMalformed},
	{"absent", `<other xmlns='x'/>`, Data{}, ErrMalformed},
}

func TestParseData(t *testing.T) {
	for _, c := range dataTable {
		got, err := ParseData(parse(t, c.in), 8)
		if err != c.err {
			t.Errorf("%s: %v, want %v", c.name, err, c.err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
		if err == nil && !got.Element().Equal(parse(t, c.in)) {
			t.Errorf("%s: built %s", c.name, got.Element())
		}
	}
}

func TestClose_element(t *testing.T) {
	if got := Close("i781hf64"); !got.Equal(parse(t, `<close xmlns='http://jabber.org/protocol/ibb' sid='i781hf64'/>`)) {
		t.Errorf("XEP-0047 example 7: built %s", got)
	}
}

// FuzzParse asserts that what is understood can be said, and holds the limits.
func FuzzParse(f *testing.F) {
	for _, c := range openTable {
		f.Add(c.in)
	}
	for _, c := range dataTable {
		f.Add(c.in)
	}
	f.Fuzz(func(t *testing.T, in string) {
		e, err := stanza.Parse(in)
		if err != nil {
			return
		}
		if o, err := ParseOpen(e); err == nil {
			again, err := ParseOpen(o.Element())
			if err != nil || again != o || o.BlockSize < 1 || o.BlockSize > maxWireSize || len(o.SID) > maxSID {
				t.Errorf("%+v, then %+v, %v", o, again, err)
			}
		}
		if d, err := ParseData(e, 64); err == nil {
			again, err := ParseData(d.Element(), 64)
			if err != nil || again.Seq != d.Seq || !bytes.Equal(again.Bytes, d.Bytes) || len(d.Bytes) > 64 {
				t.Errorf("%+v, then %+v, %v", d, again, err)
			}
			if e.Text() != base64.StdEncoding.EncodeToString(d.Bytes) {
				t.Errorf("%q is not how %x is written", e.Text(), d.Bytes)
			}
		}
	})
}
