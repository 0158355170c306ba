package load

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/manager"
	"telepathy-olpc/tests/desktop"
)

// laptop is one with the real connection manager, and what the Neighborhood of
// its Sugar would show. It makes the calls that Sugar's shell makes, in its order
// and at the same signals. All of it belongs to the goroutine in until.
type laptop struct {
	*desktop.Desktop

	name      string          // of the connection
	path      dbus.ObjectPath // likewise
	list      dbus.ObjectPath // the channel with those who are on-line
	status    tp.ConnectionStatus
	buddies   map[uint32]*buddy
	answers   chan *dbus.Call
	reactions map[*dbus.Call]func(*dbus.Call) error
	calls     int
	signals   int
}

// buddy is somebody in the Neighborhood.
type buddy struct {
	id, nick, color string
	key             []byte
	activities      []string
}

// observer has the laptop.
var observer = desktop.Child{Nick: "Observer", Color: "#FF2B34,#005FE4"}

// mostAnswers is how many answers may wait while one is handled; godbus stands
// still when there are more.
const mostAnswers = 10000

func openLaptop(ctx context.Context, binary string) (*laptop, error) {
	d, err := desktop.Start(ctx, desktop.Options{Binary: binary})
	if err != nil {
		return nil, err
	}
	return &laptop{
		Desktop: d, status: tp.ConnectionStatusDisconnected, buddies: make(map[uint32]*buddy), answers: make(chan *dbus.Call, mostAnswers), reactions: make(map[*dbus.Call]func(*dbus.Call) error),
	}, nil
}

// request requests a connection of a school's account and says who its child is,
// as Sugar does before it is connected.
func (l *laptop) request(ctx context.Context, domain string, port uint16) error {
	gabble := manager.Gabble()
	parameters := map[string]dbus.Variant{}
	for name, value := range map[string]any{
		"account": observer.Name() + "@" + domain, "password": observer.Password(), "server": "127.0.0.1", "port": uint32(port), "resource": "sugar",
		"require-encryption": true, "ignore-ssl-errors": true, "register": true, "old-ssl": true,
	} {
		parameters[name] = dbus.MakeVariant(value)
	}
	err := l.Bus.Object(gabble.BusName(), gabble.Path()).
		CallWithContext(ctx, tp.InterfaceConnectionManager.Name+".RequestConnection", 0, "jabber", parameters).Store(&l.name, &l.path)
	if err != nil {
		return fmt.Errorf("request a connection: %w", err)
	}
	var interfaces []string
	if err := l.ask(ctx, l.path, tp.InterfaceConnection, "GetInterfaces").Store(&interfaces); err != nil {
		return err
	}
	if !slices.Contains(interfaces, tp.InterfaceBuddyInfo.Name) {
		return fmt.Errorf("the connection has no %s, without which Sugar shows nobody", tp.InterfaceBuddyInfo.Name)
	}
	looks := map[string]dbus.Variant{"key": dbus.MakeVariant(observer.Key()), "color": dbus.MakeVariant(observer.Color)}
	return l.ask(ctx, l.path, tp.InterfaceBuddyInfo, "SetProperties", looks).Err
}

func (l *laptop) connect() {
	l.call(l.path, tp.InterfaceConnection, "Connect", nil, func(*dbus.Call) error { return nil })
}

func (l *laptop) ask(ctx context.Context, object dbus.ObjectPath, on *tp.Interface, method string, args ...any) *dbus.Call {
	return l.Bus.Object(l.name, object).CallWithContext(ctx, on.Name+"."+method, 0, args...)
}

// call is ask for whom the answer is an event.
func (l *laptop) call(object dbus.ObjectPath, on *tp.Interface, method string, args []any, react func(*dbus.Call) error) {
	l.calls++
	l.reactions[l.Bus.Object(l.name, object).Go(on.Name+"."+method, 0, l.answers, args...)] = react
}

// until handles signals and answers until the condition holds.
func (l *laptop) until(ctx context.Context, what string, holds func() bool) error {
	for !holds() {
		var err error
		select {
		case s := <-l.Signals:
			err = l.handle(s)
		case answer := <-l.answers:
			react := l.reactions[answer]
			delete(l.reactions, answer)
			if err = answer.Err; err == nil {
				err = react(answer)
			}
		case <-ctx.Done():
			err = ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("wait until %s: %w", what, err)
		}
	}
	return nil
}

// shows counts the children of whom everything is seen as it is.
func (l *laptop) shows(children []*child, sees func(*buddy, *child) bool) int {
	byID := make(map[string]*buddy, len(l.buddies))
	for _, b := range l.buddies {
		byID[b.id] = b
	}
	n := 0
	for _, c := range children {
		if b := byID[c.account.String()]; b != nil && sees(b, c) {
			n++
		}
	}
	return n
}

// looksLike is what Sugar needs to show a buddy, and isLike all that a buddy has.
func looksLike(b *buddy, c *child) bool { return bytes.Equal(b.key, c.key) && b.color == c.color }

func isLike(b *buddy, c *child) bool {
	var activities []string
	if c.shares.ID != "" {
		activities = []string{c.shares.ID}
	}
	return looksLike(b, c) && b.nick == c.nick && slices.Equal(b.activities, activities)
}

// pid is the connection manager's process.
func (l *laptop) pid(ctx context.Context) (int, error) {
	var pid uint32
	err := l.Bus.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.GetConnectionUnixProcessID", 0, l.name).Store(&pid)
	return int(pid), err
}
