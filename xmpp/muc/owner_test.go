package muc

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"telepathy-olpc/xmpp/disco"
	"telepathy-olpc/xmpp/stanza"
)

// form is the answer to a question for the room's form.
func form(fields string) string {
	return `<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='form'><title>t</title>` + fields + `</x></query>`
}

const (
	getForm = `<iq type='get' to='coven@chat.shakespeare.lit'><query xmlns='http://jabber.org/protocol/muc#owner'/></iq>`
	instant = `<iq type='set' to='coven@chat.shakespeare.lit'><query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'/></query></iq>`
)

func submit(fields string) string {
	return `<iq type='set' to='coven@chat.shakespeare.lit'><query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'>` + fields + `</x></query></iq>`
}

// create enters a room that does not exist.
func (w *world) create(s Settings) {
	w.t.Helper()
	w.join(Entry{Settings: s})
	w.get(presence("thirdwitch", owner_+selfCode+`<status code='201'/>`))
	w.want()
}

func TestRoom_createInstant(t *testing.T) {
	w := newWorld(t)
	w.create(nil)
	w.wantAsked(instant)
	w.answer("")
	w.want("joined thirdwitch created")
	w.wantAsked()
}

func TestRoom_createConfigured(t *testing.T) {
	w := newWorld(t)
	w.create(ForActivity())
	w.wantAsked(getForm)
	w.answer(form(`<field type='fixed'><value>for people</value></field>
		<field var='FORM_TYPE' type='hidden'><value>http://jabber.org/protocol/muc#roomconfig</value></field>
		<field var='muc#roomconfig_persistentroom' type='boolean' label='l'><value>1</value></field>
		<field var='muc#roomconfig_whois' type='list-single'><value>moderators</value><option label='l'><value>anyone</value></option></field>
		<field var='muc#roomconfig_presencebroadcast' type='list-multi'><value>moderator</value><value>visitor</value></field>
		<field var='muc#roomconfig_publicroom' type='boolean'><value>1</value></field>
		<field var='muc#roomconfig_roomdesc' type='text-single'/>
		<field var='muc#roomconfig_lang'><value/></field>`))
	w.wantAsked(submit(`<field var='FORM_TYPE' type='hidden'><value>http://jabber.org/protocol/muc#roomconfig</value></field>` +
		`<field var='muc#roomconfig_persistentroom' type='boolean'><value>0</value></field>` +
		`<field var='muc#roomconfig_whois' type='list-single'><value>anyone</value></field>` +
		`<field var='muc#roomconfig_presencebroadcast' type='list-multi'><value>moderator</value><value>visitor</value></field>` +
		`<field var='muc#roomconfig_publicroom' type='boolean'><value>0</value></field>` +
		`<field var='muc#roomconfig_roomdesc' type='text-single'/>` +
		`<field var='muc#roomconfig_lang'><value/></field>`))
	w.get(presence("early", member_), `<message from='`+coven+`/early' type='groupchat'><body>hi</body></message>`, presence("thirdwitch", owner_))
	w.want()
	w.answer("")
	w.want("joined early,thirdwitch created", `message groupchat early "hi" own=false`)
}

// The form is refused, is none, or is not taken: the room is unlocked all the
// same.
func TestRoom_createConfiguredFails(t *testing.T) {
	for _, c := range []struct {
		name, err string
		fail      func(w *world)
	}{
		{"no form to be had", "get form: forbidden", func(w *world) { w.refuse(stanza.Forbidden) }},
		{"no form", "room gives no form to fill in", func(w *world) { w.answer("") }},
		{"cancelled form", "room gives no form to fill in", func(w *world) {
			w.answer(strings.Replace(form(""), "'form'", "'cancel'", 1))
		}},
		{"not taken", "submit form: not-acceptable", func(w *world) { w.answer(form("")); w.refuse(stanza.NotAcceptable) }},
		{"value of the wrong type", "setting Private has a value of the wrong type", func(w *world) {
			w.answer(form(`<field var='muc#roomconfig_publicroom'/>`))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.create(Settings{Private: 1})
			if c.name != "value of the wrong type" {
				w.r.entry.Settings[Private] = true
			}
			c.fail(w)
			w.want()
			if last := w.asked[len(w.asked)-1].String(); last != instant {
				t.Errorf("asked %s, want %s", last, instant)
			}
			w.refuse(stanza.Forbidden)
			w.want("joined thirdwitch created (" + c.err + ")")
		})
	}
}

func TestRoom_leftWhileItIsSetUp(t *testing.T) {
	w := newWorld(t)
	w.create(ForActivity())
	w.r.Leave("")
	w.answer(form(""))
	w.answer("")
	w.want()
	w.get(unavailable("thirdwitch", selfCode))
	w.want("ended parted")

	w = newWorld(t)
	w.create(ForActivity())
	w.get(unavailable("thirdwitch", `<status code='332'/>`))
	w.want("ended shutdown")
	w.refuse(stanza.ItemNotFound)
	w.want()
}

