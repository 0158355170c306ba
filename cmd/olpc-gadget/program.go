package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/sirupsen/logrus"

	"telepathy-olpc/internal/gadgetd"
	"telepathy-olpc/internal/gadgetd/store"
	"telepathy-olpc/internal/loop"
	"telepathy-olpc/xmpp"
)

// program is the component with all that it stands on.
type program struct {
	cfg       config
	log       *logrus.Entry
	loop      *loop.Loop
	store     *store.File
	component *xmpp.Component
	server    *gadgetd.Server
	listener  net.Listener
	http      *http.Server
	served    chan struct{} // closed when http has ended
}

// newProgram starts everything.
func newProgram(cfg config, log *logrus.Entry) (*program, error) {
	p := &program{cfg: cfg, log: log, served: make(chan struct{})}
	p.loop = loop.New(loop.Config{
		OnSlow: func(label string, took time.Duration) {
			log.WithField("event", label).WithField("took", took).Debug("Slow event")
		},
		OnPanic: func(label string, v any, stack []byte) {
			log.WithField("event", label).WithField("panic", v).WithField("stack", string(stack)).Error("Event failed")
		},
	})
	p.store = store.NewFile(cfg.state, log)
	kept, err := p.store.Load()
	if err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	p.component = xmpp.NewComponent(xmpp.ComponentConfig{
		Address: cfg.address, Server: cfg.server, Port: cfg.port, Secret: cfg.secret, Log: log,
	}, p.loop, xmpp.ComponentEvents{Ready: p.up, Lost: p.down})
	p.server, err = gadgetd.New(gadgetdConfig(cfg), p.component, p.loop, p.store, kept, log)
	if err == nil {
		err = p.serveHTTP()
	}
	if err != nil {
		return nil, errors.Join(err, p.store.Close())
	}
	log.WithField("publishers", len(kept.Publishers)).WithField("address", cfg.address).Info("Started")
	go p.loop.Run()
	p.loop.Post("connect", p.component.Connect)
	return p, nil
}

func gadgetdConfig(cfg config) gadgetd.Config {
	return gadgetd.Config{Domains: cfg.domains, Rooms: cfg.rooms, Limits: cfg.limits}
}

func (p *program) up() {
	p.log.Info("Connected")
	p.server.Up()
}

func (p *program) down(err error) {
	p.server.Down()
	p.log.WithError(err).Warn("Not connected, trying again")
}

// reload follows a new configuration as far as it can.
func (p *program) reload(cfg config) {
	p.loop.Post("reload", func() {
		old := p.cfg
		if cfg.address != old.address || cfg.server != old.server || cfg.port != old.port || cfg.state != old.state ||
			cfg.listen != old.listen || cfg.secret.Reveal() != old.secret.Reveal() {
			p.log.Warn("Changes of address, server, secret, state and listen need a restart")
		}
		p.cfg = cfg
		p.log.Logger.SetLevel(cfg.level)
		p.server.SetConfig(gadgetdConfig(cfg))
		p.log.Info("Configuration read again")
	})
}

// stop ends everything in order: goodbye, the stream, the loop, the state.
func (p *program) stop() error {
	p.loop.Post("stop", func() {
		p.server.Goodbye()
		p.component.Close(p.loop.Close)
	})
	<-p.loop.Done()
	var err error
	if p.http != nil {
		err = p.http.Close()
		<-p.served
	}
	return errors.Join(err, p.store.Close())
}

// serveHTTP serves figures and health.
func (p *program) serveHTTP() error {
	if p.cfg.listen == "" {
		return nil
	}
	var err error
	if p.listener, err = net.Listen("tcp", p.cfg.listen); err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", p.metrics)
	mux.HandleFunc("GET /health", p.health)
	p.http = &http.Server{Handler: mux, ReadTimeout: httpTimeout, WriteTimeout: httpTimeout, MaxHeaderBytes: 16 << 10}
	go func() {
		defer close(p.served)
		if err := p.http.Serve(p.listener); !errors.Is(err, http.ErrServerClosed) {
			p.log.WithError(err).Error("Metrics ended")
		}
	}()
	return nil
}

// httpTimeout bounds a request, and the wait for a loop that stands still.
const httpTimeout = 5 * time.Second

