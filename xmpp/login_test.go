package xmpp

import (
	"crypto/tls"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"telepathy-olpc/xmpp/stanza"
)

func TestLogin_startTLS(t *testing.T) {
	server := newScripted(t)
	cfg := server.config()
	cfg.RequireEncryption = true
	c := connect(t, cfg)
	p := server.accept()
	p.open(features(offerTLS, offerPlain)) // PLAIN must not go out here
	p.read(nsTLS, "starttls")
	p.send("<proceed xmlns='" + nsTLS + "'/>")
	p.startTLS()
	p.logIn()
	c.wantReady()
}

func TestLogin_directTLS(t *testing.T) {
	server := newScripted(t)
	cfg := server.config()
	cfg.RequireEncryption, cfg.DirectTLS = true, true
	c := connect(t, cfg)
	p := server.accept()
	p.startTLS()
	p.logIn(offerTLS) // a server that offers it on an encrypted stream is not believed
	c.wantReady()
}

func TestLogin_plainCredentials(t *testing.T) {
	server := newScripted(t)
	connect(t, server.config())
	p := server.accept()
	p.open(features(offerPlain))
	auth := p.read(nsSASL, "auth")
	got, err := base64.StdEncoding.DecodeString(auth.Text())
	if want := "\x00ana\x00hush-hush"; string(got) != want || err != nil || auth.Attr("mechanism") != "PLAIN" {
		t.Errorf("got %s, %q", auth, got)
	}
}

// say answers what the client says first in a stream and goes on with that.
func say(xml string) func(*peer) { return func(p *peer) { p.send(xml) } }

