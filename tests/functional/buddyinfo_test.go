package functional

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/tests/cmtest"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/olpc"
	"telepathy-olpc/xmpp/pep"
	"telepathy-olpc/xmpp/stanza"
)

// Two contacts, of whom one means well.
const (
	bobID = "bob@" + cmtest.Domain
	eveID = "eve@" + cmtest.Domain
)

var (
	buddyInfo          = tp.InterfaceBuddyInfo
	activityProperties = tp.InterfaceActivityProperties

	propertiesChanged      = cmtest.Signal(tp.SignalBuddyInfoPropertiesChanged)
	activitiesChanged      = cmtest.Signal(tp.SignalBuddyInfoActivitiesChanged)
	currentActivityChanged = cmtest.Signal(tp.SignalBuddyInfoCurrentActivityChanged)
	activityChanged        = cmtest.Signal(tp.SignalActivityPropertiesActivityPropertiesChanged)
	presencesChanged       = cmtest.Signal(tp.SignalConnectionSimplePresencePresencesChanged)

	publish = cmtest.IQ("set", pep.NS)
	fetch   = cmtest.IQ("get", pep.NS)
)

// activityAt is an activity as BuddyInfo has it, (su).
type activityAt struct {
	ID   string
	Room uint32
}

// Payloads of bob, who is on-line and plays chess.
var (
	chessGame = olpc.ActivityProperties{
		Activity:   olpc.Activity{ID: "chess", Room: mustJID("chess@" + cmtest.Conference)},
		Properties: olpc.Properties{"name": "Chess", "type": "org.laptop.Chess", "color": "#1,#2", "private": false},
	}
	chessIs = map[string]any{"name": "Chess", "type": "org.laptop.Chess", "color": "#1,#2", "private": false}
	look    = olpc.Properties{"color": "#FF2B34,#005FE4", "key": []byte("AAAAB3")}
	lookIs  = map[string]any{"color": "#FF2B34,#005FE4", "key": []byte("AAAAB3")}
)

func mustJID(s string) jid.JID {
	j, err := jid.Parse(s)
	if err != nil {
		panic(err)
	}
	return j
}

// tell has a contact publish a payload, whose namespace is the node.
func tell(cm *cmtest.Connection, from string, payload *stanza.Element) {
	cm.Server.Send("<message type='headline' from='" + from + "'><event xmlns='" + pep.NSEvent + "'><items node='" + payload.Space() +
		"'><item id='1'>" + payload.String() + "</item></items></event></message>")
}

// tellAll has a contact publish all there is to know of it, in Sugar's order.
func tellAll(cm *cmtest.Connection, from string) {
	tell(cm, from, olpc.BuildBuddyProperties(look))
	tell(cm, from, olpc.BuildActivityProperties([]olpc.ActivityProperties{chessGame}))
	tell(cm, from, olpc.BuildActivities([]olpc.Activity{chessGame.Activity}))
	tell(cm, from, olpc.BuildCurrentActivity(chessGame.Activity))
}

func items(payload *stanza.Element) string {
	return "<pubsub xmlns='" + pep.NS + "'><items node='" + payload.Space() + "'><item id='1'>" + payload.String() + "</item></items></pubsub>"
}

// published is the payload of a publish.
func published(e *cmtest.Event) *stanza.Element {
	return e.Element.First().First().First().First()
}

func wantPublished(t *testing.T, e *cmtest.Event, want *stanza.Element) {
	t.Helper()
	// The server reads without empty attributes, which say that there is no
	// current activity.
	want = stanza.New(want.Space(), want.Local(), partsOf(want)...)
	if got := published(e); !got.Equal(want) {
		t.Errorf("published %s, want %s", got, want)
	}
}

func partsOf(e *stanza.Element) []stanza.Part {
	parts := []stanza.Part{stanza.Text(e.Text())}
	for _, a := range e.Attrs() {
		parts = append(parts, a)
	}
	for _, c := range e.Children() {
		parts = append(parts, c)
	}
	return parts
}

// meet has a contact come on-line and a client ask about it.
func meet(cm *cmtest.Connection, id string) uint32 {
	cm.T.Helper()
	h := cm.Handle(id)
	cm.Server.Send(presenceFrom(id+"/sugar", ""))
	cm.Expect(presencesChanged)
	cm.Call(cm.Path, tp.InterfaceConnectionContacts, "GetContactAttributes", []uint32{h}, []string{}, false)
	return h
}

