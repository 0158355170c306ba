package caps

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

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
	if dir == "" {
		return nil, nil
	}
	path := filepath.Join(dir, fileName)
	if stat, err := os.Stat(path); err == nil && !stat.Mode().IsRegular() {
		return nil, fmt.Errorf("load capabilities: %s is no file", path) // opening a pipe would wait for ever
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("load capabilities: %w", err)
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
	if dir == "" {
		return nil
	}
	before, _ := Load(dir) // what is not readable is not worth keeping
	if err := replace(dir, merge(known, before)); err != nil {
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

// replace writes beside the old file, so that a crash or a full disk leaves
// one of both. It is not flushed to the medium: flash wears out, and a file cut
// short only costs the questions once more.
func replace(dir string, known []Known) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, fileName+".*")
	if err != nil {
		return err
	}
	err = write(f, known)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, fileName))
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

func write(w io.Writer, known []Known) error {
	out := bufio.NewWriter(w)
	total := 0
	for _, k := range known {
		line := stanza.New(nsFile, "known", stanza.A("hash", k.Hash), stanza.A("ver", k.Ver), k.Info.Element()).
			AppendXML(nil, stanza.NSClient)
		if total += len(line) + 1; total > maxFileBytes {
			break
		}
		if _, err := out.Write(append(line, '\n')); err != nil {
			return err
		}
	}
	return out.Flush()
}
