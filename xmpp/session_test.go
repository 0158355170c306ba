package xmpp

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"telepathy-olpc/internal/loop"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
)

func TestSession_sendsAndReceives(t *testing.T) {
	c, p := loggedIn(t, nil)
	c.on(func() { c.Send(stanza.New(stanza.NSClient, "presence")) })
	p.read(stanza.NSClient, "presence")
	p.send("<message from='bob@school.test/x'><body>Hi</body></message>")
	if e := c.next(); e.stanza.Child(stanza.NSClient, "body").Text() != "Hi" {
		t.Errorf("got %+v", e)
	}
	c.on(func() {
		if c.Self().String() != "ana@school.test/sugar" || c.Features().Child(nsBind, "bind") == nil {
			t.Errorf("self %v, features %v", c.Self(), c.Features())
		}
	})
}

func TestSession_handlersInOrder(t *testing.T) {
	c, p := loggedIn(t, nil)
	var log []string
	handler := func(name string, takes string) func(*stanza.Element) bool {
		return func(e *stanza.Element) bool {
			log = append(log, name+" "+e.Attr("id"))
			return e.Attr("id") == takes
		}
	}
	c.on(func() {
		c.HandleMessage(handler("first", "m1"))
		c.HandleMessage(handler("second", "m2"))
		c.HandlePresence(handler("presence", "p1"))
	})
	p.send("<message id='m1'/><message id='m2'/><message id='m3'/><presence id='p1'/><presence id='p2'/><message id='m4' from='@'/>")
	p.sync()
	want := "first m1, first m2, second m2, first m3, second m3, presence p1, presence p2"
	c.on(func() {
		if got := strings.Join(log, ", "); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
	for _, want := range []string{"m3", "p2"} {
		if e := c.next(); e.stanza.Attr("id") != want {
			t.Errorf("got %+v, want %s", e, want)
		}
	}
	c.wantNothing()
}

func TestSession_ends(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(*peer)
		want any
	}{
		{"stream closed", say("</stream:stream>"), ErrStreamClosed},
		{"connection closed", func(p *peer) { p.conn.Close() }, ErrLost},
		{"connection closed in a stanza", func(p *peer) {
			p.send("<message>")
			p.conn.Close()
		}, ErrLost},
		{"connection reset", func(p *peer) {
			p.conn.(*net.TCPConn).SetLinger(0)
			p.conn.Close()
		}, ErrLost},
		{"stream error", say("<stream:error><conflict xmlns='" + nsStreams + "'/></stream:error></stream:stream>"), new(*StreamError)},
		{"stream error and silence", say("<stream:error><system-shutdown xmlns='" + nsStreams + "'/></stream:error>"), new(*StreamError)},
		{"stream error without condition", say("<stream:error/>"), new(*StreamError)},
		{"another header", say(streamHeader), ErrNotXMPP},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, p := loggedIn(t, nil)
			c.do(p)
			client.wantLost(c.want)
			client.close()
			client.wantNothing()
		})
	}
}

func TestSession_answersTheEndOfTheStream(t *testing.T) {
	for _, end := range []string{"</stream:stream>", "<stream:error><reset xmlns='" + nsStreams + "'/></stream:error>"} {
		_, p := loggedIn(t, nil)
		p.send(end)
		p.closed()
		if n, err := p.conn.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("connection is still there: %d, %v", n, err)
		}
	}
}

func TestSession_hostileServer(t *testing.T) {
	for _, c := range hostile {
		t.Run(c.name, func(t *testing.T) {
			client, p := loggedIn(t, func(cfg *Config) { cfg.Limits = smallLimits }, offerSM)
			p.read(nsManagement, "enable")
			p.send("<enabled xmlns='" + nsManagement + "' id='s' resume='true'/>")
			p.send(c.xml)
			wantStreamError(t, p, c.condition)
			if c.condition == "policy-violation" { // and not resumed, to be sent it again
				client.wantLost(new(*stanza.LimitError))
			} else {
				client.wantLost(ErrNotXMPP)
			}
		})
	}
}

func TestSend_withoutSession(t *testing.T) {
	c := newClient(t, newScripted(t).config())
	c.on(func() { c.Send(stanza.New(stanza.NSClient, "presence")) })
	c.close()
	c.on(func() {
		c.Send(stanza.New(stanza.NSClient, "presence"))
		c.Connect()
	})
	c.wantNothing()
}

func TestClose_saysGoodbye(t *testing.T) {
	c, p := loggedIn(t, nil)
	gone := make(chan struct{}, 2)
	c.on(func() {
		c.Close(func() { gone <- struct{}{} })
		c.Close(func() { gone <- struct{}{} })
		c.Send(stanza.New(stanza.NSClient, "message")) // too late
	})
	if e := p.read(stanza.NSClient, "presence"); e.Attr("type") != "unavailable" {
		t.Errorf("got %v", e)
	}
	p.closed()
	if len(gone) != 0 {
		t.Error("closed before the server agreed")
	}
	p.send("<message from='bob@school.test'><body>too late</body></message></stream:stream>")
	<-gone
	<-gone
	if _, err := p.conn.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("connection is still there: %v", err)
	}
	c.wantNothing()
}

