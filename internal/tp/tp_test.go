package tp

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestInterface_lookUp(t *testing.T) {
	for _, test := range []struct {
		iface         *Interface
		method        string
		wantIn, wantO string
	}{
		{InterfaceConnection, "Connect", "", ""},
		{InterfaceConnection, "RequestChannel", "suub", "o"},
		{InterfaceConnectionRequests, "EnsureChannel", "a{sv}", "boa{sv}"},
		{InterfaceBuddyInfo, "SetProperties", "a{sv}", ""},
		{InterfaceDBusProperties, "Set", "ssv", ""},
	} {
		m := test.iface.Method(test.method)
		if m == nil {
			t.Errorf("%s has no %s", test.iface.Name, test.method)
			continue
		}
		if m.InSignature() != test.wantIn || m.OutSignature() != test.wantO {
			t.Errorf("%s is %q -> %q, want %q -> %q", test.method, m.InSignature(), m.OutSignature(), test.wantIn, test.wantO)
		}
	}
	if m := InterfaceConnection.Method("Nonesuch"); m != nil {
		t.Errorf("found %v", m)
	}
	if p := InterfaceConnection.Property("Nonesuch"); p != nil {
		t.Errorf("found %v", p)
	}
	want := &Property{Name: "TargetHandle", Type: "u", Access: AccessRead}
	if diff := cmp.Diff(want, InterfaceChannel.Property("TargetHandle")); diff != "" {
		t.Errorf("TargetHandle (-want +got):\n%s", diff)
	}
}

func TestAccess(t *testing.T) {
	for a, want := range map[Access][2]bool{
		AccessRead:      {true, false},
		AccessWrite:     {false, true},
		AccessReadWrite: {true, true},
	} {
		if got := [2]bool{a.Readable(), a.Writable()}; got != want {
			t.Errorf("%s: readable, writable = %v, want %v", a, got, want)
		}
	}
}

func TestError(t *testing.T) {
	err := fmt.Errorf("join r: %w", Errorf(ErrorChannelBanned, "%s is an outcast", "bob"))
	var e *Error
	if !errors.As(err, &e) || e.Name != ErrorChannelBanned || e.Message != "bob is an outcast" {
		t.Errorf("errors.As gives %+v", e)
	}
	if want := "join r: org.freedesktop.Telepathy.Error.Channel.Banned: bob is an outcast"; err.Error() != want {
		t.Errorf("text is %q, want %q", err, want)
	}
	if got := (&Error{Name: ErrorNotYours}).Error(); got != string(ErrorNotYours) {
		t.Errorf("text without message is %q", got)
	}
}
