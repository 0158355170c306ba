package bytestream

import (
	"bytes"
	"io"
	"net"
	"testing"
)

// chunk is what activities and files are read and written by.
const chunk = 64 << 10

// carry measures bytes from one end to the other, read as they come.
func carry(b *testing.B, from io.Writer, to io.Reader) {
	block := bytes.Repeat([]byte("b"), chunk)
	done := make(chan error, 1)
	go func() {
		buf := make([]byte, chunk)
		for left := b.N; left > 0; left-- {
			if _, err := io.ReadFull(to, buf); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	b.SetBytes(chunk)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		if _, err := from.Write(block); err != nil {
			b.Fatal(err)
		}
	}
	if err := <-done; err != nil {
		b.Fatal(err)
	}
}

// BenchmarkThroughput measures streams beside a plain TCP connection on this
// machine, in the same run: SOCKS5 is to be as fast, and to allocate nothing.
// In-band, stanzas pass from loop to loop without being written and parsed.
func BenchmarkThroughput(b *testing.B) {
	b.Run("plain loopback", func(b *testing.B) {
		l := listen(b)
		x, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		defer x.Close()
		y, err := l.Accept()
		if err != nil {
			b.Fatal(err)
		}
		defer y.Close()
		carry(b, x, y)
	})
	for _, k := range kinds {
		b.Run(k.name, func(b *testing.B) {
			a, c := two(b, nil)
			a.do(func() { a.SetMethods(k.method) })
			x, y := pair(b, a, c)
			defer y.Close()
			defer x.Close()
			carry(b, x, y)
		})
	}
}

// BenchmarkOpen measures what a child waits for before the first byte, without
// the server: offer, answer, and the method.
func BenchmarkOpen(b *testing.B) {
	for _, k := range kinds {
		b.Run(k.name, func(b *testing.B) {
			a, c := two(b, nil)
			a.do(func() { a.SetMethods(k.method) })
			b.ReportAllocs()
			for b.Loop() {
				x, y := pair(b, a, c)
				x.Close()
				y.Close()
			}
		})
	}
}