// Sugar asks for the interfaces, and sets the user's properties, as soon as the
// object is there, and never again.
func TestBuddyInfo_beforeConnect(t *testing.T) {
	t.Parallel()
	cm := cmtest.Start(t, cmtest.Unanswered(publish))
	c := cm.Request()
	listed := cmtest.As[[]string](t, cm.Call(c.Path, tp.InterfaceConnection, "GetInterfaces").Arg(0))
	for _, want := range []*tp.Interface{buddyInfo, activityProperties} {
		if !slices.Contains(listed, want.Name) {
			t.Errorf("%s is not listed before Connect", want.Name)
		}
	}
	cm.Call(c.Path, buddyInfo, "SetProperties", map[string]dbus.Variant{"old": dbus.MakeVariant("is overwritten")})
	cm.Call(c.Path, buddyInfo, "SetProperties", map[string]dbus.Variant{
		"color": dbus.MakeVariant("#FF2B34,#005FE4"), "key": dbus.MakeVariant([]byte("AAAAB3")),
	})
	cm.Refused(tp.ErrorDisconnected, c.Path, buddyInfo, "GetProperties", uint32(1))
	cm.Refused(tp.ErrorDisconnected, c.Path, buddyInfo, "GetActivities", uint32(1))
	cm.Refused(tp.ErrorDisconnected, c.Path, buddyInfo, "GetCurrentActivity", uint32(1))
	cm.Refused(tp.ErrorDisconnected, c.Path, buddyInfo, "AddActivity", "chess", uint32(1))
	cm.Refused(tp.ErrorDisconnected, c.Path, buddyInfo, "SetActivities", []activityAt{})
	cm.Refused(tp.ErrorDisconnected, c.Path, buddyInfo, "SetCurrentActivity", "", uint32(0))
	cm.Refused(tp.ErrorDisconnected, c.Path, activityProperties, "GetProperties", uint32(1))
	cm.Refused(tp.ErrorDisconnected, c.Path, activityProperties, "SetProperties", uint32(1), map[string]dbus.Variant{})
	cm.Refused(tp.ErrorDisconnected, c.Path, activityProperties, "GetActivity", "chess")
	c.Login()

	// What a crashed session left is cleared; each waits for the answer to the one before.
	for _, want := range []*stanza.Element{
		olpc.BuildActivities(nil), olpc.BuildActivityProperties(nil), olpc.BuildBuddyProperties(look), olpc.BuildCurrentActivity(olpc.Activity{}),
	} {
		question := cm.Expect(publish.Node(want.Space()))
		wantPublished(t, question, want)
		next := cm.Forbid(publish.Where("of another OLPC node", func(e *cmtest.Event) bool {
			return strings.HasPrefix(published(e).Space(), "http://laptop.org/")
		}))
		c.Sync()
		next.Lift()
		cm.Server.Answer(question, "")
	}
	cmtest.Equal(t, cm.Call(c.Path, buddyInfo, "GetProperties", uint32(1)).Arg(0), lookIs)
}

// ejabberd refuses a publish now and then while it makes the node.
func TestBuddyInfo_publishIsTriedAgain(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t, cmtest.Unanswered(publish.Node(olpc.NodeBuddyProperties)))
	call := cm.CallAsync(cm.Path, buddyInfo, "SetProperties", map[string]dbus.Variant{"color": dbus.MakeVariant("#1,#2")})
	cm.Server.AnswerError(cm.Expect(publish.Node(olpc.NodeBuddyProperties)), "cancel", "item-not-found")
	cm.Server.Answer(cm.Expect(publish.Node(olpc.NodeBuddyProperties)), "")
	cm.Expect(cmtest.Reply(call))
	call = cm.CallAsync(cm.Path, buddyInfo, "SetProperties", map[string]dbus.Variant{"color": dbus.MakeVariant("#3,#4")})
	cm.Server.AnswerError(cm.Expect(publish.Node(olpc.NodeBuddyProperties)), "auth", "forbidden")
	cm.Expect(cmtest.Refusal(call, tp.ErrorPermissionDenied))
	cm.Refused(tp.ErrorInvalidArgument, cm.Path, buddyInfo, "SetProperties",
		map[string]dbus.Variant{"color": dbus.MakeVariant(strings.Repeat("x", olpc.MaxPropertiesBytes))})
}

