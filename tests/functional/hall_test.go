package functional

import (
	"fmt"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/tests/cmtest"
)

// Namespaces of rooms.
const (
	nsMUC      = "http://jabber.org/protocol/muc"
	nsMUCUser  = nsMUC + "#user"
	nsMUCOwner = nsMUC + "#owner"
	nsMUCAdmin = nsMUC + "#admin"
	nsDisco    = "http://jabber.org/protocol/disco#info"
)

// The room of an activity, with Sugar's identifier, and the own address there:
// nobody has a nick, so it is the account's.
const (
	chatID   = "9d6c0f1f9a2c3b4d5e6f708192a3b4c5d6e7f809"
	chatRoom = chatID + "@" + cmtest.Conference
	chatSelf = chatRoom + "/" + cmtest.User
)

// ownerForm is what ejabberd asks the owner of a room, cut down to what matters
// and some fields that must come back as they are.
const ownerForm = "<query xmlns='" + nsMUCOwner + "'><x xmlns='jabber:x:data' type='form'><title>Configuration</title>" +
	"<field var='FORM_TYPE' type='hidden'><value>http://jabber.org/protocol/muc#roomconfig</value></field>" +
	"<field type='fixed'><value>For people</value></field>" +
	"<field var='muc#roomconfig_roomname' type='text-single'><value>A name</value></field>" +
	"<field var='muc#roomconfig_persistentroom' type='boolean'><value>1</value></field>" +
	"<field var='muc#roomconfig_publicroom' type='boolean'><value>1</value></field>" +
	"<field var='muc#roomconfig_whois' type='list-single'><value>moderators</value><option><value>moderators</value></option></field>" +
	"<field var='muc#roomconfig_membersonly' type='boolean'><value>1</value></field>" +
	"<field var='muc#roomconfig_allowinvites' type='boolean'><value>0</value></field>" +
	"<field var='muc#roomconfig_captcha_whitelist' type='jid-multi'><value>a@b</value><value>c@d</value></field>" +
	"</x></query>"

// roomInfo is what a room says of itself once it is set up for an activity.
const roomInfo = "<query xmlns='" + nsDisco + "'><identity category='conference' type='text' name='A name'/><feature var='" + nsMUC + "'/>" +
	"<feature var='muc_nonanonymous'/><feature var='muc_open'/><feature var='muc_temporary'/><feature var='muc_hidden'/></query>"

var (
	text  = tp.InterfaceChannelText
	group = tp.InterfaceChannelGroup

	newChannels     = cmtest.Signal(tp.SignalConnectionRequestsNewChannels)
	membersChanged  = cmtest.Signal(tp.SignalChannelGroupMembersChanged)
	membersDetailed = cmtest.Signal(tp.SignalChannelGroupMembersChangedDetailed)
	ownersChanged   = cmtest.Signal(tp.SignalChannelGroupHandleOwnersChanged)
	channelClosed   = cmtest.Signal(tp.SignalChannelClosed)
	textReceived    = cmtest.Signal(tp.SignalChannelTextReceived)

	toRoom    = cmtest.Presence().To(chatSelf)
	entering  = toRoom.Type("").Having(nsMUC, "x")
	leaving   = toRoom.Type("unavailable")
	aboutRoom = cmtest.IQ("get", nsDisco).To(chatRoom)
	getForm   = cmtest.IQ("get", nsMUCOwner).To(chatRoom)
	setForm   = cmtest.IQ("set", nsMUCOwner).To(chatRoom)
	said      = cmtest.Message().To(chatRoom).Type("groupchat")
)

// hall is the activity's room on the scripted server, which the test plays.
type hall struct {
	*cmtest.Connection
	handle uint32          // of the room
	self   uint32          // the user in it
	path   dbus.ObjectPath // of the text channel, once there is one
}

// enterHall connects and asks for the channel; the wish to enter has arrived.
func enterHall(t testing.TB, opts ...cmtest.Option) (*hall, *cmtest.Call) {
	t.Helper()
	cm := cmtest.Connect(t, append([]cmtest.Option{cmtest.Answers(aboutRoom, roomInfo)}, opts...)...)
	h := &hall{Connection: cm, handle: cm.Room(chatID)}
	call := h.ask()
	cm.Expect(entering)
	return h, call
}

