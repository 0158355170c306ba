package bus

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/loop"
	"telepathy-olpc/internal/tp"
)

func TestCall_fail(t *testing.T) {
	f := setUp(t)
	var fail error
	o := newBook("/t/book")
	o.Interfaces[0].Methods["Close"] = func(c *Call) { c.Fail(fail) }
	f.conn.Export(o)
	for _, test := range []struct {
		name     string
		err      error
		want     tp.ErrorName
		wantText string
	}{
		{"Telepathy error", tp.Errorf(tp.ErrorChannelBanned, "go %s", "away"), tp.ErrorChannelBanned, "go away"},
		{"wrapped", fmt.Errorf("join: %w", tp.Errorf(tp.ErrorNotYours, "mine")), tp.ErrorNotYours, "mine"},
		{"any other", errors.New("out of ink"), tp.ErrorNotAvailable, "out of ink"},
		{"text that cannot be sent", tp.Errorf(tp.ErrorBusy, "a\xffb\x00c"), tp.ErrorBusy, "a\uFFFDb\uFFFDc"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f.onLoop(func() { fail = test.err })
			err := f.object("/t/book").Call(bookName+".Close", 0).Err
			wantError(t, err, test.want)
			equal(t, err.Error(), test.wantText)
		})
	}
}

// The answer may come later, from another event.
func TestCall_answeredLater(t *testing.T) {
	f := setUp(t)
	o := newBook("/t/book")
	var waiting *Call
	o.Interfaces[0].Methods["Close"] = func(c *Call) { waiting = c }
	f.conn.Export(o)
	closed := f.object("/t/book").Go(bookName+".Close", 0, make(chan *dbus.Call, 1))
	if err := f.object("/t/book").Call(bookName+".Note", 0, uint32(1)).Err; err != nil {
		t.Fatal(err)
	}
	f.onLoop(func() { waiting.Return() })
	if c := <-closed.Done; c.Err != nil {
		t.Error(c.Err)
	}
}

// The caller of a handler that panics hears of it, and so does the loop.
func TestCall_panic(t *testing.T) {
	f := setUp(t)
	var reported string
	l := loop.New(loop.Config{OnPanic: func(label string, v any, _ []byte) { reported = fmt.Sprint(label, ": ", v) }})
	go l.Run()
	f.conn.Serve("/t/book", l)
	o := newBook("/t/book")
	o.Interfaces[0].Methods["Close"] = func(*Call) { panic("boom") }
	o.Interfaces[0].Methods["Note"] = func(c *Call) {
		c.Return(uint32(1))
		panic("late")
	}
	f.conn.Export(o)
	wantError(t, f.object("/t/book").Call(bookName+".Close", 0).Err, tp.ErrorDBusFailed)
	if err := f.object("/t/book").Call(bookName+".Note", 0, uint32(1)).Err; err != nil {
		t.Error(err)
	}
	l.Close()
	<-l.Done()
	equal(t, reported, "Note: late")
}

func TestCall_noReplyExpected(t *testing.T) {
	f := setUp(t)
	o := newBook("/t/book")
	o.Interfaces[0].Methods["Close"] = func(c *Call) {
		c.Return()
		if !c.Answered() {
			t.Error("not answered")
		}
	}
	f.conn.Export(o)
	replies := 0
	client := connect(t, f.address, dbus.WithIncomingInterceptor(func(m *dbus.Message) {
		if m.Type == dbus.TypeMethodReply || m.Type == dbus.TypeError {
			replies++
		}
	}))
	book := client.Object(f.conn.UniqueName(), "/t/book")
	if err := book.Call(bookName+".Note", 0, uint32(1)).Err; err != nil {
		t.Fatal(err)
	}
	before := replies
	for _, method := range []string{bookName + ".Close", bookName + ".Burn", "test.Nothing.Close"} {
		book.Call(method, dbus.FlagNoReplyExpected)
	}
	client.Object(f.conn.UniqueName(), "/else").Call(bookName+".Close", dbus.FlagNoReplyExpected)
	if err := book.Call(bookName+".Note", 0, uint32(1)).Err; err != nil {
		t.Fatal(err)
	}
	equal(t, replies-before, 1)
}

