// Package jid holds XMPP addresses (RFC 7622) as small comparable values, fit
// to be map keys. [Parse] is for what a user typed and prepares it as the RFC
// says; [ParseLenient] is for what a server sent, which is already prepared
// there and must not be refused for our stricter or older tables.
package jid

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"mellium.im/xmpp/jid"
)

// maxPart is the longest that any of the three parts may be, in bytes, RFC
// 7622 §3.2 to §3.4.
const maxPart = 1023

// The ways in which an address is refused by [ParseLenient].
var (
	errEmptyPart   = errors.New("empty part")
	errLongPart    = fmt.Errorf("part over %d bytes", maxPart)
	errInvalidUTF8 = errors.New("invalid UTF-8")
	errControl     = errors.New("control character")
)

// JID is an address: local@domain/resource, of which only the domain is always
// there. The zero value is no address. Two JIDs are the same address if they
// are equal with ==.
type JID struct{ local, domain, resource string }

// Parse reads and prepares an address that a person typed: letters of the
// local part and of the domain are folded, characters RFC 7622 forbids are an
// error.
func Parse(s string) (JID, error) {
	j, err := jid.Parse(s)
	if err != nil {
		return JID{}, fmt.Errorf("address: %w", err)
	}
	return fromMellium(j), nil
}

// New is [Parse] for an address that comes in parts; local and resource may be
// empty.
func New(local, domain, resource string) (JID, error) {
	j, err := jid.New(local, domain, resource)
	if err != nil {
		return JID{}, fmt.Errorf("address: %w", err)
	}
	return fromMellium(j), nil
}

// fromMellium takes over a prepared address.
func fromMellium(j jid.JID) JID {
	return JID{j.Localpart(), j.Domainpart(), j.Resourcepart()}
}

// ParseLenient reads an address that came over the wire. It splits (RFC 7622
// §3.1: the first slash ends the bare part, the first at-sign before it ends
// the local part), holds the parts to their lengths, to UTF-8 and to what XML can carry, and
// changes nothing.
func ParseLenient(s string) (JID, error) {
	var j JID
	bare, resource, hasResource := strings.Cut(s, "/")
	local, domain, hasLocal := strings.Cut(bare, "@")
	if hasLocal {
		j = JID{local, domain, resource}
	} else {
		j = JID{"", bare, resource}
	}
	if j.domain == "" || hasLocal && local == "" || hasResource && resource == "" {
		return JID{}, fmt.Errorf("address %q: %w", clip(s), errEmptyPart)
	}
	if len(j.local) > maxPart || len(j.domain) > maxPart || len(j.resource) > maxPart {
		return JID{}, fmt.Errorf("address %q: %w", clip(s), errLongPart)
	}
	if !utf8.ValidString(s) {
		return JID{}, fmt.Errorf("address %q: %w", clip(s), errInvalidUTF8)
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return JID{}, fmt.Errorf("address %q: %w", clip(s), errControl)
	}
	return j, nil
}

// clip shortens what a stranger sent to what an error may repeat.
func clip(s string) string {
	const enough = 64
	if len(s) <= enough {
		return s
	}
	return s[:enough] + "…"
}

// Local returns the part before the at-sign, or "".
func (j JID) Local() string { return j.local }

// Domain returns the domain part; it is empty only in the zero value.
func (j JID) Domain() string { return j.domain }

// Resource returns the part after the slash, or "".
func (j JID) Resource() string { return j.resource }

// IsZero tells whether j is no address at all.
//
//go:noinline
func (j JID) IsZero() bool { return j == JID{} }

// IsBare tells whether j has no resource.
func (j JID) IsBare() bool { return j.resource == "" }

// Bare returns j without its resource.
func (j JID) Bare() JID { return JID{j.local, j.domain, ""} }

// WithResource returns j with the resource given, as it is: callers pass what
// came from the server or was prepared by [New].
func (j JID) WithResource(resource string) JID { return JID{j.local, j.domain, resource} }

// String returns the address as it stands in a stanza; the zero value gives "".
//
//go:noinline
func (j JID) String() string {
	switch {
	case j.local == "" && j.resource == "":
		return j.domain
	case j.local == "":
		return j.domain + "/" + j.resource
	case j.resource == "":
		return j.local + "@" + j.domain
	}
	return j.local + "@" + j.domain + "/" + j.resource
}

// IsService tells whether an address is that of a service of the user's server,
// which has a name below the server's and no accounts of its own.
func IsService(who, user JID) bool {
	return who.local == "" && strings.HasSuffix(who.domain, "."+user.domain)
}