func TestClose_serverDoesNotAnswer(t *testing.T) {
	c, p := loggedIn(t, nil)
	start := time.Now()
	c.close()
	if took := time.Since(start); took < goodbyeTimeout || took > goodbyeTimeout+5*time.Second {
		t.Errorf("took %v", took)
	}
	p.read(stanza.NSClient, "presence")
	p.closed()
	c.wantNothing()
}

func TestClose_serverTakesNothing(t *testing.T) {
	c, p := loggedIn(t, nil)
	fill(c)
	c.close()
	p.conn.Close()
	c.wantNothing()
}

func TestSession_ignoredStreamErrorIsTheEnd(t *testing.T) {
	c, p := loggedIn(t, nil)
	fill(c)
	go func() { // takes a little now and then, for ever
		for b := make([]byte, 1<<10); ; time.Sleep(50 * time.Millisecond) {
			if _, err := p.conn.Read(b); err != nil {
				return
			}
		}
	}()
	start := time.Now()
	p.send("<stream:error><reset xmlns='" + nsStreams + "'/></stream:error>")
	c.wantLost(new(*StreamError))
	if took := time.Since(start); took > goodbyeTimeout+defaultDeadAfter+5*time.Second {
		t.Errorf("took %v", took)
	}
	p.conn.Close()
}

// fill has more sent than a socket's buffers take, to a peer that reads nothing.
func fill(c *client) {
	c.on(func() {
		for range 7 {
			c.Send(stanza.New(stanza.NSClient, "message", stanza.Text(strings.Repeat("x", 1<<20))))
		}
	})
}

func TestClose_inCallbacks(t *testing.T) {
	server := newScripted(t)
	l := loop.New(loop.Config{})
	var s *Session
	gone := make(chan struct{}, 2)
	done := func() { gone <- struct{}{} }
	s = NewSession(server.config(), l, Events{Lost: func(error) { s.Close(done); s.Close(done) }})
	go l.Run()
	l.Post("test", s.Connect)
	server.accept().conn.Close()
	<-gone
	<-gone
	l.Close()
	<-l.Done()
}

