package blocking

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"telepathy-olpc/xmpp/disco"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
	"telepathy-olpc/xmpp/xmpptest"
)

// world is the server and the listener of one list. Questions wait for the
// test, or for [world.serve].
type world struct {
	t       testing.TB
	l       *List
	asked   []*stanza.Element
	done    []func(*stanza.Element, error)
	changes []string // "+blocked -unblocked", one line for each announcement
	results []string
}

func newWorld(t testing.TB) *world {
	w := &world{t: t}
	w.l = New(Config{Asker: w, Self: addr("juliet@capulet.com/chamber"), Changed: func(blocked, unblocked []jid.JID) {
		var line []string
		for _, who := range blocked {
			line = append(line, "+"+who.String())
		}
		for _, who := range unblocked {
			line = append(line, "-"+who.String())
		}
		slices.Sort(line)
		w.changes = append(w.changes, strings.Join(line, " "))
	}})
	return w
}

func (w *world) Ask(iq *stanza.Element, done func(*stanza.Element, error)) {
	w.asked, w.done = append(w.asked, iq), append(w.done, done)
}

// result takes what a call came to.
func (w *world) result(err error) { w.results = append(w.results, fmt.Sprint(err)) }

// wantAsk takes the question under way.
func (w *world) wantAsk(kind, payload string) {
	w.t.Helper()
	if len(w.asked) != 1 {
		w.t.Fatalf("questions %v, want one: %s", w.asked, payload)
	}
	if got, want := w.asked[0].String(), "<iq type='"+kind+"'>"+payload+"</iq>"; got != want {
		w.t.Fatalf("asked\n%s, want\n%s", got, want)
	}
}

func (w *world) answer(payload string) {
	w.finish(parse(w.t, "<iq type='result'>"+payload+"</iq>"), nil)
}

func (w *world) refuse(c stanza.Condition) { w.finish(nil, stanza.NewError(c, "")) }

func (w *world) finish(reply *stanza.Element, err error) {
	w.t.Helper()
	if len(w.done) != 1 {
		w.t.Fatalf("%d questions under way", len(w.done))
	}
	done := w.done[0]
	w.asked, w.done = nil, nil
	done(reply, err)
}

// push gives the condition of the answer to a push, "" for a result.
func (w *world) push(from, payload string) stanza.Condition {
	w.t.Helper()
	iq := parse(w.t, "<iq type='set' id='p1'>"+payload+"</iq>").With(stanza.A("from", from))
	return condition(w.t, w.l.HandlePush(iq))
}

func condition(t testing.TB, answer *stanza.Element) stanza.Condition {
	t.Helper()
	if answer.Attr("id") != "p1" {
		t.Errorf("answer %s", answer)
	}
	if answer.Attr("type") == "error" {
		return stanza.ErrorOf(answer).Condition
	}
	return ""
}

