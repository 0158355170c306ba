package roster

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"

	"telepathy-olpc/internal/cachefile"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
)

// What is read and written at most, as a whole and of one item. A school of
// 5,000 takes less than a megabyte.
const (
	maxFileBytes = 4 << 20
	maxFileItem  = 512 << 10 // all groups, with every character escaped
	maxVersion   = 1023      // bytes
)

// nsVersioning is that of the stream feature, RFC 6121 §2.6.1.
const nsVersioning = "urn:xmpp:features:rosterver"

// errDamaged is what is wrong with a file that is not as it was written.
var errDamaged = errors.New("the file is damaged")

// IsVersioned tells by its stream features whether a server has versions.
func IsVersioned(features *stanza.Element) bool { return features.Child(nsVersioning, "ver") != nil }

// fileName is the account's file in the directory given. It has the checksum of
// what follows, and the roster as a server would send it.
func fileName(account jid.JID) string {
	sum := sha256.Sum256([]byte(account.Bare().String()))
	return "roster-" + hex.EncodeToString(sum[:16])
}

// Load reads what [Save] wrote; no file is nil. It blocks and so is no call for
// the loop. A file is taken whole or, beside an error, not at all: a server
// that calls the version current says nothing of what is missing.
func Load(dir string, account jid.JID) (*Cached, error) {
	f, err := cachefile.Open(dir, fileName(account))
	if err != nil {
		return nil, fmt.Errorf("load roster: %w", err)
	}
	if f == nil {
		return nil, nil
	}
	defer f.Close()
	cached, err := read(f)
	if err != nil {
		return nil, fmt.Errorf("load roster: %w", err)
	}
	return cached, nil
}

func read(r io.Reader) (*Cached, error) {
	all, err := io.ReadAll(io.LimitReader(r, maxFileBytes+1))
	if err != nil {
		return nil, err
	}
	sum, roster, _ := bytes.Cut(all, []byte{'\n'})
	if len(all) > maxFileBytes || string(sum) != checksum(roster) {
		return nil, errDamaged
	}
	in := stanza.NewReader(bytes.NewReader(roster), stanza.Limits{Bytes: maxFileItem, Depth: 2, Children: maxGroups, Attrs: 8})
	query, err := in.Open()
	if err != nil {
		return nil, err
	}
	cached := &Cached{Version: query.Attr("ver")}
	if !query.Is(NS, "query") || cached.Version == "" || len(cached.Version) > maxVersion {
		return nil, errDamaged
	}
	var groups groupTable
	for {
		e, err := in.Next()
		if err == stanza.ErrEnd {
			return cached, nil
		}
		if err != nil {
			return nil, err
		}
		u, ok := parseItem(e, &groups)
		if !e.Is(NS, "item") || !ok || u.remove || len(cached.Items) == maxItems {
			return nil, errDamaged
		}
		cached.Items = append(cached.Items, u.item)
	}
}

// Save replaces the account's file. It blocks and so is no call for the loop;
// the items, which are not changed, may be those of a [Roster]. The old file
// stays when the new cannot be written. An empty roster is not worth a file,
// and with Prosody 0.12 it must have none: the first contact there makes a
// version of the same name.
func Save(dir string, account jid.JID, version string, items []*Item) error {
	name := fileName(account)
	if version == "" || len(version) > maxVersion || len(items) == 0 {
		if err := cachefile.Remove(dir, name); err != nil {
			return fmt.Errorf("forget roster: %w", err)
		}
		return nil
	}
	roster := build(version, items)
	if len(roster) > maxFileBytes-sha256.Size*2-1 {
		return fmt.Errorf("save roster: %d bytes are too many", len(roster))
	}
	err := cachefile.Replace(dir, name, func(w io.Writer) error {
		if _, err := io.WriteString(w, checksum(roster)+"\n"); err != nil {
			return err
		}
		_, err := w.Write(roster)
		return err
	})
	if err != nil {
		return fmt.Errorf("save roster: %w", err)
	}
	return nil
}

// build writes a roster as one would come from a server, an item a line, in the
// order of the addresses.
func build(version string, items []*Item) []byte {
	items = slices.Clone(items)
	sort.Slice(items, func(i, j int) bool {
		a, b := items[i].JID, items[j].JID
		return cmp.Or(cmp.Compare(a.Domain(), b.Domain()), cmp.Compare(a.Local(), b.Local())) < 0
	})
	const usual = 200 // bytes of an item
	out := stanza.New(NS, "query", stanza.A("ver", version)).AppendOpen(make([]byte, 0, (1+len(items))*usual), "")
	for _, i := range items {
		out = i.element().AppendXML(append(out, '\n'), NS)
	}
	return append(out, "\n</query>\n"...)
}

func checksum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
