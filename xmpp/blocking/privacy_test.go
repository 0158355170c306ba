package blocking

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
)

// lists is a server's keeper of privacy lists.
type lists struct {
	w           *world
	names       []string
	items       map[string]string
	deflt       string
	active      string
	defaultUsed bool // by another session
	pushes      bool // also to who made the change
	log         []string
}

// withLists is a world whose server keeps these lists, the first of which is
// the default. It has fetched them.
func withLists(t testing.TB, namesAndItems ...string) (*world, *lists) {
	t.Helper()
	w := newWorld(t)
	s := &lists{w: w, items: make(map[string]string)}
	for i := 0; i < len(namesAndItems); i += 2 {
		s.names = append(s.names, namesAndItems[i])
		s.items[namesAndItems[i]] = namesAndItems[i+1]
	}
	if len(s.names) > 0 {
		s.deflt = s.names[0]
	}
	w.l.Fetch(features(NSPrivacy), w.result)
	s.serve()
	return w, s
}

// serve answers until nobody asks any more.
func (s *lists) serve() {
	s.w.t.Helper()
	for len(s.w.done) > 0 {
		query := s.w.asked[0].Child(NSPrivacy, "query")
		question := query.First()
		switch {
		case s.w.asked[0].Attr("type") == "get" && question == nil:
			s.log = append(s.log, "names")
			s.w.answer(s.all())
		case s.w.asked[0].Attr("type") == "get":
			s.log = append(s.log, "get "+question.Attr("name"))
			s.get(question.Attr("name"))
		case question.Local() == "list":
			s.log = append(s.log, "set "+question.Attr("name"))
			s.set(question)
		case question.Local() == "default" && s.defaultUsed:
			s.log = append(s.log, "conflict")
			s.w.refuse(stanza.Conflict)
		case question.Local() == "default":
			s.log = append(s.log, "default "+question.Attr("name"))
			s.deflt = question.Attr("name")
			s.w.answer("")
		case question.Local() == "active":
			s.log = append(s.log, "active "+question.Attr("name"))
			s.active = question.Attr("name")
			s.w.answer("")
		}
	}
}

// all is the answer of XEP-0016 §2.3.
func (s *lists) all() string {
	var b strings.Builder
	b.WriteString("<query xmlns='jabber:iq:privacy'>")
	if s.active != "" {
		fmt.Fprintf(&b, "<active name='%s'/>", s.active)
	}
	if s.deflt != "" {
		fmt.Fprintf(&b, "<default name='%s'/>", s.deflt)
	}
	for _, name := range s.names {
		fmt.Fprintf(&b, "<list name='%s'/>", name)
	}
	return b.String() + "</query>"
}

func (s *lists) get(name string) {
	s.w.t.Helper()
	if _, there := s.items[name]; !there {
		s.w.refuse(stanza.ItemNotFound)
		return
	}
	s.w.answer("<query xmlns='jabber:iq:privacy'><list name='" + name + "'>" + s.items[name] + "</list></query>")
}

func (s *lists) set(list *stanza.Element) {
	s.w.t.Helper()
	name := list.Attr("name")
	if !slices.Contains(s.names, name) {
		s.names = append(s.names, name)
	}
	var items strings.Builder
	for _, item := range list.Children() {
		items.WriteString(string(item.AppendXML(nil, NSPrivacy)))
	}
	if items.Len() == 0 {
		s.w.t.Error("a list without items is a list removed")
	}
	s.items[name] = items.String()
	if s.pushes {
		s.push(name)
	}
	s.w.answer("")
}

func (s *lists) push(name string) {
	s.w.t.Helper()
	if c := s.w.push("", "<query xmlns='jabber:iq:privacy'><list name='"+name+"'/></query>"); c != "" {
		s.w.t.Errorf("push refused: %s", c)
	}
}

// wantLog takes what was asked since the last time.
func (s *lists) wantLog(want ...string) {
	s.w.t.Helper()
	if diff := cmp.Diff(want, s.log); diff != "" {
		s.w.t.Errorf("asked (-want +got):\n%s", diff)
	}
	s.log = nil
}

