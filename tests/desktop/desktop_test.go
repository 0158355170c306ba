package desktop

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"telepathy-olpc/internal/child/childtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestAccounts shows that mission-control takes both accounts of Sugar with our .manager files; no binary is needed for that.
func TestAccounts(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	d, err := Start(ctx, Options{Binary: "/bin/false"})
	if err != nil {
		t.Fatal(err)
	}
	ada := Child{Nick: "Ada", Color: "#FF2B34,#005FE4"}
	salut, err := d.LinkLocalAccount(ctx, ada, "school.test")
	if err != nil || !strings.Contains(string(salut), "/salut/local_xmpp/") {
		t.Errorf("link-local account %q, %v", salut, err)
	}
	gabble, err := d.SchoolAccount(ctx, ada, School{"school.test", "127.0.0.1", 5223})
	if err != nil || !strings.Contains(string(gabble), "/gabble/jabber/") {
		t.Errorf("school account %q, %v", gabble, err)
	}
	properties, err := d.Account(ctx, gabble)
	if err != nil || properties["Valid"].Value() != true || properties["Nickname"].Value() != "Ada" {
		t.Errorf("school account has %v, %v", properties, err)
	}
	if len(childtest.WithHome(t, d.dir)) < 2 {
		t.Error("bus and mission-control not found: the next check would prove nothing")
	}
	if err := d.Stop(); err != nil {
		t.Error(err)
	}
	if left := childtest.WithHome(t, d.dir); len(left) > 0 {
		t.Errorf("processes left: %q", left)
	}
	if _, err := os.Stat(d.dir); !os.IsNotExist(err) {
		t.Errorf("folder left: %v", err)
	}
}

func TestChild(t *testing.T) {
	ada := Child{Nick: "Ada"}
	if len(ada.Name()) != 40 || len(ada.Password()) != 40 || ada.Name() == ada.Password() {
		t.Errorf("name %q, password %q", ada.Name(), ada.Password())
	}
}