// A buddy as the Neighborhood sees it: announced, asked about, and only then
// what it does, each activity after what it is; and no stanza for the questions.
func TestBuddyInfo_neighborhood(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t, cmtest.Contact(bobID))
	bob, chess := cm.Handle(bobID), cm.Room("chess")
	cm.Call(cm.Path, tp.InterfaceConnectionRequests, "EnsureChannel", map[string]dbus.Variant{
		tp.PropertyChannelChannelType:      dbus.MakeVariant(tp.InterfaceChannelContactList.Name),
		tp.PropertyChannelTargetHandleType: dbus.MakeVariant(uint32(tp.HandleTypeList)),
		tp.PropertyChannelTargetID:         dbus.MakeVariant("subscribe"),
	})
	cm.Forbid(fetch.To(bobID))
	early := cm.Forbid(activitiesChanged)
	cm.Server.Send(presenceFrom(bobID+"/sugar", ""))
	tellAll(cm, bobID)
	cm.Expect(presencesChanged)
	cm.Expect(cmtest.Signal(tp.SignalChannelGroupMembersChanged).Args("", []uint32{bob}))
	cm.Expect(propertiesChanged.Args(bob, lookIs))
	cm.Sync()
	early.Lift()
	attributes := cm.CallAsync(cm.Path, tp.InterfaceConnectionContacts, "GetContactAttributes", []uint32{bob}, []string{}, false)
	cm.Expect(cmtest.Reply(attributes))
	cm.Expect(activityChanged.Args(chess, chessIs))
	cm.Expect(activitiesChanged.Args(bob, []activityAt{{"chess", chess}}))
	cm.Expect(currentActivityChanged.Args(bob, "chess", chess))

	cmtest.Equal(t, cm.Call(cm.Path, buddyInfo, "GetProperties", bob).Arg(0), lookIs)
	cmtest.Equal(t, cm.Call(cm.Path, buddyInfo, "GetActivities", bob).Arg(0), []activityAt{{"chess", chess}})
	current := cm.Call(cm.Path, buddyInfo, "GetCurrentActivity", bob)
	cmtest.Equal(t, current.Arg(0), "chess")
	cmtest.Equal(t, current.Arg(1), chess)
	cmtest.Equal(t, cm.Call(cm.Path, activityProperties, "GetProperties", chess).Arg(0), chessIs)
	cmtest.Equal(t, cm.Call(cm.Path, activityProperties, "GetActivity", "chess").Arg(0), chess)

	// The same again is no news; a change is.
	again := cm.Forbid(propertiesChanged)
	tellAll(cm, bobID)
	cm.Sync()
	again.Lift()
	tell(cm, bobID, olpc.BuildBuddyProperties(olpc.Properties{"color": "#3,#4"}))
	cm.Expect(propertiesChanged.Args(bob, map[string]any{"color": "#3,#4"}))
	tell(cm, bobID, olpc.BuildCurrentActivity(olpc.Activity{}))
	cm.Expect(currentActivityChanged.Args(bob, "", uint32(0)))
	cm.Sync()
}

// Activities go before their buddy does; who comes back is asked again.
func TestBuddyInfo_awayAndBack(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t, cmtest.Contact(bobID))
	bob := meet(cm, bobID)
	tellAll(cm, bobID)
	cm.Expect(currentActivityChanged)
	cm.Server.Send("<presence type='unavailable' from='" + bobID + "/sugar'/>")
	cm.Expect(activitiesChanged.Args(bob, []activityAt{}))
	cm.Expect(presencesChanged)
	cm.Refused(tp.ErrorNotAvailable, cm.Path, activityProperties, "GetActivity", "chess")
	meet(cm, bobID)
	call := cm.CallAsync(cm.Path, buddyInfo, "GetProperties", bob)
	changed := olpc.Properties{"color": "#9,#9", "key": []byte("K")}
	cm.Server.Answer(cm.Expect(fetch.Node(olpc.NodeBuddyProperties)), items(olpc.BuildBuddyProperties(changed)))
	cm.Expect(propertiesChanged.Args(bob, map[string]any{"color": "#9,#9", "key": []byte("K")}))
	cm.Expect(cmtest.Reply(call))
}

