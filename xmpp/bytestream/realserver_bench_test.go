package bytestream

import (
	"io"
	"testing"

	"telepathy-olpc/tests/school"
	"telepathy-olpc/xmpp/ibb"
)

// inBandSize is what goes through a server at a time.
const inBandSize = 10 << 20

// BenchmarkInBand is how fast a file gets through a server, where there is no
// other way. All of it is base64 in stanzas, which the server reads and writes.
func BenchmarkInBand(b *testing.B) {
	for _, kind := range school.Kinds {
		b.Run(string(kind), func(b *testing.B) {
			s := school.StartTest(b, school.Options{Kind: kind, Roster: school.RosterNone})
			ana, bob := connect(b, s, "ana"), connect(b, s, "bob")
			ana.on(func() { ana.SetMethods(ibb.NS) })
			b.SetBytes(inBandSize)
			b.ReportAllocs()
			for b.Loop() {
				throughServer(b, ana, bob)
			}
		})
	}
}

// throughServer sends something from one to the other.
func throughServer(b *testing.B, from, to *pupil) {
	b.Helper()
	x, y := between(b, from, to)
	done := make(chan error, 1)
	go func() {
		_, err := io.Copy(x, source(5, inBandSize))
		if err == nil {
			err = x.CloseWrite()
		}
		done <- err
	}()
	n, err := io.Copy(io.Discard, y)
	if err != nil || n != inBandSize {
		b.Fatalf("%d bytes came: %v", n, err)
	}
	y.Close()
	if err := await(b, done, "the sender"); err != nil {
		b.Fatal(err)
	}
	x.Close()
}

// between opens a stream.
func between(b *testing.B, from, to *pupil) (x, y Conn) {
	b.Helper()
	atX, atY := make(chan outcome, 1), make(chan outcome, 1)
	from.on(func() { from.propose(to, atX) })
	o := await(b, to.offers, "an offer")
	to.on(func() { o.Accept(nil, func(c Conn, err error) { atY <- outcome{c, nil, err} }) })
	there, here := await(b, atX, "the initiator"), await(b, atY, "the target")
	if there.err != nil || here.err != nil {
		b.Fatal(there.err, here.err)
	}
	return there.conn, here.conn
}