func TestLogin_refusals(t *testing.T) {
	strict := func(c *Config) { c.RequireEncryption = true }
	const iqError = "<iq type='error' id='bind'><error type='cancel'><%s xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>No</text></error></iq>"
	for _, c := range []struct {
		name   string
		change func(*Config)
		script func(*peer)
		want   any
	}{
		{"no TLS offered", strict, func(p *peer) { p.open(features(offerPlain)) }, ErrEncryptionRequired},
		{"STARTTLS refused", strict, func(p *peer) {
			p.open(features(offerTLS))
			p.read(nsTLS, "starttls")
			p.send("<failure xmlns='" + nsTLS + "'/></stream:stream>")
		}, ErrTLSFailed},
		{"STARTTLS answered by something else", strict, func(p *peer) {
			p.open(features(offerTLS))
			p.read(nsTLS, "starttls")
			p.send("<message/>")
		}, ErrNotXMPP},
		{"text smuggled in before the handshake", strict, func(p *peer) {
			p.open(features(offerTLS))
			p.read(nsTLS, "starttls")
			p.send("<proceed xmlns='" + nsTLS + "'/><message from='school.test'/>")
		}, ErrNotXMPP},
		{"no handshake", strict, func(p *peer) {
			p.open(features(offerTLS))
			p.read(nsTLS, "starttls")
			p.send("<proceed xmlns='" + nsTLS + "'/>")
			p.conn.Read(make([]byte, 1))
			p.send("what?")
		}, ErrTLSFailed},
		{"bad certificate", func(c *Config) { c.RequireEncryption, c.IgnoreTLSErrors = true, false }, func(p *peer) {
			p.open(features(offerTLS))
			p.read(nsTLS, "starttls")
			p.send("<proceed xmlns='" + nsTLS + "'/>")
			p.startTLS()
			p.conn.(*tls.Conn).Handshake()
		}, new(*CertificateError)},
		{"nothing offered", nil, func(p *peer) { p.open(features()) }, ErrNotXMPP},
		{"something else offered", nil, func(p *peer) { p.open(features("<compression xmlns='x'/>")) }, ErrNotXMPP},
		{"bind before login", nil, func(p *peer) { p.open(features(offerBind)) }, ErrNotXMPP},
		{"no mechanism in common", nil, func(p *peer) {
			p.open(features("<mechanisms xmlns='" + nsSASL + "'><mechanism>EXTERNAL</mechanism></mechanisms>"))
		}, new(*SASLError)},
		{"old server", nil, func(p *peer) {
			p.open("<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' id='1'><stream:features/>")
		}, ErrNotXMPP},
		{"no features", nil, func(p *peer) { p.open(streamHeader + "<message/>") }, ErrNotXMPP},
		{"another root", nil, func(p *peer) { p.open("<html><body/>") }, ErrNotXMPP},
		{"another protocol", nil, func(p *peer) { p.open("HTTP/1.1 400 Bad Request\r\n\r\n") }, ErrNotXMPP},
		{"stream error at once", nil, func(p *peer) {
			p.open(streamHeader + "<stream:error><host-unknown xmlns='" + nsStreams + "'/></stream:error></stream:stream>")
		}, new(*StreamError)},
		{"wrong password", nil, func(p *peer) {
			p.open(features(offerPlain))
			p.read(nsSASL, "auth")
			p.send("<failure xmlns='" + nsSASL + "'><not-authorized/></failure>")
		}, new(*SASLError)},
		{"SASL answered by something else", nil, func(p *peer) {
			p.open(features(offerPlain))
			p.read(nsSASL, "auth")
			p.send("<iq type='result'/>")
		}, ErrNotXMPP},
		{"SASL not in base64", nil, func(p *peer) {
			p.open(features(offerPlain))
			p.read(nsSASL, "auth")
			p.send("<challenge xmlns='" + nsSASL + "'>!</challenge>")
			p.read(nsSASL, "abort")
		}, ErrNotXMPP},
		{"challenge without end", nil, func(p *peer) {
			p.open(features(offerPlain))
			p.read(nsSASL, "auth")
			p.send("<challenge xmlns='" + nsSASL + "'/>")
			p.read(nsSASL, "abort")
		}, new(*SASLError)},
		{"success without proof", nil, func(p *peer) {
			p.open(features("<mechanisms xmlns='" + nsSASL + "'><mechanism>SCRAM-SHA-1</mechanism></mechanisms>"))
			p.read(nsSASL, "auth")
			p.send(success)
		}, new(*SASLError)},
		{"no bind offered", nil, func(p *peer) { p.authenticate() }, ErrNotXMPP},
		{"bind refused", nil, func(p *peer) {
			p.authenticate(offerBind)
			p.iq("set")
			p.send(strings.ReplaceAll(iqError, "%s", "resource-constraint"))
		}, new(*BindError)},
		{"resource refused, and any other too", nil, func(p *peer) {
			p.authenticate(offerBind)
			for range 2 {
				p.iq("set")
				p.send(strings.ReplaceAll(iqError, "%s", "conflict"))
			}
		}, new(*BindError)},
		{"bind without address", nil, func(p *peer) {
			p.authenticate(offerBind)
			p.answer(p.iq("set"), "")
		}, ErrNotXMPP},
		{"bind gives a bare address", nil, func(p *peer) {
			p.authenticate(offerBind)
			p.answer(p.iq("set"), "<bind xmlns='"+nsBind+"'><jid>ana@school.test</jid></bind>")
		}, ErrNotXMPP},
		{"everything but the answer", nil, func(p *peer) {
			p.authenticate(offerBind)
			p.iq("set")
			p.send(strings.Repeat("<message/>", maxStray+1))
		}, ErrNotXMPP},
		{"session refused", nil, func(p *peer) {
			p.authenticate(offerBind, "<session xmlns='"+nsSession+"'/>")
			p.bind()
			p.iq("set")
			p.send("<iq type='error' id='session'/>")
		}, new(*BindError)},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := newScripted(t)
			cfg := server.config()
			if c.change != nil {
				c.change(&cfg)
			}
			client := connect(t, cfg)
			c.script(server.accept())
			client.wantLost(c.want)
			client.close()
			client.wantNothing()
		})
	}
}

func TestLogin_refusalInDetail(t *testing.T) {
	server := newScripted(t)
	c := connect(t, server.config())
	p := server.accept()
	p.open(streamHeader + "<stream:error><see-other-host xmlns='" + nsStreams + "'>b.test</see-other-host><text xmlns='" + nsStreams + "'>Moved</text><x xmlns='app'/></stream:error>")
	e := c.next()
	var got *StreamError
	if !errors.As(e.lost, &got) || *got != (StreamError{"see-other-host", "Moved", "b.test"}) {
		t.Errorf("got %+v", e.lost)
	}
}

