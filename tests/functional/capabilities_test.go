package functional

import (
	"fmt"
	"testing"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/tests/cmtest"
	"telepathy-olpc/xmpp/caps"
	"telepathy-olpc/xmpp/disco"
	"telepathy-olpc/xmpp/olpc"
	"telepathy-olpc/xmpp/stanza"
	"telepathy-olpc/xmpp/xmpptest"
)

// handlerCapabilities is Handler_Capabilities.
type handlerCapabilities struct {
	Client  string
	Filters []map[string]dbus.Variant
	Tokens  []string
}

// channelClass is Requestable_Channel_Class.
type channelClass struct {
	Fixed   map[string]any
	Allowed []string
}

var (
	capabilitiesChanged = cmtest.Signal(tp.SignalConnectionContactCapabilitiesContactCapabilitiesChanged)
	clientTypesUpdated  = cmtest.Signal(tp.SignalConnectionClientTypesClientTypesUpdated)
)

// clientInfo is what a contact's client tells of itself, and what it announces
// in presence.
func clientInfo(t *testing.T, typ string, features ...string) (info *disco.Info, c string) {
	t.Helper()
	info = &disco.Info{Identities: []disco.Identity{{Category: "client", Type: typ}}, Features: features}
	ver, err := caps.Hash("sha-1", info)
	if err != nil {
		t.Fatal(err)
	}
	return info, caps.Caps{Node: "urn:example:client", Hash: "sha-1", Ver: ver}.Element().String()
}

func presenceFrom(from, content string) string {
	return fmt.Sprintf("<presence from='%s'>%s</presence>", from, content)
}

// What is announced in the very first presence can be asked for and verified,
// and OLPC's events are part of it.
func TestCapabilities_announced(t *testing.T) {
	t.Parallel()
	cm := cmtest.Start(t)
	cm.Request().Login()
	shown := cm.Expect(cmtest.Presence().Type(""))
	announced, is := caps.Parse(shown.Element)
	if !is {
		t.Fatalf("nothing is announced in %s", shown)
	}
	ask := disco.InfoQuery(jidOf(t, cmtest.Self), announced.Node+"#"+announced.Ver)
	cm.Server.Send(ask.With(stanza.A("from", "bob@school.test/sugar"), stanza.A("id", "q1")).String())
	answer := cm.Expect(cmtest.IQAnswer("result", "q1").To("bob@school.test/sugar"))
	info, err := disco.ParseInfo(answer.Element.Child(disco.NSInfo, "query"))
	if err != nil {
		t.Fatal(err)
	}
	if err := caps.Verify(announced, info); err != nil {
		t.Errorf("what is announced is not what is answered: %v", err)
	}
	for _, f := range append(olpc.NotifyFeatures(), disco.NSInfo, caps.NS, nsPing) {
		if !info.Has(f) {
			t.Errorf("%s is not announced", f)
		}
	}
	cm.Server.Send(ask.With(stanza.A("from", "bob@school.test/sugar"), stanza.A("id", "q2"), stanza.A("type", "set")).String())
	cm.Expect(cmtest.IQAnswer("error", "q2"))
	items := disco.ItemsQuery(jidOf(t, cmtest.Self), "")
	cm.Server.Send(items.With(stanza.A("from", "bob@school.test/sugar"), stanza.A("id", "q3")).String())
	cm.Expect(cmtest.IQAnswer("result", "q3"))
}

// mission-control calls before it connects, Sugar's shell afterwards; an error
// would end Sugar's callback half way.
func TestUpdateCapabilities_asSugarCalls(t *testing.T) {
	t.Parallel()
	cm := cmtest.Start(t)
	c := cm.Request()
	update := func(list ...handlerCapabilities) {
		cm.Call(c.Path, tp.InterfaceConnectionContactCapabilities, "UpdateCapabilities", list)
	}
	shell := handlerCapabilities{"org.freedesktop.Telepathy.Client.Sugar", []map[string]dbus.Variant{{}}, []string{}}
	files := handlerCapabilities{"org.freedesktop.Telepathy.Client.Sugar.FileTransfer", []map[string]dbus.Variant{{
		tp.PropertyChannelChannelType:      dbus.MakeVariant(tp.InterfaceChannelFileTransfer.Name),
		tp.PropertyChannelTargetHandleType: dbus.MakeVariant(int32(1)),
	}}, []string{}}
	update(shell)
	c.Login()
	cm.Expect(cmtest.Presence().Type("").Having(caps.NS, "c"))
	update(shell)
	update(files)
	update(shell, files)
	cm.Sync()
	cm.Forbid(cmtest.Presence())
	cm.Forbid(capabilitiesChanged)
	update(shell, files)
	update()
	cm.Sync()
}