func deny(who string, order int64) string {
	return fmt.Sprintf("<item type='jid' value='%s' action='deny' order='%d'/>", who, order)
}

// The examples of XEP-0016 §2.3, and its list "special".
func TestPrivacy_examples(t *testing.T) {
	w, s := withLists(t, "public", deny("tybalt@example.com", 1)+"<item action='allow' order='2'/>",
		"private", "<item type='subscription' value='both' action='allow' order='10'/><item action='deny' order='15'/>",
		"special", "<item type='jid' value='juliet@example.com' action='allow' order='6'/><item action='deny' order='42'/>")
	s.wantLog("names", "get public")
	w.want("tybalt@example.com", []string{"+tybalt@example.com"}, ok)

	w.l.Block(addrs("romeo@example.net paris@example.org"), w.result)
	s.serve()
	s.wantLog("names", "get public", "set public")
	w.want("paris@example.org romeo@example.net tybalt@example.com", []string{"+paris@example.org +romeo@example.net"}, ok)
	if want := deny("romeo@example.net", 1) + deny("paris@example.org", 2) + deny("tybalt@example.com", 3) + "<item action='allow' order='4'/>"; s.items["public"] != sorted(want) {
		t.Errorf("list\n%s, want\n%s", s.items["public"], sorted(want))
	}
	w.l.Unblock(addrs("tybalt@example.com"), w.result)
	s.serve()
	if want := deny("romeo@example.net", 1) + deny("paris@example.org", 2) + "<item action='allow' order='4'/>"; s.items["public"] != sorted(want) {
		t.Errorf("list\n%s, want\n%s", s.items["public"], sorted(want))
	}
	w.want("paris@example.org romeo@example.net", []string{"-tybalt@example.com"}, ok)
}

// sorted writes items as this package does: attributes stay where they are.
func sorted(items string) string {
	list, err := stanza.Parse("<list xmlns='jabber:iq:privacy'>" + items + "</list>")
	if err != nil {
		panic(err)
	}
	var b strings.Builder
	for _, item := range list.Children() {
		b.Write(item.AppendXML(nil, NSPrivacy))
	}
	return b.String()
}

func TestPrivacy_ownList(t *testing.T) {
	w, s := withLists(t)
	s.wantLog("names")
	w.l.Unblock(addrs("a@s"), w.result)
	w.l.Block(addrs("a@s"), w.result)
	s.serve()
	s.wantLog("names", "set telepathy-olpc", "default telepathy-olpc")
	if got := s.items[ownList]; got != sorted(deny("a@s", 1)) {
		t.Errorf("list %s", got)
	}
	w.l.Unblock(addrs("a@s"), w.result)
	s.serve()
	s.wantLog("names", "get telepathy-olpc", "set telepathy-olpc")
	if got := s.items[ownList]; got != "<item action='allow' order='1'/>" {
		t.Errorf("list %s", got)
	}
	w.want("", []string{"+a@s", "-a@s"}, []string{"<nil>", "<nil>", "<nil>", "<nil>"})
}

// A list that lies there without being in force blocks nobody. Our own is
// taken up again, with all that is in it; others' lie on.
func TestPrivacy_notInForce(t *testing.T) {
	w, s := withLists(t, "", "", ownList, deny("a@s", 1), "other", deny("b@s", 1))
	w.want("", nil, ok)
	s.log = nil
	w.l.Block(addrs("c@s"), w.result)
	s.serve()
	s.wantLog("names", "get telepathy-olpc", "set telepathy-olpc", "default telepathy-olpc")
	w.want("a@s c@s", []string{"+a@s +c@s"}, ok)
	if s.items["other"] != deny("b@s", 1) {
		t.Errorf("the other list is %s", s.items["other"])
	}
}

func TestPrivacy_conflict(t *testing.T) {
	w, s := withLists(t)
	s.defaultUsed, s.log = true, nil
	w.l.Block(addrs("a@s"), w.result)
	s.serve()
	s.wantLog("names", "set telepathy-olpc", "conflict", "active telepathy-olpc")
	w.l.Block(addrs("b@s"), w.result)
	s.serve()
	s.wantLog("names", "get telepathy-olpc", "set telepathy-olpc")
	w.want("a@s b@s", []string{"+a@s", "+b@s"}, []string{"<nil>", "<nil>", "<nil>"})
}

