package integration

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/dbuspeer"
)

// tubePeer is a program at its end of a D-Bus tube which does no more than it
// must, so that what is measured is the tube. Its messages are encoded before.
type tubePeer struct {
	net.Conn

	b        *testing.B
	messages *dbuspeer.Reader
	serial   uint32
}

// dialTube connects to an address as a tube gives it.
func dialTube(b *testing.B, address string) *tubePeer {
	b.Helper()
	path, isPath := strings.CutPrefix(address, "unix:path=")
	if !isPath {
		b.Fatalf("no path in %q", address)
	}
	path, _, _ = strings.Cut(path, ",")
	p := newTubePeer(b, dialUnix(b, path))
	fmt.Fprintf(p, "\x00AUTH EXTERNAL %x\r\n", fmt.Sprint(os.Getuid()))
	var answer []byte // a byte at a time: what follows is not ours
	for next := make([]byte, 1); !bytes.HasSuffix(answer, []byte("\r\n")); answer = append(answer, next...) {
		if _, err := io.ReadFull(p, next); err != nil {
			b.Fatal(err)
		}
	}
	if !bytes.HasPrefix(answer, []byte("OK ")) {
		b.Fatalf("the tube says %q", answer)
	}
	fmt.Fprint(p, "BEGIN\r\n")
	return p
}

func newTubePeer(b *testing.B, c net.Conn) *tubePeer {
	b.Cleanup(func() { c.Close() })
	return &tubePeer{Conn: c, b: b, messages: dbuspeer.NewReader(c, 16<<20)}
}

// plainTube is what a tube would be at its best: one socket between two programs.
func plainTube(b *testing.B) (x, y *tubePeer) {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	one, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	other, err := l.Accept()
	if err != nil {
		b.Fatal(err)
	}
	return newTubePeer(b, one), newTubePeer(b, other)
}

// encodeMessage encodes a message without a number.
func encodeMessage(b *testing.B, kind dbus.Type, headers map[dbus.HeaderField]any, payload []byte) []byte {
	b.Helper()
	m := dbus.Message{Type: kind, Headers: make(map[dbus.HeaderField]dbus.Variant)}
	for field, value := range headers {
		m.Headers[field] = dbus.MakeVariant(value)
	}
	if payload != nil {
		m.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.ParseSignatureMust("ay"))
		m.Body = []any{payload}
	}
	var out bytes.Buffer
	if err := m.EncodeTo(&out, binary.LittleEndian); err != nil {
		b.Fatal(err)
	}
	return out.Bytes()
}

// tubeCall is a call for who has the name, or for whom it reaches.
func tubeCall(b *testing.B, name string, payload []byte) []byte {
	headers := map[dbus.HeaderField]any{
		dbus.FieldPath: dbus.ObjectPath("/"), dbus.FieldInterface: "org.laptop.Test", dbus.FieldMember: "Call",
	}
	if name != "" {
		headers[dbus.FieldDestination] = name
	}
	return encodeMessage(b, dbus.TypeMethodCall, headers, payload)
}

func tubeSignal(b *testing.B) []byte {
	return encodeMessage(b, dbus.TypeSignal, map[dbus.HeaderField]any{
		dbus.FieldPath: dbus.ObjectPath("/"), dbus.FieldInterface: "org.laptop.Test", dbus.FieldMember: "Told",
	}, []byte("what one child tells the others"))
}

// say sends an encoded message under the next number.
func (p *tubePeer) say(m []byte) {
	p.serial++
	binary.LittleEndian.PutUint32(m[8:], p.serial)
	if _, err := p.Write(m); err != nil {
		p.b.Error(err)
	}
}

// call waits for the answer to a call.
func (p *tubePeer) call(m []byte) {
	p.b.Helper()
	p.say(m)
	for {
		h, err := p.next()
		if err != nil {
			p.b.Fatal(err)
		}
		if h.ReplySerial == p.serial {
			return
		}
	}
}

func (p *tubePeer) next() (dbuspeer.Header, error) {
	m, err := p.messages.Next()
	if err != nil {
		return dbuspeer.Header{}, err
	}
	return dbuspeer.ParseMessage(m)
}

// answer answers all calls until the tube is closed.
func (p *tubePeer) answer() {
	for {
		h, err := p.next()
		if err != nil {
			return
		}
		if h.Kind != dbuspeer.KindCall {
			continue
		}
		headers := map[dbus.HeaderField]any{dbus.FieldReplySerial: h.Serial}
		if h.Sender != "" {
			headers[dbus.FieldDestination] = h.Sender
		}
		p.say(encodeMessage(p.b, dbus.TypeMethodReply, headers, nil))
	}
}

// hear reads n signals.
func (p *tubePeer) hear(n int) {
	for n > 0 {
		h, err := p.next()
		if err != nil {
			p.b.Error(err)
			return
		}
		if h.Kind == dbuspeer.KindSignal {
			n--
		}
	}
}

// echo sends back a byte to each who connects.
func echo(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			r := bufio.NewReader(c)
			for {
				next, err := r.ReadByte()
				if err != nil {
					return
				}
				_, _ = c.Write([]byte{next})
			}
		}()
	}
}
