package cmtest

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/tests/wire"
)

// CM is a running connection manager with its bus and its XMPP server.
type CM struct {
	T      testing.TB
	Server *Server
	Name   string // bus name it was activated under
	Path   dbus.ObjectPath

	queue   *queue
	daemon  *daemon
	client  *dbus.Conn // the test's voice on the bus
	control *dbus.Conn // the harness' own, not seen in events
	monitor *monitor
	process *process // the latest
	unique  string   // the process' unique bus name
	options options
	links   []*Connection

	authority *authority
	servers   []*Server
	processes []*process
}

// Start runs a bus and a server and has the binary activated.
func Start(t testing.TB, opts ...Option) *CM {
	t.Helper()
	cm := Prepare(t, opts...)
	cm.Activate(cm.options.busName)
	return cm
}

// Prepare runs a bus and a server; nothing is activated yet.
func Prepare(t testing.TB, opts ...Option) *CM {
	t.Helper()
	binary := Binary(t)
	cm := &CM{T: t, queue: newQueue(), options: defaults()}
	for _, o := range opts {
		o(&cm.options)
	}
	authority := newAuthority(t)
	env := append([]string{"SSL_CERT_FILE=" + authority.file, "SSL_CERT_DIR=" + os.DevNull}, cm.options.env...)
	cm.daemon = startDaemon(t, binary, cm.options.args, env)
	cm.control = connect(t, cm.daemon.address)
	cm.monitor = startMonitor(t, cm.daemon, cm.control.Names()[0], cm.queue)
	cm.client = connect(t, cm.daemon.address)
	cm.authority = authority
	t.Cleanup(cm.finish)
	cm.Server = cm.addServer(cm.options.script)
	return cm
}

// NewServer runs another server beside [CM.Server]; see [To].
func (cm *CM) NewServer(opts ...Option) *Server {
	cm.T.Helper()
	o := defaults()
	for _, option := range opts {
		option(&o)
	}
	return cm.addServer(o.script)
}

// Wire puts a proxy before [CM.Server]; a connection goes through it when its
// parameter port says so.
func (cm *CM) Wire() *wire.Proxy {
	cm.T.Helper()
	p := wire.Start(cm.T, cm.Server.Address())
	cm.T.Cleanup(cm.queue.liftAll) // the end of the proxy is no breach
	return p
}

func (cm *CM) addServer(s script) *Server {
	cm.T.Helper()
	server := newServer(cm.T, cm.queue, cm.authority, s)
	cm.servers = append(cm.servers, server)
	return server
}

func connect(t testing.TB, address string) *dbus.Conn {
	t.Helper()
	conn, err := dbus.Connect(address)
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn
}

// Activate has the bus start the binary for a name that it does not own yet.
func (cm *CM) Activate(name string) {
	cm.T.Helper()
	driver := cm.control.BusObject()
	if err := driver.Call("org.freedesktop.DBus.StartServiceByName", 0, name, uint32(0)).Err; err != nil {
		cm.T.Fatalf("activation of %s: %v\n%s", name, err, cm.log())
	}
	cm.Attach(name)
	var pid uint32
	must(cm.T, driver.Call("org.freedesktop.DBus.GetConnectionUnixProcessID", 0, cm.unique).Store(&pid))
	if cm.process == nil || cm.process.pid != int(pid) {
		cm.process = watchProcess(cm.T, int(pid), cm.queue)
		cm.processes = append(cm.processes, cm.process)
	}
}

// Attach is [CM.Activate] for a name that somebody has already: a service in the
// test's own process, on [CM.BusAddress]. What is about the process of the binary
// does not work then.
func (cm *CM) Attach(name string) {
	cm.T.Helper()
	cm.Name, cm.Path = name, managerPath(name)
	must(cm.T, cm.control.BusObject().Call("org.freedesktop.DBus.GetNameOwner", 0, name).Store(&cm.unique))
}

// BusAddress is the address of the private bus.
func (cm *CM) BusAddress() string { return cm.daemon.address }

// Call is a method call that was sent.
type Call struct {
	serial   uint32
	sender   string
	describe string
}

func (c *Call) String() string { return fmt.Sprintf("#%d %s", c.serial, c.describe) }

func (c *Call) isAnsweredBy(e *Event) bool {
	return e.replyTo() == c.serial && e.text(dbus.FieldDestination) == c.sender
}

// CallAsync sends a method call. Its answer is an event, see [Reply] and
// [Refusal]. With a nil interface the message names none, as Sugar's
// CollabWrapper does it.
func (cm *CM) CallAsync(path dbus.ObjectPath, iface *tp.Interface, member string, args ...any) *Call {
	cm.T.Helper()
	msg := message(cm.unique, path, iface, member, args...)
	done := make(chan *dbus.Call, 1)
	cm.client.Send(msg, done)
	select {
	case sent := <-done:
		if _, answered := sent.Err.(dbus.Error); sent.Err != nil && !answered {
			cm.T.Fatalf("send %s to %s: %v", member, path, sent.Err)
		}
	default:
	}
	return &Call{serial: msg.Serial(), sender: cm.client.Names()[0], describe: member}
}

// message builds a method call.
func message(to string, path dbus.ObjectPath, iface *tp.Interface, member string, args ...any) *dbus.Message {
	msg := &dbus.Message{Type: dbus.TypeMethodCall, Body: args, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldPath:        dbus.MakeVariant(path),
		dbus.FieldMember:      dbus.MakeVariant(member),
		dbus.FieldDestination: dbus.MakeVariant(to),
	}}
	if iface != nil {
		msg.Headers[dbus.FieldInterface] = dbus.MakeVariant(iface.Name)
	}
	if len(args) > 0 {
		msg.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(args...))
	}
	return msg
}

