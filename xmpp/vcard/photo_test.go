package vcard

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"

	"telepathy-olpc/xmpp/stanza"
)

const (
	png  = "\x89PNG\r\n\x1a\n...."
	jpeg = "\xff\xd8\xff\xe0...."
	gif  = "GIF89a...."
)

func encoded(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func photo(mime, binval string) string {
	return "<PHOTO><TYPE>" + mime + "</TYPE><BINVAL>" + binval + "</BINVAL></PHOTO>"
}

func TestParsePhoto(t *testing.T) {
	for _, c := range []struct{ name, in, mime, data string }{
		{"usual", photo("image/png", encoded(png)), "image/png", png},
		{"in lines", photo("image/png", "\n  "+encoded(png)[:5]+"\r\n\t"+encoded(png)[5:]+"\n"), "image/png", png},
		{"no padding", photo("image/gif", strings.TrimRight(encoded(gif), "=")), "image/gif", gif},
		{"type is a hint", photo("image/png", encoded(jpeg)), "image/jpeg", jpeg},
		{"no type", "<PHOTO><BINVAL>" + encoded(gif) + "</BINVAL></PHOTO>", "image/gif", gif},
		{"another image", photo("image/webp", encoded("RIFF....WEBP")), "image/webp", "RIFF....WEBP"},
		{"not an image", photo("text/html", encoded("<html>")), "", "<html>"},
		{"a long type", photo("image/"+strings.Repeat("x", 100), encoded("?")), "", "?"},
		{"second one", photo("image/png", "") + "<PHOTO><EXTVAL>http://x</EXTVAL></PHOTO>" + photo("", encoded(png)), "image/png", png},
		{"none", "<FN>x</FN>", "", ""},
		{"empty", "<PHOTO/>", "", ""},
		{"only linked to", "<PHOTO><EXTVAL>http://school.test/x.png</EXTVAL></PHOTO>", "", ""},
		{"not base64", photo("image/png", "!"), "", ""},
		{"too large", photo("image/png", encoded(strings.Repeat("x", maxPhotoBytes+1))), "", ""},
	} {
		got, ok := ParsePhoto(parse(t, card(c.in)))
		if got.Type != c.mime || string(got.Data) != c.data || ok != (c.data != "") {
			t.Errorf("%s: got %q, %d bytes, %v", c.name, got.Type, len(got.Data), ok)
		}
	}
	if _, ok := ParsePhoto(nil); ok {
		t.Error("a photo without vCard")
	}
}

func TestToken(t *testing.T) {
	// RFC 3174 §7.3, first vector.
	if got := (Photo{Data: []byte("abc")}).Token(); got != "a9993e364706816aba3e25717850c26c9cd0d89d" {
		t.Errorf("got %s", got)
	}
	if got := (Photo{}).Token(); got != "" {
		t.Errorf("got %s", got)
	}
}

func TestSetPhoto(t *testing.T) {
	p := Photo{"image/png", []byte(png)}
	for _, c := range []struct {
		name     string
		p        Photo
		in, want string
	}{
		{"first", p, "<FN>x</FN>", "<FN>x</FN>" + photo("image/png", encoded(png))},
		{"replaced", p, photo("image/gif", encoded(gif)) + "<FN>x</FN>", photo("image/png", encoded(png)) + "<FN>x</FN>"},
		{"the same in lines", p, photo("image/png", " "+encoded(png)), photo("image/png", " "+encoded(png))},
		{"taken away", Photo{}, "<FN>x</FN>" + photo("image/gif", encoded(gif)) + "<PHOTO/>", "<FN>x</FN>"},
		{"nothing to take away", Photo{}, "<FN>x</FN>", "<FN>x</FN>"},
	} {
		checkXML(t, c.name, SetPhoto(c.p)(parse(t, card(c.in))), card(c.want))
	}
}

func TestUpdate(t *testing.T) {
	const token = "a9993e364706816aba3e25717850c26c9cd0d89d"
	checkXML(t, "not known", BuildUpdate("", false), "<x xmlns='vcard-temp:x:update'/>")
	checkXML(t, "no photo", BuildUpdate("", true), "<x xmlns='vcard-temp:x:update'><photo/></x>")
	checkXML(t, "photo", BuildUpdate(token, true), "<x xmlns='vcard-temp:x:update'><photo>"+token+"</photo></x>")
	for _, c := range []struct {
		name, in, want string
		ok             bool
	}{
		{"photo", "<x xmlns='vcard-temp:x:update'><photo>" + token + "</photo></x>", token, true},
		{"capitals", "<x xmlns='vcard-temp:x:update'><photo> " + strings.ToUpper(token) + " </photo></x>", token, true},
		{"no photo, recorded", "<x xmlns='vcard-temp:x:update'><photo/></x>", "", true},
		{"not known, recorded", "<x xmlns='vcard-temp:x:update'/>", "", false},
		{"not said", "", "", false},
		{"not a hash", "<x xmlns='vcard-temp:x:update'><photo>sha1-hash-of-image</photo></x>", "", false},
		{"another hash", "<x xmlns='vcard-temp:x:update'><photo>" + token + "00</photo></x>", "", false},
	} {
		if got, ok := ParseUpdate(parse(t, "<presence>"+c.in+"</presence>")); got != c.want || ok != c.ok {
			t.Errorf("%s: got %q, %v", c.name, got, ok)
		}
	}
}

// FuzzPhoto asserts limits, and that a photo that is read can be set.
func FuzzPhoto(f *testing.F) {
	f.Add(card(photo("image/png", encoded(png))))
	f.Add(card("<PHOTO><BINVAL> R0 lG OD </BINVAL></PHOTO>"))
	f.Add("<presence><x xmlns='vcard-temp:x:update'><photo>a9993e364706816aba3e25717850c26c9cd0d89d</photo></x></presence>")
	f.Fuzz(func(t *testing.T, in string) {
		e, err := stanza.Parse(in)
		if err != nil {
			return
		}
		if token, ok := ParseUpdate(e); ok && len(token) != 0 && len(token) != 40 {
			t.Fatalf("token %q", token)
		}
		p, ok := ParsePhoto(e)
		if !ok {
			return
		}
		again, ok := ParsePhoto(SetPhoto(p)(empty()))
		if !ok || again.Type != p.Type || !bytes.Equal(again.Data, p.Data) || len(p.Data) > maxPhotoBytes {
			t.Fatalf("%s: %q, then %q", in, p, again)
		}
	})
}
