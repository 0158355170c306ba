package doctor

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"telepathy-olpc/xmpp/disco"
	"telepathy-olpc/xmpp/pep"
	"telepathy-olpc/xmpp/services"
	"telepathy-olpc/xmpp/stanza"
)

// node is where personal events are tried. It is nobody's, so that an account
// that was given keeps what it tells about its child.
const node = "urn:telepathy-olpc:doctor"

// personalEvents publishes something, XEP-0163, and takes it back.
func (e *exam) personalEvents(ctx context.Context) verdict {
	c := e.main()
	if c == nil {
		return skip(errNotLoggedIn.Error())
	}
	ctx, cancel := e.patient(ctx)
	defer cancel()
	var entities []pep.Identified
	for _, to := range []string{e.domain, c.account.String()} {
		reply, err := c.ask(ctx, stanza.New(stanza.NSClient, "iq", stanza.A("type", "get"), stanza.A("to", to), stanza.New(disco.NSInfo, "query")))
		if err != nil {
			continue // either of them is enough
		}
		if info, err := disco.ParseInfo(reply.Child(disco.NSInfo, "query")); err == nil {
			entities = append(entities, info)
		}
	}
	if !pep.Supported(entities...) {
		return bad(NoPEP, "the server has none")
	}
	var refused error
	err := c.wait(ctx, func(done func()) {
		publisher := pep.NewPublisher(c.session, c.after)
		publisher.Publish(node, stanza.New(node, "doctor"), func(err error) {
			refused = err
			done()
		})
	})
	if err != nil {
		return failed(BrokenPEP, err)
	}
	if refused != nil {
		return failed(BrokenPEP, refused)
	}
	if _, err := c.ask(ctx, deleteNode()); err != nil {
		return fine("published; the node " + node + " stays: " + err.Error())
	}
	return fine("published, and taken back")
}

// deleteNode is XEP-0060 §8.4.
func deleteNode() *stanza.Element {
	const owner = pep.NS + "#owner"
	return stanza.New(stanza.NSClient, "iq", stanza.A("type", "set"),
		stanza.New(owner, "pubsub", stanza.New(owner, "delete", stanza.A("node", node))))
}

// How long two laptops may take to see each other, and where there is a roster
// that knows them or does not.
const (
	meetTime  = 5 * time.Second
	knownTime = time.Second
)

// roster finds out whether two laptops, strangers to each other, meet: by a
// shared group, or by a component that brings them together.
func (e *exam) roster(ctx context.Context) verdict {
	c := e.main()
	if c == nil {
		return skip(errNotLoggedIn.Error())
	}
	if err := e.appear(ctx, c); err != nil {
		return failed(NoAnswer, err)
	}
	count, group := c.company(ctx)
	other := e.children[1]
	pair := other != nil && other.isOnline()
	if pair {
		if err := e.appear(ctx, other); err != nil {
			return failed(NoAnswer, err)
		}
		if c.meets(ctx, other, count) {
			return fine("two new laptops see each other")
		}
	}
	if gadget, ok := e.service(ctx, gadgetKind); ok {
		return fine("by the component " + gadget.JID.String())
	}
	switch {
	case count > 0 && pair:
		return bad(ListedOnly, fmt.Sprintf("%s in the roster%s, and not the other new laptop", number(count, "other"), group))
	case count > 0:
		return fine(fmt.Sprintf("%s in the roster%s", number(count, "other"), group))
	case pair:
		return bad(Alone, "two new laptops do not see each other")
	default:
		return bad(MaybeAlone, "the roster is empty")
	}
}

// gadgetKind is OLPC's component for schools too big for one group.
var gadgetKind = services.Kind{Category: "collaboration", Type: "gadget"}

// appear fetches the roster and comes on-line, in this order: RFC 6121 §2.2.
func (e *exam) appear(ctx context.Context, c *child) error {
	ctx, cancel := e.patient(ctx)
	defer cancel()
	reply, err := c.ask(ctx, stanza.New(stanza.NSClient, "iq", stanza.A("type", "get"), stanza.New(nsRoster, "query")))
	if err != nil {
		return fmt.Errorf("roster: %w", err)
	}
	c.loop.Post("appear", func() {
		c.note(reply.Child(nsRoster, "query"))
		c.session.Send(stanza.New(stanza.NSClient, "presence"))
	})
	return nil
}

// meets waits until this child sees the other.
func (c *child) meets(ctx context.Context, other *child, company int) bool {
	limit := meetTime
	if company > 0 {
		limit = knownTime
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return c.wait(ctx, func(done func()) {
		c.wake = func() {
			if c.seen[other.account] {
				done()
			}
		}
		c.wake()
	}) == nil
}

// company tells how many others the child sees, and in which group. Without an
// answer there is nobody.
func (c *child) company(ctx context.Context) (int, string) {
	var count int
	var group string
	err := c.wait(ctx, func(done func()) {
		count = len(c.seen)
		if c.group != "" {
			group = ", group " + strconv.Quote(c.group)
		}
		done()
	})
	if err != nil {
		return 0, "" // and not what may be written meanwhile
	}
	return count, group
}

// service finds the first service of a kind that the server has beside itself.
// Without an answer there is none.
func (e *exam) service(ctx context.Context, kind services.Kind) (services.Service, bool) {
	ctx, cancel := e.patient(ctx)
	defer cancel()
	c := e.main()
	if c.search == nil {
		c.search = services.New(services.Config{Asker: c.session, After: c.after, Server: e.domainJID()})
	}
	var found services.Service
	var ok bool
	err := c.wait(ctx, func(done func()) {
		c.search.First(kind, func(s services.Service, is bool) {
			found, ok = s, is
			done()
		})
	})
	if err != nil {
		return services.Service{}, false
	}
	return found, ok
}

// conference finds the service for rooms.
func (e *exam) conference(ctx context.Context) verdict {
	if e.main() == nil {
		return skip(errNotLoggedIn.Error())
	}
	found, ok := e.service(ctx, services.Conference)
	if !ok {
		return bad(NoRooms, "the server has none")
	}
	e.rooms = found.JID
	return fine(found.JID.String())
}

// questions is how many times the server is asked for a sign of life.
const questions = 5

// slowTrip is from when on typing together is no pleasure.
const slowTrip = 500 * time.Millisecond

// roundTrip asks for signs of life, XEP-0199; a refusal is one as well.
func (e *exam) roundTrip(ctx context.Context) verdict {
	c := e.main()
	if c == nil {
		return skip(errNotLoggedIn.Error())
	}
	ctx, cancel := e.patient(ctx)
	defer cancel()
	var took []time.Duration
	for range questions {
		began := time.Now()
		_, err := c.ask(ctx, stanza.New(stanza.NSClient, "iq", stanza.A("type", "get"), stanza.A("to", e.domain), stanza.New("urn:xmpp:ping", "ping")))
		if err != nil && !isRefusal(err) {
			return failed(NoAnswer, err)
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	found := fmt.Sprintf("%s, at worst %s", short(took[questions/2]), short(took[questions-1]))
	if took[questions/2] > slowTrip {
		return bad(Slow, found)
	}
	return fine(found)
}

// short is a time as people say it.
func short(d time.Duration) string {
	switch {
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	default:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
}

// number counts in words that fit.
func number(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return strconv.Itoa(n) + " " + word + "s"
}