// The session's list counts more than the account's.
func TestPrivacy_active(t *testing.T) {
	w, s := withLists(t, "home", deny("a@s", 1), "school", deny("b@s", 5))
	s.active = "school"
	s.push("home")
	s.serve()
	w.want("b@s", []string{"+a@s", "+b@s -a@s"}, ok)
	s.log = nil
	w.l.Block(addrs("c@s"), w.result)
	s.serve()
	s.wantLog("names", "get school", "set school")
	if want := sorted(deny("c@s", 4) + deny("b@s", 5)); s.items["school"] != want {
		t.Errorf("list %s, want %s", s.items["school"], want)
	}
}

// The default names a list that is not there.
func TestPrivacy_defaultMissing(t *testing.T) {
	w, s := withLists(t, "gone", "")
	delete(s.items, "gone")
	w.l.Block(addrs("a@s"), w.result)
	s.serve()
	w.want("a@s", []string{"+a@s"}, []string{"<nil>", "<nil>"})
	if got := s.items["gone"]; got != sorted(deny("a@s", 1)) {
		t.Errorf("list %s", got)
	}
}

func TestPrivacy_pushes(t *testing.T) {
	w, s := withLists(t, "public", deny("a@s", 1), "private", "")
	w.want("a@s", []string{"+a@s"}, ok)
	s.log = nil
	s.items["public"] = deny("b@s", 1)
	s.push("private")
	s.push("public")
	s.serve()
	s.wantLog("names", "get public")
	w.want("b@s", []string{"+b@s -a@s"}, nil)

	// A push while reading: what is being read may be old already.
	s.push("public")
	s.push("public")
	s.push("public")
	s.items["public"] = deny("c@s", 1)
	s.serve()
	s.wantLog("names", "get public", "names", "get public")
	w.want("c@s", []string{"+c@s -b@s"}, nil)

	// The push that a change of our own brings.
	s.pushes = true
	w.l.Block(addrs("d@s"), w.result)
	s.serve()
	s.wantLog("names", "get public", "set public", "names", "get public")
	w.want("c@s d@s", []string{"+d@s"}, ok)

	// No answer is not "nobody".
	s.push("public")
	w.refuse(stanza.InternalServerError)
	w.want("c@s d@s", nil, nil)
	if c := w.push("", command("block", "x@s")); c != "" {
		t.Errorf("push of the other protocol refused: %s", c)
	}
	w.want("c@s d@s", nil, nil)
	if c := w.push("iago@shakespeare.lit", "<query xmlns='jabber:iq:privacy'><list name='public'/></query>"); c != stanza.ServiceUnavailable {
		t.Errorf("a stranger's push is answered %q", c)
	}
	if len(w.asked) > 0 {
		t.Errorf("asked %v", w.asked)
	}
}

// Another session makes the first list and puts it in force.
func TestPrivacy_pushOfTheFirstList(t *testing.T) {
	w, s := withLists(t)
	s.names, s.deflt, s.items["public"] = []string{"public"}, "public", deny("a@s", 1)
	s.push("public")
	s.serve()
	w.want("a@s", []string{"+a@s"}, ok)
}

func TestPrivacy_refused(t *testing.T) {
	refused := func(c stanza.Condition) []string {
		return []string{"change block list: " + stanza.NewError(c, "").Error()}
	}
	for step, c := range []stanza.Condition{stanza.InternalServerError, stanza.NotAllowed, stanza.Forbidden} {
		w, _ := withLists(t, "public", deny("a@s", 1))
		w.want("a@s", []string{"+a@s"}, ok)
		w.l.Block(addrs("b@s"), w.result)
		for range step {
			if strings.Contains(w.asked[0].String(), "<list") {
				w.answer("<query xmlns='jabber:iq:privacy'><list name='public'>" + deny("a@s", 1) + "</list></query>")
			} else {
				w.answer("<query xmlns='jabber:iq:privacy'><default name='public'/><list name='public'/></query>")
			}
		}
		w.refuse(c)
		w.want("a@s", nil, refused(c))
	}
	w, s := withLists(t)
	w.l.Block(addrs("b@s"), w.result)
	w.answer(s.all())
	w.answer("") // the list is written
	w.refuse(stanza.NotAllowed)
	w.want("", nil, append(slices.Clone(ok), refused(stanza.NotAllowed)...))
}

