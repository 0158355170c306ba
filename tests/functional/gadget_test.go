package functional

import (
	"slices"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/tests/cmtest"
	"telepathy-olpc/xmpp/olpc"
	"telepathy-olpc/xmpp/stanza"
)

// The server's component, and what it is about.
const (
	component     = "gadget." + cmtest.Domain
	nsBuddies     = "http://laptop.org/xmpp/buddy"
	nsActivities  = "http://laptop.org/xmpp/activity"
	componentInfo = "<identity category='collaboration' type='gadget' name='OLPC Gadget'/>"
)

var (
	discovered = cmtest.Signal(tp.SignalGadgetGadgetDiscovered)

	toComponent   = cmtest.Presence().To(component)
	askBuddies    = cmtest.IQ("get", nsBuddies).To(component)
	askActivities = cmtest.IQ("get", nsActivities).To(component)
	inviteHere    = cmtest.Message().To(chatRoom).Having(nsMUCUser, "x")
	described     = cmtest.Message().To(component).Having(olpc.NodeActivityProperties, "properties")
)

// withServices has the server list services, address and features by turns.
func withServices(pairs ...string) []cmtest.Option {
	items := "<item jid='" + cmtest.Conference + "'/>"
	var opts []cmtest.Option
	for i := 0; i < len(pairs); i += 2 {
		items += "<item jid='" + pairs[i] + "'/>"
		info := componentInfo
		for feature := range strings.FieldsSeq(pairs[i+1]) {
			info += "<feature var='" + feature + "'/>"
		}
		opts = append(opts, cmtest.Answers(cmtest.IQ("get", nsDisco).To(pairs[i]), "<query xmlns='"+nsDisco+"'>"+info+"</query>"))
	}
	return append(opts, cmtest.Answers(cmtest.IQ("get", nsDiscoItems).To(cmtest.Domain), "<query xmlns='"+nsDiscoItems+"'>"+items+"</query>"))
}

// by itself is what clients do where nobody has switched it off.
var (
	byHand = cmtest.Param("gadget", false)
	both   = nsBuddies + " " + nsActivities
)

// meetComponent is connected to a server with a component, which has not said
// anything yet.
func meetComponent(t testing.TB, opts ...cmtest.Option) *cmtest.Connection {
	t.Helper()
	c := cmtest.Start(t, append(withServices(component, both), opts...)...).Request()
	c.Login()
	c.Expect(discovered)
	return c
}

// says has the component send a presence of a type.
func says(c *cmtest.Connection, kinds ...string) {
	c.T.Helper()
	for _, kind := range kinds {
		c.Server.Send(strings.Replace("<presence from='"+component+"' type='"+kind+"'/>", " type=''", "", 1))
	}
}

// news has the component send a message, in the form of the first programs.
func news(c *cmtest.Connection, payload string) {
	c.T.Helper()
	c.Server.Send("<message type='notice' from='" + component + "' to='" + cmtest.Self + "'>" + payload +
		"<amp xmlns='http://jabber.org/protocol/amp'><rule condition='deliver-at' value='stored' action='error'/></amp></message>")
}

