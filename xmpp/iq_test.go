package xmpp

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"telepathy-olpc/internal/loop"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
)

// answers collects what Ask gives back.
type answers chan error

func (a answers) take(reply *stanza.Element, err error) {
	if err == nil {
		err = fmt.Errorf("result %s", reply.First().Local())
	}
	a <- err
}

func query(to string) *stanza.Element {
	return stanza.New(stanza.NSClient, "iq", stanza.A("type", "get"), stanza.A("to", to), stanza.New("urn:test", "q"))
}

func TestAsk_answers(t *testing.T) {
	c, p := loggedIn(t, nil)
	got := make(answers, 10)
	c.on(func() { c.Ask(query("bob@school.test/x"), got.take) })
	iq := p.iq("get")
	if iq.Child("urn:test", "q") == nil || iq.Attr("to") != "bob@school.test/x" {
		t.Fatalf("got %v", iq)
	}
	p.answer(iq, "<a xmlns='urn:test'/>")
	p.answer(iq, "<b xmlns='urn:test'/>") // nobody asked again
	if err := <-got; err.Error() != "result a" {
		t.Errorf("got %v", err)
	}
	c.on(func() { c.Ask(query("bob@school.test/x"), got.take) })
	iq = p.iq("get")
	p.send("<iq type='error' from='bob@school.test/x' id='" + iq.Attr("id") + "'><error type='wait'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>")
	var refusal *stanza.Error
	if err := <-got; !errors.As(err, &refusal) || refusal.Condition != stanza.ItemNotFound {
		t.Errorf("got %v", err)
	}
	p.sync()
	if len(got) != 0 {
		t.Errorf("one more answer: %v", <-got)
	}
	c.wantNothing()
}

func TestAsk_onlyWhomWasAskedAnswers(t *testing.T) {
	const self, bare, domain = "ana@school.test/sugar", "ana@school.test", "school.test"
	s := &Session{}
	s.self, _ = jid.ParseLenient(self)
	for _, c := range []struct {
		to       string
		may, not []string
	}{
		{"bob@school.test/x", []string{"bob@school.test/x", "Bob@School.test/x"}, []string{"", "bob@school.test", "bob@school.test/X", "eve@school.test/x", self, bare, domain}},
		{"bob@school.test", []string{"bob@school.test"}, []string{"", "bob@school.test/x", domain}},
		{"rooms.school.test", []string{"rooms.school.test"}, []string{"", domain, bare}},
		{"", []string{"", bare, self, domain, "School.Test"}, []string{"eve@school.test", "ana@school.test/other", "school.test/x", "rooms.school.test"}},
		{bare, []string{"", bare, self}, []string{domain, "ana@school.test/other", "eve@school.test"}},
		{domain, []string{"", domain}, []string{bare, self, "eve@school.test"}},
		{self, []string{"", self}, []string{bare, domain, "ana@school.test/other"}},
	} {
		for _, from := range c.may {
			if !s.mayAnswerAccount(from, c.to) {
				t.Errorf("%q may not answer for %q", from, c.to)
			}
		}
		for _, from := range c.not {
			if s.mayAnswerAccount(from, c.to) {
				t.Errorf("%q may answer for %q", from, c.to)
			}
		}
	}
}

func TestAsk_forgedAnswerChangesNothing(t *testing.T) {
	c, p := loggedIn(t, nil)
	got := make(answers, 10)
	c.on(func() { c.Ask(query("bob@school.test/x"), got.take) })
	iq := p.iq("get")
	p.send("<iq type='result' from='eve@school.test/x' id='" + iq.Attr("id") + "'><forged xmlns='urn:test'/></iq>")
	p.send("<iq type='result' from='bob@school.test/x' id='1'><guessed xmlns='urn:test'/></iq>")
	p.send("<iq type='result' from='bob@school.test/x'><noid xmlns='urn:test'/></iq>")
	p.answer(iq, "<true xmlns='urn:test'/>")
	if err := <-got; err.Error() != "result true" {
		t.Errorf("got %v", err)
	}
}

func TestAsk_insideAnAnswer(t *testing.T) {
	c, p := loggedIn(t, nil)
	got := make(answers, 1)
	c.on(func() {
		c.Ask(query("a@b"), func(*stanza.Element, error) { c.Ask(query("c@d"), got.take) })
	})
	p.answer(p.iq("get"), "")
	p.answer(p.iq("get"), "<second xmlns='urn:test'/>")
	if err := <-got; err.Error() != "result second" {
		t.Errorf("got %v", err)
	}
}