// joinHall is in the room, in which there are others, all of the school.
func joinHall(t testing.TB, others ...string) *hall {
	t.Helper()
	h, call := enterHall(t)
	for _, nick := range others {
		h.comes(nick)
	}
	h.admit("none", 100)
	h.joined(call)
	return h
}

// ask asks for the channel as Sugar does.
func (h *hall) ask() *cmtest.Call {
	h.T.Helper()
	return h.CallAsync(h.Path, tp.InterfaceConnection, "RequestChannel", text.Name, uint32(tp.HandleTypeRoom), h.handle, true)
}

// joined takes the channel that was asked for.
func (h *hall) joined(call *cmtest.Call) {
	h.T.Helper()
	h.path = cmtest.As[dbus.ObjectPath](h.T, h.Expect(cmtest.Reply(call)).Arg(0))
	h.self = h.occupant(cmtest.User)
	h.Sync()
}

// presence has the room send the presence of an occupant.
func (h *hall) presence(nick, kind, item string, statuses ...int) {
	h.T.Helper()
	h.Server.Send(occupantPresence(nick, kind, item, statuses...))
}

func occupantPresence(nick, kind, item string, statuses ...int) string {
	var codes strings.Builder
	for _, code := range statuses {
		fmt.Fprintf(&codes, "<status code='%d'/>", code)
	}
	if kind != "" {
		kind = " type='" + kind + "'"
	}
	return fmt.Sprintf("<presence from='%s/%s' to='%s'%s><x xmlns='%s'>%s%s</x></presence>", chatRoom, nick, cmtest.Self, kind, nsMUCUser, item, codes.String())
}

// comes has somebody of the school be in the room.
func (h *hall) comes(nick string) { h.presence(nick, "", member(nick)) }

// goes has somebody leave; item and statuses say how.
func (h *hall) goes(nick, item string, statuses ...int) {
	h.presence(nick, "unavailable", item, statuses...)
}

func member(nick string) string {
	return "<item affiliation='none' role='participant' jid='" + nick + "@" + cmtest.Domain + "/sugar'/>"
}

// admit lets the user in: all who are there are told.
func (h *hall) admit(affiliation string, statuses ...int) {
	h.presence(cmtest.User, "", "<item affiliation='"+affiliation+"' role='participant' jid='"+cmtest.Self+"'/>", append(statuses, 110)...)
}

// speaks has somebody send a message to all.
func (h *hall) speaks(nick, inner string) {
	h.Server.Send("<message type='groupchat' id='m1' from='" + chatRoom + "/" + nick + "' to='" + cmtest.Self + "'>" + inner + "</message>")
}

// occupant is the handle that somebody has in the room.
func (h *hall) occupant(nick string) uint32 {
	h.T.Helper()
	ids := cmtest.As[map[uint32]string](h.T, h.Get(h.path, group, "MemberIdentifiers"))
	for handle, id := range ids {
		if id == chatRoom+"/"+nick {
			return handle
		}
	}
	h.T.Fatalf("%s is not in the room: %v", nick, ids)
	return 0
}

// contact is the handle of somebody of the school.
func (h *hall) contact(nick string) uint32 { return h.Handle(nick + "@" + cmtest.Domain) }

// owner asks who is behind an occupant.
func (h *hall) owner(occupant uint32) uint32 {
	h.T.Helper()
	return cmtest.As[[]uint32](h.T, h.Call(h.path, group, "GetHandleOwners", []uint32{occupant}).Arg(0))[0]
}

// members are those of whom the channel tells.
func (h *hall) members() []uint32 {
	h.T.Helper()
	return cmtest.As[[]uint32](h.T, h.Call(h.path, group, "GetAllMembers").Arg(0))
}

// field is the values that a submitted form has for a variable.
func field(submit *cmtest.Event, name string) (values []string) {
	for f := range submit.Element.First().First().Each("jabber:x:data", "field") {
		if f.Attr("var") == name {
			for v := range f.Each("jabber:x:data", "value") {
				values = append(values, v.Text())
			}
		}
	}
	return values
}
