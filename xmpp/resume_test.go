package xmpp

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"telepathy-olpc/internal/loop"
	"telepathy-olpc/xmpp/stanza"
)

const enabled = "<enabled xmlns='" + nsManagement + "' id='s1' resume='true'/>"

// managed is a client with stream management, and its server and peer.
func managed(t *testing.T, answer string) (*client, *scripted, *peer) {
	t.Helper()
	server := newScripted(t)
	c := connect(t, server.config())
	p := server.accept()
	p.logIn(offerSM)
	c.wantReady()
	if e := p.read(nsManagement, "enable"); e.Attr("resume") != "true" {
		t.Fatalf("got %v", e)
	}
	p.send(answer)
	return c, server, p
}

func (c *client) message(id string) {
	c.t.Helper()
	c.on(func() { c.Send(stanza.New(stanza.NSClient, "message", stanza.A("id", id))) })
}

func (p *peer) message(id string) {
	p.t.Helper()
	if e := p.read(stanza.NSClient, "message"); e.Attr("id") != id {
		p.t.Fatalf("got %v, want %s", e, id)
	}
}

func (p *peer) ack(h int) { p.send(fmt.Sprintf("<a xmlns='%s' h='%d'/>", nsManagement, h)) }

func (p *peer) wantAck(h int) {
	p.t.Helper()
	p.send("<r xmlns='" + nsManagement + "'/>")
	if e := p.read(nsManagement, "a"); e.Attr("h") != fmt.Sprint(h) {
		p.t.Fatalf("got %v, want %d", e, h)
	}
}

// resume reads the wish to go on, with the number of stanzas that the client
// has handled.
func (p *peer) resume(handled int) {
	p.t.Helper()
	p.authenticate(offerSM, offerBind)
	if e := p.read(nsManagement, "resume"); e.Attr("previd") != "s1" || e.Attr("h") != fmt.Sprint(handled) {
		p.t.Fatalf("got %v, want h %d", e, handled)
	}
}

func (p *peer) resumed(handled int) {
	p.t.Helper()
	p.send(fmt.Sprintf("<resumed xmlns='%s' previd='s1' h='%d'/>", nsManagement, handled))
}

func TestManagement_counts(t *testing.T) {
	c, _, p := managed(t, "<message/>"+enabled) // the first comes before the count begins
	p.wantAck(0)
	p.send("<message/><presence/><iq type='result' id='x'/><message from='@'/><other/> ")
	p.wantAck(4)
	p.send(strings.Repeat("<message/>", ackEvery))
	if e := p.read(nsManagement, "a"); e.Attr("h") != fmt.Sprint(ackEvery) {
		t.Errorf("got %v, want an unasked acknowledgement", e)
	}
	p.wantAck(ackEvery + 4)
	c.on(func() {
		for range askEvery {
			c.Send(stanza.New(stanza.NSClient, "message"))
		}
		c.Send(stanza.New(stanza.NSClient, "message", stanza.Text(strings.Repeat("x", askBytes))))
	})
	for range askEvery {
		p.read(stanza.NSClient, "message")
	}
	p.read(nsManagement, "r")
	p.read(stanza.NSClient, "message")
	p.read(nsManagement, "r")
	p.ack(askEvery + 1)
	p.sync()
	c.on(func() {
		if len(c.sm.unacked) != 1 || c.sm.bytes != len(c.sm.unacked[0]) { // the sync's pong
			t.Errorf("%d stanzas, %d bytes are kept", len(c.sm.unacked), c.sm.bytes)
		}
	})
}

// A server that asks after each stanza is answered at once, and then for all
// that has come in a while.
func TestManagement_asksAlways(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := loop.New(loop.Config{})
		s := NewSession(Config{}, l, Events{})
		s.link = newLink(&wire{}, time.Second)
		s.sm = management{enabled: true, counting: true}
		go l.Run()
		defer l.Close()
		ask := func(times int) {
			l.Post("ask", func() {
				for range times {
					s.countHandled()
					s.handleManagement(stanza.New(nsManagement, "r"))
				}
			})
		}
		wantAnswers := func(want string) {
			t.Helper()
			synctest.Wait()
			s.link.out.mu.Lock()
			defer s.link.out.mu.Unlock()
			if got := strings.ReplaceAll(string(s.link.out.buf), "<a xmlns='"+nsManagement+"' h=", ""); got != want {
				t.Errorf("answered %s, want %s", got, want)
			}
		}
		ask(1)
		wantAnswers("'1'/>")
		ask(2)
		wantAnswers("'1'/>")
		time.Sleep(ackPause)
		wantAnswers("'1'/>'3'/>")
		time.Sleep(time.Hour)
		wantAnswers("'1'/>'3'/>")
		ask(1)
		wantAnswers("'1'/>'3'/>'4'/>")
		ask(1)
		l.Post("link down", func() { s.sm.holdAck() })
		time.Sleep(ackPause)
		wantAnswers("'1'/>'3'/>'4'/>")
	})
}

