package functional

import (
	"context"
	"io"
	"os"
	"testing"

	"github.com/sirupsen/logrus"
	"go.uber.org/goleak"

	"telepathy-olpc/internal/bus"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/manager"
	"telepathy-olpc/tests/cmtest"
)

// ways are how a connection's life can go.
var ways = []func(*cmtest.CM, *cmtest.Connection){
	func(_ *cmtest.CM, c *cmtest.Connection) {
		c.Login()
		c.Disconnect()
	},
	func(cm *cmtest.CM, c *cmtest.Connection) {
		c.Login()
		cm.Server.Stream().Cut()
		c.Ends(tp.ErrorConnectionLost, network)
	},
	func(cm *cmtest.CM, c *cmtest.Connection) {
		cm.Server.Script(cmtest.Users())
		c.Fails(tp.ErrorAuthenticationFailed, authentication)
		cm.Server.Script()
	},
	func(cm *cmtest.CM, c *cmtest.Connection) {
		c.Call(c.Path, tp.InterfaceConnection, "Connect")
		cm.Expect(cmtest.StreamOpened())
		c.Disconnect()
	},
}

// Two hundred connections come and go with the service in this process, where
// everything that they may leave behind can be counted. For that no other test
// runs beside this one.
func TestLeak_twoHundredRounds(t *testing.T) {
	cm := cmtest.Prepare(t)
	outside := census(t, cm)
	stop := serve(t, cm, manager.Gabble(), manager.Salut())
	rounds := func(n int) {
		for range n {
			for _, end := range ways {
				end(cm, cm.Request())
				cm.Expect(cmtest.LinkGone())
			}
		}
	}
	rounds(1) // what is made once
	inside := census(t, cm)
	rounds(200 / len(ways))
	inside.check("of the connections")
	cm.Refused(tp.ErrorDBusUnknownObject, "/org/freedesktop/Telepathy/Connection", tp.InterfaceDBusIntrospectable, "Introspect")
	stop()
	outside.check("of the service")
}

// serve runs the service as the program does.
func serve(t *testing.T, cm *cmtest.CM, managers ...manager.Definition) (stop func()) {
	t.Helper()
	log := logrus.New()
	log.SetOutput(io.Discard)
	log.SetLevel(logrus.TraceLevel)
	entry := logrus.NewEntry(log)
	b, err := bus.Dial(cm.BusAddress(), entry)
	if err != nil {
		t.Fatal(err)
	}
	s, err := manager.NewService(b, entry, new(manager.Debug), true, managers...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.Run(ctx)
		b.Close()
	}()
	stop = func() {
		cancel()
		<-ended
	}
	t.Cleanup(stop)
	cm.Attach(cmtest.GabbleName)
	return stop
}

// counts is what there was at some time.
type counts struct {
	t           *testing.T
	cm          *cmtest.CM
	goroutines  goleak.Option
	descriptors int
	names       int
}

func census(t *testing.T, cm *cmtest.CM) *counts {
	t.Helper()
	return &counts{t, cm, goleak.IgnoreCurrent(), descriptors(t), len(cm.BusNames())}
}

// check wants no more than there was.
func (c *counts) check(what string) {
	c.t.Helper()
	if err := goleak.Find(c.goroutines); err != nil {
		c.t.Errorf("goroutines %s: %v", what, err)
	}
	if now := descriptors(c.t); now > c.descriptors {
		c.t.Errorf("descriptors %s: %d, then %d", what, c.descriptors, now)
	}
	if now := c.cm.BusNames(); len(now) > c.names {
		c.t.Errorf("bus names %s: %d, then %q", what, c.names, now)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(open)
}