func TestGadget_discovery(t *testing.T) {
	t.Parallel()
	other := "index." + cmtest.Domain
	for name, row := range map[string]struct {
		services            []string
		buddies, activities string // whom views are asked of
	}{
		"one":              {[]string{component, both}, component, component},
		"two":              {[]string{component, nsBuddies, other, nsActivities}, component, other},
		"buddies alone":    {[]string{component, nsBuddies}, component, ""},
		"activities alone": {[]string{other, nsActivities}, "", other},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := cmtest.Start(t, append(withServices(row.services...), byHand)...).Request()
			cmtest.Equal(t, c.Get(c.Path, tp.InterfaceGadget, "GadgetAvailable"), false)
			c.Login()
			c.Expect(discovered)
			cmtest.Equal(t, c.Get(c.Path, tp.InterfaceGadget, "GadgetAvailable"), true)
			quiet := c.Forbid(toComponent)
			c.Sync()
			quiet.Lift()
			c.Call(c.Path, tp.InterfaceGadget, "Publish", true)
			for _, who := range []string{row.buddies, row.activities} {
				kind, ask := tp.InterfaceChannelBuddyView, cmtest.IQ("get", nsBuddies)
				if who == row.activities && who != row.buddies {
					kind, ask = tp.InterfaceChannelActivityView, cmtest.IQ("get", nsActivities)
				}
				if who == "" {
					continue
				}
				c.Expect(cmtest.Presence().To(who).Type("subscribe"))
				c.Server.Send("<presence from='" + who + "'/>")
				c.Server.Send("<presence from='" + row.services[0] + "'/>")
				c.Call(c.Path, tp.InterfaceConnectionRequests, "CreateChannel", viewRequest(kind, nil))
				c.Expect(ask.To(who))
				break
			}
		})
	}
}

// Nobody is asked to see what children do who does not belong to their server.
func TestGadget_none(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]cmtest.Option{
		"no component":          nil,
		"one of another server": withServices("gadget.other.test", both),
		"a gateway":             {cmtest.Answers(cmtest.IQ("get", nsDiscoItems).To(cmtest.Domain), "<query xmlns='"+nsDiscoItems+"'><item jid='"+cmtest.Domain+"'/></query>")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := cmtest.Start(t, opts...).Request()
			c.Forbid(discovered)
			c.Forbid(cmtest.Presence().Type("subscribe"))
			c.Login()
			c.Refused(tp.ErrorNetworkError, c.Path, tp.InterfaceGadget, "Publish", true)
			c.Refused(tp.ErrorNotAvailable, c.Path, tp.InterfaceConnectionRequests, "CreateChannel", viewRequest(tp.InterfaceChannelBuddyView, nil))
			c.Refused(tp.ErrorNotAvailable, c.Path, tp.InterfaceConnectionRequests, "EnsureChannel", viewRequest(tp.InterfaceChannelActivityView, nil))
			cmtest.Equal(t, c.Get(c.Path, tp.InterfaceGadget, "GadgetAvailable"), false)
			c.Sync()
		})
	}
}

// A component may start after the children have come.
func TestGadget_comesLater(t *testing.T) {
	t.Parallel()
	about := cmtest.IQ("get", nsDisco).To(component)
	c := cmtest.Start(t, cmtest.Unanswered(about)).Request()
	c.Login()
	c.Refused(tp.ErrorNetworkError, c.Path, tp.InterfaceGadget, "Publish", true)
	asked := c.Forbid(cmtest.IQ("get", nsDisco).To("gadget.other.test"))
	c.Server.Send("<presence from='gadget.other.test'/>")
	says(c, "", "")
	question := c.Expect(about)
	more := c.Forbid(about)
	c.Sync()
	asked.Lift()
	more.Lift()
	c.Server.Answer(question, "<query xmlns='"+nsDisco+"'>"+componentInfo+"<feature var='"+nsBuddies+"'/></query>")
	c.Expect(discovered)
	c.Expect(toComponent.Type("subscribe"))
	c.Expect(askBuddies)
	c.Forbid(askActivities)
	c.Sync()
}