// What the facts do not allow must not reach the wire.
func TestCall_badAnswers(t *testing.T) {
	for _, test := range []struct {
		name   string
		answer func(c *Call)
		want   string // logged
	}{
		{"wrong type", func(c *Call) { c.Return("1") }, "Reply not sent"},
		{"too few results", func(c *Call) { c.Return() }, "Reply not sent"},
		{"too many results", func(c *Call) { c.Return(uint32(1), uint32(2)) }, "Reply not sent"},
		{"nothing at all", func(c *Call) { c.Return(nil) }, "Reply not sent"},
		{"not a D-Bus type", func(c *Call) { c.Return(func() {}) }, "Reply not sent"},
		{"too many arguments stored", func(c *Call) {
			var a, b uint32
			c.Args(&a, &b)
		}, "Arguments not stored"},
		{"error name that is none", func(c *Call) { c.Fail(tp.Errorf("oops", "x")) }, "Error not sent"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := setUp(t)
			f.conn.strict = false
			errs := hookErrors(f.conn)
			o := newBook("/t/book")
			o.Interfaces[0].Methods["Note"] = test.answer
			f.conn.Export(o)
			wantError(t, f.object("/t/book").Call(bookName+".Note", 0, uint32(1)).Err, tp.ErrorDBusFailed)
			f.onLoop(func() { equal(t, errs.messages(), []string{test.want}) })
			if err := f.object("/t/book").Call(bookName+".Close", 0).Err; err != nil {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

func TestCall_secondAnswer(t *testing.T) {
	f := setUp(t)
	f.conn.strict = false
	errs := hookErrors(f.conn)
	o := newBook("/t/book")
	o.Interfaces[0].Methods["Close"] = func(c *Call) {
		c.Return()
		c.Return()
		c.Fail(errors.New("no"))
	}
	f.conn.Export(o)
	if err := f.object("/t/book").Call(bookName+".Close", 0).Err; err != nil {
		t.Error(err)
	}
	f.onLoop(func() { equal(t, errs.messages(), []string{"Second answer dropped", "Second answer dropped"}) })
}

func TestDefect_panicsInTests(t *testing.T) {
	defer func() {
		if v := fmt.Sprint(recover()); !strings.Contains(v, "Signal not sent: Noted") {
			t.Errorf("panics with %q", v)
		}
	}()
	offline().Emit("/t/book", signalNoted, "text")
}

// A string that libdbus would end our connection for is refused.
func TestEmit_badStrings(t *testing.T) {
	f := setUp(t)
	f.conn.strict = false
	errs := hookErrors(f.conn)
	signal := tp.Signal{Interface: bookName, Name: "Said", Signature: "v"}
	var got []any
	client := connect(t, f.address, dbus.WithIncomingInterceptor(func(m *dbus.Message) {
		if m.Type == dbus.TypeSignal && m.Headers[dbus.FieldMember].Value() == "Said" {
			got = append(got, m.Body[0].(dbus.Variant).Value())
		}
	}))
	if err := client.AddMatchSignal(dbus.WithMatchInterface(bookName)); err != nil {
		t.Fatal(err)
	}
	bad := []any{"\xff", "a\x00", "\xed\xa0\x80" /* surrogate */, "\xc0\x80", dbus.ObjectPath("/a//b"), []string{"a", "\xff"}, map[string]string{"\x00": ""}}
	for _, v := range bad {
		f.conn.Emit("/t/book", signal, dbus.MakeVariant(v))
	}
	f.conn.Emit("not a path", signal, dbus.MakeVariant("x"))
	for _, v := range []any{"ok", "\uFFFE\uFDD0\U0010FFFF" /* noncharacters are allowed */} {
		f.conn.Emit("/t/book", signal, dbus.MakeVariant(v))
	}
	if _, err := f.conn.ask("GetId", ""); err != nil {
		t.Fatal(err)
	}
	if err := client.BusObject().Call("org.freedesktop.DBus.GetId", 0).Err; err != nil {
		t.Fatal(err)
	}
	equal(t, got, []any{"ok", "\uFFFE\uFDD0\U0010FFFF"})
	equal(t, len(errs.messages()), len(bad)+1)
}

// Calls to an object that goes away while they wait.
func TestUnexport_callsQueued(t *testing.T) {
	f := setUp(t)
	o := newBook("/t/book")
	arrived := make(chan struct{})
	goOn := make(chan struct{})
	o.Interfaces[0].Methods["Close"] = func(c *Call) {
		close(arrived)
		<-goOn
		f.conn.Unexport("/t/book")
		c.Return()
	}
	f.conn.Export(o)
	closed := f.object("/t/book").Go(bookName+".Close", 0, make(chan *dbus.Call, 1))
	<-arrived
	noted := f.object("/t/book").Go(bookName+".Note", 0, make(chan *dbus.Call, 1), uint32(1))
	if err := f.object("/else").Call("org.freedesktop.DBus.Peer.Ping", 0).Err; err != nil {
		t.Fatal(err) // answered by the reader: what came before is queued
	}
	close(goOn)
	if c := <-closed.Done; c.Err != nil {
		t.Error(c.Err)
	}
	wantError(t, (<-noted.Done).Err, tp.ErrorDBusUnknownObject)
}

// Arguments go into the Go types that handlers use.
func TestCall_args(t *testing.T) {
	variant := dbus.MakeVariant(entryOf{1, "a"})
	for _, test := range []struct {
		name      string
		body, dst []any
		want      []any
	}{
		{"as decoded",
			[]any{"a", true, uint32(1), dbus.ObjectPath("/"), variant, []uint32{2}, []string{"b"}, []byte{3}},
			[]any{new(string), new(bool), new(uint32), new(dbus.ObjectPath), new(dbus.Variant), new([]uint32), new([]string), new([]byte)},
			[]any{"a", true, uint32(1), dbus.ObjectPath("/"), variant, []uint32{2}, []string{"b"}, []byte{3}}},
		{"own types",
			[]any{uint32(2), []any{uint32(3), "c"}, [][]any{{uint32(4), "d"}}, map[uint32]string{5: "e"}},
			[]any{new(tp.HandleType), new(entryOf), new([]entryOf), new(map[uint32]string)},
			[]any{tp.HandleTypeRoom, entryOf{3, "c"}, []entryOf{{4, "d"}}, map[uint32]string{5: "e"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			call := &Call{conn: offline(), body: test.body}
			if !call.Args(test.dst...) || call.Answered() {
				t.Fatal("not stored")
			}
			for k := range test.dst {
				got := reflect.ValueOf(test.dst[k]).Elem().Interface()
				equalArgs(t, []any{got}, []any{test.want[k]})
			}
		})
	}
	call := &Call{conn: offline(), body: []any{"text"}}
	if call.Args(new([]entryOf)) || !call.Answered() {
		t.Error("text became a list, or the call was not answered")
	}
}

// Numbers of the specification's enums go as what they are.
func TestEmit_enums(t *testing.T) {
	c := offline()
	c.Emit("/t/book", tp.SignalConnectionStatusChanged, tp.ConnectionStatusConnected, tp.ConnectionStatusReasonRequested)
	c.Emit("/t/book", tp.SignalConnectionSelfHandleChanged, uint32(1))
	if len(c.out.buf) == 0 {
		t.Error("nothing sent")
	}
}
