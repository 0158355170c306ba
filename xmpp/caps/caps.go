// Package caps knows what the clients of contacts can do (XEP-0115): from the
// hash in their presence, verified, so that a question is asked once for all
// who run the same software, and remembered from one session to the next. It
// also announces what we can do. Everything here belongs to the connection's
// loop except [Load] and [Save], which block and share nothing.
package caps

import (
	"slices"

	"telepathy-olpc/xmpp/disco"
	"telepathy-olpc/xmpp/stanza"
)

// NS is the namespace of the element in presence, and the feature.
const NS = "http://jabber.org/protocol/caps"

// Node names this software to others.
const Node = "https://wiki.sugarlabs.org/go/telepathy-olpc"

// maxText is the longest that one attribute may be; a SHA-512 has 88.
const maxText = 512

// Caps is what a presence says of the sender's client.
type Caps struct {
	Node string
	Hash string // name of the hash function; empty in the form of before 2007
	Ver  string // the hash
	Ext  string // names of extensions, only in the old form
}

// Parse reads the element out of a presence. Without a usable one, which is
// false, nothing new is known: servers leave it out when it has not changed
// (XEP-0115 §8.4).
func Parse(presence *stanza.Element) (Caps, bool) {
	e := presence.Child(NS, "c")
	c := Caps{e.Attr("node"), e.Attr("hash"), e.Attr("ver"), e.Attr("ext")}
	fits := len(c.Node) <= maxText && len(c.Hash) <= maxText && len(c.Ver) <= maxText && len(c.Ext) <= maxText
	return c, fits && c.Node != "" && c.Ver != ""
}

// Element builds what [Parse] reads.
func (c Caps) Element() *stanza.Element {
	return stanza.New(NS, "c", stanza.A("hash", c.Hash), stanza.A("node", c.Node), stanza.A("ver", c.Ver), stanza.A("ext", c.Ext))
}

// queryNode is the node to ask for what this stands for, XEP-0115 §6.2.
func (c Caps) queryNode() string { return c.Node + "#" + c.Ver }

// keepEarlier is how many of our announcements still get their answer: a
// question may be under way while we change.
const keepEarlier = 8

// Own is what we announce. The zero value announces nothing yet.
type Own struct {
	announced []announced // latest last
}

type announced struct {
	caps Caps
	info *disco.Info
}

// Set changes what we can do; the presence must be sent again if that is true.
// Features come in any order, also twice. An info that others could not verify
// is an error and changes nothing.
func (o *Own) Set(info disco.Info) (changed bool, err error) {
	info.Features = slices.Compact(slices.Sorted(slices.Values(info.Features)))
	ver, err := Hash("sha-1", &info) // all can verify this one, XEP-0115 §9.1
	if err != nil {
		return false, err
	}
	caps := Caps{Node: Node, Hash: "sha-1", Ver: ver}
	if caps == o.Caps() {
		return false, nil
	}
	if len(o.announced) == keepEarlier {
		o.announced = slices.Delete(o.announced, 0, 1)
	}
	o.announced = append(o.announced, announced{caps, &info})
	return true, nil
}

// Caps is what goes into presence; zero before the first [Own.Set].
func (o *Own) Caps() Caps { return o.latest().caps }

// Info is what it stands for, or nil.
func (o *Own) Info() *disco.Info { return o.latest().info }

func (o *Own) latest() announced {
	if len(o.announced) == 0 {
		return announced{}
	}
	return o.announced[len(o.announced)-1]
}

// Answer builds the answer to a question for our info.
func (o *Own) Answer(iq *stanza.Element) *stanza.Element {
	return disco.Answer(iq, func(node string) *disco.Info {
		if node == "" {
			return o.Info()
		}
		for _, a := range o.announced {
			if a.caps.queryNode() == node {
				return a.info
			}
		}
		return nil
	})
}