func TestManagement_notOffered(t *testing.T) {
	c, p := loggedIn(t, nil)
	p.send(enabled + "<r xmlns='" + nsManagement + "'/>")
	p.ack(7)
	p.sync()
	p.conn.Close()
	c.wantLost(ErrLost)
}

func TestResume_nothingIsLost(t *testing.T) {
	c, server, p := managed(t, enabled)
	got := make(answers, 1)
	p.send("<message id='in1'/>")
	c.next()
	c.message("out1")
	c.message("out2")
	p.message("out1")
	p.message("out2")
	c.on(func() { c.Ask(query("bob@school.test"), got.take) })
	p.iq("get")
	p.ack(1)
	p.wantAck(1)
	p.conn.Close()

	p = server.accept()
	p.open(features(offerPlain))
	c.message("out3") // while there is no link
	p.read(nsSASL, "auth")
	p.send(success)
	p.open(features(offerSM, offerBind))
	if e := p.read(nsManagement, "resume"); e.Attr("previd") != "s1" || e.Attr("h") != "1" {
		t.Fatalf("got %v", e)
	}
	p.resumed(2)
	iq := p.iq("get")
	p.message("out3")
	p.answer(iq, "<late xmlns='urn:test'/>")
	if err := <-got; err.Error() != "result late" {
		t.Errorf("got %v", err)
	}
	p.wantAck(2)
	p.sync()
	c.wantNothing()
}

func TestResume_again(t *testing.T) {
	c, server, p := managed(t, enabled)
	for i := range 3 {
		p.conn.Close()
		p = server.accept()
		p.resume(i)
		p.resumed(i)
		p.send("<message/>")
		c.next()
		c.message("out")
		p.message("out")
	}
	c.wantNothing()
	c.close()
}

func TestResume_serverNotThereAtOnce(t *testing.T) {
	c, server, p := managed(t, enabled)
	p.conn.Close()
	server.accept().conn.Close()
	p = server.accept()
	p.resume(0)
	p.resumed(0)
	p.sync()
	c.wantNothing()
}

// impatient is managed for a client that soon asks for a sign of life.
func impatient(t *testing.T) (*client, *scripted, *peer) {
	t.Helper()
	server := newScripted(t)
	cfg := server.config()
	cfg.Keepalive, cfg.DeadAfter = 50*time.Millisecond, 2*time.Second
	c := connect(t, cfg)
	p := server.accept()
	p.logIn(offerSM)
	p.read(nsManagement, "enable")
	p.send(enabled)
	c.wantReady()
	return c, server, p
}

func TestResume_silentLink(t *testing.T) {
	c, server, _ := impatient(t)
	p := server.accept() // the old connection stands and is silent
	p.resume(0)
	p.resumed(0)
	p.read(nsManagement, "r")
	c.wantNothing()
}

// A server that goes on for us and has not heard what was sent again is given
// up, as it would be the same next time.
func TestResume_deafServer(t *testing.T) {
	c, server, p := impatient(t)
	c.message("out")
	p.message("out")
	p.conn.Close()
	for range 2 { // the second link stands and is silent
		p = server.accept()
		p.resume(0)
		p.resumed(0)
	}
	c.wantLost(errDeaf)
	c.close()
	c.wantNothing()
}

func TestResume_fails(t *testing.T) {
	for _, c := range []struct {
		name   string
		script func(*scripted)
		want   any
	}{
		{"session given up", func(s *scripted) {
			p := s.accept()
			p.resume(0)
			p.send("<failed xmlns='" + nsManagement + "' h='0'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>")
		}, errExpired},
		{"count that cannot be", func(s *scripted) {
			p := s.accept()
			p.resume(0)
			p.resumed(1)
		}, errExpired},
		{"count that is none", func(s *scripted) {
			p := s.accept()
			p.resume(0)
			p.send("<resumed xmlns='" + nsManagement + "' previd='s1' h='x'/>")
		}, ErrNotXMPP},
		{"another answer", func(s *scripted) {
			p := s.accept()
			p.resume(0)
			p.send("<message/>")
		}, ErrNotXMPP},
		{"password changed", func(s *scripted) {
			p := s.accept()
			p.open(features(offerPlain))
			p.read(nsSASL, "auth")
			p.send("<failure xmlns='" + nsSASL + "'><not-authorized/></failure>")
		}, new(*SASLError)},
		{"no bind offered", func(s *scripted) { s.accept().authenticate(offerSM) }, ErrNotXMPP},
		{"server gone for good", func(s *scripted) { s.listener.Close() }, ErrLost},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, server, p := managed(t, strings.Replace(enabled, "/>", " max='1'/>", 1))
			p.sync()
			p.send("<r xmlns='" + nsManagement + "'/>")
			p.read(nsManagement, "a")
			client.on(func() { client.sm.handled, client.sm.acked, client.sm.unacked = 0, 0, nil }) // what sync has counted
			p.conn.Close()
			c.script(server)
			client.wantLost(c.want)
			client.close()
			client.wantNothing()
		})
	}
}

