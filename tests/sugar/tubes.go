package sugar

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
)

// The activities that use tubes.
const (
	calculateBundle = "org.laptop.Calculate"
	readBundle      = "org.laptop.sugar.ReadActivity"
	writeBundle     = "org.laptop.AbiWordActivity"
)

// calculate: what one calculates, the other sees. It goes as D-Bus signals through a tube.
func (s *Stage) calculate() []check {
	a := s.newSharing(calculateBundle)
	return a.story("Calculate", []check{
		{"Alice has a D-Bus tube", func(ctx context.Context) error { return a.alices.until(ctx, nil, "in_tube", 1) }},
	}, []check{
		{"both are in the tube, for both", func(ctx context.Context) error { return a.both(ctx, "in_tube", 2) }},
		{"Alice calculates, and Bob sees it", func(ctx context.Context) error {
			if err := a.alices.call(ctx, nil, "calculate", "6*7"); err != nil {
				return err
			}
			return a.bobs.until(ctx, nil, "calculated", a.aliceIs, "42")
		}},
		{"Bob calculates, and Alice sees it", func(ctx context.Context) error {
			if err := a.bobs.call(ctx, nil, "calculate", "2**10"); err != nil {
				return err
			}
			err := a.alices.until(ctx, nil, "calculated", a.bobIs, "1024")
			s.photograph(ctx, "calculate")
			return err
		}},
	})
}

// read: Bob gets the book that Alice reads, by HTTP through a stream tube.
func (s *Stage) read() []check {
	const title = "A book"
	book := strings.Repeat("An old lime stands in front of our house.\n", 20_000)
	a := s.newSharing(readBundle)
	return append([]check{
		{"Alice has a book in her Journal", func(ctx context.Context) error {
			path := s.alice.runtime("book.txt")
			if err := os.WriteFile(path, []byte(book), 0o600); err != nil {
				return err
			}
			return s.alice.shell.call(ctx, nil, "keep", title, "", "text/plain", path)
		}},
		{"Alice opens it with Read", func(ctx context.Context) (err error) {
			if err := s.alice.shell.call(ctx, nil, "read_entry", title, readBundle); err != nil {
				return err
			}
			if a.alices, a.id, err = s.alice.started(ctx, readBundle); err != nil {
				return err
			}
			return a.alices.until(ctx, nil, "opened")
		}},
	}, slices.Concat(
		a.joining(check{"Alice offers the book", func(ctx context.Context) error { return a.alices.until(ctx, nil, "offers_book") }}),
		[]check{
			{"Bob is told of the book", func(ctx context.Context) error { return a.bobs.until(ctx, nil, "wants_book") }},
			// On Python 3, Read 123 gives AcceptStreamTube an argument that it has no more, and its toolkit calls a function that
			// is gone: it gets no book from anybody by itself.
			{"Bob gets it, when the calls are made that his Read means", func(ctx context.Context) error {
				var sum string
				if err := a.bobs.call(ctx, &sum, "get_book"); err != nil {
					return err
				}
				s.photograph(ctx, "read")
				return same(sum, []byte(book))
			}},
		}, a.ending())...)
}

// write: both have the tube of AbiWord. Debian's AbiWord lacks the plugin that would send through it what they type.
func (s *Stage) write() []check {
	a := s.newSharing(writeBundle)
	return a.story("Write", []check{
		{"Alice has a D-Bus tube", func(ctx context.Context) error { return a.alices.until(ctx, nil, "in_write", 1) }},
	}, []check{
		{"both are in the tube, for both", func(ctx context.Context) error {
			if err := a.both(ctx, "in_write", 2); err != nil {
				return err
			}
			var names [2][]string
			for i, p := range []*Process{a.alices, a.bobs} {
				if err := p.call(ctx, &names[i], "write_names"); err != nil {
					return err
				}
			}
			if !slices.Equal(names[0], names[1]) {
				return fmt.Errorf("in the tube are %q for Alice, %q for Bob", names[0], names[1])
			}
			s.photograph(ctx, "write")
			return nil
		}},
	})
}