func TestAsk_sessionEnds(t *testing.T) {
	for _, how := range []string{"lost", "closed"} {
		t.Run(how, func(t *testing.T) {
			c, p := loggedIn(t, nil)
			got := make(answers, 10)
			c.on(func() {
				for range 3 {
					c.Ask(query("a@b"), func(reply *stanza.Element, err error) {
						got.take(reply, err)
						c.Ask(query("a@b"), got.take) // no good hoping
					})
				}
			})
			if how == "lost" {
				p.conn.Close()
				c.wantLost(ErrLost)
			} else {
				c.close()
			}
			c.on(func() { c.Ask(query("a@b"), got.take) })
			for range 7 {
				if err := <-got; err != ErrLost {
					t.Errorf("got %v", err)
				}
			}
		})
	}
}

func TestAsk_beforeThereIsASession(t *testing.T) {
	c := newClient(t, newScripted(t).config())
	got := make(answers, 1)
	c.on(func() {
		c.Ask(query("a@b"), got.take)
		if len(got) != 0 {
			t.Error("answered before Ask returned")
		}
	})
	if err := <-got; err != ErrLost {
		t.Errorf("got %v", err)
	}
}

func TestAsk_overdue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := loop.New(loop.Config{})
		s := NewSession(Config{}, l, Events{})
		s.phase = resuming // nothing is on the wire
		go l.Run()
		got := make(answers, 1)
		l.Post("test", func() { s.Ask(query("a@b"), got.take) })
		if err := <-got; err != ErrTimeout {
			t.Errorf("got %v", err)
		}
		l.Close()
	})
}

func TestHandleIQ(t *testing.T) {
	c, p := loggedIn(t, nil)
	c.on(func() {
		c.HandleIQ("urn:test", func(iq *stanza.Element) { c.Send(stanza.Reply(iq, stanza.New("urn:test", "done"))) })
	})
	const refusal = "<iq to='a@b' id='1' type='error'><error type='%s'><%s xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
	unavailable := fmt.Sprintf(refusal, "cancel", "service-unavailable")
	badRequest := fmt.Sprintf(refusal, "modify", "bad-request")
	for _, row := range []struct{ name, in, want string }{
		{"handled", "<iq type='set' id='1' from='a@b'><x xmlns='urn:test'/></iq>", "<iq to='a@b' id='1' type='result'><done xmlns='urn:test'/></iq>"},
		{"ping", "<iq type='get' id='1' from='a@b'><ping xmlns='urn:xmpp:ping'/></iq>", "<iq to='a@b' id='1' type='result'/>"},
		{"from the server", "<iq type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>", "<iq id='1' type='result'/>"},
		{"nobody's", "<iq type='get' id='1' from='a@b'><x xmlns='urn:other'/></iq>", unavailable},
		{"empty", "<iq type='get' id='1' from='a@b'/>", badRequest},
		{"no id", "<iq type='get' from='a@b'><x xmlns='urn:test'/></iq>", strings.Replace(badRequest, " id='1'", "", 1)},
		{"unknown type", "<iq type='put' id='1' from='a@b'><x xmlns='urn:test'/></iq>", badRequest},
		{"no type", "<iq id='1' from='a@b'><x xmlns='urn:test'/></iq>", badRequest},
		{"result for nobody", "<iq type='result' id='1' from='a@b'><x xmlns='urn:test'/></iq>", ""},
		{"error for nobody", "<iq type='error' id='1' from='a@b'><x xmlns='urn:test'/></iq>", ""},
		{"sender that is no address", "<iq type='get' id='1' from='a@'><x xmlns='urn:test'/></iq>", ""},
		{"another namespace", "<iq xmlns='jabber:server' type='get' id='1' from='a@b'><x xmlns='urn:test'/></iq>", ""},
		{"unknown stanza", "<query type='get' id='1' from='a@b'><x xmlns='urn:test'/></query>", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			p.t = t
			p.send(row.in)
			if row.want != "" {
				if got := p.read(stanza.NSClient, "iq"); got.String() != row.want {
					t.Errorf("got %s, want %s", got, row.want)
				}
			}
			p.sync()
		})
	}
	c.wantNothing()
}

func TestHandleIQ_twice(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	s := NewSession(Config{}, loop.New(loop.Config{}), Events{})
	s.HandleIQ("urn:test", func(*stanza.Element) {})
	s.HandleIQ("urn:test", func(*stanza.Element) {})
}

func TestFromAccount(t *testing.T) {
	s := &Session{}
	s.self, _ = jid.ParseLenient("ana@school.test/sugar")
	for from, want := range map[string]bool{
		"": true, "ana@school.test": true, "Ana@school.test": true,
		"school.test": false, "ana@school.test/other": false, "eve@school.test": false, "ana@school.test.eve.test": false,
	} {
		if got := s.FromAccount(stanza.New(stanza.NSClient, "iq", stanza.A("from", from))); got != want {
			t.Errorf("%q: %v, want %v", from, got, want)
		}
	}
}