// Events may be lost. Who asks at the same time shares one question.
func TestBuddyInfo_fetched(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t, cmtest.Contact(bobID))
	bob, chess := meet(cm, bobID), cm.Room("chess")
	var calls []*cmtest.Call
	for _, method := range []string{"GetProperties", "GetProperties", "GetActivities", "GetActivities", "GetCurrentActivity"} {
		calls = append(calls, cm.CallAsync(cm.Path, buddyInfo, method, bob))
	}
	to := fetch.To(bobID)
	asked := cm.ExpectUnordered(to.Node(olpc.NodeBuddyProperties), to.Node(olpc.NodeActivities), to.Node(olpc.NodeCurrentActivity))
	twice := cm.Forbid(to.Where("again", func(e *cmtest.Event) bool {
		return e.Element.First().First().Attr("node") != olpc.NodeActivityProperties
	}))
	cm.Server.Answer(asked[0], items(olpc.BuildBuddyProperties(look)))
	for _, call := range calls[:2] {
		cmtest.Equal(t, cm.Expect(cmtest.Reply(call)).Arg(0), lookIs)
	}
	cm.Server.Answer(asked[1], items(olpc.BuildActivities([]olpc.Activity{chessGame.Activity})))
	cm.Server.Answer(cm.Expect(to.Node(olpc.NodeActivityProperties)), items(olpc.BuildActivityProperties([]olpc.ActivityProperties{chessGame})))
	cm.Expect(activityChanged.Args(chess, chessIs))
	for _, call := range calls[2:4] {
		cmtest.Equal(t, cm.Expect(cmtest.Reply(call)).Arg(0), []activityAt{{"chess", chess}})
	}
	cm.Server.AnswerError(asked[2], "auth", "not-authorized")
	cmtest.Equal(t, cm.Expect(cmtest.Reply(calls[4])).Arg(0), "")
	cm.Call(cm.Path, buddyInfo, "GetProperties", bob)
	cm.Call(cm.Path, buddyInfo, "GetActivities", bob)
	cm.Sync()
	twice.Lift()
}

func TestBuddyInfo_fetchFails(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t)
	dan := cm.Handle("dan@away.test") // off-line, in no roster
	for _, row := range []struct {
		condition string
		want      tp.ErrorName
	}{
		{"item-not-found", ""}, {"not-authorized", tp.ErrorPermissionDenied}, {"remote-server-not-found", tp.ErrorNetworkError},
	} {
		for _, method := range []string{"GetProperties", "GetActivities"} {
			call := cm.CallAsync(cm.Path, buddyInfo, method, dan)
			cm.Server.AnswerError(cm.Expect(fetch.To("dan@away.test")), "cancel", row.condition)
			if row.want == "" || method == "GetProperties" && row.condition != "item-not-found" {
				cm.Expect(cmtest.Reply(call)) // what was known is better than nothing
				continue
			}
			cm.Expect(cmtest.Refusal(call, row.want))
		}
	}
	cm.Refused(tp.ErrorInvalidHandle, cm.Path, buddyInfo, "GetProperties", uint32(999))
	cm.Refused(tp.ErrorInvalidHandle, cm.Path, buddyInfo, "GetActivities", uint32(999))
	cm.Refused(tp.ErrorInvalidHandle, cm.Path, buddyInfo, "GetCurrentActivity", uint32(999))
	cm.Refused(tp.ErrorInvalidHandle, cm.Path, activityProperties, "GetProperties", uint32(999))
	cm.Refused(tp.ErrorNotAvailable, cm.Path, activityProperties, "GetProperties", cm.Room("unheard-of"))
	cm.Refused(tp.ErrorNotAvailable, cm.Path, activityProperties, "GetActivity", "unheard-of")
}

// Calls that wait are answered when the connection ends.
func TestBuddyInfo_disconnectedWhileAsking(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t)
	call := cm.CallAsync(cm.Path, buddyInfo, "GetProperties", cm.Handle("dan@away.test"))
	cm.Expect(fetch.To("dan@away.test"))
	cm.CallAsync(cm.Path, tp.InterfaceConnection, "Disconnect")
	cm.Expect(cmtest.Refusal(call, tp.ErrorDisconnected))
	cm.Expect(cmtest.NameGone(cm.Name))
}

