// Package filetransfer is what is said of a file that is offered: the profile of
// Stream Initiation for files (XEP-0096), with the service's name and the
// metadata that Telepathy's programs put beside it as forms (XEP-0004). It
// parses and builds, and keeps nothing.
package filetransfer

import (
	"cmp"
	"errors"
	"maps"
	"mime"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"telepathy-olpc/xmpp/stanza"
)

// NS is the profile, and the feature of who takes files.
const NS = "http://jabber.org/protocol/si/profile/file-transfer"

// What of an offer counts, in bytes. It is a stranger's text that is shown to
// a person.
const (
	maxName     = 255  // as file systems have it
	maxText     = 4096 // a description
	maxMIMEType = 255
)

// DefaultMIMEType is that of a file of which nothing is known.
const DefaultMIMEType = "application/octet-stream"

// ErrNoFile is what is wrong with an offer that does not say what it offers.
var ErrNoFile = errors.New("offer without a file")

// File is what the sender says of a file.
type File struct {
	Name        string
	MIMEType    string
	Description string
	Size        uint64
	HasSize     bool
	MD5         string    // 32 hexadecimal digits, or empty
	Modified    time.Time // zero if not said
	// Ranged says that the transfer may begin within the file.
	Ranged bool
	// Service and Metadata are Telepathy's: for which program the file is, and
	// what that has to know of it.
	Service  string
	Metadata map[string][]string
}

// Range is the part of the file that the receiver wants.
type Range struct {
	Offset uint64
	Length uint64 // 0 is up to the end
}

// Parse reads what an offer's <si/> says of the file. Names and texts are made
// fit to be shown: a name has no slashes, no control characters and is never
// empty. A hash or date that cannot be read is as none.
func Parse(si *stanza.Element) (File, error) {
	e := si.Child(NS, "file")
	if e == nil {
		return File{}, ErrNoFile
	}
	f := File{
		Name:        cleanName(e.Attr("name")),
		MIMEType:    cleanMIMEType(cmp.Or(e.Attr("mime-type"), si.Attr("mime-type"))),
		Description: clip(e.Child(NS, "desc").Text(), maxText),
		Ranged:      e.Child(NS, "range") != nil,
	}
	if text := e.Attr("size"); text != "" {
		size, err := strconv.ParseUint(text, 10, 63) // what a file can have
		if err != nil {
			return File{}, ErrNoFile
		}
		f.Size, f.HasSize = size, true
	}
	if hash := strings.ToLower(e.Attr("hash")); IsMD5(hash) {
		f.MD5 = hash
	}
	f.Modified = parseDate(e.Attr("date"))
	f.Service, f.Metadata = parseForms(e)
	return f, nil
}

// Element builds what [Parse] reads.
func (f *File) Element() *stanza.Element {
	var date string
	if !f.Modified.IsZero() {
		date = f.Modified.UTC().Format(time.RFC3339) // XEP-0082 §3.2
	}
	parts := []stanza.Part{
		stanza.A("name", f.Name), stanza.A("size", strconv.FormatUint(f.Size, 10)), stanza.A("mime-type", f.MIMEType),
		stanza.A("hash", f.MD5), stanza.A("date", date),
	}
	if f.Description != "" {
		parts = append(parts, stanza.New(NS, "desc", stanza.Text(f.Description)))
	}
	if f.Ranged {
		parts = append(parts, stanza.New(NS, "range"))
	}
	parts = append(parts, f.forms()...)
	return stanza.New(NS, "file", parts...)
}

// ParseRange reads which part of the file the answer's <si/> wants; all of it
// when it does not say, or nothing that can be read.
func ParseRange(si *stanza.Element) Range {
	e := si.Child(NS, "file").Child(NS, "range")
	offset, _ := strconv.ParseUint(e.Attr("offset"), 10, 63)
	length, _ := strconv.ParseUint(e.Attr("length"), 10, 63)
	return Range{offset, length}
}

// Element builds what [ParseRange] reads.
func (r Range) Element() *stanza.Element {
	if r == (Range{}) {
		return stanza.New(NS, "file")
	}
	attr := func(name string, n uint64) stanza.Part {
		if n == 0 {
			return stanza.A(name, "")
		}
		return stanza.A(name, strconv.FormatUint(n, 10))
	}
	return stanza.New(NS, "file", stanza.New(NS, "range", attr("offset", r.Offset), attr("length", r.Length)))
}

// cleanName makes of a name that of one file, in no folder here or on Windows,
// without what no name has. Sugar's names are titles, in which a slash is no
// folder: nothing else of it is lost.
func cleanName(name string) string {
	name = strings.Map(func(r rune) rune {
		switch {
		case r == '/' || r == '\\':
			return '_'
		case unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r): // it would show another name
			return -1
		}
		return r
	}, name)
	name = strings.TrimSpace(clip(strings.TrimSpace(name), maxName))
	if name == "" || name == "." || name == ".." {
		return "file"
	}
	return name
}

func cleanMIMEType(text string) string {
	if len(text) > maxMIMEType {
		return DefaultMIMEType
	}
	if _, _, err := mime.ParseMediaType(text); err != nil || !strings.Contains(text, "/") {
		return DefaultMIMEType
	}
	return text
}

// clip cuts a text to so many bytes, between characters, and frees it of its
// stanza.
func clip(text string, size int) string {
	if len(text) > size {
		text = strings.ToValidUTF8(text[:size], "")
	}
	return strings.Clone(text)
}

// IsMD5 tells whether a text is a hash as XEP-0096 wants it.
func IsMD5(text string) bool {
	return len(text) == 32 && strings.Trim(text, "0123456789abcdef") == ""
}

// parseDate reads a time as XEP-0082 writes it, or XEP-0091 before that.
func parseDate(text string) time.Time {
	for _, layout := range []string{time.RFC3339, "20060102T15:04:05"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC()
		}
	}
	return time.Time{}
}

// keys gives a map's keys in a fixed order, so that what is built is always
// the same.
func keys(m map[string][]string) []string { return slices.Sorted(maps.Keys(m)) }