func TestLogin_takesAnotherResource(t *testing.T) {
	server := newScripted(t)
	c := connect(t, server.config())
	p := server.accept()
	p.authenticate(offerBind)
	if wish := p.iq("set").Child(nsBind, "bind").Child(nsBind, "resource").Text(); wish != "sugar" {
		t.Errorf("asked for %q", wish)
	}
	p.send("<iq type='error' id='bind'><error type='cancel'><conflict xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>")
	again := p.iq("set")
	if len(again.Child(nsBind, "bind").Children()) != 0 {
		t.Errorf("asked again for %v", again)
	}
	p.answer(again, "<bind xmlns='"+nsBind+"'><jid>ana@school.test/4711</jid></bind>")
	if e := c.next(); e.ready.Resource() != "4711" {
		t.Errorf("got %+v", e)
	}
}

func TestLogin_startsSession(t *testing.T) {
	for _, c := range []struct {
		name, offer string
		wanted      bool
	}{
		{"required", "<session xmlns='" + nsSession + "'/>", true},
		{"optional", "<session xmlns='" + nsSession + "'><optional/></session>", false},
		{"not offered", "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := newScripted(t)
			client := connect(t, server.config())
			p := server.accept()
			p.logIn(c.offer)
			if c.wanted {
				iq := p.iq("set")
				if iq.Child(nsSession, "session") == nil {
					t.Fatalf("got %v", iq)
				}
				p.answer(iq, "")
			}
			client.wantReady()
			p.sync()
		})
	}
}

// loginSteps are what a server does in a STARTTLS login with registration.
var loginSteps = []struct {
	name string
	do   func(*peer)
}{
	{"connect", func(*peer) {}},
	{"header", func(p *peer) { p.open(streamHeader) }},
	{"features", say("<stream:features>" + offerTLS + "</stream:features>")},
	{"proceed", func(p *peer) {
		p.read(nsTLS, "starttls")
		p.send("<proceed xmlns='" + nsTLS + "'/>")
	}},
	{"handshake", func(p *peer) {
		p.startTLS()
		p.conn.(*tls.Conn).Handshake()
	}},
	{"secure header", func(p *peer) { p.open(streamHeader) }},
	{"secure features", say("<stream:features>" + offerPlain + "</stream:features>")},
	{"registration form", func(p *peer) {
		p.answer(p.iq("get"), "<query xmlns='"+nsRegister+"'><username/><password/></query>")
	}},
	{"registration", func(p *peer) { p.answer(p.iq("set"), "") }},
	{"success", func(p *peer) {
		p.read(nsSASL, "auth")
		p.send(success)
	}},
	{"last header", func(p *peer) { p.open(streamHeader) }},
	{"last features", say("<stream:features>" + offerBind + "</stream:features>")},
	{"half an answer", func(p *peer) {
		p.iq("set")
		p.send("<iq type='result' id='bi")
	}},
}

// endAfter runs the login's steps up to the one given on one client, then
// does the last thing, and gives what the session ended with.
func endAfter(t *testing.T, steps int, patience time.Duration, last func(*peer)) error {
	t.Helper()
	server := newScripted(t)
	cfg := server.config()
	cfg.Register, cfg.RequireEncryption, cfg.LoginTimeout = true, true, patience
	c := connect(t, cfg)
	p := server.accept()
	for _, step := range loginSteps[:steps] {
		step.do(p)
	}
	last(p)
	return c.next().lost
}

func TestLogin_cutAtEachStep(t *testing.T) {
	for i, step := range loginSteps {
		t.Run(step.name, func(t *testing.T) {
			err := endAfter(t, i+1, hang, func(p *peer) { p.conn.Close() })
			if want := ErrLost; !errors.Is(err, want) && !(step.name == "proceed" && errors.Is(err, ErrTLSFailed)) {
				t.Errorf("got %v, want %v", err, want)
			}
		})
	}
}

func TestLogin_silenceAtEachStep(t *testing.T) {
	for i, step := range loginSteps {
		t.Run(step.name, func(t *testing.T) {
			t.Parallel()
			// The client does not hang up before its time is over.
			if err := endAfter(t, i+1, 2*time.Second, func(p *peer) { io.Copy(io.Discard, p.conn) }); !errors.Is(err, ErrTimeout) {
				t.Errorf("got %v, want %v", err, ErrTimeout)
			}
		})
	}
}

