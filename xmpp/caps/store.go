package caps

import (
	"fmt"
	"io"

	"telepathy-olpc/internal/cachefile"
	"telepathy-olpc/xmpp/disco"
	"telepathy-olpc/xmpp/stanza"
)

// fileName is the one file in the directory given. It has an element a line:
// what [disco.Info.Element] writes, in one that names the hash.
const fileName = "capabilities"

// nsFile is the namespace of the outer elements.
const nsFile = Node + "#capabilities"

// What is read and written at most, as a whole and of one element.
const (
	maxFileBytes = 2 << 20
	maxLineBytes = 256 << 10
)

// Load reads what [Save] wrote. It blocks and so is no call for the loop; no
// file, or no directory, is nothing known. The hashes are verified anew: of a
// file that is damaged, or that somebody else wrote, that is kept which is
// true, beside the error.
func Load(dir string) ([]Known, error) {
	f, err := cachefile.Open(dir, fileName)
	if err != nil {
		return nil, fmt.Errorf("load capabilities: %w", err)
	}
	if f == nil {
		return nil, nil
	}
	defer f.Close()
	known, err := read(f)
	if err != nil {
		err = fmt.Errorf("load capabilities: %w", err)
	}
	return known, err
}

// read gives what is true in a file, up to the place where it is no XML.
func read(r io.Reader) ([]Known, error) {
	lines := stanza.NewReader(io.LimitReader(r, maxFileBytes), stanza.Limits{Bytes: maxLineBytes})
	var known []Known
	for len(known) < maxKnown {
		e, err := lines.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return known, err
		}
		info, err := disco.ParseInfo(e.First())
		k := Known{e.Attr("hash"), e.Attr("ver"), info}
		if err == nil && e.Is(nsFile, "known") && Verify(Caps{Hash: k.Hash, Ver: k.Ver}, info) == nil {
			known = append(known, k)
		}
	}
	return known, nil
}

// Save replaces the file by what is known and, as far as there is room, what
// was in it: another connection may have learned that. It blocks and so is no
// call for the loop. The old file stays when the new cannot be written.
func Save(dir string, known []Known) error {
	before, _ := Load(dir) // what is not readable is not worth keeping
	all := merge(known, before)
	if err := cachefile.Replace(dir, fileName, func(w io.Writer) error { return write(w, all) }); err != nil {
		return fmt.Errorf("save capabilities: %w", err)
	}
	return nil
}

// merge appends to the first list what it lacks.
func merge(known, before []Known) []Known {
	seen := make(map[hashKey]bool, len(known))
	var all []Known
	for _, list := range [][]Known{known, before} {
		for _, k := range list {
			if key := (hashKey{k.Hash, k.Ver}); !seen[key] && len(all) < maxKnown {
				seen[key] = true
				all = append(all, k)
			}
		}
	}
	return all
}

func write(w io.Writer, known []Known) error {
	total := 0
	for _, k := range known {
		line := stanza.New(nsFile, "known", stanza.A("hash", k.Hash), stanza.A("ver", k.Ver), k.Info.Element()).
			AppendXML(nil, stanza.NSClient)
		if total += len(line) + 1; total > maxFileBytes {
			break
		}
		if _, err := w.Write(append(line, '\n')); err != nil {
			return err
		}
	}
	return nil
}
