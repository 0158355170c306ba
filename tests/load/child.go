package load

import (
	"context"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"

	"telepathy-olpc/tests/desktop"
	"telepathy-olpc/tests/pupil"
	"telepathy-olpc/tests/school"
	"telepathy-olpc/xmpp"
	"telepathy-olpc/xmpp/caps"
	"telepathy-olpc/xmpp/disco"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/olpc"
	"telepathy-olpc/xmpp/pep"
	"telepathy-olpc/xmpp/roster"
	"telepathy-olpc/xmpp/stanza"
)

// child is a simulated laptop. It publishes what the connection manager of a
// Sugar publishes, and hears all that the server then has to tell it.
type child struct {
	user        desktop.Child
	account     jid.JID
	nick, color string        // as of now
	key         []byte        // as long as that of a Sugar
	shares      olpc.Activity // zero without

	server    *school.Server
	port      uint16
	heard     *tally
	prepare   func(*xmpp.Session) // more handlers, asked first; may be nil
	known     bool                // has an account
	pupil     *pupil.Pupil
	publisher *pep.Publisher // of the pupil's loop
}

// keyBytes is what the base64 text of a laptop's 1024 bit DSA key takes.
const keyBytes = 435

// oneInFive children share an activity.
const oneInFive = 5

func newChild(n int, s *school.Server, port uint16, heard *tally) (*child, error) {
	var seed [32]byte
	copy(seed[:], fmt.Sprint("child ", n))
	random := rand.NewChaCha8(seed)
	key := make([]byte, keyBytes)
	random.Read(key)
	c := &child{
		user: user(n), nick: user(n).Nick, color: color(random), key: []byte(base64.StdEncoding.EncodeToString(key)),
		server: s, port: port, heard: heard,
	}
	var err error
	if c.account, err = jid.New(c.user.Name(), s.Domain, ""); err != nil {
		return nil, err
	}
	if n%oneInFive == 0 {
		c.shares.ID = fmt.Sprintf("%040x", n)
		c.shares.Room, err = jid.New(c.shares.ID, "conference."+s.Domain, "")
	}
	return c, err
}

// user is who has the laptop with this number.
func user(n int) desktop.Child { return desktop.Child{Nick: fmt.Sprintf("Child %d", n)} }

// color is one of Sugar's kind: stroke and fill.
func color(random rand.Source) string {
	n := random.Uint64()
	return fmt.Sprintf("#%06X,#%06X", n&0xffffff, n>>24&0xffffff)
}

// arrive logs in, shows itself and publishes everything.
func (c *child) arrive(ctx context.Context) error {
	own := new(caps.Own)
	if _, err := own.Set(software); err != nil {
		return err
	}
	cfg := xmpp.Config{
		Account: c.account, Resource: "sugar", Password: xmpp.NewSecret(c.user.Password()), Server: c.server.Host, Port: c.port,
		DirectTLS: true, RootCAs: c.server.CertPool, Register: !c.known, Keepalive: -1,
	}
	var err error
	c.pupil, err = pupil.Login(ctx, cfg, func(s *xmpp.Session) {
		if c.prepare != nil {
			c.prepare(s)
		}
		s.HandleIQ(disco.NSInfo, func(iq *stanza.Element) { s.Send(own.Answer(iq)) })
		s.HandleIQ(roster.NS, func(iq *stanza.Element) {
			c.heard.iqs.Add(1)
			s.Send(stanza.Reply(iq))
		})
		s.HandleMessage(c.heard.count)
		s.HandlePresence(c.heard.count)
	})
	if err != nil {
		return err
	}
	c.known = true
	if err := c.pupil.Do(func(s *xmpp.Session) { c.publisher = pep.NewPublisher(asker{s, c.heard}, c.pupil.After) }); err != nil {
		return err
	}
	query := stanza.New(stanza.NSClient, "iq", stanza.A("type", "get"), stanza.New(roster.NS, "query"))
	if _, err := c.pupil.Ask(ctx, query); err != nil {
		return fmt.Errorf("%s asks for the roster: %w", c.nick, err)
	}
	if err := c.pupil.Send(stanza.New(stanza.NSClient, "presence", own.Caps().Element())); err != nil {
		return err
	}
	return c.publish(ctx, c.everything()...)
}