// stats asks the loop; false if it does not answer.
func (p *program) stats(ctx context.Context) (gadgetd.Stats, bool) {
	ctx, cancel := context.WithTimeout(ctx, httpTimeout/2)
	defer cancel()
	answer := make(chan gadgetd.Stats, 1)
	p.loop.Post("stats", func() { answer <- p.server.Stats() })
	select {
	case st := <-answer:
		return st, true
	case <-ctx.Done():
		return gadgetd.Stats{}, false
	}
}

func (p *program) health(w http.ResponseWriter, r *http.Request) {
	st, ok := p.stats(r.Context())
	switch {
	case !ok:
		http.Error(w, "stuck", http.StatusServiceUnavailable)
	case !st.Up:
		http.Error(w, "not connected", http.StatusServiceUnavailable)
	default:
		fmt.Fprintln(w, "ok")
	}
}

// metric is one line of the exposition format.
type metric struct {
	name, kind, help string
	value            func(gadgetd.Stats) float64
}

// metrics are all; docs/gadget.md lists them.
var metrics = []metric{
	{"olpc_gadget_up", "gauge", "Whether the server has the component.", func(s gadgetd.Stats) float64 {
		if s.Up {
			return 1
		}
		return 0
	}},
	{"olpc_gadget_publishers", "gauge", "Accounts that publish.", func(s gadgetd.Stats) float64 { return float64(s.Publishers) }},
	{"olpc_gadget_online", "gauge", "Those of them that are on-line.", func(s gadgetd.Stats) float64 { return float64(s.Online) }},
	{"olpc_gadget_buddies", "gauge", "Buddies that are shown.", func(s gadgetd.Stats) float64 { return float64(s.Buddies) }},
	{"olpc_gadget_activities", "gauge", "Activities that are shown.", func(s gadgetd.Stats) float64 { return float64(s.Activities) }},
	{"olpc_gadget_rooms", "gauge", "Rooms that the component is in.", func(s gadgetd.Stats) float64 { return float64(s.Rooms) }},
	{"olpc_gadget_buddy_views", "gauge", "Open views of buddies.", func(s gadgetd.Stats) float64 { return float64(s.BuddyViews) }},
	{"olpc_gadget_activity_views", "gauge", "Open views of activities.", func(s gadgetd.Stats) float64 { return float64(s.ActivityViews) }},
	{"olpc_gadget_output_bytes", "gauge", "Bytes that the server has not taken yet.", func(s gadgetd.Stats) float64 { return float64(s.Waiting) }},
	{"olpc_gadget_jobs", "gauge", "Greetings and questions that wait their turn.", func(s gadgetd.Stats) float64 { return float64(s.Due) }},
	{"olpc_gadget_requests_total", "counter", "Questions for views and searches.", func(s gadgetd.Stats) float64 { return float64(s.Requests) }},
	{"olpc_gadget_refused_total", "counter", "Questions, publications and invitations refused.", func(s gadgetd.Stats) float64 { return float64(s.Refused) }},
	{"olpc_gadget_notifications_total", "counter", "News sent to views.", func(s gadgetd.Stats) float64 { return float64(s.Notifications) }},
	{"olpc_gadget_fetches_total", "counter", "Nodes asked for.", func(s gadgetd.Stats) float64 { return float64(s.Fetches) }},
	{"olpc_gadget_invitations_total", "counter", "Invitations followed.", func(s gadgetd.Stats) float64 { return float64(s.Invitations) }},
	{"olpc_gadget_connections_total", "counter", "Times that the server has taken the component in.", func(s gadgetd.Stats) float64 { return float64(s.Restarts) }},
}

func (p *program) metrics(w http.ResponseWriter, r *http.Request) {
	st, ok := p.stats(r.Context())
	if !ok {
		http.Error(w, "stuck", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4")
	for _, m := range metrics {
		fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n%s %g\n", m.name, m.help, m.name, m.kind, m.name, m.value(st))
	}
}

// tellSystemd says how it stands, sd_notify(3), if anybody wants to know.
func tellSystemd(state string) {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return
	}
	defer conn.Close()
	_, _ = conn.Write([]byte(state))
}