func TestContactCapabilities_oneQuestionForAll(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t)
	info, announced := clientInfo(t, "handheld", disco.NSInfo)
	cm.Server.Send(presenceFrom("a@school.test/sugar", announced) + presenceFrom("b@school.test/sugar", announced) +
		presenceFrom("c@school.test/sugar", announced))
	question := cm.Expect(cmtest.IQ("get", disco.NSInfo).To("a@school.test/sugar"))
	unknown := cm.Call(cm.Path, tp.InterfaceConnectionContactCapabilities, "GetContactCapabilities", []uint32{cm.Handle("a@school.test")})
	cmtest.Equal(t, unknown.Arg(0), map[uint32][]channelClass{})
	again := cm.Forbid(cmtest.IQ("get", disco.NSInfo))

	cm.Server.Answer(question, info.Element().String())
	changed := cm.Expect(capabilitiesChanged)
	can := cmtest.As[map[uint32][]channelClass](t, changed.Arg(0))
	for _, id := range []string{"a@school.test", "b@school.test", "c@school.test"} {
		if _, told := can[cm.Handle(id)]; !told {
			t.Errorf("nothing told of %s in %v", id, can)
		}
		cm.Expect(clientTypesUpdated.Args(cm.Handle(id), []string{"handheld"}))
	}
	once := cm.Forbid(capabilitiesChanged)
	cm.Sync()
	once.Lift()

	cm.Server.Send(presenceFrom("d@school.test/sugar", announced))
	cm.ExpectUnordered(capabilitiesChanged, clientTypesUpdated.Args(cm.Handle("d@school.test"), []string{"handheld"}))
	cm.Sync()
	again.Lift()

	attributes := cm.Call(cm.Path, tp.InterfaceConnectionContacts, "GetContactAttributes",
		[]uint32{cm.Handle("d@school.test"), cm.Handle("nobody@school.test")},
		[]string{tp.InterfaceConnectionContactCapabilities.Name, tp.InterfaceConnectionClientTypes.Name}, false)
	told := cmtest.As[map[uint32]map[string]any](t, attributes.Arg(0))
	d, nobody := told[cm.Handle("d@school.test")], told[cm.Handle("nobody@school.test")]
	if d[tp.ContactAttributeConnectionContactCapabilitiesCapabilities] == nil || len(nobody) != 1 {
		t.Errorf("attributes of d %v, of nobody %v", d, nobody)
	}
	cmtest.Equal(t, d[tp.ContactAttributeConnectionClientTypesClientTypes], []string{"handheld"})

	cm.Server.Send("<presence from='d@school.test/sugar' type='unavailable'/>")
	cm.Expect(clientTypesUpdated.Args(cm.Handle("d@school.test"), []string{}))
}

// A hash that does not stand for the answer says nothing of anybody else.
func TestContactCapabilities_forgedHash(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t)
	_, announced := clientInfo(t, "pc", disco.NSInfo)
	lie, _ := clientInfo(t, "bot", "urn:example:lie")
	cm.Server.Send(presenceFrom("a@school.test/sugar", announced) + presenceFrom("b@school.test/sugar", announced))
	question := cm.Expect(cmtest.IQ("get", disco.NSInfo).To("a@school.test/sugar"))
	cm.Server.Answer(question, lie.Element().String())
	cm.Forbid(clientTypesUpdated.Args(cm.Handle("b@school.test"), []string{"bot"}))
	second := cm.Expect(cmtest.IQ("get", disco.NSInfo).To("b@school.test/sugar"))
	truth, _ := clientInfo(t, "pc", disco.NSInfo)
	cm.Server.Answer(second, truth.Element().String())
	cm.Expect(clientTypesUpdated.Args(cm.Handle("b@school.test"), []string{"pc"}))
	cm.Sync()
}