// want takes what was announced and what calls came to since the last time,
// and compares the list.
func (w *world) want(list string, changes, results []string) {
	w.t.Helper()
	var all []string
	for who := range w.l.All() {
		all = append(all, who.String())
		if !w.l.Has(who) {
			w.t.Errorf("%s is there and isn't", who)
		}
	}
	slices.Sort(all)
	if got := strings.Join(all, " "); got != list {
		w.t.Errorf("blocked %q, want %q", got, list)
	}
	if diff := cmp.Diff(changes, w.changes); diff != "" {
		w.t.Errorf("changes (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(results, w.results); diff != "" {
		w.t.Errorf("results (-want +got):\n%s", diff)
	}
	w.changes, w.results = nil, nil
}

func addr(s string) jid.JID {
	j, err := jid.ParseLenient(s)
	if err != nil {
		panic(err)
	}
	return j
}

func addrs(s string) []jid.JID {
	var list []jid.JID
	for _, one := range strings.Fields(s) {
		list = append(list, addr(one))
	}
	return list
}

var parse = xmpptest.Element

var ok = []string{"<nil>"}

const (
	askList = "<blocklist xmlns='urn:xmpp:blocking'/>"
	askAll  = "<query xmlns='jabber:iq:privacy'/>"
)

// payload wraps items in an element of XEP-0191.
func command(name string, who ...string) string {
	var items strings.Builder
	for _, w := range who {
		items.WriteString("<item jid='" + w + "'/>")
	}
	if len(who) == 0 {
		return "<" + name + " xmlns='urn:xmpp:blocking'/>"
	}
	return "<" + name + " xmlns='urn:xmpp:blocking'>" + items.String() + "</" + name + ">"
}

func features(names ...string) *disco.Info { return &disco.Info{Features: names} }

// withCommands is a world whose server has the blocking command, and a list.
func withCommands(t testing.TB, who ...string) *world {
	t.Helper()
	w := newWorld(t)
	w.l.Fetch(features(NS, NSPrivacy), w.result)
	w.wantAsk("get", askList)
	w.answer(command("blocklist", who...))
	w.changes, w.results = nil, nil
	return w
}

// The examples of XEP-0191 §3, in their order.
func TestCommands_examples(t *testing.T) {
	w := newWorld(t)
	w.l.Fetch(features(NS), w.result)
	w.wantAsk("get", askList)
	w.answer(command("blocklist", "romeo@montague.net", "iago@shakespeare.lit"))
	w.want("iago@shakespeare.lit romeo@montague.net", []string{"+iago@shakespeare.lit +romeo@montague.net"}, ok)

	w.l.Unblock(addrs("iago@shakespeare.lit"), w.result)
	w.wantAsk("set", command("unblock", "iago@shakespeare.lit"))
	w.answer("")
	w.want("romeo@montague.net", []string{"-iago@shakespeare.lit"}, ok)
	if c := w.push("", command("unblock", "iago@shakespeare.lit")); c != "" {
		t.Errorf("push refused: %s", c)
	}
	w.l.Block(addrs("mercutio@montague.net tybalt@capulet.com mercutio@montague.net romeo@montague.net"), w.result)
	w.wantAsk("set", command("block", "mercutio@montague.net", "tybalt@capulet.com"))
	w.push("", command("block", "mercutio@montague.net", "tybalt@capulet.com"))
	w.answer("")
	w.want("mercutio@montague.net romeo@montague.net tybalt@capulet.com", []string{"+mercutio@montague.net +tybalt@capulet.com"}, ok)

	if c := w.push("juliet@capulet.com", "<unblock xmlns='urn:xmpp:blocking'/>"); c != "" {
		t.Errorf("push refused: %s", c)
	}
	w.want("", []string{"-mercutio@montague.net -romeo@montague.net -tybalt@capulet.com"}, nil)
}

// An empty unblock would be one of everybody, so it must never be sent.
func TestCommands_nothingToDo(t *testing.T) {
	w := withCommands(t, "a@s")
	w.l.Unblock(nil, w.result)
	w.l.Unblock(addrs("b@s"), w.result)
	w.l.Block(addrs("a@s"), w.result)
	w.l.Block(nil, w.result)
	if len(w.asked) > 0 {
		t.Errorf("asked %v", w.asked)
	}
	w.want("a@s", nil, []string{"<nil>", "<nil>", "<nil>", "<nil>"})
}

func TestFetch_ways(t *testing.T) {
	for _, c := range []struct {
		name    string
		server  *disco.Info
		answers []stanza.Condition // "" for a list
		want    string             // error
		tells   bool
	}{
		{"command", features(NS, NSPrivacy), []stanza.Condition{""}, "<nil>", true},
		{"command announced, but there are lists only", features(NS), []stanza.Condition{stanza.ServiceUnavailable, ""}, "<nil>", false},
		{"nothing known of the server", nil, []stanza.Condition{stanza.FeatureNotImplemented, ""}, "<nil>", false},
		{"lists", features(NSPrivacy), []stanza.Condition{""}, "<nil>", false},
		{"lists not announced", features(), []stanza.Condition{""}, "<nil>", false},
		{"neither, announced", features(NS, NSPrivacy), []stanza.Condition{stanza.ServiceUnavailable, stanza.FeatureNotImplemented}, ErrUnsupported.Error(), false},
		{"neither", features(), []stanza.Condition{stanza.ServiceUnavailable}, ErrUnsupported.Error(), false},
		{"trouble", features(NS), []stanza.Condition{stanza.InternalServerError}, "fetch block list: " + stanza.NewError(stanza.InternalServerError, "").Error(), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.l.Fetch(c.server, w.result)
			for _, condition := range c.answers {
				if condition != "" {
					w.refuse(condition)
				} else {
					w.answer("") // no payload, no list
				}
			}
			w.want("", nil, []string{c.want})
			if len(w.done) > 0 {
				t.Errorf("asked %v", w.asked)
			}
			if w.l.TellsContacts() != c.tells {
				t.Errorf("TellsContacts is %v", !c.tells)
			}
		})
	}
}

