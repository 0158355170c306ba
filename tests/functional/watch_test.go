package functional

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/internal/watch"
	"telepathy-olpc/tests/cmtest"
)

// watching shows pictures until one has all the texts.
func watching(t *testing.T, pictures <-chan string, texts ...string) {
	t.Helper()
	var last string
	limit := time.After(time.Minute)
	for {
		select {
		case last = <-pictures:
		case <-limit:
			t.Fatalf("no picture with %q; the last one:\n%s", texts, last)
		}
		missing := false
		for _, text := range texts {
			missing = missing || !strings.Contains(last, text)
		}
		if !missing {
			return
		}
	}
}

// The real program is watched from before its connection to after its end. It is
// not started by that.
func TestWatch(t *testing.T) {
	t.Parallel()
	cm := cmtest.Prepare(t, cmtest.Contact("bob@school.test"))
	ctx, stop := context.WithCancel(t.Context())
	pictures := make(chan string, 1000)
	ended := make(chan error, 1)
	go func() {
		ended <- watch.Run(ctx, watch.Options{Bus: cm.BusAddress(), Patience: time.Second, Show: func(p watch.Picture) {
			var out bytes.Buffer
			if err := p.Write(&out, 0, 0, false); err != nil {
				t.Error(err)
			}
			pictures <- out.String()
		}})
	}()
	watching(t, pictures, "No connection")
	for _, name := range cm.BusNames() {
		if name == cmtest.GabbleName {
			t.Error("the service was started by watching it")
		}
	}

	cm.Activate(cmtest.GabbleName)
	c := cm.Request()
	watching(t, pictures, "not connected")
	c.Login()
	watching(t, pictures, cmtest.Account, "  connected")

	cm.Server.Send("<presence from='bob@school.test/xo'/>")
	watching(t, pictures, "Buddies 1", "bob", "available")
	cm.Call(c.Path, tp.InterfaceConnectionRequests, "EnsureChannel", map[string]dbus.Variant{
		tp.PropertyChannelChannelType:      dbus.MakeVariant(tp.InterfaceChannelText.Name),
		tp.PropertyChannelTargetHandleType: dbus.MakeVariant(uint32(tp.HandleTypeContact)),
		tp.PropertyChannelTargetID:         dbus.MakeVariant("bob@school.test"),
	})
	watching(t, pictures, "Other channels 1", "Text", "bob@school.test")

	cm.Server.Send("<presence from='bob@school.test/xo' type='unavailable'/>")
	watching(t, pictures, "Other channels 1")
	c.Disconnect()
	watching(t, pictures, "No connection")
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestWatch_program(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t)
	cmd := exec.CommandContext(t.Context(), cmtest.Binary(t), "watch", "--once")
	cmd.Env = []string{"DBUS_SESSION_BUS_ADDRESS=" + cm.BusAddress(), "HOME=" + t.TempDir(), "GORACE=atexit_sleep_ms=0", "PATH=" + os.Getenv("PATH")}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), cmtest.Account) || bytes.ContainsRune(out, '\x1b') {
		t.Errorf("%v, printed:\n%s", err, out)
	}
}
