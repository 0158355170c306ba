package manager

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sirupsen/logrus"

	"telepathy-olpc/internal/bus"
	"telepathy-olpc/internal/loop"
)

const (
	// idleExit is how long the process outlives its last connection.
	idleExit = 5 * time.Second
	// goodbye bounds the wait for connections to leave their servers.
	goodbye = 3 * time.Second
)

// ErrNoName says that another process already serves every name.
var ErrNoName = errors.New("all connection manager names are taken")

// Service is the process as the bus sees it: the connection managers of one
// bus connection and the rule when to end.
type Service struct {
	bus      *bus.Conn
	loop     *loop.Loop
	log      *logrus.Entry
	persist  bool
	managers []*Manager
	idle     *loop.Timer
	stopping bool
	empty    chan struct{} // closed when the process may end
}

// NewService exports the managers and then takes their names, so that whoever
// waits for a name finds its objects. With persist the process outlives its
// connections.
func NewService(b *bus.Conn, log *logrus.Entry, debug *Debug, persist bool, definitions ...Definition) (*Service, error) {
	s := &Service{bus: b, log: log, persist: persist, empty: make(chan struct{})}
	s.loop = loop.New(loop.Config{OnSlow: s.slow, OnPanic: s.panicked})
	debug.export(b, s.loop)
	for _, d := range definitions {
		s.managers = append(s.managers, newManager(d, b, s.loop, log, s.reckon))
	}
	go s.loop.Run()
	if err := s.takeNames(); err != nil {
		s.loop.Close()
		<-s.loop.Done()
		return nil, err
	}
	s.loop.Post("started", s.reckon)
	return s, nil
}

// takeNames takes what it can get: two activations at once may split the names
// between two processes, and each then serves its own.
func (s *Service) takeNames() error {
	var refused error
	owned := 0
	for _, m := range s.managers {
		err := s.bus.RequestName(m.BusName())
		if err == nil {
			owned++
			continue
		}
		refused = errors.Join(refused, fmt.Errorf("take %s: %w", m.BusName(), err))
		s.log.WithError(err).WithField("name", m.BusName()).Info("Name not taken")
	}
	if owned == 0 {
		return errors.Join(ErrNoName, refused)
	}
	return nil
}

// reckon starts or stops the clock of the idle exit.
func (s *Service) reckon() {
	open := 0
	for _, m := range s.managers {
		open += len(m.connections)
	}
	if s.idle != nil {
		s.idle.Stop()
		s.idle = nil
	}
	switch {
	case open > 0:
	case s.stopping:
		s.finish()
	case !s.persist:
		s.idle = s.loop.After(idleExit, "idle", s.finish)
	}
}

func (s *Service) finish() {
	select {
	case <-s.empty:
	default:
		close(s.empty)
	}
}

// Run serves until nothing is left to do, ctx ends, or the bus goes; then it
// says goodbye on every connection.
func (s *Service) Run(ctx context.Context) {
	select {
	case <-s.empty:
		s.log.Debug("Idle, ending")
	case <-ctx.Done():
		s.log.Debug("Asked to end")
	case <-s.bus.Done():
		s.log.Info("The bus has gone, ending")
	}
	s.loop.Post("stop", func() {
		s.stopping = true
		for _, m := range s.managers {
			m.endAll()
		}
		s.reckon()
	})
	select {
	case <-s.empty:
	case <-time.After(goodbye):
		s.log.Warn("Connections did not end in time")
	}
	s.loop.Close()
	<-s.loop.Done()
}

func (s *Service) slow(label string, took time.Duration) {
	s.log.WithField("event", label).WithField("took", took).Warn("Slow event")
}

func (s *Service) panicked(label string, v any, stack []byte) {
	s.log.WithField("event", label).WithField("panic", v).WithField("stack", string(stack)).Error("Event panicked")
}
