package dbuspeer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"testing"
	"testing/iotest"
)

// big returns a message of about n bytes.
func big(n int) []byte {
	return signal().with("ay", append(binary.LittleEndian.AppendUint32(nil, uint32(n)), make([]byte, n)...)...).bytes()
}

func TestReader(t *testing.T) {
	all := append(seeds(t)[:10], big(firstStep), big(5*firstStep+1), big(4<<20), big(0))
	stream := bytes.Join(all, nil)
	for name, in := range map[string]io.Reader{
		"at once":      bytes.NewReader(stream),
		"in halves":    iotest.HalfReader(bytes.NewReader(stream)),
		"data and EOF": iotest.DataErrReader(bytes.NewReader(stream)),
	} {
		r := NewReader(in, MaxMessage)
		for i, want := range all {
			if got, err := r.Next(); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("%s: message %d has %d bytes of %d, %v", name, i, len(got), len(want), err)
			}
		}
		if _, err := r.Next(); err != io.EOF {
			t.Errorf("%s: at the end %v", name, err)
		}
	}
}

func TestReader_bytewise(t *testing.T) {
	m := seeds(t)[0]
	for cut := range len(m) {
		_, err := NewReader(iotest.OneByteReader(bytes.NewReader(m[:cut])), MaxMessage).Next()
		if want := map[bool]error{true: io.EOF, false: io.ErrUnexpectedEOF}[cut == 0]; err != want {
			t.Fatalf("of %d bytes: %v", cut, err)
		}
	}
	cut := big(3 * firstStep)[:firstStep]
	if _, err := NewReader(bytes.NewReader(cut), MaxMessage).Next(); err != io.ErrUnexpectedEOF {
		t.Errorf("cut where memory grows: %v", err)
	}
}

func TestReader_tooLong(t *testing.T) {
	r := NewReader(bytes.NewReader(append(big(1000), big(10)...)), 500)
	if _, err := r.Next(); err != ErrTooLong {
		t.Fatalf("a long message: %v", err)
	}
	if m, err := r.Next(); err != nil || !bytes.Equal(m, big(10)) {
		t.Errorf("the next: %v", err)
	}
	for name, change := range map[string]func([]byte){
		"over all limits":    func(b []byte) { binary.LittleEndian.PutUint32(b[4:], maxSize) },
		"huge":               func(b []byte) { binary.LittleEndian.PutUint32(b[4:], 1<<32-1) },
		"huge header":        func(b []byte) { binary.LittleEndian.PutUint32(b[12:], 1<<32-1) },
		"unknown byte order": func(b []byte) { b[0] = 'x' },
		"unknown version":    func(b []byte) { b[3] = 2 },
	} {
		b := big(10)
		change(b)
		if _, err := NewReader(bytes.NewReader(b), MaxMessage).Next(); !errors.Is(err, errFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A length alone takes no memory.
func TestReader_declaredSize(t *testing.T) {
	b := big(10)
	binary.LittleEndian.PutUint32(b[4:], MaxMessage-1000)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := NewReader(bytes.NewReader(b), MaxMessage).Next(); err != io.ErrUnexpectedEOF {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 4*firstStep {
		t.Errorf("%d bytes set aside for %d", n, len(b))
	}
}

// FuzzReader asserts that the messages are the stream, piece by piece.
func FuzzReader(f *testing.F) {
	for _, b := range seeds(f)[:8] {
		f.Add(append(b, b...), 200)
	}
	f.Fuzz(func(t *testing.T, in []byte, max int) {
		r := NewReader(iotest.HalfReader(bytes.NewReader(in)), max)
		at := 0
		for {
			b, err := r.Next()
			switch {
			case err == ErrTooLong:
				fixed, err := parseFixed(in[at:])
				if err != nil || int(fixed.size()) <= max {
					t.Fatalf("at %d not too long, %v", at, err)
				}
				at += int(fixed.size())
				continue
			case err != nil:
				return
			}
			if !bytes.HasPrefix(in[at:], b) || len(b) > max || len(b) < fixedLen {
				t.Fatalf("at %d: %q", at, b)
			}
			at += len(b)
		}
	})
}

func BenchmarkReader(b *testing.B) {
	for name, m := range map[string][]byte{"call": seeds(b)[0], "10 MB": big(10 << 20)} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(m)))
			b.ReportAllocs()
			in := bytes.NewReader(m)
			r := NewReader(in, MaxMessage)
			for b.Loop() {
				in.Reset(m)
				if _, err := r.Next(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