func TestContactCapabilities_errors(t *testing.T) {
	t.Parallel()
	cm := cmtest.Start(t)
	c := cm.Request()
	capabilities, types := tp.InterfaceConnectionContactCapabilities, tp.InterfaceConnectionClientTypes
	cm.Refused(tp.ErrorDisconnected, c.Path, capabilities, "GetContactCapabilities", []uint32{1})
	cm.Refused(tp.ErrorDisconnected, c.Path, types, "GetClientTypes", []uint32{1})
	cm.Refused(tp.ErrorDisconnected, c.Path, types, "RequestClientTypes", uint32(1))
	c.Login()
	cm.Refused(tp.ErrorInvalidHandle, c.Path, capabilities, "GetContactCapabilities", []uint32{1, 99})
	cm.Refused(tp.ErrorInvalidHandle, c.Path, types, "GetClientTypes", []uint32{0})
	cm.Refused(tp.ErrorInvalidHandle, c.Path, types, "RequestClientTypes", uint32(99))
	own := cm.Call(c.Path, types, "GetClientTypes", []uint32{1})
	cmtest.Equal(t, own.Arg(0), map[uint32][]string{1: {"pc"}})
	can := cm.Call(c.Path, capabilities, "GetContactCapabilities", []uint32{1})
	if _, told := cmtest.As[map[uint32][]channelClass](t, can.Arg(0))[1]; !told {
		t.Errorf("nothing told of ourselves: %v", can)
	}
}

// A contact whose client announces nothing is asked when somebody wants to
// know.
func TestClientTypes_asked(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t)
	info, _ := clientInfo(t, "phone", disco.NSInfo)
	unasked := cm.Forbid(cmtest.IQ("get", disco.NSInfo))
	cm.Server.Send(presenceFrom("a@school.test/old", "") + presenceFrom("b@school.test/old", ""))
	cm.Sync()
	unasked.Lift()
	a, b := cm.Handle("a@school.test"), cm.Handle("b@school.test")

	got := cm.Call(cm.Path, tp.InterfaceConnectionClientTypes, "GetClientTypes", []uint32{a})
	cmtest.Equal(t, got.Arg(0), map[uint32][]string{})
	question := cm.Expect(cmtest.IQ("get", disco.NSInfo).To("a@school.test/old"))
	cm.Server.Answer(question, info.Element().String())
	cm.Expect(clientTypesUpdated.Args(a, []string{"phone"}))
	got = cm.Call(cm.Path, tp.InterfaceConnectionClientTypes, "GetClientTypes", []uint32{a, b})
	cmtest.Equal(t, got.Arg(0), map[uint32][]string{a: {"phone"}})
	cm.Server.AnswerError(cm.Expect(cmtest.IQ("get", disco.NSInfo).To("b@school.test/old")), "cancel", "service-unavailable")

	got = cm.Call(cm.Path, tp.InterfaceConnectionClientTypes, "RequestClientTypes", a)
	cmtest.Equal(t, got.Arg(0), []string{"phone"})
	for _, row := range []struct {
		condition string
		want      tp.ErrorName // empty is an empty answer
	}{
		{"service-unavailable", ""}, {"item-not-found", ""}, {"feature-not-implemented", ""},
		{"forbidden", tp.ErrorPermissionDenied}, {"not-authorized", tp.ErrorPermissionDenied},
		{"remote-server-timeout", tp.ErrorNetworkError},
	} {
		call := cm.CallAsync(cm.Path, tp.InterfaceConnectionClientTypes, "RequestClientTypes", b)
		cm.Server.AnswerError(cm.Expect(cmtest.IQ("get", disco.NSInfo).To("b@school.test/old")), "cancel", row.condition)
		if row.want != "" {
			cm.Expect(cmtest.Refusal(call, row.want))
			continue
		}
		cmtest.Equal(t, cm.Expect(cmtest.Reply(call)).Arg(0), []string{})
	}
	call := cm.CallAsync(cm.Path, tp.InterfaceConnectionClientTypes, "RequestClientTypes", b)
	cm.Server.Answer(cm.Expect(cmtest.IQ("get", disco.NSInfo).To("b@school.test/old")), info.Element().String())
	cm.ExpectUnordered(clientTypesUpdated.Args(b, []string{"phone"}), cmtest.Reply(call))

	gone := cm.Call(cm.Path, tp.InterfaceConnectionClientTypes, "RequestClientTypes", cm.Handle("gone@school.test"))
	cmtest.Equal(t, gone.Arg(0), []string{})
}

var jidOf = xmpptest.JID
