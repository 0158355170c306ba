package cmtest

import (
	"sync"
	"testing"

	"github.com/godbus/dbus/v5"
)

// sourceBus is the source of all events that the monitor sees.
const sourceBus = "bus"

// backlog is how many messages may wait for the goroutine that makes events
// of them; godbus drops what does not fit.
const backlog = 1 << 17

// monitor makes events of everything on the bus, in the bus' own order: a
// reply and a signal stand as the daemon passed them on.
type monitor struct {
	conn   *dbus.Conn
	hidden string // unique name of the harness' own connection
	queue  *queue
	ended  chan struct{}

	mu      sync.Mutex
	answers map[uint32]chan struct{} // to the harness' calls, by serial; closed when seen
}

func startMonitor(t testing.TB, d *daemon, hidden string, q *queue) *monitor {
	t.Helper()
	conn, err := dbus.Connect(d.address)
	must(t, err)
	m := &monitor{conn: conn, hidden: hidden, queue: q, ended: make(chan struct{}), answers: make(map[uint32]chan struct{})}
	// A monitor may not send: nothing but Eavesdrop keeps godbus from answering.
	must(t, conn.BusObject().Call("org.freedesktop.DBus.Monitoring.BecomeMonitor", 0, []string{}, uint32(0)).Err)
	messages := make(chan *dbus.Message, backlog)
	conn.Eavesdrop(messages)
	go m.run(messages)
	t.Cleanup(func() {
		// godbus v5.2.4 panics when Close meets a message: let its reader
		// come to the end by itself.
		d.stop()
		<-m.ended
		conn.Close()
	})
	return m
}

// answered is closed once the monitor has seen the answer to a call of the
// harness, and so all that the bus passed on before it.
func (m *monitor) answered(serial uint32) chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.answers[serial] == nil {
		m.answers[serial] = make(chan struct{})
	}
	return m.answers[serial]
}

func (m *monitor) run(messages <-chan *dbus.Message) {
	defer close(m.ended)
	for msg := range messages {
		if e := m.event(msg); e != nil {
			m.queue.add(e)
		}
	}
}

// event leaves out the harness' own traffic and the housekeeping of
// connections with the daemon.
func (m *monitor) event(msg *dbus.Message) *Event {
	e := &Event{Source: sourceBus, Message: msg}
	sender, destination := e.text(dbus.FieldSender), e.text(dbus.FieldDestination)
	if sender == m.hidden || destination == m.hidden {
		if serial := e.replyTo(); serial != 0 {
			close(m.answered(serial))
		}
		return nil
	}
	const driver = "org.freedesktop.DBus"
	if destination == driver || sender == driver && destination != "" {
		// NameAcquired, the answers to Hello, AddMatch and RequestName; but
		// the daemon also refuses calls to names that do not exist.
		if msg.Type != dbus.TypeError {
			return nil
		}
	}
	switch msg.Type {
	case dbus.TypeMethodCall:
		e.Kind = KindCall
	case dbus.TypeMethodReply:
		e.Kind = KindReply
	case dbus.TypeError:
		e.Kind = KindError
	case dbus.TypeSignal:
		e.Kind = KindSignal
	}
	return e
}