// golden gives the line of a golden trace of a school's ejabberd, without time
// and direction.
func golden(t *testing.T, line int) *stanza.Element {
	t.Helper()
	data, err := os.ReadFile("testdata/owner-form.txt")
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, strings.Split(string(data), "\n")[line])
}

// What telepathy-gabble sent to the same form for the same settings.
func TestFillIn_asGabble(t *testing.T) {
	form := golden(t, 0).Child(nsOwner, "query").Child(nsData, "x")
	fields, err := fillIn(form, Settings{Anonymous: false, InviteOnly: false, Persistent: false, Private: true}, true)
	if err != nil {
		t.Fatal(err)
	}
	want := golden(t, 1).Child(nsOwner, "query").Child(nsData, "x").Children()
	if len(fields) != len(want) {
		t.Fatalf("%d fields, want %d", len(fields), len(want))
	}
	for i := range want {
		if !fields[i].Equal(want[i]) {
			t.Errorf("field %d: %s, want %s", i, fields[i], want[i])
		}
	}
}

func TestFillIn(t *testing.T) {
	field := func(name, value string) string {
		return `<field xmlns='jabber:x:data' var='` + name + `'><value>` + value + `</value></field>`
	}
	for _, c := range []struct {
		name, form string
		s          Settings
		want, err  string
	}{
		{"nothing wanted", field("a", "1"), nil, field("a", "1"), ""},
		{"twice in the form", field("moderated", "0") + field("moderated", "0"), Settings{Moderated: true}, field("moderated", "1") + field("moderated", "1"), ""},
		{"first of several names", field("members_only", "1") + field("muc#roomconfig_membersonly", "1"), Settings{InviteOnly: false},
			field("members_only", "1") + field("muc#roomconfig_membersonly", "0"), ""},
		{"old names", field("anonymous", "1") + field("public", "1") + field("persistent", "1"), Settings{Anonymous: false, Private: true, Persistent: false},
			field("anonymous", "0") + field("public", "0") + field("persistent", "0"), ""},
		{"anonymous", field("muc#roomconfig_whois", "anyone"), Settings{Anonymous: true}, field("muc#roomconfig_whois", "moderators"), ""},
		{"numbers", field("muc#roomconfig_maxusers", "5"), Settings{Limit: uint32(30)}, field("muc#roomconfig_maxusers", "30"), ""},
		{"no limit", field("muc#roomconfig_maxusers", "5"), Settings{Limit: uint32(0)}, field("muc#roomconfig_maxusers", "none"), ""},
		{"texts", field("muc#roomconfig_roomname", "") + field("muc#roomconfig_roomsecret", ""), Settings{Title: "T", Password: "P"},
			field("muc#roomconfig_roomname", "T") + field("muc#roomconfig_roomsecret", "P"), ""},
		{"no field", field("muc#roomconfig_publicroom", "1"), Settings{Private: true, Persistent: true}, "", "room has no setting Persistent"},
		{"no such setting", field("a", "1"), Settings{"Haunted": true}, "", "room has no setting Haunted"},
		{"wrong type", field("moderated", "1"), Settings{Moderated: "yes"}, "", "setting Moderated has a value of the wrong type"},
	} {
		t.Run(c.name, func(t *testing.T) {
			fields, err := fillIn(parse(t, `<x xmlns='jabber:x:data'>`+c.form+`</x>`), c.s, true)
			got, problem := "", ""
			for _, f := range fields {
				got += f.String()
			}
			if err != nil {
				problem = err.Error()
			}
			if got != c.want || problem != c.err {
				t.Errorf("got  %s, error %q\nwant %s, error %q", got, problem, c.want, c.err)
			}
		})
	}
	for s, list := range fields {
		for _, f := range list {
			if _, ok := f.encode(struct{}{}); ok {
				t.Errorf("%s takes anything", s)
			}
		}
	}
}

func TestRoom_configure(t *testing.T) {
	w := newWorld(t)
	w.enter(Entry{})
	var log []string
	told := func(name string) func(error) {
		return func(err error) { log = append(log, fmt.Sprint(name, ": ", err)) }
	}
	w.r.Configure(Settings{Private: true}, told("a"))
	w.r.Configure(Settings{Persistent: true}, told("b"))
	w.r.Configure(Settings{}, told("c"))
	w.wantAsked(getForm)
	private := `<field var='muc#roomconfig_publicroom'><value>0</value></field>`
	w.answer(form(private))
	w.wantAsked(submit(private))
	w.answer("")
	w.wantAsked(getForm)
	w.answer(form(private))
	w.wantAsked(getForm)
	var refused error
	w.r.Configure(Settings{}, func(err error) { refused = err })
	w.refuse(stanza.Forbidden)
	w.refuse(stanza.Forbidden)
	want := []string{"a: <nil>", "b: room has no setting Persistent", "c: get form: forbidden"}
	if diff := cmp.Diff(want, log); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
	var e *stanza.Error
	if !errors.As(refused, &e) || e.Condition != stanza.Forbidden {
		t.Errorf("refused with %v", refused)
	}
}