func TestSession_loopEndsFirst(t *testing.T) {
	server := newScripted(t)
	l := loop.New(loop.Config{})
	ready := make(chan struct{})
	s := NewSession(server.config(), l, Events{Ready: func(jid.JID) { close(ready) }})
	go l.Run()
	l.Post("test", s.Connect)
	p := server.accept()
	p.logIn()
	<-ready
	l.Close()
	<-l.Done()
	p.send("<message/>") // which the reader can tell nobody, and goes
	if _, err := io.Copy(io.Discard, p.conn); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestSession_outputIsBounded(t *testing.T) {
	c, _ := loggedIn(t, nil)
	c.on(func() {
		for range 64 {
			c.Send(stanza.New(stanza.NSClient, "message", stanza.Text(strings.Repeat("x", 1<<20))))
		}
	})
	c.wantLost(ErrLost)
}

func TestSession_stalledOutput(t *testing.T) {
	c, _ := loggedIn(t, func(cfg *Config) { cfg.DeadAfter = 100 * time.Millisecond })
	fill(c)
	c.wantLost(ErrLost)
}

// TestSession_inputIsBounded has a loop that stands still and a server that
// sends on: what was read must not pile up in front of the loop.
func TestSession_inputIsBounded(t *testing.T) {
	c, p := loggedIn(t, nil)
	release := make(chan struct{})
	c.loop.Post("standstill", func() { <-release })
	message := "<message><body>" + strings.Repeat("x", 512<<10) + "</body></message>"
	sent := make(chan int, 1)
	go func() {
		p.conn.SetWriteDeadline(time.Now().Add(time.Second))
		n := 0
		for ; n < 200; n++ {
			if _, err := io.WriteString(p.conn, message); err != nil {
				break
			}
		}
		sent <- n
	}()
	n := <-sent
	var posted int
	c.link.room.mu.Lock()
	posted = c.link.room.used
	c.link.room.mu.Unlock()
	close(release)
	if n == 200 || posted > maxPosted+len(message)+elementsCost {
		t.Errorf("%d messages of half a megabyte taken, %d bytes before the loop", n, posted)
	}
	c.on(func() {})
}

// elementsCost is more than the elements of one message cost.
const elementsCost = 1 << 10

func TestSession_largeStanzaPassesTheBound(t *testing.T) {
	c, p := loggedIn(t, func(cfg *Config) { cfg.Limits.Bytes = 3 * maxPosted })
	go io.WriteString(p.conn, "<message><body>"+strings.Repeat("x", 2*maxPosted)+"</body></message><message/>")
	for _, want := range []int{2 * maxPosted, 0} {
		if e := c.next(); len(e.stanza.Child(stanza.NSClient, "body").Text()) != want {
			t.Errorf("got another message than that of %d bytes", want)
		}
	}
}

func TestKeepalive_asks(t *testing.T) {
	short := func(cfg *Config) { cfg.Keepalive = 50 * time.Millisecond }
	t.Run("ping", func(t *testing.T) {
		c, p := loggedIn(t, short)
		for range 3 {
			iq := p.iq("get")
			if iq.Child(NSPing, "ping") == nil || iq.Attr("to") != "school.test" {
				t.Fatalf("got %v", iq)
			}
			p.send("<iq type='error' from='school.test' id='" + iq.Attr("id") + "'/>")
		}
		c.wantNothing()
	})
	t.Run("white space is a sign of life", func(t *testing.T) {
		c, p := loggedIn(t, func(cfg *Config) {
			short(cfg)
			cfg.DeadAfter = 200 * time.Millisecond
		})
		for range 10 {
			p.iq("get")
			p.send(" ")
		}
		c.wantNothing()
	})
	t.Run("stream management", func(t *testing.T) {
		c, p := loggedIn(t, short, offerSM)
		p.read(nsManagement, "enable")
		for range 3 {
			p.read(nsManagement, "r")
			p.send("<a xmlns='" + nsManagement + "' h='0'/>")
		}
		c.wantNothing()
	})
	t.Run("off", func(t *testing.T) {
		c, p := loggedIn(t, func(cfg *Config) { cfg.Keepalive, cfg.DeadAfter = -1, -1 })
		p.sync()
		c.on(func() {
			if c.watchTimer != nil {
				t.Error("a timer runs")
			}
		})
	})
}

func TestKeepalive_silentServer(t *testing.T) {
	server := newScripted(t)
	cfg := server.config()
	cfg.Keepalive, cfg.DeadAfter = 50*time.Millisecond, 100*time.Millisecond
	c := connect(t, cfg)
	p := server.accept()
	p.logIn()
	c.wantReady()
	start := time.Now()
	c.wantLost(ErrLost) // the connection stands, nothing comes
	if took := time.Since(start); took < 100*time.Millisecond || took > 5*time.Second {
		t.Errorf("noticed after %v", took)
	}
}

// TestKeepalive_speaksUp has a server that only talks.
func TestKeepalive_speaksUp(t *testing.T) {
	c, p := loggedIn(t, func(cfg *Config) { cfg.Keepalive = 100 * time.Millisecond })
	stop := make(chan struct{})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for tick := time.Tick(5 * time.Millisecond); ; <-tick {
			select {
			case <-stop:
				return
			default:
				io.WriteString(p.conn, " ")
			}
		}
	}()
	b := make([]byte, 1)
	if _, err := p.conn.Read(b); err != nil || b[0] != ' ' {
		t.Errorf("got %q, %v", b, err)
	}
	close(stop)
	<-stopped
	c.wantNothing()
}

func TestDefaults_deadLinkWithin30Seconds(t *testing.T) {
	if c := (Config{}).withDefaults(); c.Keepalive+c.DeadAfter > 30*time.Second || c.LoginTimeout > time.Minute {
		t.Errorf("%v + %v, %v", c.Keepalive, c.DeadAfter, c.LoginTimeout)
	}
}

func TestSecret_isNeverPrinted(t *testing.T) {
	c := Config{Password: NewSecret("hush")}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		for _, value := range []any{c, &c, c.Password, &c.Password} {
			got := fmt.Sprintf(verb, value)
			if strings.Contains(got, "hush") || strings.Contains(strings.ToLower(got), "68757368") {
				t.Errorf("%s of %T: %s", verb, value, got)
			}
		}
	}
	if b, err := c.Password.MarshalText(); err != nil || string(b) != redacted {
		t.Errorf("got %s, %v", b, err)
	}
	if c.Password.Reveal() != "hush" || c.Password.IsEmpty() || !(Secret{}).IsEmpty() {
		t.Error("the secret is lost")
	}
}

func TestRedact(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"login", "<auth xmlns='" + nsSASL + "' mechanism='PLAIN'>AGFuYQBodXNo</auth>", "<auth xmlns='" + nsSASL + "'>[redacted]</auth>"},
		{"registration", "<iq id='1'><query xmlns='jabber:iq:register'><username>ana</username><password>hush</password></query></iq>", "<iq id='1'><query xmlns='jabber:iq:register'>[redacted]</query></iq>"},
		{"message", "<message to='a@b'><body>hush</body></message>", "<message to='a@b'><body>[4 bytes]</body></message>"},
		{"long text", "<a>" + strings.Repeat("x", 200) + "</a>", "<a>[200 bytes]</a>"},
		{"short text", "<show>away</show>", "<show>away</show>"},
		{"file", "<file name='diary.txt' size='1'/>", "<file name='[redacted]' size='1'/>"},
		{"room", "<x password='hush'><password>hush</password></x>", "<x password='[redacted]'><password>[4 bytes]</password></x>"},
	} {
		if got := redact(parse(t, c.in)).String(); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}
