package bytestream

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"testing"
	"time"

	"telepathy-olpc/xmpp/ibb"
)

func TestStream_bothWays(t *testing.T) {
	each(t, func(t *testing.T, a, b *child) {
		x, y := pair(t, a, b)
		question, answer := bytes.Repeat([]byte("question"), 10_000), bytes.Repeat([]byte("answer"), 20_000)
		done := make(chan error, 1)
		go func() {
			got, err := io.ReadAll(y)
			if !bytes.Equal(got, question) {
				t.Errorf("got %d bytes, want %d", len(got), len(question))
			}
			y.Write(answer)
			y.CloseWrite()
			done <- err
		}()
		if _, err := x.Write(question); err != nil {
			t.Error(err)
		}
		if err := x.CloseWrite(); err != nil {
			t.Error(err)
		}
		got, err := io.ReadAll(x)
		if err != nil || !bytes.Equal(got, answer) {
			t.Errorf("got %d bytes and %v, want %d", len(got), err, len(answer))
		}
		if err := await(t, done, "the other end"); err != nil {
			t.Error(err)
		}
		closeBoth(t, a, b, x, y)
	})
}

// closeBoth closes a stream and waits until both sides know.
func closeBoth(t *testing.T, a, b *child, x, y Conn) {
	t.Helper()
	x.Close()
	y.Close()
	for range 3 { // question and answer pass
		a.do(func() {})
		b.do(func() {})
	}
	a.do(a.checkEmpty)
	b.do(b.checkEmpty)
	for _, c := range []*child{a, b} {
		c.do(func() {
			if c.used != 0 || len(c.slots) != 0 {
				t.Errorf("%s has %d slots in use", c.self, c.used)
			}
		})
	}
}

// A small write is on its way without being flushed.
func TestStream_smallWrites(t *testing.T) {
	each(t, func(t *testing.T, a, b *child) {
		x, y := pair(t, a, b)
		for i := range 300 {
			want := bytes.Repeat([]byte{byte(i)}, i%5+1)
			got := make([]byte, len(want))
			if _, err := x.Write(want); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(y, got); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("got %x, %v, want %x", got, err, want)
			}
			if _, err := y.Write(got); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(x, got); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("came back %x, %v, want %x", got, err, want)
			}
		}
		closeBoth(t, a, b, x, y)
	})
}

// source is a stream of chance, the same for the same seed.
func source(seed byte, n int64) io.Reader {
	return io.LimitReader(rand.NewChaCha8([32]byte{seed}), n)
}

// Files arrive as they were, and memory does not grow with them.
func TestStream_bulk(t *testing.T) {
	each(t, func(t *testing.T, a, b *child) {
		size := int64(100 << 20)
		if a.methods[0] == ibb.NS {
			size = 10 << 20
		}
		if testing.Short() {
			size /= 20
		}
		x, y := pair(t, a, b)
		sent, came := sha256.New(), sha256.New()
		done := make(chan error, 1)
		runtime.GC()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		go func() {
			_, err := io.Copy(x, io.TeeReader(source(1, size), sent))
			done <- errors.Join(err, x.CloseWrite())
		}()
		peak := uint64(0)
		for left := size; left > 0; left -= size / 8 {
			if n, err := io.CopyN(came, y, size/8); err != nil {
				t.Fatalf("%d, %v", n, err)
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			peak = max(peak, after.HeapAlloc)
		}
		if err := await(t, done, "the sender"); err != nil {
			t.Error(err)
		}
		if n, err := y.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("then came %d, %v", n, err)
		}
		if !bytes.Equal(sent.Sum(nil), came.Sum(nil)) {
			t.Error("other bytes came than were sent")
		}
		if peak > before.HeapAlloc+4<<20 {
			t.Errorf("memory went from %d to %d", before.HeapAlloc, peak)
		}
		closeBoth(t, a, b, x, y)
	})
}