// The stay ends while requests wait; each is answered once.
func TestRoom_configureUntilTheEnd(t *testing.T) {
	w := newWorld(t)
	w.enter(Entry{})
	told := 0
	count := func(err error) {
		if !errors.Is(err, ErrNotIn) {
			t.Errorf("error %v", err)
		}
		told++
		w.r.Configure(nil, func(error) { told++ })
	}
	w.r.Configure(Settings{}, count)
	w.r.Configure(Settings{}, count)
	w.r.Close()
	w.answer(form(""))
	if told != 4 {
		t.Errorf("told %d times", told)
	}

	w = newWorld(t)
	w.enter(Entry{})
	w.r.Configure(Settings{}, func(error) { w.r.Close() })
	w.r.Configure(Settings{}, func(error) { told++ })
	w.refuse(stanza.Forbidden)
	if told != 5 || len(w.asked) != 1 {
		t.Errorf("told %d times, asked %v", told, w.asked)
	}
}

func TestRoom_kickAndDestroy(t *testing.T) {
	w := newWorld(t)
	w.enter(Entry{})
	var log []string
	told := func(err error) { log = append(log, fmt.Sprint(err)) }
	w.r.Kick("pistol", "Avaunt, you cullion!", told)
	w.r.Kick("nym", "", told)
	w.r.Destroy("Macbeth doth come.", told)
	w.wantAsked(
		`<iq type='set' to='coven@chat.shakespeare.lit'><query xmlns='http://jabber.org/protocol/muc#admin'><item nick='pistol' role='none'><reason>Avaunt, you cullion!</reason></item></query></iq>`,
		`<iq type='set' to='coven@chat.shakespeare.lit'><query xmlns='http://jabber.org/protocol/muc#admin'><item nick='nym' role='none'/></query></iq>`,
		`<iq type='set' to='coven@chat.shakespeare.lit'><query xmlns='http://jabber.org/protocol/muc#owner'><destroy><reason>Macbeth doth come.</reason></destroy></query></iq>`)
	w.answer("")
	w.refuse(stanza.NotAllowed)
	w.get(unavailable("thirdwitch", `<destroy><reason>Macbeth doth come.</reason></destroy>`))
	w.answer("")
	w.want(`ended destroyed "Macbeth doth come."`)
	if diff := cmp.Diff([]string{"<nil>", "kick: not-allowed", "<nil>"}, log); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}

func TestParseInfo(t *testing.T) {
	const in = `<query xmlns='http://jabber.org/protocol/disco#info'>`
	for _, c := range []struct {
		name, in string
		want     Settings
		room     bool
	}{
		{"XEP-0045 example 10", in + `<identity category='conference' name='A Dark Cave' type='text'/>
			<feature var='http://jabber.org/protocol/muc'/><feature var='muc_passwordprotected'/><feature var='muc_hidden'/><feature var='muc_temporary'/>
			<feature var='muc_open'/><feature var='muc_unmoderated'/><feature var='muc_nonanonymous'/></query>`,
			Settings{Title: "A Dark Cave", PasswordProtected: true, Private: true, Persistent: false, InviteOnly: false, Moderated: false, Anonymous: false}, true},
		{"XEP-0045 example 11", in + `<identity category='conference' name='Room Name' type='text'/><feature var='http://jabber.org/protocol/muc'/>
			<x xmlns='jabber:x:data' type='result'><field var='FORM_TYPE' type='hidden'><value>http://jabber.org/protocol/muc#roominfo</value></field>
			<field var='muc#roominfo_description'><value>The place for all good witches!</value></field>
			<field var='muc#roominfo_changesubject'><value>true</value></field><field var='muc#roomconfig_allowinvites'><value>0</value></field>
			<field var='muc#roomconfig_maxusers'><value>50</value></field><field var='muc#roominfo_occupants'><value>3</value></field>
			<field var='muc#roomconfig_roomname'/></x></query>`,
			Settings{Title: "Room Name", Description: "The place for all good witches!", OpenSubject: true, AllowInvites: false, Limit: uint32(50)}, true},
		{"form of another type", in + `<x xmlns='jabber:x:data'><field var='muc#roominfo_description'><value>no</value></field></x></query>`, Settings{}, false},
		{"number that is none", in + `<x xmlns='jabber:x:data'><field var='FORM_TYPE' type='hidden'><value>http://jabber.org/protocol/muc#roominfo</value></field>
			<field var='muc#roomconfig_maxusers'><value>none</value></field></x></query>`, Settings{}, false},
		{"IRC gateway", in + `<identity category='conference' type='irc'/><feature var='http://jabber.org/protocol/muc'/></query>`, Settings{}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			info, err := disco.ParseInfo(parse(t, c.in))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, ParseInfo(info)); diff != "" || IsRoom(info) != c.room {
				t.Errorf("room %v, settings (-want +got):\n%s", IsRoom(info), diff)
			}
		})
	}
	if len(ParseInfo(nil)) != 0 || IsRoom(nil) {
		t.Error("something out of nothing")
	}
}