func TestFetch_again(t *testing.T) {
	w := newWorld(t)
	w.l.Fetch(features(NS), w.result)
	w.finish(nil, errors.New("no answer in time"))
	w.l.Block(addrs("a@s"), w.result)
	w.want("", nil, []string{"fetch block list: no answer in time", ErrUnsupported.Error()})
	w.l.Fetch(features(NS), w.result)
	w.answer(command("blocklist", "a@s", "b@s"))
	w.want("a@s b@s", []string{"+a@s +b@s"}, ok)
	w.l.Fetch(features(NS), w.result)
	w.answer(command("blocklist", "b@s", "c@s"))
	w.want("b@s c@s", []string{"+c@s -a@s"}, ok)
}

// Pushes between question and answer: none is lost, and nothing is announced
// that was not so.
func TestFetch_pushOvertakes(t *testing.T) {
	w := newWorld(t)
	w.l.Fetch(features(NS), w.result)
	w.push("", command("block", "a@s", "b@s"))
	w.push("", command("unblock", "b@s", "c@s"))
	w.want("", nil, nil)
	w.answer(command("blocklist", "b@s", "c@s", "d@s"))
	w.want("a@s d@s", []string{"+a@s +d@s"}, ok)

	w.l.Fetch(features(NS), w.result)
	w.push("", command("block", "e@s"))
	w.push("", "<unblock xmlns='urn:xmpp:blocking'/>")
	w.push("", command("block", "f@s"))
	w.answer(command("blocklist", "a@s", "d@s", "e@s"))
	w.want("f@s", []string{"+e@s", "-a@s -d@s -e@s", "+f@s"}, ok)
}

// What another session does meanwhile counts more than one's own result.
func TestBlock_pushOvertakes(t *testing.T) {
	w := withCommands(t)
	w.l.Block(addrs("a@s b@s"), w.result)
	w.push("", command("block", "a@s", "b@s"))
	w.push("", command("unblock", "a@s"))
	w.answer("")
	w.want("b@s", []string{"+a@s +b@s", "-a@s"}, ok)
}

// Changes are made one after the other, each on what the one before it left.
func TestBlock_queue(t *testing.T) {
	w := withCommands(t)
	w.l.Block(addrs("a@s"), w.result)
	w.l.Block(addrs("a@s b@s"), w.result)
	w.l.Unblock(addrs("a@s"), func(err error) {
		w.result(err)
		w.l.Block(addrs("c@s"), w.result)
	})
	w.wantAsk("set", command("block", "a@s"))
	w.answer("")
	w.wantAsk("set", command("block", "b@s"))
	w.refuse(stanza.NotAllowed)
	w.wantAsk("set", command("unblock", "a@s"))
	w.answer("")
	w.wantAsk("set", command("block", "c@s"))
	w.answer("")
	w.want("c@s", []string{"+a@s", "-a@s", "+c@s"},
		[]string{"<nil>", "change block list: " + stanza.NewError(stanza.NotAllowed, "").Error(), "<nil>", "<nil>"})
}

