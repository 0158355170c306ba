package functional

import (
	"fmt"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/tests/cmtest"
	"telepathy-olpc/xmpp/olpc"
)

var (
	viewBuddies    = cmtest.Signal(tp.SignalChannelViewBuddiesChanged)
	viewActivities = cmtest.Signal(tp.SignalChannelViewActivitiesChanged)
)

// viewRequest asks for a view of ten; more adds properties, or takes away what is nil.
func viewRequest(kind *tp.Interface, more map[string]any) map[string]dbus.Variant {
	r := map[string]dbus.Variant{
		tp.PropertyChannelChannelType: dbus.MakeVariant(kind.Name),
		tp.PropertyChannelViewMaxSize: dbus.MakeVariant(uint32(10)),
	}
	for name, value := range more {
		if value == nil {
			delete(r, name)
		} else {
			r[name] = dbus.MakeVariant(value)
		}
	}
	return r
}

// openView opens a view by hand and gives the question for it.
func openView(c *cmtest.Connection, kind *tp.Interface, more map[string]any) (path dbus.ObjectPath, properties map[string]any, question *cmtest.Event) {
	c.T.Helper()
	reply := c.Call(c.Path, tp.InterfaceConnectionRequests, "CreateChannel", viewRequest(kind, more))
	ask := askBuddies
	if kind == tp.InterfaceChannelActivityView {
		ask = askActivities
	}
	return cmtest.As[dbus.ObjectPath](c.T, reply.Arg(0)), cmtest.As[map[string]any](c.T, reply.Arg(1)), c.Expect(ask)
}

// watchComponent has a component that is there, and no views.
func watchComponent(t testing.TB, opts ...cmtest.Option) *cmtest.Connection {
	t.Helper()
	c := meetComponent(t, append(opts, byHand)...)
	says(c, "")
	c.Sync()
	return c
}

func wantView(c *cmtest.Connection, path dbus.ObjectPath, buddies []uint32, activities []activityAt) {
	c.T.Helper()
	all := c.GetAll(path, tp.InterfaceChannelView)
	cmtest.Equal(c.T, all["MaxSize"], uint32(10))
	cmtest.Equal(c.T, all["Buddies"], buddies)
	cmtest.Equal(c.T, all["Activities"], activities)
}

func TestBuddyView_channel(t *testing.T) {
	t.Parallel()
	c := watchComponent(t)
	path, properties, question := openView(c, tp.InterfaceChannelBuddyView, map[string]any{
		tp.PropertyChannelBuddyViewAlias:      "tom",
		tp.PropertyChannelBuddyViewProperties: map[string]dbus.Variant{"color": dbus.MakeVariant("#1,#2")},
	})
	want := "<view xmlns='" + nsBuddies + "' id='1' size='10'><buddy alias='tom'><properties xmlns='" + olpc.NodeBuddyProperties +
		"'><property name='color' type='str'>#1,#2</property></properties></buddy></view>"
	if got := question.Element.First(); !got.Equal(parseElement(t, want)) {
		t.Errorf("asked %s, want %s", got, want)
	}
	if !strings.HasSuffix(string(path), "/OlpcBuddyViewChannel0") {
		t.Errorf("path %s", path)
	}
	for name, want := range map[string]any{
		tp.PropertyChannelChannelType: tp.InterfaceChannelBuddyView.Name, tp.PropertyChannelTargetHandleType: uint32(tp.HandleTypeNone),
		tp.PropertyChannelTargetHandle: uint32(0), tp.PropertyChannelRequested: true, tp.PropertyChannelViewMaxSize: uint32(10),
		tp.PropertyChannelBuddyViewAlias: "tom", tp.PropertyChannelBuddyViewProperties: map[string]any{"color": "#1,#2"},
	} {
		cmtest.Equal(t, properties[name], want)
	}
	cmtest.Equal(t, c.Get(path, tp.InterfaceChannel, "Interfaces"), []string{tp.InterfaceChannelView.Name})
	wantView(c, path, []uint32{}, []activityAt{})
	bob, tom := c.Handle(bobID), c.Handle("tom@"+cmtest.Domain)
	c.Server.Answer(question, "<view xmlns='"+nsBuddies+"' id='1' size='10'><buddy jid='"+bobID+"'>"+looks+"</buddy><buddy/><buddy jid='@'/><buddy jid='tom@"+cmtest.Domain+"'/></view>")
	c.Expect(viewBuddies.At(path).Args([]uint32{bob, tom}, []uint32{}))
	c.Expect(presencesChanged)
	c.Expect(propertiesChanged.Args(bob, lookIs))
	cmtest.Equal(t, c.Get(path, tp.InterfaceChannelView, "Buddies"), []uint32{bob, tom})

	// Who is in there already is not told again.
	eve := c.Handle(eveID)
	news(c, "<added xmlns='"+nsBuddies+"' id='1'><buddy jid='"+bobID+"'/><buddy jid='"+eveID+"'/></added>")
	c.Expect(viewBuddies.At(path).Args([]uint32{eve}, []uint32{}))
	news(c, "<removed xmlns='"+nsBuddies+"' id='1'><buddy jid='"+eveID+"'/><buddy jid='nobody@"+cmtest.Domain+"'/></removed>")
	c.Expect(viewBuddies.At(path).Args([]uint32{}, []uint32{eve}))
	c.Expect(presencesChanged.Args(presenceOf(eve, tp.ConnectionPresenceTypeOffline)))

	c.Call(path, tp.InterfaceChannel, "Close")
	closing := c.Expect(cmtest.Message().To(component).Having(nsBuddies, "close"))
	cmtest.Equal(t, closing.Element.First().Attr("id"), "1")
	c.Expect(presencesChanged)
	c.Expect(channelClosed.At(path))
	second, _, _ := openView(c, tp.InterfaceChannelBuddyView, nil)
	if !strings.HasSuffix(string(second), "/OlpcBuddyViewChannel1") {
		t.Errorf("path %s", second)
	}
	reply := c.Call(c.Path, tp.InterfaceConnectionRequests, "EnsureChannel", viewRequest(tp.InterfaceChannelBuddyView, nil))
	cmtest.Equal(t, reply.Arg(0), true) // always a new one
}

