package functional

import (
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/tests/cmtest"
)

const debugPath = dbus.ObjectPath("/org/freedesktop/Telepathy/debug")

// debugMessage is Debug_Message.
type debugMessage struct {
	Time    float64
	Domain  string
	Level   uint32
	Message string
}

func TestDebug_messagesWithoutSecrets(t *testing.T) {
	t.Parallel()
	cm := cmtest.Start(t, newcomer(cmtest.Mechanisms("PLAIN"))...)
	enable := func(on bool) {
		cm.Call(debugPath, tp.InterfaceDBusProperties, "Set", tp.InterfaceDebug.Name, "Enabled", dbus.MakeVariant(on))
	}
	enable(true)
	cm.Request().Login()
	cm.Expect(cmtest.Signal(tp.SignalDebugNewDebugMessage).At(debugPath))
	cm.Sync()
	messages := cmtest.As[[]debugMessage](t, cm.Call(debugPath, tp.InterfaceDebug, "GetMessages").Arg(0))
	if len(messages) == 0 {
		t.Fatal("no messages are kept")
	}
	for _, m := range messages {
		for _, secret := range cm.Server.Secrets() {
			if strings.Contains(m.Message, secret) {
				t.Errorf("%q is told to everybody: %s", secret, m.Message)
			}
		}
	}
	enable(false)
	cm.Forbid(cmtest.Signal(tp.SignalDebugNewDebugMessage))
	cm.Request(cmtest.Param("register", false), cmtest.Param("resource", "quiet")).Login()
	cm.Sync()
}