// software is what the simulated laptops announce: they want to hear of others.
var software = disco.Info{
	Identities: []disco.Identity{{Category: "client", Type: "pc", Name: "tests/load"}},
	Features:   append(olpc.NotifyFeatures(), disco.NSInfo, caps.NS, pep.NodeNick, pep.NodeNick+"+notify"),
}

// page is the new content of a node.
type page struct {
	node    string
	payload *stanza.Element
}

func (c *child) everything() []page {
	var activities []olpc.Activity
	var properties []olpc.ActivityProperties
	if c.shares.ID != "" {
		activities = append(activities, c.shares)
		properties = append(properties, olpc.ActivityProperties{Activity: c.shares, Properties: olpc.Properties{
			"type": "org.laptop.Chat", "name": c.nick + " Chat Activity", "color": c.color, "private": false,
		}})
	}
	return append(c.looks(),
		page{olpc.NodeActivities, olpc.BuildActivities(activities)},
		page{olpc.NodeActivityProperties, olpc.BuildActivityProperties(properties)},
		page{olpc.NodeCurrentActivity, olpc.BuildCurrentActivity(c.shares)},
	)
}

func (c *child) looks() []page {
	return []page{
		{olpc.NodeBuddyProperties, olpc.BuildBuddyProperties(olpc.Properties{"key": c.key, "color": c.color})},
		{pep.NodeNick, pep.BuildNick(c.nick)},
	}
}

// mostAttempts is how often it is tried to publish the same: a loaded ejabberd may
// refuse it again and again while it makes the node.
const mostAttempts = 5

// publish returns when the server has taken all of it.
func (c *child) publish(ctx context.Context, pages ...page) error {
	for _, p := range pages {
		var err error
		for range mostAttempts {
			if err = c.publishOnce(ctx, p); err == nil {
				break
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *child) publishOnce(ctx context.Context, pages ...page) error {
	taken := make(chan error, len(pages))
	err := c.pupil.Do(func(*xmpp.Session) {
		for _, p := range pages {
			c.publisher.Publish(p.node, p.payload, func(err error) { taken <- err })
		}
	})
	if err != nil {
		return err
	}
	for range pages {
		select {
		case err := <-taken:
			if err != nil {
				return fmt.Errorf("%s publishes: %w", c.nick, err)
			}
		case <-ctx.Done():
			return fmt.Errorf("%s publishes: %w", c.nick, ctx.Err())
		}
	}
	return nil
}

// change gives the child another nick and another colour.
func (c *child) change(ctx context.Context) error {
	stroke, fill, _ := strings.Cut(c.color, ",")
	c.nick, c.color = "the other "+c.nick, fill+","+stroke
	return c.publish(ctx, c.looks()...)
}

// leave logs out.
func (c *child) leave(context.Context) error {
	if c.pupil != nil {
		c.pupil.Logout()
	}
	return nil
}

// tally counts what came, for any goroutine.
type tally struct{ messages, presences, iqs atomic.Int64 }

func (t *tally) total() int64 { return t.messages.Load() + t.presences.Load() + t.iqs.Load() }

// asker is a session whose answers are counted.
type asker struct {
	*xmpp.Session
	heard *tally
}

func (a asker) Ask(iq *stanza.Element, done func(*stanza.Element, error)) {
	a.Session.Ask(iq, func(reply *stanza.Element, err error) {
		a.heard.iqs.Add(1)
		done(reply, err)
	})
}

// count is a handler of the session.
func (t *tally) count(e *stanza.Element) bool {
	if e.Local() == "message" {
		t.messages.Add(1)
	} else {
		t.presences.Add(1)
	}
	return true
}
