package functional

import (
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"testing"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/tests/cmtest"
	"telepathy-olpc/xmpp/ibb"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/si"
	"telepathy-olpc/xmpp/socks5"
	"telepathy-olpc/xmpp/stanza"
	wire "telepathy-olpc/xmpp/tubes"
)

// cuttable is one connection of a stream tube with ada, and both its ends.
type cuttable struct {
	*hall
	id      uint32          // of the tube on the wire
	path    dbus.ObjectPath // of its channel
	program net.Conn        // the local program's end
	sid     string
	method  string
	direct  *net.TCPConn // ada's end of SOCKS5
	seq     int          // of ada's next block in-band
	ended   chan error   // of the goroutine that writes at one end, if there is one
}

const chatAda = chatRoom + "/ada"

func address(t testing.TB, s string) jid.JID {
	t.Helper()
	j, err := jid.ParseLenient(s)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// offering has ada connect to a tube that we offer, and a local program serve it.
func offering(h *hall, method string, n uint32) *cuttable {
	h.T.Helper()
	c := &cuttable{hall: h, method: method, sid: fmt.Sprint("cut", n)}
	c.path = cmtest.As[dbus.ObjectPath](h.T, h.Call(h.Path, tp.InterfaceConnectionRequests, "CreateChannel", map[string]dbus.Variant{
		tp.PropertyChannelChannelType:       dbus.MakeVariant(streamTube.Name),
		tp.PropertyChannelTargetHandleType:  dbus.MakeVariant(uint32(tp.HandleTypeRoom)),
		tp.PropertyChannelTargetHandle:      dbus.MakeVariant(h.handle),
		tp.PropertyChannelStreamTubeService: dbus.MakeVariant("http"),
	}).Arg(0))
	l, at := listen(h.T)
	defer l.Close()
	h.Call(c.path, streamTube, "Offer", uint32(2), dbus.MakeVariant(at), uint32(0), map[string]dbus.Variant{})
	c.id = announcedBy(h.T, h.Expect(updated.Where("with a tube", func(e *cmtest.Event) bool { return len(announcedBy(h.T, e)) > 0 })))[0].ID
	offer := si.Offer{ID: c.sid, Profile: wire.NS, Methods: []string{method}}
	h.asks(c.sid, offer.Element().With(wire.BuildConnection(wire.MUCStreamConnection, c.id)))
	c.program = accept(h.T, l)
	h.Expect(remoteConnection.At(c.path))
	h.Expect(cmtest.IQAnswer("result", c.sid))
	if method == ibb.NS {
		h.inBand(chatAda, c.sid+"-open", ibb.Open{SID: c.sid, BlockSize: ibb.SmallBlockSize}.Element().String())
		return c
	}
	server, err := socks5.Listen()
	if err != nil {
		h.T.Fatal(err)
	}
	defer server.Close()
	ada := address(h.T, chatAda)
	hash := socks5.Hash(c.sid, ada, address(h.T, chatSelf))
	server.Expect(hash)
	query := socks5.Query{SID: c.sid, Hosts: []socks5.StreamHost{{JID: ada, Host: socks5.LocalAddresses()[0], Port: server.Port()}}}
	h.asks(c.sid+"-hosts", query.Element())
	h.Expect(cmtest.IQAnswer("result", c.sid+"-hosts"))
	c.direct = server.Take(hash)
	return c
}

// asks has ada ask for something.
func (h *hall) asks(id string, payload *stanza.Element) {
	h.Server.Send("<iq type='set' id='" + id + "' from='" + chatAda + "' to='" + cmtest.Self + "'>" + payload.String() + "</iq>")
}

// accepting has a local program connect to a tube that ada offers.
func accepting(h *hall, method string, n uint32) *cuttable {
	h.T.Helper()
	c := &cuttable{hall: h, method: method, id: n}
	h.shares("ada", wire.Tube{Type: wire.Stream, Service: reader, ID: n}.Element().String())
	c.path, _ = h.tubeAppears()
	path := string(cmtest.As[[]byte](h.T, h.Call(c.path, streamTube, "Accept", uint32(0), uint32(0), dbus.MakeVariant(uint32(0))).Arg(0)))
	program, err := net.Dial("unix", path)
	if err != nil {
		h.T.Fatal(err)
	}
	c.program = program
	h.T.Cleanup(func() { program.Close() })
	h.Expect(localConnection.At(c.path))
	asked := h.Expect(cmtest.IQ("set", si.NS).To(chatAda))
	offer, err := si.ParseOffer(asked.Element.Child(si.NS, "si"))
	if err != nil {
		h.T.Fatal(err)
	}
	c.sid = offer.ID
	h.Server.Answer(asked, offer.Accept([]string{method}, wire.Accepted).String())
	if method == ibb.NS {
		h.Server.Answer(h.Expect(cmtest.IQ("set", ibb.NS).To(chatAda).Having(ibb.NS, "open")), "")
		return c
	}
	hosts := h.Expect(cmtest.IQ("set", socks5.NS).To(chatAda))
	query, err := socks5.ParseQuery(hosts.Element.First())
	if err != nil {
		h.T.Fatal(err)
	}
	c.direct = inet{"127.0.0.1", query.Hosts[0].Port}.dial(h.T).(*net.TCPConn)
	if err := socks5.Handshake(c.direct, socks5.Hash(c.sid, address(h.T, chatSelf), address(h.T, chatAda))); err != nil {
		h.T.Fatal(err)
	}
	h.Server.Answer(hosts, socks5.Used(c.sid, address(h.T, chatSelf)).String())
	return c
}

// pour writes without end, as one does who does not know yet that the other is
// gone.
func (c *cuttable) pour(to io.Writer) {
	c.ended = make(chan error, 1)
	go func() {
		_, err := io.Copy(to, rand.NewChaCha8([32]byte{}))
		c.ended <- err
	}()
}

// out has at least n bytes of the local program arrive at ada.
func (c *cuttable) out(n int) {
	c.T.Helper()
	c.pour(c.program)
	if c.direct != nil {
		c.read(c.direct, n)
		return
	}
	for n > 0 {
		e := c.Expect(cmtest.IQ("set", ibb.NS).To(chatAda).Having(ibb.NS, "data"))
		n -= base64.StdEncoding.DecodedLen(len(e.Element.First().Text()))
		c.Server.Answer(e, "")
	}
}

// in has n bytes of ada's arrive at the local program.
func (c *cuttable) in(n int) {
	c.T.Helper()
	if c.direct != nil {
		c.pour(c.direct)
	} else {
		for left := n; left > 0; left -= ibb.SmallBlockSize {
			c.inBand(chatAda, fmt.Sprint(c.sid, "-", c.seq), c.block(min(left, ibb.SmallBlockSize)))
		}
	}
	c.read(c.program, n)
}

// block is ada's next.
func (c *cuttable) block(n int) string {
	c.seq++
	return ibb.Data{SID: c.sid, Seq: uint16(c.seq - 1), Bytes: make([]byte, n)}.Element().String()
}

func (c *cuttable) read(from net.Conn, n int) {
	c.T.Helper()
	if _, err := io.CopyN(io.Discard, from, int64(n)); err != nil {
		c.T.Errorf("%d bytes: %v", n, err)
	}
}

// cut is how a connection can come to its end, and how that is told.
type cut struct {
	name string
	cut  func(*cuttable)
	want tp.ErrorName
}

// cuts are those after which the room is still there.
var (
	cuts = []cut{
		{"stream", (*cuttable).cutStream, tp.ErrorConnectionLost},
		{"program", (*cuttable).cutProgram, tp.ErrorCancelled},
		{"tube", func(c *cuttable) { c.CallAsync(c.path, tp.InterfaceChannel, "Close") }, tp.ErrorCancelled},
	}
	lineCut = cut{"line", func(c *cuttable) { c.Server.Stream().Cut() }, tp.ErrorConnectionLost}
)

// cutStream breaks the stream off: by RST, or in-band by a block out of sequence.
func (c *cuttable) cutStream() {
	if c.direct != nil {
		c.direct.SetLinger(0)
		c.direct.Close()
		return
	}
	c.seq += 7
	c.Server.Send("<iq type='set' id='" + c.sid + "-bad' from='" + chatAda + "' to='" + cmtest.Self + "'>" + c.block(1) + "</iq>")
}

// cutProgram has the local program die.
func (c *cuttable) cutProgram() {
	if conn, is := c.program.(*net.TCPConn); is {
		conn.SetLinger(0)
	}
	c.program.Close()
}

// isOver wants both ends to see that the connection is over.
func (c *cuttable) isOver(how string) {
	c.T.Helper()
	if how != "program" {
		io.Copy(io.Discard, c.program) // until it ends
		c.program.Close()
	}
	if c.direct != nil && how != "stream" {
		io.Copy(io.Discard, c.direct)
		c.direct.Close()
	} else if c.direct == nil && how != "line" {
		for closed := false; !closed; { // what is under way is answered first
			e := c.Expect(cmtest.IQ("set", ibb.NS).To(chatAda))
			c.Server.Answer(e, "")
			closed = e.Element.Child(ibb.NS, "close") != nil
		}
	}
	if c.ended != nil {
		if err := <-c.ended; err == nil {
			c.T.Error("who writes is not told")
		}
	}
}

// Wherever a connection through a tube is cut, and whoever cuts it, clients are
// told why, both ends see it, and nothing of it stays: no descriptor, no socket,
// no goroutine.
func TestStreamTubes_cuts(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		method string
		open   func(*hall, string, uint32) *cuttable
		pass   func(*cuttable, int)
	}{
		"offered, SOCKS5":   {socks5.NS, offering, (*cuttable).out},
		"offered, in-band":  {ibb.NS, offering, (*cuttable).out},
		"accepted, SOCKS5":  {socks5.NS, accepting, (*cuttable).in},
		"accepted, in-band": {ibb.NS, accepting, (*cuttable).in},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := joinHall(t, "ada")
			var seed [32]byte
			copy(seed[:], name)
			random := rand.New(rand.NewChaCha8(seed))
			before := h.Descriptors()
			for i, how := range append(slices.Repeat(cuts, 3), lineCut) {
				c := tt.open(h, tt.method, uint32(10+i))
				offset := 1 + random.IntN(64<<10)
				h.Note("%s cut after %d bytes", how.name, offset)
				tt.pass(c, offset)
				how.cut(c)
				c.isOver(how.name)
				told := h.Expect(connectionClosed.At(c.path))
				cmtest.Equal(t, told.Arg(1), any(string(how.want)))
				switch how.name {
				case "stream", "program":
					h.Call(c.path, tp.InterfaceChannel, "Close")
					fallthrough
				case "tube":
					h.Expect(channelClosed.At(c.path))
					h.Sync()
				default:
					h.Expect(channelClosed.At(c.path))
					h.Expect(cmtest.NameGone(h.Name))
					before-- // the line itself
				}
				if now := h.Descriptors(); now > before {
					t.Errorf("%s cut: %d descriptors are open, %d were", how.name, now, before)
				}
			}
			if left := h.Sockets(); len(left) > 0 {
				t.Errorf("sockets are left: %v", left)
			}
			fresh := joinHall(t, "ada")
			fresh.Server.Stream().Cut()
			fresh.Expect(cmtest.NameGone(fresh.Name))
			if now, want := h.Goroutines(), fresh.Goroutines(); now > want {
				t.Errorf("%d goroutines, %d without tubes", now, want)
			}
		})
	}
}