// Who does not read holds back who writes, for any time and with all of it.
func TestStream_backPressure(t *testing.T) {
	each(t, func(t *testing.T, a, b *child) {
		x, y := pair(t, a, b)
		size := int64(16 << 20)
		if a.methods[0] == ibb.NS {
			size = 2 << 20
		}
		done := make(chan error, 1)
		go func() {
			_, err := io.Copy(x, source(2, size))
			done <- errors.Join(err, x.CloseWrite())
		}()
		// Once it has begun to come, loops are idle again only when nothing
		// more can go.
		first := make([]byte, 1)
		if _, err := io.ReadFull(y, first); err != nil {
			t.Fatal(err)
		}
		for range 100 {
			a.do(func() {})
			b.do(func() {})
		}
		select {
		case err := <-done:
			t.Fatal("all was taken while nobody read:", err)
		default:
		}
		rest, err := io.ReadAll(y)
		want, _ := io.ReadAll(source(2, size))
		if err != nil || !bytes.Equal(append(first, rest...), want) {
			t.Errorf("then came %d bytes, %v", len(rest), err)
		}
		if err := await(t, done, "the sender"); err != nil {
			t.Error(err)
		}
		closeBoth(t, a, b, x, y)
	})
}

// A cut, by either side and in the middle, ends what both do, with an error.
func TestStream_cut(t *testing.T) {
	type side func(a, b *child, x, y Conn)
	for name, cut := range map[string]side{
		"sender closes":           func(a, b *child, x, y Conn) { x.Close() },
		"receiver closes":         func(a, b *child, x, y Conn) { y.Close() },
		"sender's session ends":   func(a, b *child, x, y Conn) { a.do(a.Manager.Close) },
		"receiver's session ends": func(a, b *child, x, y Conn) { b.do(b.Manager.Close) },
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, a, b *child) {
				x, y := pair(t, a, b)
				writer, reader := make(chan error, 1), make(chan error, 1)
				go func() {
					_, err := io.Copy(x, source(3, 1<<40))
					writer <- err
				}()
				if _, err := io.CopyN(io.Discard, y, rand.Int64N(3<<20)); err != nil {
					t.Fatal(err)
				}
				go func() {
					_, err := io.Copy(io.Discard, y)
					reader <- err
				}()
				cut(a, b, x, y)
				if err := await(t, writer, "the writer"); err == nil {
					t.Error("the writer saw no error")
				}
				err := await(t, reader, "the reader")
				if inBand := a.methods[0] == ibb.NS; err == nil && !inBand {
					t.Error("the reader saw no error") // in-band the end is an end
				}
				closeBoth(t, a, b, x, y)
			})
		})
	}
}

// Close wakes who reads and who writes at the same end.
func TestStream_closeWakes(t *testing.T) {
	each(t, func(t *testing.T, a, b *child) {
		x, y := pair(t, a, b)
		errs := make(chan error, 2)
		go func() { _, err := x.Read(make([]byte, 1)); errs <- err }()
		go func() { _, err := io.Copy(x, source(4, 1<<40)); errs <- err }()
		if _, err := io.ReadFull(y, make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
		x.Close()
		for range 2 {
			if err := await(t, errs, "the one that waits"); !errors.Is(err, net.ErrClosed) {
				t.Errorf("woken by %v", err)
			}
		}
		if _, err := x.Write([]byte("late")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("wrote after Close: %v", err)
		}
		closeBoth(t, a, b, x, y)
	})
}

// Many at once, between the same two.
func TestStream_parallel(t *testing.T) {
	each(t, func(t *testing.T, a, b *child) {
		const n = 20
		done := make(chan error, 2*n)
		for i := range n {
			x, y := pair(t, a, b)
			go func() {
				_, err := io.Copy(x, source(byte(i), 1<<18))
				done <- errors.Join(err, x.CloseWrite())
				x.Read(make([]byte, 1))
				x.Close()
			}()
			go func() {
				got, err := io.ReadAll(y)
				if want, _ := io.ReadAll(source(byte(i), 1<<18)); !bytes.Equal(got, want) {
					t.Errorf("stream %d: other bytes", i)
				}
				y.Close()
				done <- err
			}()
		}
		for range 2 * n {
			if err := await(t, done, "a stream"); err != nil {
				t.Error(err)
			}
		}
	})
}

// What stands in a stream's time limits is longer than what it contains.
func TestLimits(t *testing.T) {
	if reachWithin >= usedWithin || usedWithin > time.Minute || ibb.MaxBlockSize*ibb.Window >= 512<<10 {
		t.Error("the target answers too late, or a window does not fit")
	}
}
