package main

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
)

// What the children's activities say to each other through the tube.
const (
	tubeService = "org.laptop.Trees"
	tubePath    = dbus.ObjectPath("/org/laptop/Trees")
	tubeMethod  = tubeService + ".Count"
	moreCalls   = 100 // after the first, for the time of one that is no surprise
)

// tree is what is counted, and trees are what Alice's activity has noted.
const tree = "mango tree"

var trees = map[string]uint32{tree: 3}

// garden is what Alice's activity lets the others in the tube call.
type garden struct{ tell func(news) }

// Count tells how many trees of a kind there are.
func (g garden) Count(kind string) (uint32, *dbus.Error) {
	g.tell(news{counted, fmt.Sprintf("is asked about “%s” through the tube, and answers %d.", kind, trees[kind])})
	return trees[kind], nil
}

// member is one who takes part in a D-Bus tube.
type member struct {
	Handle uint32
	Name   string
}

// ofTubes calls a method of the room's tubes.
func (a *activity) ofTubes(method string, args []any, results ...any) error {
	return a.shell.ask(a.tubes, tp.InterfaceChannelTubes, method, args, results...)
}

// offerTube lets the others in the activity call this one.
func (a *activity) offerTube() ([]news, error) {
	var number uint32
	var address string
	if err := a.ofTubes("OfferDBusTube", []any{tubeService, map[string]dbus.Variant{}}, &number); err != nil {
		return nil, err
	}
	if err := a.ofTubes("GetDBusTubeAddress", []any{number}, &address); err != nil {
		return nil, err
	}
	if err := a.connectTube(address); err != nil {
		return nil, err
	}
	return nil, a.tube.Export(garden{a.tell}, tubePath, tubeService)
}

// handleNewTube accepts what another child offers.
func (a *activity) handleNewTube(signal *dbus.Signal) ([]news, error) {
	var number, initiator, kind, state uint32
	var service, address string
	var parameters map[string]dbus.Variant
	if err := dbus.Store(signal.Body, &number, &initiator, &kind, &service, &parameters, &state); err != nil {
		return nil, err
	}
	if tp.TubeState(state) != tp.TubeStateLocalPending || service != tubeService {
		return nil, nil // one's own
	}
	if err := a.ofTubes("AcceptDBusTube", []any{number}, &address); err != nil {
		return nil, err
	}
	var members []member
	if err := a.ofTubes("GetDBusNames", []any{number}, &members); err != nil {
		return nil, err
	}
	i := slices.IndexFunc(members, func(m member) bool { return m.Handle == initiator })
	if i < 0 {
		return nil, errors.New("who offers the tube is not in it")
	}
	a.peer = members[i].Name
	return []news{{tubed, "accepts the D-Bus tube and meets " + a.peer + " there."}}, a.connectTube(address)
}

// handleTubeNames tells who comes into a tube.
func (a *activity) handleTubeNames(signal *dbus.Signal) ([]news, error) {
	var number uint32
	var added []member
	var removed []uint32
	if err := dbus.Store(signal.Body, &number, &added, &removed); err != nil {
		return nil, err
	}
	var all []news
	for _, m := range added {
		if m.Handle != a.self && a.tube != nil && a.peer == "" {
			a.peer = m.Name
			all = append(all, news{tubed, "sees " + m.Name + " come into the D-Bus tube."})
		}
	}
	return all, nil
}

// connectTube connects the activity to its end of the tube, where there is no bus but only the others.
func (a *activity) connectTube(address string) error {
	tube, err := dbus.Dial(address)
	if err != nil {
		return fmt.Errorf("connect to the tube: %w", err)
	}
	if err := tube.Auth(nil); err != nil {
		return errors.Join(fmt.Errorf("log in at the tube: %w", err), tube.Close())
	}
	a.tube = tube
	return nil
}

// count calls the other child's activity.
func (a *activity) count() ([]news, error) {
	began := time.Now()
	found, err := a.countOnce()
	if err != nil {
		return nil, err
	}
	first := time.Since(began)
	began = time.Now()
	for range moreCalls {
		if _, err := a.countOnce(); err != nil {
			return nil, err
		}
	}
	return []news{{counted, fmt.Sprintf("is answered %d after %.1f ms; %d more calls take %.1f ms each.",
		found, milliseconds(first), moreCalls, milliseconds(time.Since(began))/moreCalls)}}, nil
}

func (a *activity) countOnce() (found uint32, err error) {
	if err := a.tube.Object(a.peer, tubePath).Call(tubeMethod, 0, tree).Store(&found); err != nil {
		return 0, fmt.Errorf("call through the tube: %w", err)
	}
	if found != trees[tree] {
		return found, fmt.Errorf("the call through the tube is answered %d", found)
	}
	return found, nil
}

func (a *activity) closeTube() {
	if a.tube != nil {
		_ = a.tube.Close() // the room may have been quicker
		a.tube, a.peer = nil, ""
	}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