func TestBuddyInfo_noPEP(t *testing.T) {
	t.Parallel()
	info := "<query xmlns='http://jabber.org/protocol/disco#info'><identity category='server' type='im'/></query>"
	cm := cmtest.Start(t, cmtest.Answers(cmtest.IQ("get", "http://jabber.org/protocol/disco#info"), info))
	c := cm.Request()
	cm.Forbid(cmtest.IQ("set", pep.NS))
	cm.Forbid(cmtest.IQ("get", pep.NS))
	cm.Call(c.Path, buddyInfo, "SetProperties", map[string]dbus.Variant{"color": dbus.MakeVariant("#1,#2")})
	c.Login()
	listed := cmtest.As[[]string](t, cm.Get(c.Path, tp.InterfaceConnection, "Interfaces"))
	if !slices.Contains(listed, buddyInfo.Name) || !slices.Contains(listed, activityProperties.Name) {
		t.Errorf("listed are only %q", listed)
	}
	refused := cm.Refused(tp.ErrorNetworkError, c.Path, buddyInfo, "GetProperties", uint32(1))
	cmtest.Equal(t, refused.Arg(0), "Server does not support PEP")
	cm.Refused(tp.ErrorNetworkError, c.Path, buddyInfo, "SetProperties", map[string]dbus.Variant{})
	cm.Refused(tp.ErrorNetworkError, c.Path, buddyInfo, "GetActivities", uint32(1))
	cm.Refused(tp.ErrorNetworkError, c.Path, buddyInfo, "GetCurrentActivity", uint32(1))
	cm.Refused(tp.ErrorNetworkError, c.Path, buddyInfo, "SetCurrentActivity", "", uint32(0))
	cm.Refused(tp.ErrorNetworkError, c.Path, activityProperties, "SetProperties", c.Room("chess"), map[string]dbus.Variant{})
	cm.Refused(tp.ErrorNotAvailable, c.Path, activityProperties, "GetActivity", "chess")
	c.Sync()
}

// The user's own activities are known here; without a room and properties none
// is seen by anybody.
func TestBuddyInfo_ownActivities(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t)
	chess, drawing := cm.Room("chess"), cm.Room("drawing")
	cm.Forbid(cmtest.Message())
	cm.Forbid(publish.Node(olpc.NodeActivities))
	own := []activityAt{{"chess", chess}}
	call := cm.CallAsync(cm.Path, buddyInfo, "AddActivity", "chess", chess)
	cm.ExpectUnordered(activitiesChanged.Args(uint32(1), own), cmtest.Reply(call))
	cm.Refused(tp.ErrorInvalidArgument, cm.Path, buddyInfo, "AddActivity", "chess", chess)
	cm.Refused(tp.ErrorInvalidArgument, cm.Path, buddyInfo, "AddActivity", "", drawing)
	cm.Refused(tp.ErrorInvalidHandle, cm.Path, buddyInfo, "AddActivity", "drawing", uint32(99))
	cm.Refused(tp.ErrorInvalidHandle, cm.Path, buddyInfo, "SetCurrentActivity", "drawing", uint32(99))
	cm.Refused(tp.ErrorInvalidArgument, cm.Path, buddyInfo, "SetCurrentActivity", "drawing", drawing)
	cm.Refused(tp.ErrorInvalidArgument, cm.Path, activityProperties, "SetProperties", chess, map[string]dbus.Variant{}) // not in it
	cm.Refused(tp.ErrorInvalidHandle, cm.Path, activityProperties, "SetProperties", uint32(99), map[string]dbus.Variant{})
	cmtest.Equal(t, cm.Call(cm.Path, activityProperties, "GetProperties", chess).Arg(0), map[string]any{})
	cmtest.Equal(t, cm.Call(cm.Path, activityProperties, "GetActivity", "chess").Arg(0), chess)

	cm.Call(cm.Path, buddyInfo, "SetCurrentActivity", "chess", chess)
	wantPublished(t, cm.Expect(publish.Node(olpc.NodeCurrentActivity)), olpc.BuildCurrentActivity(olpc.Activity{}))
	current := cm.Call(cm.Path, buddyInfo, "GetCurrentActivity", uint32(1))
	cmtest.Equal(t, current.Arg(0), "chess")
	cmtest.Equal(t, current.Arg(1), chess)
	cmtest.Equal(t, cm.Call(cm.Path, buddyInfo, "GetActivities", uint32(1)).Arg(0), own)

	// The server's echo knows only what is public.
	echo := cm.Forbid(activitiesChanged)
	tell(cm, cmtest.Account, olpc.BuildActivities(nil))
	cm.Sync()
	echo.Lift()
	cm.Call(cm.Path, buddyInfo, "SetActivities", []activityAt{{"drawing", drawing}})
	cm.Expect(activitiesChanged.Args(uint32(1), []activityAt{{"drawing", drawing}}))
	cmtest.Equal(t, cm.Call(cm.Path, buddyInfo, "GetCurrentActivity", uint32(1)).Arg(0), "")
	cm.Refused(tp.ErrorNotAvailable, cm.Path, activityProperties, "GetActivity", "chess")
}

