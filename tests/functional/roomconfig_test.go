package functional

import (
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/tests/cmtest"
)

// fullForm has a field for everything that RoomConfig1 knows.
var fullForm = strings.Replace(ownerForm, "</x></query>",
	"<field var='muc#roomconfig_maxusers' type='list-single'><value>20</value></field>"+
		"<field var='muc#roomconfig_moderatedroom' type='boolean'><value>0</value></field>"+
		"<field var='muc#roomconfig_roomdesc' type='text-single'><value>Before</value></field>"+
		"<field var='muc#roomconfig_passwordprotectedroom' type='boolean'><value>0</value></field>"+
		"<field var='muc#roomconfig_roomsecret' type='text-private'><value/></field></x></query>", 1)

var configChanged = cmtest.Signal(tp.SignalDBusPropertiesChanged).Args(roomConfig.Name)

// Every setting goes into the room's form, and what the room accepts is told,
// be it by the room or, where that keeps it for itself, as it was accepted.
func TestRoomConfig_allProperties(t *testing.T) {
	t.Parallel()
	info := cmtest.IQ("get", nsDisco).To(chatRoom)
	cm := cmtest.Connect(t, cmtest.Unanswered(info))
	h := &hall{Connection: cm, handle: cm.Room(chatID)}
	call := h.ask()
	h.Expect(entering)
	h.admit("owner")
	h.joined(call)
	settings := []string{
		"Anonymous", "Description", "InviteOnly", "Limit", "Moderated", "Password", "PasswordProtected", "Persistent", "Private", "Title",
	}
	is := map[string]any{
		"Anonymous": false, "InviteOnly": false, "Limit": uint32(0), "Moderated": false, "Title": "", "Description": "", "Persistent": false,
		"Private": false, "PasswordProtected": false, "Password": "", "PasswordHint": "", "CanUpdateConfiguration": true,
		"MutableProperties": settings, "ConfigurationRetrieved": false,
	}
	cmtest.Equal(t, h.GetAll(h.path, roomConfig), is)
	question := h.Expect(info)
	h.Server.Answer(question, roomInfo)
	changed := map[string]any{"ConfigurationRetrieved": true, "Private": true, "Title": "A name"}
	h.Expect(configChanged.Args(roomConfig.Name, changed))
	maps.Copy(is, changed)
	cmtest.Equal(t, h.GetAll(h.path, roomConfig), is)

	wanted := map[string]any{
		"Anonymous": true, "InviteOnly": true, "Limit": uint32(30), "Moderated": true, "Title": "Chess", "Description": "We play",
		"Persistent": true, "Private": false, "PasswordProtected": true, "Password": "gambit",
	}
	update := make(map[string]dbus.Variant)
	for name, v := range wanted {
		update[name] = dbus.MakeVariant(v)
	}
	call = h.CallAsync(h.path, roomConfig, "UpdateConfiguration", update)
	h.Server.Answer(h.Expect(getForm), fullForm)
	submit := h.Expect(setForm)
	for name, want := range map[string]string{
		"whois": "moderators", "membersonly": "1", "maxusers": "30", "moderatedroom": "1", "roomname": "Chess", "roomdesc": "We play",
		"persistentroom": "1", "publicroom": "1", "passwordprotectedroom": "1", "roomsecret": "gambit",
	} {
		cmtest.Equal(t, field(submit, "muc#roomconfig_"+name), []string{want})
	}
	h.Server.Answer(submit, "")
	h.Expect(cmtest.Reply(call))
	h.Server.Answer(h.Expect(info), "<query xmlns='"+nsDisco+"'><identity category='conference' type='text' name='Che'/><feature var='"+nsMUC+"'/>"+
		"<feature var='muc_semianonymous'/><feature var='muc_membersonly'/><feature var='muc_moderated'/><feature var='muc_persistent'/>"+
		"<feature var='muc_public'/><feature var='muc_passwordprotected'/></query>")
	wanted["Title"] = "Che" // the room's own word counts
	h.Expect(configChanged.Args(roomConfig.Name, wanted))
	maps.Copy(is, wanted)
	cmtest.Equal(t, h.GetAll(h.path, roomConfig), is)

	// Others change it as well: the room says only that it is different.
	h.Server.Send("<message type='groupchat' from='" + chatRoom + "'><x xmlns='" + nsMUCUser + "'><status code='104'/></x></message>")
	h.Server.Answer(h.Expect(info), roomInfo)
	told := cmtest.As[map[string]any](t, h.Expect(configChanged).Arg(1))
	cmtest.Equal(t, told, map[string]any{"Anonymous": false, "InviteOnly": false, "Persistent": false, "Private": true, "Title": "A name"})

	// Without its lock the room has no key.
	h.Server.Send("<message type='groupchat' from='" + chatRoom + "'><x xmlns='" + nsMUCUser + "'><status code='104'/></x></message>")
	h.Server.Answer(h.Expect(info), strings.Replace(roomInfo, "</query>", "<feature var='muc_unsecured'/></query>", 1))
	h.Expect(configChanged.Args(roomConfig.Name, map[string]any{"PasswordProtected": false, "Password": ""}))
	refusals := map[string]tp.ErrorName{"PasswordHint": tp.ErrorNotImplemented, "CanUpdateConfiguration": tp.ErrorNotImplemented, "Colour": tp.ErrorInvalidArgument}
	for name, want := range refusals {
		h.Refused(want, h.path, roomConfig, "UpdateConfiguration", map[string]dbus.Variant{name: dbus.MakeVariant("x")})
	}
	h.admit("none")
	h.Expect(configChanged.Args(roomConfig.Name, map[string]any{"CanUpdateConfiguration": false, "MutableProperties": []string{}}))
}

// What a room is called never changes, and is told with the channel.
func TestRoom2(t *testing.T) {
	t.Parallel()
	h, call := enterHall(t)
	h.admit("none")
	type details struct {
		Path       dbus.ObjectPath
		Properties map[string]any
	}
	h.joined(call)
	announced := cmtest.As[[]details](t, h.Get(h.Path, tp.InterfaceConnectionRequests, "Channels"))[0].Properties
	room2 := tp.InterfaceChannelRoom2
	want := map[string]any{
		"RoomName": chatID, "Server": cmtest.Conference, "Creator": "", "CreatorHandle": uint32(0), "CreationTimestamp": int64(math.MaxInt64),
	}
	cmtest.Equal(t, h.GetAll(h.path, room2), want)
	for name, v := range want {
		cmtest.Equal(t, announced[room2.Name+"."+name], v)
	}
	cmtest.Equal(t, announced[tp.PropertyChannelMessagesDeliveryReportingSupport], any(uint32(tp.DeliveryReportingSupportFlagsReceiveFailures)))
	if listed := cmtest.As[[]string](t, announced[tp.PropertyChannelInterfaces]); !slices.Contains(listed, room2.Name) {
		t.Errorf("listed are %q", listed)
	}
}