// To publish is a subscription both ways, and the component's wish is granted as
// long as that is wanted. It is no contact.
func TestGadget_publish(t *testing.T) {
	t.Parallel()
	c := meetComponent(t, byHand, cmtest.RosterItem("<item jid='"+component+"' subscription='both'/>"))
	list := openList(c, "subscribe")
	for _, signal := range []tp.Signal{
		tp.SignalConnectionSimplePresencePresencesChanged, tp.SignalChannelGroupMembersChanged, tp.SignalConnectionContactListContactsChangedWithID,
		tp.SignalConnectionConnectionError,
	} {
		c.Forbid(cmtest.Signal(signal))
	}
	c.Forbid(cmtest.Presence().To(component).Type("probe"))

	says(c, "subscribe")
	c.Expect(toComponent.Type("unsubscribed"))

	c.Call(c.Path, tp.InterfaceGadget, "Publish", true)
	c.Expect(toComponent.Type("subscribe"))
	push(c, "<item jid='"+component+"' ask='subscribe' subscription='none'/>")
	says(c, "subscribed", "subscribe", "")
	c.Expect(toComponent.Type("subscribed"))
	push(c, "<item jid='"+component+"' subscription='both'/>")

	c.Call(c.Path, tp.InterfaceGadget, "Publish", true) // every session may say so again
	c.Expect(toComponent.Type("subscribe"))

	c.Call(c.Path, tp.InterfaceGadget, "Publish", false)
	c.Expect(toComponent.Type("unsubscribe"))
	c.Expect(toComponent.Type("unsubscribed"))
	says(c, "unsubscribed", "unavailable", "subscribe")
	c.Expect(toComponent.Type("unsubscribed"))
	says(c, "error")
	cmtest.Equal(t, membersOf(c, list), []uint32{})
	c.Sync()
}

// Off is off, and a view of no size is none.
func TestGadget_parameters(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		opts                []cmtest.Option
		buddies, activities string
	}{
		"as it comes":   {nil, "40", "20"},
		"other sizes":   {[]cmtest.Option{cmtest.Param("gadget-buddies", uint32(7)), cmtest.Param("gadget-activities", uint32(3))}, "7", "3"},
		"no activities": {[]cmtest.Option{cmtest.Param("gadget-activities", uint32(0))}, "40", ""},
		"bounded":       {[]cmtest.Option{cmtest.Param("gadget-buddies", uint32(4_000_000_000)), cmtest.Param("gadget-activities", uint32(0))}, "1000", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := meetComponent(t, row.opts...)
			early := c.Forbid(askBuddies)
			c.Expect(toComponent.Type("subscribe"))
			c.Sync()
			early.Lift()
			if row.activities == "" {
				c.Forbid(askActivities)
			}
			says(c, "")
			if row.activities != "" {
				cmtest.Equal(t, c.Expect(askActivities).Element.First().Attr("size"), row.activities)
			}
			view := c.Expect(askBuddies).Element.First()
			cmtest.Equal(t, view.Attr("size"), row.buddies)
			if !view.Is(nsBuddies, "view") || view.Attr("id") == "" || !view.First().Is(nsBuddies, "buddy") || len(view.First().Children()) > 0 {
				t.Errorf("asked %s", view)
			}
			c.Sync()
		})
	}
}

// crowd is a Connection with both views open, in which there is nobody yet.
type crowd struct {
	*cmtest.Connection
	buddies, activities string          // names of the views
	list                dbus.ObjectPath // "subscribe"
}

func meetCrowd(t testing.TB, opts ...cmtest.Option) *crowd {
	t.Helper()
	c := &crowd{Connection: meetComponent(t, opts...)}
	c.list = openList(c.Connection, "subscribe")
	says(c.Connection, "subscribed", "subscribe", "")
	c.Expect(toComponent.Type("subscribed"))
	c.opened("", "")
	return c
}

// opened answers the questions for both views.
func (c *crowd) opened(activities, buddies string) {
	c.T.Helper()
	question := c.Expect(askActivities)
	c.activities = question.Element.First().Attr("id")
	c.Server.Answer(question, "<view xmlns='"+nsActivities+"' id='"+c.activities+"' size='20'>"+activities+"</view>")
	question = c.Expect(askBuddies)
	c.buddies = question.Element.First().Attr("id")
	c.Server.Answer(question, "<view xmlns='"+nsBuddies+"' id='"+c.buddies+"' size='40'>"+buddies+"</view>")
	c.Sync()
}