func TestHandlePush_hostile(t *testing.T) {
	block, unblock := command("block", "romeo@montague.net"), command("unblock", "a@s")
	for _, c := range []struct {
		name, kind, from, payload string
		want                      stanza.Condition
		list                      string
	}{
		{"from the account", "set", "juliet@capulet.com", block, "", "a@s romeo@montague.net"},
		{"from the session", "set", "juliet@capulet.com/chamber", block, "", "a@s romeo@montague.net"},
		{"from nobody", "set", "", block, "", "a@s romeo@montague.net"},
		{"from the server", "set", "capulet.com", block, stanza.ServiceUnavailable, "a@s"},
		{"from another session", "set", "juliet@capulet.com/other", block, stanza.ServiceUnavailable, "a@s"},
		{"from a contact", "set", "iago@shakespeare.lit/x", unblock, stanza.ServiceUnavailable, "a@s"},
		{"from no address", "set", "@@", unblock, stanza.ServiceUnavailable, "a@s"},
		{"a question", "get", "", block, stanza.ServiceUnavailable, "a@s"},
		{"empty block", "set", "", "<block xmlns='urn:xmpp:blocking'/>", stanza.BadRequest, "a@s"},
		{"broken block", "set", "", command("block", "", "@", "a@"), stanza.BadRequest, "a@s"},
		{"broken unblock", "set", "", command("unblock", "@"), stanza.BadRequest, "a@s"},
		{"unblock of something else", "set", "", "<unblock xmlns='urn:xmpp:blocking'><item xmlns='x' jid='a@s'/></unblock>", stanza.BadRequest, "a@s"},
		{"one bad item", "set", "", command("block", "@", "b@s"), "", "a@s b@s"},
		{"a list", "set", "", command("blocklist", "b@s"), stanza.BadRequest, "a@s"},
		{"another namespace", "set", "", "<block xmlns='x'/>", stanza.BadRequest, "a@s"},
		{"a privacy list", "set", "", "<query xmlns='jabber:iq:privacy'><list name='x'/></query>", "", "a@s"},
		{"no privacy list", "set", "", "<query xmlns='jabber:iq:privacy'/>", stanza.BadRequest, "a@s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := withCommands(t, "a@s")
			iq := parse(t, "<iq type='"+c.kind+"' id='p1'>"+c.payload+"</iq>").With(stanza.A("from", c.from))
			if got := condition(t, w.l.HandlePush(iq)); got != c.want {
				t.Errorf("answer %q, want %q", got, c.want)
			}
			var all []string
			for who := range maps.Keys(w.l.blocked) {
				all = append(all, who.String())
			}
			slices.Sort(all)
			if got := strings.Join(all, " "); got != c.list {
				t.Errorf("list %q, want %q", got, c.list)
			}
			if len(w.asked) > 0 {
				t.Errorf("asked %v", w.asked)
			}
		})
	}
}

// Before the list is fetched nothing was asked for, and nothing is believed.
func TestHandlePush_beforeFetch(t *testing.T) {
	w := newWorld(t)
	w.push("", command("block", "a@s"))
	w.push("", "<unblock xmlns='urn:xmpp:blocking'/>")
	w.want("", nil, nil)
}

func TestLimits(t *testing.T) {
	many := make([]string, maxEntries+5)
	for i := range many {
		many[i] = fmt.Sprintf("u%d@s", i)
	}
	w := withCommands(t, many...)
	if len(w.l.blocked) != maxEntries {
		t.Errorf("%d entries", len(w.l.blocked))
	}
	w.push("", command("block", "x@s"))
	w.l.Block(addrs("y@s"), w.result)
	if w.l.Has(addr("x@s")) || w.l.Has(addr("y@s")) || len(w.asked) > 0 {
		t.Errorf("the list grows; asked %v", w.asked)
	}
	if want := []string{errTooLong.Error()}; !slices.Equal(w.results, want) {
		t.Errorf("results %v, want %v", w.results, want)
	}
}