func TestPrivacy_tooLong(t *testing.T) {
	var items strings.Builder
	for i := range maxEntries {
		items.WriteString("<item type='group' value='g" + strconv.Itoa(i) + "' action='deny' order='" + strconv.Itoa(i) + "'/>")
	}
	w, s := withLists(t, "long", items.String())
	s.log = nil
	w.l.Block(addrs("a@s"), w.result)
	s.serve()
	s.wantLog("names", "get long")
	w.want("", nil, []string{"<nil>", "change block list: " + errTooLong.Error()})
}

func TestRules_blocked(t *testing.T) {
	all := "<message/><iq/><presence-in/><presence-out/>"
	for _, c := range []struct{ name, items, want string }{
		{"none", "", ""},
		{"by order, not by place", deny("b@s", 2) + deny("a@s", 1), "a@s b@s"},
		{"kinds of addresses", deny("a@s/phone", 1) + deny("spam.example", 2) + deny("spam.example/x", 3), "a@s/phone spam.example spam.example/x"},
		{"all four kinds named", "<item type='jid' value='a@s' action='deny' order='1'>" + all + "</item>", "a@s"},
		{"messages only", "<item type='jid' value='a@s' action='deny' order='1'><message/></item>" + deny("b@s", 2), "b@s"},
		{"allowed before", "<item type='jid' value='a@s' action='allow' order='1'/>" + deny("a@s", 2) + deny("a@s/x", 3) + deny("b@s", 4), "b@s"},
		{"allowed in part before", "<item type='jid' value='a@s' action='allow' order='1'><iq/></item>" + deny("a@s", 2), ""},
		{"domain allowed before", "<item type='jid' value='s' action='allow' order='1'/>" + deny("a@s", 2) + deny("a@t", 3), "a@t"},
		{"device allowed before", "<item type='jid' value='a@s/x' action='allow' order='1'/>" + deny("a@s", 2), "a@s"},
		{"allowed after", deny("a@s", 2) + "<item type='jid' value='a@s' action='allow' order='3'/>", "a@s"},
		{"everybody allowed before", "<item action='allow' order='1'/>" + deny("a@s", 2), ""},
		{"everybody denied before", "<item action='deny' order='1'/>" + deny("a@s", 2), ""},
		{"everybody denied in part before", "<item action='deny' order='1'><iq/></item>" + deny("a@s", 2), "a@s"},
		{"groups and subscriptions", "<item type='group' value='Enemies' action='deny' order='1'/><item type='subscription' value='none' action='deny' order='2'/>", ""},
		{"no addresses", deny("", 1) + deny("@", 2) + deny("a@s", 3), "a@s"},
		{"no action", "<item type='jid' value='a@s' order='1'/>", ""},
		{"no order comes last", "<item type='jid' value='a@s' action='deny'/><item type='jid' value='a@s' action='allow' order='9'/>", ""},
		{"negative order comes last", deny("a@s", -1) + "<item action='allow' order='9'/>", ""},
		{"foreign item", "<item xmlns='x' type='jid' value='a@s' action='deny' order='1'/>", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			list := parseRules(parse(t, "<list xmlns='jabber:iq:privacy'>"+c.items+"</list>"))
			var got []string
			for _, who := range list.blocked() {
				got = append(got, who.String())
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("blocked %v, want %s", got, c.want)
			}
		})
	}
}