// What the component tells, in its words of 2008 and, of names, in ours.
var (
	looks     = olpc.BuildBuddyProperties(look).String()
	chessRoom = chessGame.Room.String()
	chessTold = olpc.BuildRoomMessage(chessGame).First().With(stanza.A("activity", "")).String()
)

func buddyTold(id, content string) string {
	return "<buddy jid='" + id + "' alias='Child " + id[:3] + "'>" + content + "</buddy>"
}

func chessWith(content string) string {
	return "<activity id='chess' room='" + chessRoom + "'>" + chessTold + content + "</activity>"
}

// What the views show is in the Neighborhood like everything else: list, presence,
// name, looks, activities; and can be joined.
func TestGadget_neighborhood(t *testing.T) {
	t.Parallel()
	c := meetCrowd(t)
	bob, eve := c.Handle(bobID), c.Handle(eveID)
	c.Forbid(fetch)
	c.Forbid(cmtest.IQ("get", nsVCardTemp))
	news(c.Connection, "<added xmlns='"+nsActivities+"' id='"+c.activities+"'>"+chessWith(buddyTold(bobID, looks))+"</added>")
	chess := c.Expect(activityChanged).Arg(0)
	c.Expect(presencesChanged.Args(presenceOf(bob, tp.ConnectionPresenceTypeAvailable)))
	c.Expect(moved(c.list, []uint32{bob}, nil, nil, nil))
	c.Expect(propertiesChanged.Args(bob, lookIs))
	attributes := c.CallAsync(c.Path, tp.InterfaceConnectionContacts, "GetContactAttributes", []uint32{bob}, []string{tp.InterfaceConnectionAliasing.Name}, false)
	got := cmtest.As[map[uint32]map[string]any](t, c.Expect(cmtest.Reply(attributes)).Arg(0))
	cmtest.Equal(t, got[bob][tp.ContactAttributeConnectionAliasingAlias], any("Child bob"))
	c.Expect(activitiesChanged.Args(bob, []activityAt{{"chess", chess.(uint32)}}))
	cmtest.Equal(t, c.Call(c.Path, buddyInfo, "GetProperties", bob).Arg(0), lookIs)
	cmtest.Equal(t, c.Call(c.Path, buddyInfo, "GetActivities", bob).Arg(0), []activityAt{{"chess", chess.(uint32)}})
	cmtest.Equal(t, c.Call(c.Path, activityProperties, "GetProperties", chess).Arg(0), chessIs)
	cmtest.Equal(t, c.Call(c.Path, activityProperties, "GetActivity", "chess").Arg(0), chess)

	// The same buddy in the other view is nobody else.
	again := c.Forbid(presencesChanged)
	news(c.Connection, "<added xmlns='"+nsBuddies+"' id='"+c.buddies+"'>"+buddyTold(bobID, looks)+"</added>")
	c.Sync()
	again.Lift()

	// An old component names the view in "id", and tells of members so.
	news(c.Connection, "<activity xmlns='"+nsActivities+"' room='"+chessRoom+"' id='"+c.activities+"'><joined jid='"+eveID+"'>"+looks+"</joined></activity>")
	c.Expect(presencesChanged.Args(presenceOf(eve, tp.ConnectionPresenceTypeAvailable)))
	c.Call(c.Path, buddyInfo, "GetActivities", eve)
	news(c.Connection, "<change xmlns='"+nsBuddies+"' id='"+c.buddies+"' jid='"+bobID+"'><activity xmlns='"+olpc.NodeCurrentActivity+"' id='chess' room='"+chessRoom+"'/></change>")
	c.Expect(currentActivityChanged.Args(bob, "chess", chess))
	news(c.Connection, "<change xmlns='"+nsActivities+"' id='"+c.activities+"' activity='chess' room='"+chessRoom+"'><properties xmlns='"+olpc.NodeActivityProperties+"'><property name='name' type='str'>Draughts</property></properties></change>")
	c.Expect(activityChanged.Args(chess, map[string]any{"name": "Draughts"}))
	news(c.Connection, "<activity xmlns='"+nsActivities+"' room='"+chessRoom+"' view='"+c.activities+"'><left jid='"+eveID+"'/></activity>")
	c.Expect(activitiesChanged.Args(eve, []activityAt{}))
	c.Expect(presencesChanged.Args(presenceOf(eve, tp.ConnectionPresenceTypeOffline)))
	c.Expect(moved(c.list, nil, []uint32{eve}, nil, nil))

	c.CallAsync(c.Path, tp.InterfaceConnection, "RequestChannel", text.Name, uint32(tp.HandleTypeRoom), chess, true)
	c.Expect(cmtest.Presence().To(chessRoom+"/"+cmtest.User).Having(nsMUC, "x"))

	news(c.Connection, "<removed xmlns='"+nsActivities+"' id='"+c.activities+"'><activity id='chess' room='"+chessRoom+"'/></removed>")
	c.Expect(activitiesChanged.Args(bob, []activityAt{}))
	gone := c.Forbid(presencesChanged)
	c.Sync()
	gone.Lift()
	news(c.Connection, "<removed xmlns='"+nsBuddies+"' id='"+c.buddies+"'><buddy jid='"+bobID+"'/></removed>")
	c.Expect(presencesChanged.Args(presenceOf(bob, tp.ConnectionPresenceTypeOffline)))
}

