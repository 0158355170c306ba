package manager

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/sirupsen/logrus"

	"telepathy-olpc/internal/bus"
	"telepathy-olpc/internal/loop"
	"telepathy-olpc/internal/tp"
)

const (
	debugPath   = "/org/freedesktop/Telepathy/debug"
	debugDomain = "telepathy-olpc"
	// maxDebugMessages and maxDebugText (in bytes) bound what is kept for
	// GetMessages to about a megabyte.
	maxDebugMessages = 500
	maxDebugText     = 2048
)

// debugMessage is Debug_Message, (dsus).
type debugMessage struct {
	Time   float64 // seconds since 1970
	Domain string
	Level  tp.DebugLevel
	Text   string
}

// Debug serves the Debug interface. It is a logrus hook, so it sees what the
// log sees, from every goroutine; hence the lock around the kept messages.
type Debug struct {
	mu   sync.Mutex
	kept []debugMessage // a ring once it is full
	next int            // where the oldest message is then
	tell func(debugMessage)

	enabled bool // on the service's loop
}

var _ logrus.Hook = (*Debug)(nil)

// Levels are all: what the logger lets pass is kept.
func (d *Debug) Levels() []logrus.Level { return logrus.AllLevels }

// Fire keeps a log entry and, when a client wants to hear of it, signals it.
func (d *Debug) Fire(e *logrus.Entry) error {
	m := debugMessage{
		Time:   float64(e.Time.UnixMicro()) / 1e6,
		Domain: debugDomain,
		Level:  debugLevels[e.Level],
		Text:   debugText(e),
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.kept) < maxDebugMessages {
		d.kept = append(d.kept, m)
	} else {
		d.kept[d.next] = m
		d.next = (d.next + 1) % maxDebugMessages
	}
	if d.tell != nil {
		d.tell(m)
	}
	return nil
}

// debugLevels maps logrus' levels; the specification's Error is fatal, so an
// error of ours is Critical.
var debugLevels = map[logrus.Level]tp.DebugLevel{
	logrus.PanicLevel: tp.DebugLevelError,
	logrus.FatalLevel: tp.DebugLevelError,
	logrus.ErrorLevel: tp.DebugLevelCritical,
	logrus.WarnLevel:  tp.DebugLevelWarning,
	logrus.InfoLevel:  tp.DebugLevelInfo,
	logrus.DebugLevel: tp.DebugLevelDebug,
	logrus.TraceLevel: tp.DebugLevelDebug,
}

// debugText is the message with its fields in the order of their names.
func debugText(e *logrus.Entry) string {
	names := make([]string, 0, len(e.Data))
	for name := range e.Data {
		names = append(names, name)
	}
	slices.Sort(names)
	var b strings.Builder
	b.WriteString(e.Message)
	for _, name := range names {
		fmt.Fprintf(&b, " %s=%v", name, e.Data[name])
	}
	text := b.String()
	if len(text) > maxDebugText {
		text = strings.ToValidUTF8(text[:maxDebugText], "") + "…"
	}
	return text
}

// export puts the Debug object on the bus.
func (d *Debug) export(b *bus.Conn, l *loop.Loop) {
	b.Serve(debugPath, l)
	b.Export(bus.Object{Path: debugPath, Interfaces: []bus.Interface{{
		Facts:   tp.InterfaceDebug,
		Methods: map[string]func(*bus.Call){"GetMessages": func(c *bus.Call) { c.Return(d.messages()) }},
		Properties: map[string]func() any{
			"Enabled": func() any { return d.enabled },
		},
		Setters: map[string]func(any) error{
			"Enabled": func(v any) error { d.enable(v.(bool), b, l); return nil },
		},
	}}})
}

// messages returns what is kept, oldest first.
func (d *Debug) messages() []debugMessage {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append(append([]debugMessage{}, d.kept[d.next:]...), d.kept[:d.next]...)
}

// enable starts or stops NewDebugMessage. The signal is sent from the loop,
// because a message may be logged while the bus itself is busy with one.
func (d *Debug) enable(on bool, b *bus.Conn, l *loop.Loop) {
	d.enabled = on
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tell = nil
	if on {
		d.tell = func(m debugMessage) {
			l.Post("debug message", func() {
				b.Emit(debugPath, tp.SignalDebugNewDebugMessage, m.Time, m.Domain, m.Level, m.Text)
			})
		}
	}
}