// Call sends a method call and waits for its reply; an error fails the test.
// No event becomes past by it, so a signal may be expected after it that came
// before the reply. To check that order, use [CM.CallAsync] and Expect.
func (cm *CM) Call(path dbus.ObjectPath, iface *tp.Interface, member string, args ...any) *Event {
	cm.T.Helper()
	answer := cm.answer(cm.CallAsync(path, iface, member, args...))
	if answer.Kind == KindError {
		cm.T.Fatalf("%s refused: %s", member, answer)
	}
	return answer
}

// Refused sends a method call and wants it refused with that error.
func (cm *CM) Refused(name tp.ErrorName, path dbus.ObjectPath, iface *tp.Interface, member string, args ...any) *Event {
	cm.T.Helper()
	answer := cm.answer(cm.CallAsync(path, iface, member, args...))
	if answer.Kind != KindError || answer.ErrorName() != string(name) {
		cm.T.Errorf("%s: want %s, got %s", member, name, answer)
	}
	return answer
}

func (cm *CM) answer(c *Call) *Event {
	cm.T.Helper()
	m := Match{}.Where("an answer to "+c.String(), c.isAnsweredBy)
	return cm.queue.wait(cm.T, patience, false, m)[0]
}

// Get reads a property.
func (cm *CM) Get(path dbus.ObjectPath, iface *tp.Interface, property string) any {
	cm.T.Helper()
	return cm.Call(path, tp.InterfaceDBusProperties, "Get", iface.Name, property).Arg(0)
}

// GetAll reads all properties of an interface.
func (cm *CM) GetAll(path dbus.ObjectPath, iface *tp.Interface) map[string]any {
	cm.T.Helper()
	return As[map[string]any](cm.T, cm.Call(path, tp.InterfaceDBusProperties, "GetAll", iface.Name).Arg(0))
}

// Expect waits for an event. What came before it from the same source is past.
func (cm *CM) Expect(m Matcher) *Event {
	cm.T.Helper()
	return cm.queue.wait(cm.T, patience, true, m)[0]
}

// ExpectWithin is Expect for what has a right to take its time.
func (cm *CM) ExpectWithin(limit time.Duration, m Matcher) *Event {
	cm.T.Helper()
	return cm.queue.wait(cm.T, limit, true, m)[0]
}

// ExpectUnordered waits for one event per matcher, in any order, and returns
// them in the order of the matchers.
func (cm *CM) ExpectUnordered(matchers ...Matcher) []*Event {
	cm.T.Helper()
	return cm.queue.wait(cm.T, patience, true, matchers...)
}

// Forbid makes each event from now on that matches fail the test, until the
// ban is lifted. Place it before what might cause the event.
func (cm *CM) Forbid(m Matcher) *Ban {
	cm.queue.mu.Lock()
	defer cm.queue.mu.Unlock()
	b := &Ban{queue: cm.queue, matcher: m}
	cm.queue.bans = append(cm.queue.bans, b)
	return b
}

// Note puts a remark into the transcript.
func (cm *CM) Note(format string, a ...any) {
	cm.queue.add(&Event{Kind: KindNote, Source: "test", Text: fmt.Sprintf(format, a...)})
}

// Events are all that happened so far.
func (cm *CM) Events() []*Event {
	cm.queue.mu.Lock()
	defer cm.queue.mu.Unlock()
	return slices.Clone(cm.queue.events)
}

// ExpectExit waits for the process to end.
func (cm *CM) ExpectExit(limit time.Duration) {
	cm.T.Helper()
	cm.ExpectExitOn(func() {}, limit)
}

// ExpectExitOn does what should end the process and waits for that.
func (cm *CM) ExpectExitOn(cause func(), limit time.Duration) {
	cm.T.Helper()
	cm.process.expected.Store(true)
	cause()
	cm.ExpectWithin(limit, Exited())
}

// BusNames are all names on the bus.
func (cm *CM) BusNames() []string {
	cm.T.Helper()
	var names []string
	must(cm.T, cm.control.BusObject().Call("org.freedesktop.DBus.ListNames", 0).Store(&names))
	return names
}

// StopBus ends the dbus-daemon, as at the end of a desktop session.
func (cm *CM) StopBus() { cm.daemon.stop() }

// finish checks what holds for every test and ends what is left.
func (cm *CM) finish() {
	t := cm.T
	cm.queue.liftAll()
	for _, p := range cm.processes {
		p.expected.Store(true)
	}
	cm.daemon.stop()
	for _, p := range cm.processes {
		p.finish(t)
	}
	if broken := cm.queue.failure(); broken != "" && !t.Failed() {
		t.Error(broken)
	}
	log := cm.log()
	for _, server := range cm.servers {
		server.close()
		checkSecrets(t, "log", log, server.Secrets())
		checkSecrets(t, "bus", cm.queue.told(), server.Secrets())
	}
	checkLog(t, log)
	if t.Failed() {
		t.Logf("transcript:\n%s", cm.queue.transcript())
		t.Logf("end of the log:\n%s", tail(log, 150))
	}
}

func (cm *CM) log() string {
	log, err := os.ReadFile(cm.daemon.logPath())
	if err != nil {
		return err.Error()
	}
	return string(log)
}

func tail(text string, lines int) string {
	all := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
