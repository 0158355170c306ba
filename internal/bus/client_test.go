package bus

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/loop"
	"telepathy-olpc/internal/tp"
)

// dialOther is a second connection of ours, as a program for people has it.
func dialOther(t *testing.T, f *fixture) *Conn {
	t.Helper()
	c, err := Dial(f.address, quiet())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestAsk_otherService(t *testing.T) {
	f := setUp(t)
	c := dialOther(t, f)
	f.conn.Export(Object{Path: "/t/o"})
	_, err := c.Ask(t.Context(), f.conn.UniqueName(), "/t/o", tp.InterfaceDBusPeer.Name, "Ping", "")
	if err != nil {
		t.Error(err)
	}
	_, err = c.Ask(t.Context(), f.conn.UniqueName(), "/t/none", tp.InterfaceDBusProperties.Name, "GetAll", "s", "x.y")
	var refused *tp.Error
	if !errors.As(err, &refused) {
		t.Errorf("a missing object: %v", err)
	}
}

// Nobody is started for a question.
func TestAsk_nobodyThere(t *testing.T) {
	c := dialOther(t, setUp(t))
	_, err := c.Ask(t.Context(), "not.there", "/", "not.there", "M", "")
	var refused *tp.Error
	if !errors.As(err, &refused) || refused.Name != "org.freedesktop.DBus.Error.NameHasNoOwner" && refused.Name != "org.freedesktop.DBus.Error.ServiceUnknown" {
		t.Errorf("got %v", err)
	}
}

// Somebody who takes calls and answers none costs no more than the time given.
func TestAsk_noAnswerInTime(t *testing.T) {
	f := setUp(t)
	c := dialOther(t, f)
	f.conn.Serve("/mute", loop.New(loop.Config{})) // which does not run
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := c.Ask(ctx, f.conn.UniqueName(), "/mute", tp.InterfaceDBusPeer.Name, "Ping", "")
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestWatch(t *testing.T) {
	f := setUp(t)
	c := dialOther(t, f)
	got := make(chan Signal, 10)
	if err := c.Watch(t.Context(), "type='signal',path_namespace='/t'", func(s Signal) { got <- s }); err != nil {
		t.Fatal(err)
	}
	if err := f.client.Emit("/t/o", "x.y.Changed", "first", uint32(1)); err != nil {
		t.Fatal(err)
	}
	if err := f.client.Emit("/elsewhere", "x.y.Changed", "not watched"); err != nil {
		t.Fatal(err)
	}
	if err := f.client.Emit("/t/o", "x.y.Changed", "second"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"first", "second"} {
		var s Signal
		for s = range got {
			if s.Path == dbus.ObjectPath("/t/o") { // and not the bus' word on our own name
				break
			}
		}
		if s.Member != "Changed" || s.Interface != "x.y" || !slices.Contains(f.client.Names(), s.Sender) || s.Body[0] != want {
			t.Errorf("got %+v, want %s", s, want)
		}
	}
}
