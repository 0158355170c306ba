package vcard

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"strings"

	"telepathy-olpc/xmpp/stanza"
)

// NSUpdate is the namespace of what presence says about a photo, XEP-0153.
const NSUpdate = "vcard-temp:x:update"

const (
	// MaxAvatarBytes is the largest photo that we publish, XEP-0153 §4.6.
	MaxAvatarBytes = 8 << 10
	// maxPhotoBytes is the largest that is read: others hold themselves less
	// strictly to that rule, and a program has to show it.
	maxPhotoBytes = 256 << 10
)

// Photo is an avatar.
type Photo struct {
	Type string // "image/png", …; may be empty if it is not known
	Data []byte
}

// Token returns the photo's SHA-1 in hexadecimal, by which presence and
// Telepathy name it; without a photo it is "".
func (p Photo) Token() string {
	if len(p.Data) == 0 {
		return ""
	}
	sum := sha1.Sum(p.Data)
	return hex.EncodeToString(sum[:])
}

// ParsePhoto reads the photo out of a vCard and tells whether there is one. A
// photo that is only linked to is none.
func ParsePhoto(card *stanza.Element) (Photo, bool) {
	for e := range card.Each(NS, "PHOTO") {
		data, err := decodeBase64(e.Child(NS, "BINVAL").Text())
		if err != nil || len(data) == 0 || len(data) > maxPhotoBytes {
			continue
		}
		return Photo{imageType(data, text(e.Child(NS, "TYPE"))), data}, true
	}
	return Photo{}, false
}

// decodeBase64 reads base64 with or without padding, in lines or not.
func decodeBase64(s string) ([]byte, error) {
	if base64.StdEncoding.DecodedLen(len(s)) > 2*maxPhotoBytes {
		return nil, base64.CorruptInputError(0)
	}
	s = strings.Map(func(r rune) rune {
		if r == ' ' || r == '\t' || r == '\r' || r == '\n' {
			return -1
		}
		return r
	}, s)
	return base64.RawStdEncoding.DecodeString(strings.TrimRight(s, "="))
}

// signatures are how images of the types of XEP-0153 §4.6 begin.
var signatures = []struct{ start, mime string }{
	{"\x89PNG\r\n\x1a\n", "image/png"},
	{"\xff\xd8\xff", "image/jpeg"},
	{"GIF8", "image/gif"},
}

// imageType returns the type of the data itself, which decides (XEP-0153 §5);
// what is said of it counts only if it might be an image at all.
func imageType(data []byte, said string) string {
	for _, s := range signatures {
		if bytes.HasPrefix(data, []byte(s.start)) {
			return s.mime
		}
	}
	const longest = 64
	if said = strings.ToLower(said); strings.HasPrefix(said, "image/") && len(said) <= longest {
		return said
	}
	return ""
}

// SetPhoto returns the Edit that makes p the photo; one without data takes it
// away. The same photo is not written again, XEP-0153 §4.2.
func SetPhoto(p Photo) Edit {
	return func(card *stanza.Element) *stanza.Element {
		old, ok := ParsePhoto(card)
		if ok && bytes.Equal(old.Data, p.Data) {
			return card
		}
		var photo *stanza.Element
		if len(p.Data) > 0 {
			photo = stanza.New(NS, "PHOTO", stanza.New(NS, "TYPE", stanza.Text(p.Type)),
				stanza.New(NS, "BINVAL", stanza.Text(base64.StdEncoding.EncodeToString(p.Data))))
		}
		return replace(card, []string{"PHOTO"}, photo)
	}
}

// BuildUpdate returns what every presence of ours says about our photo. As
// long as the own vCard has not been read it is not known which one there is,
// XEP-0153 §4.1.
func BuildUpdate(token string, known bool) *stanza.Element {
	var photo *stanza.Element
	if known {
		photo = stanza.New(NSUpdate, "photo", stanza.Text(token))
	}
	return stanza.New(NSUpdate, "x", photo)
}

// ParseUpdate reads the token of a contact's photo out of a presence, "" if
// there is no photo. It tells whether the presence says anything about it.
func ParseUpdate(presence *stanza.Element) (token string, ok bool) {
	photo := presence.Child(NSUpdate, "x").Child(NSUpdate, "photo")
	if photo == nil {
		return "", false
	}
	token = strings.ToLower(text(photo))
	if sum, err := hex.DecodeString(token); err != nil || len(sum) != 0 && len(sum) != sha1.Size {
		return "", false
	}
	return token, true
}