func TestRules_deny(t *testing.T) {
	foreign := "<item type='group' value='G' action='allow' order='%d' color='red'><iq/><x xmlns='y'/></item>"
	for _, c := range []struct{ name, items, want string }{
		{"empty", "", deny("a@s", 1) + deny("b@s", 2)},
		{"room in front", fmt.Sprintf(foreign, 3), deny("a@s", 1) + deny("b@s", 2) + fmt.Sprintf(foreign, 3)},
		{"much room", fmt.Sprintf(foreign, 100), deny("a@s", 98) + deny("b@s", 99) + fmt.Sprintf(foreign, 100)},
		{"too little room", fmt.Sprintf(foreign, 2) + deny("c@s", 70), deny("a@s", 1) + deny("b@s", 2) + fmt.Sprintf(foreign, 3) + deny("c@s", 4)},
		{"none at all", deny("c@s", math.MaxUint32) + fmt.Sprintf(foreign, 0), deny("a@s", 1) + deny("b@s", 2) + fmt.Sprintf(foreign, 3) + deny("c@s", 4)},
	} {
		t.Run(c.name, func(t *testing.T) {
			list := parseRules(parse(t, "<list xmlns='jabber:iq:privacy'>"+c.items+"</list>"))
			if diff := cmp.Diff(sorted(c.want), written(list.deny(addrs("a@s b@s")))); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func written(list rules) string {
	var b strings.Builder
	for _, r := range list {
		b.Write(r.element.AppendXML(nil, NSPrivacy))
	}
	return b.String()
}

// FuzzRules holds any list against what changing it must leave alone.
func FuzzRules(f *testing.F) {
	f.Add(deny("b@s", 2)+deny("a@s", 1)+"<item action='allow' order='0'/>", "a@s", uint64(1))
	f.Add("<item type='jid' value='a@s' action='allow' order='4294967295'/><item/>", "s", uint64(2))
	f.Add("<item type='group' value='G' action='deny' order='x'><iq/></item>", "a@s/x", uint64(3))
	f.Fuzz(func(t *testing.T, items, address string, seed uint64) {
		list, err := stanza.Parse("<list xmlns='jabber:iq:privacy'>" + items + "</list>")
		who, bad := jid.ParseLenient(address)
		if err != nil || bad != nil {
			return
		}
		before := parseRules(list)
		more := []jid.JID{who, addr("x" + strconv.FormatUint(rand.New(rand.NewPCG(seed, 0)).Uint64(), 36) + "@s")}
		after := before.deny(more)
		if blocked := after.blocked(); !slices.Equal(blocked[:2], more) {
			t.Errorf("blocked %v", blocked)
		}
		for i, item := range after {
			if got, _ := strconv.ParseUint(item.element.Attr("order"), 10, 64); i < 2 && (got != item.order || got == 0 || len(after) > 2 && got >= after[2].order) {
				t.Errorf("order %s of item %d in %s", item.element.Attr("order"), i, written(after))
			}
		}
		for i, item := range before {
			unnumbered := stanza.A("order", "")
			if kept := after[i+2].element; !kept.With(unnumbered).Equal(item.element.With(unnumbered)) {
				t.Errorf("item %d was %s, is %s", i, item.element, kept)
			}
		}
		if again := parseRules(parse(t, "<list xmlns='jabber:iq:privacy'>"+written(after)+"</list>")); len(again) == len(after) && !slices.Equal(again.blocked()[:2], more) {
			t.Errorf("read again, blocked %v", again.blocked())
		}
		left := after.without(more)
		if len(left) == 0 || slices.Contains(left.blocked(), who) {
			t.Errorf("left %s", written(left))
		}
	})
}

// FuzzHandlePush throws anything at a list that is there.
func FuzzHandlePush(f *testing.F) {
	f.Add(command("block", "a@s", "@"), "")
	f.Add(command("unblock", "a@s"), "juliet@capulet.com")
	f.Add("<unblock xmlns='urn:xmpp:blocking'/>", "mallory@s")
	f.Add("<query xmlns='jabber:iq:privacy'><list name='x'/></query>", "@")
	f.Fuzz(func(t *testing.T, payload, from string) {
		iq, err := stanza.Parse("<iq type='set' id='p1'>" + payload + "</iq>")
		if err != nil {
			return
		}
		w := withCommands(t, "a@s")
		c := condition(t, w.l.HandlePush(iq.With(stanza.A("from", from))))
		if mayNot := from != "" && from != "juliet@capulet.com" && from != "juliet@capulet.com/chamber"; (mayNot || c != "") && len(w.changes) > 0 {
			t.Errorf("answer %q to %q, changes %v", c, from, w.changes)
		}
	})
}
