package xmpp

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"telepathy-olpc/internal/loop"
	"telepathy-olpc/xmpp/stanza"
)

// benchSession is a session past its login, on a real socket.
func benchSession(b *testing.B) (*Session, net.Conn, chan struct{}) {
	b.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	server, err := listener.Accept()
	if err != nil {
		b.Fatal(err)
	}
	listener.Close()
	handled := make(chan struct{}, 1)
	l := loop.New(loop.Config{})
	s := NewSession(Config{Keepalive: -1}, l, Events{Lost: func(error) { l.Close() }})
	s.phase = online
	s.link = newLink(newWire(conn, s.cfg), s.cfg.DeadAfter)
	s.HandlePresence(func(e *stanza.Element) bool {
		if e.HasAttr("id") {
			handled <- struct{}{}
		}
		return true
	})
	go l.Run()
	go s.link.out.run(s.link.wire)
	reading := s.link
	go func() {
		err := reading.read(func(e *stanza.Element, cost int) bool {
			return l.Post("stanza", func() {
				defer reading.room.give(cost)
				s.received(reading, e)
			})
		})
		l.Post("link down", func() { s.linkDown(reading, err) })
	}()
	b.Cleanup(func() {
		server.Close()
		<-l.Done()
	})
	return s, server, handled
}

// BenchmarkSession_receives5000 is what happens when a school comes on-line,
// from the socket to the handler.
func BenchmarkSession_receives5000(b *testing.B) {
	_, server, handled := benchSession(b)
	var burst strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&burst, "<presence from='%040x@school.test/sugar' to='ana@school.test/sugar'><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='n' ver='q07IKJEyjvHSyhy//CH0CxmKi8w='/></presence>", i)
	}
	burst.WriteString("<presence id='last'/>")
	b.SetBytes(int64(burst.Len()))
	b.ReportAllocs()
	for b.Loop() {
		io.WriteString(server, burst.String())
		<-handled
	}
}

// BenchmarkSession_sends is one message of a tube, up to the socket.
func BenchmarkSession_sends(b *testing.B) {
	s, server, _ := benchSession(b)
	go io.Copy(io.Discard, server)
	e := stanza.New(stanza.NSClient, "message", stanza.A("to", "room@conference.school.test"), stanza.A("type", "groupchat"),
		stanza.New("http://telepathy.freedesktop.org/xmpp/protocol/muc-bytestream", "data", stanza.A("sid", "1234"), stanza.Text(strings.Repeat("QUJD", 256))))
	sent := make(chan struct{})
	b.ReportAllocs()
	for b.Loop() {
		s.loop.Post("send", func() {
			s.Send(e)
			sent <- struct{}{}
		})
		<-sent
	}
}
