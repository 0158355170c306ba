package pep

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
	"telepathy-olpc/xmpp/xmpptest"
)

const bob = "926bbd1ae5a207bc97ea472bb484499d3871be18@schoolserver.test"

var (
	byValue = cmp.Comparer(func(a, b jid.JID) bool { return a == b })
	byTree  = cmp.Comparer(func(a, b *stanza.Element) bool { return a.Equal(b) })
)

var (
	addr  = xmpptest.JID
	parse = xmpptest.Element
)

// entity has identities.
type entity []string

func (e entity) Is(category, typ string) bool { return slices.Contains(e, category+"/"+typ) }

func TestSupported(t *testing.T) {
	for _, c := range []struct {
		name        string
		server, own entity
		want        bool
	}{
		{"neither", entity{"server/im"}, entity{"account/registered"}, false},
		{"server", entity{"server/im", "pubsub/pep"}, nil, true},
		{"own address", entity{"server/im"}, entity{"account/registered", "pubsub/pep"}, true},
		{"only a pubsub service", entity{"pubsub/service"}, nil, false},
	} {
		if got := Supported(c.server, c.own); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestItemsQuery(t *testing.T) {
	want := parse(t, "<iq type='get' to='"+bob+"'><pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='n' max_items='1'/></pubsub></iq>")
	if got := ItemsQuery(addr(t, bob+"/sugar"), "n"); !got.Equal(want) {
		t.Errorf("got %s", got)
	}
}

func TestParseItems(t *testing.T) {
	payload := parse(t, "<a xmlns='x'/>")
	pubsub := func(s string) string { return "<iq type='result'><pubsub xmlns='" + NS + "'>" + s + "</pubsub></iq>" }
	for _, c := range []struct {
		name, in string
		want     Item
	}{
		{"one", pubsub("<items node='n'><item id='70354719B9150'><a xmlns='x'/></item></items>"), Item{"70354719B9150", payload}},
		{"space around", pubsub("\n<items node='n'>\n<item id='1'>\n<a xmlns='x'/>\n</item>\n</items>\n"), Item{"1", payload}},
		{"no id", pubsub("<items node='n'><item><a xmlns='x'/></item></items>"), Item{"", payload}},
		{"no node named", pubsub("<items><item id='1'><a xmlns='x'/></item></items>"), Item{"1", payload}},
		{"several", pubsub("<items node='n'><item id='1'/><item id='2'><a xmlns='x'/></item><item id='3'><b xmlns='x'/></item></items>"), Item{"2", payload}},
		{"no payload", pubsub("<items node='n'><item id='1'/></items>"), Item{"1", nil}},
		{"no item", pubsub("<items node='n'/>"), Item{}},
		{"no items", pubsub(""), Item{}},
		{"nothing", "<iq type='result'/>", Item{}},
		{"another node", pubsub("<items node='m'><item id='1'><a xmlns='x'/></item></items>"), Item{}},
		{"another namespace", "<iq type='result'><pubsub xmlns='x'><items node='n'><item/></items></pubsub></iq>", Item{}},
	} {
		if diff := cmp.Diff(c.want, ParseItems(parse(t, c.in), "n"), byTree); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

// scripted answers what is asked.
type scripted func(iq *stanza.Element) (*stanza.Element, error)

func (s scripted) Ask(iq *stanza.Element, done func(*stanza.Element, error)) { done(s(iq)) }

func TestFetch(t *testing.T) {
	lost := errors.New("lost")
	refused := stanza.NewError(stanza.NotAuthorized, "")
	for _, c := range []struct {
		name  string
		reply string
		err   error
		want  string // id of the item
		wrong error
	}{
		{"published", "<iq type='result'><pubsub xmlns='" + NS + "'><items node='n'><item id='1'/></items></pubsub></iq>", nil, "1", nil},
		{"empty", "<iq type='result'><pubsub xmlns='" + NS + "'><items node='n'/></pubsub></iq>", nil, "", nil},
		{"no such node", "", stanza.NewError(stanza.ItemNotFound, ""), "", nil},
		{"not subscribed", "", refused, "", refused},
		{"lost", "", lost, "", lost},
	} {
		calls := 0
		Fetch(scripted(func(iq *stanza.Element) (*stanza.Element, error) {
			if c.err != nil {
				return nil, c.err
			}
			return parse(t, c.reply), nil
		}), addr(t, bob), "n", func(item Item, err error) {
			calls++
			if item.ID != c.want || !errors.Is(err, c.wrong) {
				t.Errorf("%s: got %v, %v", c.name, item, err)
			}
		})
		if calls != 1 {
			t.Errorf("%s: %d answers", c.name, calls)
		}
	}
}

func TestNick(t *testing.T) {
	for _, c := range []struct {
		name, in, want string
		ok             bool
	}{
		{"recorded", "<nick xmlns='http://jabber.org/protocol/nick'>Alicia</nick>", "Alicia", true},
		{"space around", "<nick xmlns='http://jabber.org/protocol/nick'>\n Ada L. </nick>", "Ada L.", true},
		{"taken back", "<nick xmlns='http://jabber.org/protocol/nick'/>", "", true},
		{"of another kind", "<nick xmlns='x'>Ada</nick>", "", false},
		{"no name", "<nick xmlns='http://jabber.org/protocol/nick'>" + strings.Repeat("x", 1024) + "</nick>", "", false},
	} {
		if got, ok := ParseNick(parse(t, c.in)); got != c.want || ok != c.ok {
			t.Errorf("%s: got %q, %v", c.name, got, ok)
		}
	}
	if _, ok := ParseNick(nil); ok {
		t.Error("a nick in no payload")
	}
	if got := BuildNick("Ada <&>").String(); got != "<nick xmlns='http://jabber.org/protocol/nick'>Ada &lt;&amp;&gt;</nick>" {
		t.Errorf("got %s", got)
	}
}