// Protocol §9.7: what an activity is, that it is in the view, who, and then of
// each what it does; and the other way round when it goes.
func TestActivityView_channel(t *testing.T) {
	t.Parallel()
	c := watchComponent(t)
	bob, eve := c.Handle(bobID), c.Handle(eveID)
	path, properties, question := openView(c, tp.InterfaceChannelActivityView, map[string]any{
		tp.PropertyChannelActivityViewParticipants: []uint32{bob},
		tp.PropertyChannelActivityViewProperties:   map[string]dbus.Variant{"type": dbus.MakeVariant("org.laptop.Chess"), "n": dbus.MakeVariant(uint32(3))},
	})
	want := "<view xmlns='" + nsActivities + "' id='1' size='10'><activity><properties xmlns='" + olpc.NodeActivityProperties +
		"'><property name='n' type='uint'>3</property><property name='type' type='str'>org.laptop.Chess</property></properties>" +
		"<buddy jid='" + bobID + "'/></activity></view>"
	if got := question.Element.First(); !got.Equal(parseElement(t, want)) {
		t.Errorf("asked %s, want %s", got, want)
	}
	if !strings.HasSuffix(string(path), "/OlpcActivityViewChannel0") {
		t.Errorf("path %s", path)
	}
	cmtest.Equal(t, properties[tp.PropertyChannelActivityViewParticipants], []uint32{bob})

	c.Server.Answer(question, "<view xmlns='"+nsActivities+"' id='1' size='10'>"+chessWith(buddyTold(bobID, looks)+buddyTold(eveID, ""))+
		"<activity id='no room'/><activity room='no@id.test'/><activity id='bad' room='@'/></view>")
	told := c.Expect(activityChanged)
	chess := activityAt{"chess", told.Arg(0).(uint32)}
	cmtest.Equal(t, told.Arg(1), chessIs)
	c.Expect(viewActivities.At(path).Args([]activityAt{chess}, []activityAt{}))
	c.Expect(viewBuddies.At(path).Args([]uint32{bob, eve}, []uint32{}))
	c.Call(c.Path, tp.InterfaceConnectionContacts, "GetContactAttributes", []uint32{bob, eve}, []string{}, false)
	c.Expect(activitiesChanged.Args(bob, []activityAt{chess}))
	c.Expect(activitiesChanged.Args(eve, []activityAt{chess}))
	wantView(c, path, []uint32{bob, eve}, []activityAt{chess})

	news(c, "<removed xmlns='"+nsActivities+"' id='1'><activity id='chess' room='"+chessRoom+"'/></removed>")
	c.Expect(activitiesChanged.Args(bob, []activityAt{}))
	c.Expect(viewBuddies.At(path).Args([]uint32{}, []uint32{bob, eve}))
	c.Expect(viewActivities.At(path).Args([]activityAt{}, []activityAt{chess}))

	news(c, "<added xmlns='"+nsActivities+"' id='1'>"+chessWith(buddyTold(bobID, looks))+"</added>")
	c.Expect(viewBuddies.At(path).Args([]uint32{bob}, []uint32{}))
	c.Call(c.Path, tp.InterfaceConnectionContacts, "GetContactAttributes", []uint32{bob}, []string{}, false)
	c.Expect(activitiesChanged.Args(bob, []activityAt{chess}))
	c.CallAsync(path, tp.InterfaceChannel, "Close")
	c.Expect(cmtest.Message().To(component).Having(nsActivities, "close"))
	c.Expect(activitiesChanged.Args(bob, []activityAt{}))
	c.Expect(presencesChanged.Args(presenceOf(bob, tp.ConnectionPresenceTypeOffline)))
	c.Expect(channelClosed.At(path))
}