const nsVCardTemp = "vcard-temp"

// presenceOf is the argument of PresencesChanged for somebody without message.
func presenceOf(contact uint32, kind tp.ConnectionPresenceType) map[uint32]simplePresence {
	name := map[tp.ConnectionPresenceType]string{tp.ConnectionPresenceTypeAvailable: "available", tp.ConnectionPresenceTypeOffline: "offline", tp.ConnectionPresenceTypeAway: "away"}[kind]
	return map[uint32]simplePresence{contact: {uint32(kind), name, ""}}
}

// Whoever is in the roster is seen by its own presence, whatever views say.
func TestGadget_realPresence(t *testing.T) {
	t.Parallel()
	c := meetCrowd(t, cmtest.Contact(bobID))
	bob := c.Handle(bobID)
	c.Server.Send("<presence from='" + bobID + "/sugar'><show>away</show></presence>")
	c.Expect(presencesChanged.Args(presenceOf(bob, tp.ConnectionPresenceTypeAway)))
	c.Expect(moved(c.list, []uint32{bob}, nil, nil, nil))
	tell(c.Connection, bobID, olpc.BuildBuddyProperties(olpc.Properties{"color": "#1,#2"}))
	c.Expect(propertiesChanged.Args(bob, map[string]any{"color": "#1,#2"}))

	same := c.Forbid(presencesChanged)
	twice := c.Forbid(membersChanged)
	other := c.Forbid(propertiesChanged)
	news(c.Connection, "<added xmlns='"+nsBuddies+"' id='"+c.buddies+"'>"+buddyTold(bobID, looks)+"</added>")
	c.Sync()
	news(c.Connection, "<removed xmlns='"+nsBuddies+"' id='"+c.buddies+"'><buddy jid='"+bobID+"'/></removed>")
	c.Sync()
	news(c.Connection, "<added xmlns='"+nsBuddies+"' id='"+c.buddies+"'>"+buddyTold(bobID, looks)+"</added>")
	c.Sync()
	for _, b := range []*cmtest.Ban{same, twice, other} {
		b.Lift()
	}
	c.Server.Send(gone(bobID + "/sugar"))
	c.Expect(presencesChanged.Args(presenceOf(bob, tp.ConnectionPresenceTypeOffline)))
	if slices.Contains(membersOf(c.Connection, c.list), bob) {
		t.Error("bob is on subscribe although he has gone")
	}
}
