package muc

import (
	"fmt"
	"slices"
	"strconv"

	"telepathy-olpc/xmpp/disco"
)

// Setting names something that can be set of a room, in Telepathy's words as
// far as that has one.
type Setting string

// The settings; a value is a bool if nothing else is said.
const (
	Anonymous         Setting = "Anonymous" // occupants do not see real addresses
	InviteOnly        Setting = "InviteOnly"
	Limit             Setting = "Limit" // uint32: of occupants, 0 for none
	Moderated         Setting = "Moderated"
	Title             Setting = "Title"       // string
	Description       Setting = "Description" // string
	Persistent        Setting = "Persistent"
	Private           Setting = "Private" // not listed
	PasswordProtected Setting = "PasswordProtected"
	Password          Setting = "Password"     // string
	AllowInvites      Setting = "AllowInvites" // by everybody in the room
	OpenSubject       Setting = "OpenSubject"  // everybody in the room may change it
)

// Settings holds some settings of a room.
type Settings map[Setting]any

// ForActivity returns what a room for a shared activity has to be: everybody
// who is invited, by anybody in it, can come and see who the others are, nobody
// else finds it, and it goes with the last.
func ForActivity() Settings {
	return Settings{Anonymous: false, InviteOnly: false, Persistent: false, Private: true, AllowInvites: true}
}

// SettingError says that a setting is not possible; nothing was changed.
type SettingError struct {
	Setting Setting
	// Unknown: the room has no such setting. If not, the value is of the wrong
	// type.
	Unknown bool
}

func (e *SettingError) Error() string {
	if e.Unknown {
		return fmt.Sprintf("room has no setting %s", e.Setting)
	}
	return fmt.Sprintf("setting %s has a value of the wrong type", e.Setting)
}

// field is a field of a room's form and how it says a setting.
type field struct {
	name   string
	encode func(v any) (string, bool)
}

// fields gives the fields that a setting may be in: the first that the room's
// form has counts. Those after the first are of services older than XEP-0045
// 1.20 and of other servers.
var fields = map[Setting][]field{
	Anonymous:         {{"muc#roomconfig_whois", whois}, {"muc#owner_whois", whois}, {"anonymous", flag}},
	InviteOnly:        {{"muc#roomconfig_membersonly", flag}, {"muc#owner_inviteonly", flag}, {"members_only", flag}},
	Limit:             {{"muc#roomconfig_maxusers", limit}, {"muc#owner_maxusers", limit}},
	Moderated:         {{"muc#roomconfig_moderatedroom", flag}, {"muc#owner_moderatedroom", flag}, {"moderated", flag}},
	Title:             {{"muc#roomconfig_roomname", text}, {"muc#owner_roomname", text}, {"title", text}},
	Description:       {{"muc#roomconfig_roomdesc", text}, {"muc#owner_roomdesc", text}},
	Persistent:        {{"muc#roomconfig_persistentroom", flag}, {"muc#owner_persistentroom", flag}, {"persistent", flag}},
	Private:           {{"muc#roomconfig_publicroom", inverted}, {"muc#owner_publicroom", inverted}, {"public", inverted}},
	PasswordProtected: {{"muc#roomconfig_passwordprotectedroom", flag}, {"muc#owner_passwordprotectedroom", flag}, {"password_protected", flag}},
	Password:          {{"muc#roomconfig_roomsecret", text}, {"muc#owner_roomsecret", text}, {"password", text}},
	AllowInvites:      {{"muc#roomconfig_allowinvites", flag}, {"muc#owner_allowinvites", flag}, {"allow_user_invites", flag}},
	OpenSubject:       {{"muc#roomconfig_changesubject", flag}, {"muc#owner_changesubject", flag}, {"allow_change_subj", flag}},
}

func text(v any) (string, bool) {
	s, ok := v.(string)
	return s, ok
}

func flag(v any) (string, bool) {
	b, ok := v.(bool)
	if b {
		return "1", ok
	}
	return "0", ok
}

func inverted(v any) (string, bool) {
	b, ok := v.(bool)
	value, _ := flag(!b)
	return value, ok
}

func whois(v any) (string, bool) {
	b, ok := v.(bool)
	if b {
		return "moderators", ok
	}
	return "anyone", ok
}

func limit(v any) (string, bool) {
	n, ok := v.(uint32)
	if n == 0 {
		return "none", ok // XEP-0045 §10.1.3
	}
	return strconv.FormatUint(uint64(n), 10), ok
}

// IsRoom tells whether what a service discovery says is a room or a service
// that has rooms.
func IsRoom(info *disco.Info) bool { return info.Is("conference", "text") && info.Has(NS) }

// features are those by which a room tells its settings, XEP-0045 §6.4.
var features = []struct {
	feature string
	setting Setting
	value   bool
}{
	{"muc_nonanonymous", Anonymous, false}, {"muc_semianonymous", Anonymous, true}, {"muc_fullyanonymous", Anonymous, true},
	{"muc_open", InviteOnly, false}, {"muc_membersonly", InviteOnly, true},
	{"muc_unmoderated", Moderated, false}, {"muc_moderated", Moderated, true},
	{"muc_temporary", Persistent, false}, {"muc_persistent", Persistent, true},
	{"muc_public", Private, false}, {"muc_hidden", Private, true},
	{"muc_unsecured", PasswordProtected, false}, {"muc_passwordprotected", PasswordProtected, true},
}

// ParseInfo reads the settings that a room tells to everybody. What it does
// not tell is not there.
func ParseInfo(info *disco.Info) Settings {
	s := make(Settings)
	if info == nil {
		return s
	}
	for _, f := range features {
		if info.Has(f.feature) {
			s[f.setting] = f.value
		}
	}
	i := slices.IndexFunc(info.Identities, func(id disco.Identity) bool { return id.Category == "conference" && id.Name != "" })
	if i >= 0 {
		s[Title] = info.Identities[i].Name
	}
	for _, f := range info.Forms {
		if f.Type() == NS+"#roominfo" {
			s.addForm(f.Fields)
		}
	}
	return s
}

// addForm adds what the form of XEP-0045 §15.5.4 says beyond the features.
func (s Settings) addForm(fields []disco.Field) {
	for _, f := range fields {
		if len(f.Values) == 0 {
			continue
		}
		value := f.Values[0]
		on := value == "1" || value == "true"
		switch f.Var {
		case "muc#roomconfig_roomname":
			s[Title] = value
		case "muc#roominfo_description":
			s[Description] = value
		case "muc#roomconfig_allowinvites":
			s[AllowInvites] = on
		case "muc#roominfo_subjectmod", "muc#roominfo_changesubject", "muc#roomconfig_changesubject":
			s[OpenSubject] = on
		case "muc#roomconfig_maxusers":
			if n, err := strconv.ParseUint(value, 10, 32); err == nil {
				s[Limit] = uint32(n)
			}
		}
	}
}