func TestResume_notPossible(t *testing.T) {
	for _, c := range []struct {
		name, answer string
		do           func(*client, *peer)
	}{
		{"enabled without resumption", "<enabled xmlns='" + nsManagement + "' id='s1'/>", nil},
		{"enabled without id", "<enabled xmlns='" + nsManagement + "' resume='true'/>", nil},
		{"not enabled", "<failed xmlns='" + nsManagement + "'/>", nil},
		{"not yet enabled", "", nil},
		{"acknowledged what was never sent", enabled, func(_ *client, p *peer) { p.ack(99) }},
		{"too much unacknowledged", enabled, func(c *client, _ *peer) {
			c.on(func() {
				for range maxUnacked + 1 {
					c.Send(stanza.New(stanza.NSClient, "message"))
				}
			})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, _, p := managed(t, c.answer)
			if c.do != nil {
				c.do(client, p)
			}
			p.send("<presence id='barrier'/>")
			client.next()
			client.on(func() {
				if n := len(client.sm.unacked); c.answer != "" && n != 0 {
					t.Errorf("%d stanzas are kept for nothing", n)
				}
			})
			p.conn.Close()
			client.wantLost(ErrLost)
		})
	}
}

func TestResume_tooMuchToSendMeanwhile(t *testing.T) {
	c, server, p := managed(t, enabled)
	p.conn.Close()
	p = server.accept()
	c.on(func() {
		for range 2 * maxUnackedBytes >> 20 {
			c.Send(stanza.New(stanza.NSClient, "message", stanza.Text(strings.Repeat("x", 1<<20))))
		}
	})
	p.conn.Close()
	c.wantLost(ErrLost)
}

func TestClose_whileResuming(t *testing.T) {
	t.Run("logging in", func(t *testing.T) {
		c, server, p := managed(t, enabled)
		p.conn.Close()
		server.accept().open(features(offerPlain))
		c.close()
		c.wantNothing()
	})
	t.Run("between two attempts", func(t *testing.T) {
		c, server, p := managed(t, enabled)
		server.listener.Close()
		p.conn.Close()
		c.wantLog("Resuming failed, trying again")
		c.close()
		c.wantNothing()
	})
}

// TestConfirm_spare: what was acknowledged may be written over, what was not must not.
func TestConfirm_spare(t *testing.T) {
	m := management{tracking: true}
	stanza := func(c byte) []byte { return bytes.Repeat([]byte{c}, largeStanza) }
	for c := range byte(2 * maxSpare) {
		m.track(stanza(c))
	}
	m.confirm(2*maxSpare - 1)
	if len(m.spare) != maxSpare {
		t.Errorf("%d are kept", len(m.spare))
	}
	for c := range byte(maxSpare) {
		m.track(stanza(100 + c))
	}
	m.track([]byte("small"))
	for i, want := range append([]byte{2*maxSpare - 1}, 100, 101, 102, 103) {
		if !bytes.Equal(m.unacked[i], stanza(want)) {
			t.Errorf("stanza %d begins with %d", i, m.unacked[i][:3])
		}
	}
	if len(m.spare) != 0 || m.bytes != (maxSpare+1)*largeStanza+len("small") {
		t.Errorf("%d are kept, %d bytes are counted", len(m.spare), m.bytes)
	}
}

func TestConfirm_overflows(t *testing.T) {
	m := management{tracking: true, acked: 1<<32 - 2, unacked: [][]byte{{1}, {2}, {3}}, bytes: 3}
	if !m.confirm(0) || len(m.unacked) != 1 || m.bytes != 1 || m.acked != 0 {
		t.Errorf("got %+v", m)
	}
	if m.confirm(1<<32-1) || !m.confirm(1) || m.confirm(2) {
		t.Errorf("got %+v", m)
	}
}
