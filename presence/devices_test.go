package presence

import (
	"errors"
	"testing"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/caps"
	"telepathy-olpc/xmpp/disco"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
)

const filesFeature = "files"

// found is how a search has ended, if it has.
type found struct {
	device string
	err    tp.ErrorName
	times  int
}

func (s *capsSetup) find(who string, also ...string) *found {
	f := &found{}
	var devices []jid.JID
	for _, a := range also {
		devices = append(devices, capsJID(s.t, a))
	}
	s.do(func() {
		s.hub.FindDevice(capsJID(s.t, who), devices, filesFeature, func(device jid.JID, err error) {
			f.device = device.String()
			f.times++
			var e *tp.Error
			if errors.As(err, &e) {
				f.err = e.Name
			}
		})
	})
	return f
}

func (s *capsSetup) wantFound(f *found, want found) {
	s.t.Helper()
	s.do(func() {})
	if *f != want {
		s.t.Errorf("search ended with %+v, want %+v", *f, want)
	}
}

func TestFindDevice_known(t *testing.T) {
	s := newCaps(t)
	can, cannot := capsInfo("pc", filesFeature), capsInfo("phone")
	s.online(capsOf(t, can), "bob@school.test/laptop")
	s.answer("bob@school.test/laptop", can)
	s.online(capsOf(t, cannot), "bob@school.test/phone", "eve@school.test/phone")
	s.answer("bob@school.test/phone", cannot)
	s.wantFound(s.find("bob@school.test"), found{"bob@school.test/laptop", "", 1})
	s.wantFound(s.find("eve@school.test"), found{"", tp.ErrorNotCapable, 1})
}

// TestFindDevice_appears has somebody come while it is looked for, as after
// joining a room.
func TestFindDevice_appears(t *testing.T) {
	s := newCaps(t)
	f := s.find("bob@school.test")
	s.wantFound(f, found{})
	s.online(caps.Caps{}, "bob@school.test/laptop")
	s.answer("bob@school.test/laptop", capsInfo("pc", filesFeature))
	s.wantFound(f, found{"bob@school.test/laptop", "", 1})
}

func TestFindDevice_knownToARoom(t *testing.T) {
	s := newCaps(t)
	f := s.find("bob@school.test", "bob@school.test/laptop")
	s.answer("bob@school.test/laptop", capsInfo("pc", filesFeature))
	s.wantFound(f, found{"bob@school.test/laptop", "", 1})
	f = s.find("room@rooms.test/Bob")
	s.answer("room@rooms.test/Bob", &disco.Info{})
	s.wantFound(f, found{"", tp.ErrorNotCapable, 1})
}

func TestFindDevice_refuses(t *testing.T) {
	s := newCaps(t)
	f := s.find("room@rooms.test/Bob")
	s.do(func() { s.asked[0].answer(nil, stanza.NewError(stanza.ServiceUnavailable, "")) })
	s.wantFound(f, found{"", tp.ErrorNotCapable, 1})
}

func TestFindDevice_overdue(t *testing.T) {
	s := newCaps(t)
	nobody, silent := s.find("bob@school.test"), s.find("room@rooms.test/Bob")
	s.do(func() {
		for len(s.hub.searches) > 0 {
			s.hub.searches[0].overdue()
		}
	})
	s.wantFound(nobody, found{"", tp.ErrorOffline, 1})
	s.wantFound(silent, found{"", tp.ErrorNotAvailable, 1})
}

func TestFindDevice_sessionOver(t *testing.T) {
	s := newCaps(t)
	f := s.find("bob@school.test")
	s.do(s.hub.endSearches)
	s.wantFound(f, found{"", tp.ErrorDisconnected, 1})
}