func TestView_refused(t *testing.T) {
	t.Parallel()
	c := watchComponent(t)
	buddy, activity := tp.InterfaceChannelBuddyView, tp.InterfaceChannelActivityView
	c.Forbid(cmtest.Signal(tp.SignalConnectionRequestsNewChannels))
	for name, row := range map[string]struct {
		kind *tp.Interface
		more map[string]any
		want tp.ErrorName
	}{
		"no size":            {buddy, map[string]any{tp.PropertyChannelViewMaxSize: nil}, tp.ErrorInvalidArgument},
		"size 0":             {activity, map[string]any{tp.PropertyChannelViewMaxSize: uint32(0)}, tp.ErrorInvalidArgument},
		"size of text":       {buddy, map[string]any{tp.PropertyChannelViewMaxSize: "ten"}, tp.ErrorInvalidArgument},
		"enormous":           {buddy, map[string]any{tp.PropertyChannelViewMaxSize: uint32(4_000_000_000)}, tp.ErrorInvalidArgument},
		"a target":           {buddy, map[string]any{tp.PropertyChannelTargetHandleType: uint32(tp.HandleTypeContact), tp.PropertyChannelTargetID: bobID}, tp.ErrorNotImplemented},
		"the other's":        {buddy, map[string]any{tp.PropertyChannelActivityViewParticipants: []uint32{1}}, tp.ErrorInvalidArgument},
		"nobody's":           {activity, map[string]any{"org.example.Shape": "round"}, tp.ErrorInvalidArgument},
		"alias of a number":  {buddy, map[string]any{tp.PropertyChannelBuddyViewAlias: uint32(1)}, tp.ErrorInvalidArgument},
		"properties of text": {activity, map[string]any{tp.PropertyChannelActivityViewProperties: "red"}, tp.ErrorInvalidArgument},
		"unknown contact":    {activity, map[string]any{tp.PropertyChannelActivityViewParticipants: []uint32{4711}}, tp.ErrorInvalidHandle},
		"odd property":       {buddy, map[string]any{tp.PropertyChannelBuddyViewProperties: map[string]dbus.Variant{"a": dbus.MakeVariant([]string{"b"})}}, tp.ErrorInvalidArgument},
	} {
		t.Run(name, func(t *testing.T) {
			for _, method := range []string{"CreateChannel", "EnsureChannel"} {
				c.Refused(row.want, c.Path, tp.InterfaceConnectionRequests, method, viewRequest(row.kind, row.more))
			}
		})
	}
}

// Whatever a component answers, the channel is there and empty. No program opens
// views without end.
func TestView_unanswered(t *testing.T) {
	t.Parallel()
	c := watchComponent(t)
	c.Forbid(viewBuddies)
	path, _, question := openView(c, tp.InterfaceChannelBuddyView, nil)
	c.Server.AnswerError(question, "wait", "resource-constraint")
	_, _, question = openView(c, tp.InterfaceChannelBuddyView, nil)
	c.Server.Answer(question, "<view xmlns='"+nsActivities+"' id='2'>"+chessWith("")+"</view>")
	_, _, question = openView(c, tp.InterfaceChannelBuddyView, nil)
	c.Server.Answer(question, "")
	c.Sync()
	cmtest.Equal(t, c.Get(path, tp.InterfaceChannelView, "Buddies"), []uint32{})
	for range 47 {
		openView(c, tp.InterfaceChannelBuddyView, nil)
	}
	c.Refused(tp.ErrorNotAvailable, c.Path, tp.InterfaceConnectionRequests, "CreateChannel", viewRequest(tp.InterfaceChannelBuddyView, nil))
	c.Call(path, tp.InterfaceChannel, "Close")
	openView(c, tp.InterfaceChannelBuddyView, nil)
}

