package main

import (
	"io"
	"os"

	"github.com/sirupsen/logrus"

	"telepathy-olpc/manager"
)

// newLog makes the log: warnings go to standard error, more with --debug or
// with TELEPATHY_OLPC_DEBUG set to a logrus level ("trace" adds raw stanzas,
// without secrets). The Debug object keeps debug messages in any case, so that
// a question can be asked after the fact.
func newLog(debug bool, keeper *manager.Debug) *logrus.Entry {
	level := terminalLevel(debug, os.Getenv("TELEPATHY_OLPC_DEBUG"))
	l := logrus.New()
	l.SetOutput(io.Discard)
	l.SetLevel(max(level, logrus.DebugLevel))
	l.AddHook(keeper)
	l.AddHook(&terminal{level: level, format: &logrus.TextFormatter{FullTimestamp: true, TimestampFormat: "15:04:05.000"}})
	return logrus.NewEntry(l)
}

// terminalLevel reads flag and environment; a value that is no level, such as
// "1" or "all", means debug.
func terminalLevel(debug bool, env string) logrus.Level {
	if env == "" {
		if debug {
			return logrus.DebugLevel
		}
		return logrus.WarnLevel
	}
	level, err := logrus.ParseLevel(env)
	if err != nil {
		return logrus.DebugLevel
	}
	return level
}

// terminal writes entries up to its level to standard error. It is a hook so
// that its level can differ from what the Debug object keeps.
type terminal struct {
	level  logrus.Level
	format logrus.Formatter
}

// Levels are those up to the terminal's.
func (t *terminal) Levels() []logrus.Level { return logrus.AllLevels[:t.level+1] }

// Fire writes one line; logrus calls hooks one at a time per entry, and one
// write call keeps lines whole.
func (t *terminal) Fire(e *logrus.Entry) error {
	line, err := t.format.Format(e)
	if err != nil {
		return err
	}
	_, err = os.Stderr.Write(line)
	return err
}