// The inviter's words make a private activity known; Sugar finds it by its room
// when the room invites.
func TestBuddyInfo_invitation(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t)
	bob, chess := meet(cm, bobID), cm.Room("chess")
	secret := olpc.ActivityProperties{Activity: chessGame.Activity, Properties: olpc.Properties{"type": "org.laptop.Chess", "private": true}}
	from := stanza.A("from", bobID+"/sugar")
	cm.Server.Send(olpc.BuildInvitation(mustJID(cmtest.Account), secret).With(from).String())
	cm.Expect(activityChanged.Args(chess, map[string]any{"type": "org.laptop.Chess", "private": true}))
	cm.Expect(activitiesChanged.Args(bob, []activityAt{{"chess", chess}}))
	cmtest.Equal(t, cm.Call(cm.Path, activityProperties, "GetActivity", "chess").Arg(0), chess)
	cm.Server.Send(olpc.BuildUninvite(mustJID(cmtest.Account), secret.Activity).With(from).String())
	cm.Expect(activitiesChanged.Args(bob, []activityAt{}))
	cm.Refused(tp.ErrorNotAvailable, cm.Path, activityProperties, "GetProperties", chess)
}

// A contact who sends the worst there is harms only itself.
func TestBuddyInfo_hostile(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t)
	defer cm.CheckMemory()
	bob, eve := meet(cm, bobID), meet(cm, eveID)
	tellAll(cm, bobID)
	cm.Expect(currentActivityChanged)
	var harmed []*cmtest.Ban
	for _, m := range []cmtest.Match{propertiesChanged, activitiesChanged, currentActivityChanged} {
		harmed = append(harmed, cm.Forbid(m.Args(bob)))
	}
	harmed = append(harmed, cm.Forbid(cmtest.Signal(tp.SignalConnectionConnectionError)))

	var list strings.Builder
	for n := range 3000 {
		fmt.Fprintf(&list, "<activity type='%d' room='r%d@x.test'/>", n, n)
	}
	event := func(node, inside string) {
		cm.Server.Send("<message from='" + eveID + "/x'><event xmlns='" + pep.NSEvent + "'><items node='" + node +
			"' publisher='" + bobID + "'><item id='1' publisher='" + bobID + "'>" + inside + "</item></items></event></message>")
	}
	payload := func(node, local, inside string) { event(node, "<"+local+" xmlns='"+node+"'>"+inside+"</"+local+">") }
	payload(olpc.NodeActivities, "activities", list.String())
	got := cmtest.As[[]activityAt](t, cm.Expect(activitiesChanged.Args(eve)).Arg(1))
	if len(got) != olpc.MaxActivities {
		t.Errorf("%d activities of eve are told, want %d", len(got), olpc.MaxActivities)
	}
	payload(olpc.NodeActivities, "activities", "<activity type='' room='@@'/><activity room='r@x.test'/><activity type='ok' room='r@x.test'/>")
	cm.Expect(activitiesChanged.Args(eve, []activityAt{{"ok", cm.Room("r@x.test")}}))
	payload(olpc.NodeBuddyProperties, "properties", "<property name='key' type='bytes'>***</property><property name='n' type='int'>9e9</property>"+
		"<property name='big' type='str'>"+strings.Repeat("x", 100_000)+"</property><property name='ok' type='str'>yes</property>")
	cm.Expect(propertiesChanged.Args(eve, map[string]any{"ok": "yes"}))
	payload(olpc.NodeCurrentActivity, "activity", "<deep/>")
	payload("http://laptop.org/xmpp/none", "x", "")
	event(olpc.NodeActivityProperties, "<junk xmlns='junk'/>")
	cm.Server.Send("<message from='@@'><event xmlns='" + pep.NSEvent + "'/></message>")
	cm.Sync()
	for _, ban := range harmed {
		ban.Lift()
	}
	cmtest.Equal(t, cm.Call(cm.Path, buddyInfo, "GetProperties", bob).Arg(0), lookIs)
}