// Only what comes from the component's very address is looked at, and that is
// for nobody else.
func TestView_forged(t *testing.T) {
	t.Parallel()
	c := watchComponent(t)
	path, _, question := openView(c, tp.InterfaceChannelBuddyView, nil)
	c.Expect(newChannels)
	c.Server.Answer(question, "<view xmlns='"+nsBuddies+"' id='1' size='10'/>")
	c.Forbid(viewBuddies)
	added := "<added xmlns='" + nsBuddies + "' id='1'><buddy jid='" + bobID + "'/></added>"
	for _, from := range []string{eveID + "/sugar", component + "/x", "x@" + component, cmtest.Domain, "gadget.other.test"} {
		c.Server.Send("<message from='" + from + "' to='" + cmtest.Self + "'>" + added + "</message>")
		c.Server.Send("<presence from='" + from + "'/>") // would have the view closed
	}
	c.Forbid(newChannels)
	for _, payload := range []string{
		"<body>Hello</body>",
		strings.Replace(added, "id='1'", "id='2'", 1),
		strings.Replace(added, "id='1'", "", 1),
		strings.ReplaceAll(added, nsBuddies, nsActivities),
		"<change xmlns='" + nsBuddies + "' id='1' jid='" + bobID + "'>" + looks + "</change>",
		"<activity xmlns='" + nsActivities + "' room='" + chessRoom + "' view='1'><joined jid='" + bobID + "'/></activity>",
		"<change xmlns='" + nsActivities + "' id='1' room='" + chessRoom + "'>" + chessTold + "</change>",
		"<removed xmlns='" + nsBuddies + "' id='1'><buddy jid='" + bobID + "'/></removed>",
	} {
		news(c, payload)
	}
	c.Sync()
	wantView(c, path, []uint32{}, []activityAt{})
}

// A component that says more than was asked for is cut short.
func TestView_bounded(t *testing.T) {
	t.Parallel()
	c := watchComponent(t)
	path, _, question := openView(c, tp.InterfaceChannelBuddyView, nil)
	var all strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&all, "<buddy jid='child%d@%s'/>", i, cmtest.Domain)
	}
	c.Server.Answer(question, "<view xmlns='"+nsBuddies+"' id='1' size='2000'>"+all.String()+"</view>")
	c.Expect(viewBuddies)
	if n := len(cmtest.As[[]uint32](t, c.Get(path, tp.InterfaceChannelView, "Buddies"))); n != 10 {
		t.Errorf("%d buddies in a view of 10", n)
	}
}

// Who cannot be asked what it looks like is asked for of the component.
func TestGadget_query(t *testing.T) {
	t.Parallel()
	c := watchComponent(t, cmtest.AnswersError(fetch.To(bobID), "auth", "not-authorized"))
	bob := c.Handle(bobID)
	c.Refused(tp.ErrorPermissionDenied, c.Path, buddyInfo, "GetProperties", bob) // without publishing nobody is asked
	c.Call(c.Path, tp.InterfaceGadget, "Publish", true)
	call := c.CallAsync(c.Path, buddyInfo, "GetProperties", bob)
	question := c.Expect(askBuddies)
	if want := "<query xmlns='" + nsBuddies + "'><buddy jid='" + bobID + "'/></query>"; !question.Element.First().Equal(parseElement(t, want)) {
		t.Errorf("asked %s", question.Element)
	}
	c.Server.Answer(question, "<query xmlns='"+nsBuddies+"'><buddy jid='"+eveID+"'/><buddy jid='"+bobID+"'>"+looks+"</buddy></query>")
	cmtest.Equal(t, c.Expect(cmtest.Reply(call)).Arg(0), lookIs)
}

func TestGadget_restart(t *testing.T) {
	t.Parallel()
	c := meetCrowd(t)
	bob := c.Handle(bobID)
	content := func() {
		c.opened(chessWith(buddyTold(bobID, looks)), buddyTold(bobID, looks)+buddyTold(eveID, ""))
	}
	says(c.Connection, "")
	content()
	c.Call(c.Path, buddyInfo, "GetActivities", bob)
	path, _, question := openView(c.Connection, tp.InterfaceChannelBuddyView, nil)
	c.Server.Answer(question, "<view xmlns='"+nsBuddies+"' id='5' size='10'><buddy jid='"+bobID+"'/></view>")
	c.Expect(viewBuddies.At(path))
	c.Sync()

	for _, signal := range []cmtest.Match{presencesChanged, membersChanged, propertiesChanged, activitiesChanged, activityChanged, currentActivityChanged} {
		c.Forbid(signal)
	}
	c.Forbid(toComponent.Type("subscribe")) // it has not forgotten us
	says(c.Connection, "unavailable")
	c.Sync()
	says(c.Connection, "")
	c.Expect(channelClosed.At(path))
	content()
	c.Sync()
	for range 3 {
		says(c.Connection, "")
		content()
	}
}