func TestLogin_streamClosedAtEachStep(t *testing.T) {
	for i, step := range loginSteps {
		if !strings.Contains(step.name, "features") {
			continue
		}
		t.Run(step.name, func(t *testing.T) {
			if err := endAfter(t, i+1, hang, say("</stream:stream>")); !errors.Is(err, ErrStreamClosed) {
				t.Errorf("got %v, want %v", err, ErrStreamClosed)
			}
		})
	}
}

// hostile is what no server should send, and the stream error it deserves.
var hostile = []struct{ name, xml, condition string }{
	{"endless text", "<a>" + strings.Repeat("text", 1000), "policy-violation"},
	{"endless name", "<" + strings.Repeat("name", 1000), "policy-violation"},
	{"deep", strings.Repeat("<a>", 20), "policy-violation"},
	{"many children", "<a>" + strings.Repeat("<b/>", 40) + "</a>", "policy-violation"},
	{"entity bomb", "<!DOCTYPE a [<!ENTITY b 'b'>]><a>&b;</a>", "restricted-xml"},
	{"entity", "<a>&nbsp;</a>", "restricted-xml"},
	{"comment", "<!-- -->", "restricted-xml"},
	{"processing instruction", "<?php ?>", "restricted-xml"},
	{"wrong nesting", "<a></b>", "not-well-formed"},
	{"control character", "<a>\x02</a>", "not-well-formed"},
	{"not UTF-8", "<a>\xff</a>", "not-well-formed"},
	{"text between", "hello", "bad-format"},
}

var smallLimits = stanza.Limits{Bytes: 2000, Depth: 16, Children: 32}

func wantStreamError(t *testing.T, p *peer, condition string) {
	t.Helper()
	if e := p.read(stanza.NSStream, "error"); e.Child(nsStreams, condition) == nil {
		t.Errorf("got %v, want %s", e, condition)
	}
	p.closed()
}

func TestLogin_hostileServer(t *testing.T) {
	for _, c := range hostile {
		for _, when := range []struct {
			name string
			do   func(*peer)
		}{
			{"features", func(p *peer) { p.open(streamHeader) }},
			{"SASL", func(p *peer) {
				p.open(features(offerPlain))
				p.read(nsSASL, "auth")
			}},
			{"bind", func(p *peer) {
				p.authenticate(offerBind)
				p.iq("set")
			}},
		} {
			t.Run(c.name+" instead of "+when.name, func(t *testing.T) {
				server := newScripted(t)
				cfg := server.config()
				cfg.Limits = smallLimits
				client := connect(t, cfg)
				p := server.accept()
				when.do(p)
				p.send(c.xml)
				wantStreamError(t, p, c.condition)
				if c.condition == "policy-violation" {
					client.wantLost(new(*stanza.LimitError))
				} else {
					client.wantLost(ErrNotXMPP)
				}
			})
		}
	}
}

func TestLogin_otherEncoding(t *testing.T) {
	server := newScripted(t)
	c := connect(t, server.config())
	p := server.accept()
	p.open("<?xml version='1.0' encoding='UTF-16'?>")
	wantStreamError(t, p, "unsupported-encoding")
	c.wantLost(ErrNotXMPP)
}

func TestLogin_nobodyThere(t *testing.T) {
	server := newScripted(t)
	server.listener.Close()
	c := connect(t, server.config())
	c.wantLost(new(*DialError))
}

func TestClose_whileConnecting(t *testing.T) {
	for i, step := range loginSteps {
		t.Run(step.name, func(t *testing.T) {
			server := newScripted(t)
			cfg := server.config()
			cfg.Register, cfg.RequireEncryption = true, true
			c := connect(t, cfg)
			p := server.accept()
			for _, step := range loginSteps[:i+1] {
				step.do(p)
			}
			c.close()
			c.wantNothing()
			if _, err := io.Copy(io.Discard, p.conn); err != nil && errors.Is(err, net.ErrClosed) {
				t.Errorf("connection is still there: %v", err)
			}
		})
	}
}
