package integration

import (
	"slices"
	"testing"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/tests/cmtest"
	"telepathy-olpc/tests/desktop"
	"telepathy-olpc/tests/school"
)

// A laptop's way in: the account is made with exactly Sugar's parameters. When it
// exists, that is said by the name that makes Sugar log in instead, whatever the
// password; and only the right one opens it.
func testRegistration(t *testing.T, s *school.Server) {
	cm := cmtest.Start(t, sugars(s, "Ana")...)
	c := cm.Request()
	c.Login()
	cmtest.Equal(t, c.Get(c.Path, tp.InterfaceConnection, "SelfID"), address(s, "Ana"))
	names, err := s.Accounts(t.Context())
	if err != nil || !slices.Contains(names, desktop.Child{Nick: "Ana"}.Name()) {
		t.Errorf("the server's accounts are %q, %v", names, err)
	}
	c.Disconnect()

	another := cmtest.Param("password", "somebody-elses-password")
	known := cmtest.Param("register", false)
	cm.Request().Fails(tp.ErrorRegistrationExists, nameInUse)
	cm.Request(another).Fails(tp.ErrorRegistrationExists, nameInUse)
	cm.Request(another, known).Fails(tp.ErrorAuthenticationFailed, authentication)
	cm.Request(cmtest.Param("account", address(s, "Nobody")), known).Fails(tp.ErrorAuthenticationFailed, authentication)
	login(cm, known)
}

func testStartTLS(t *testing.T, s *school.Server) {
	cm := cmtest.Start(t, sugars(s, "Berta", startTLS(s)...)...)
	login(cm)
	login(cm, cmtest.Param("register", false))
}
