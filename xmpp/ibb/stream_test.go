package ibb

import (
	"errors"
	"io"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"telepathy-olpc/internal/loop"
	"telepathy-olpc/xmpp/stanza"
)

// world is the Host of one stream; the test is its loop and its other side.
type world struct {
	t      *testing.T
	s      *Stream
	queue  chan func()
	timers *loop.Loop // whose timers nobody runs
	due    map[string]func()
	sent   []string // replies, as "result id" or "id condition"
	asked  []*stanza.Element
	open   []func(*stanza.Element, error)
	window int
	ended  int
}

func newWorld(t *testing.T, size int) *world {
	w := &world{t: t, queue: make(chan func(), 1000), timers: loop.New(loop.Config{}), due: make(map[string]func()), window: Window}
	w.s = NewStream(Config{
		Host: w, To: "bob@school.test/sugar", SID: "s", BlockSize: size,
		Window: func() int { return w.window }, Ended: func() { w.ended++ },
	})
	return w
}

func (w *world) Send(e *stanza.Element) {
	said := e.Attr("type") + " " + e.Attr("id")
	if e.Attr("type") == "error" {
		said = e.Attr("id") + " " + string(stanza.ErrorOf(e).Condition)
	}
	w.sent = append(w.sent, said)
}

func (w *world) Ask(iq *stanza.Element, answer func(*stanza.Element, error)) {
	w.asked, w.open = append(w.asked, iq), append(w.open, answer)
}

func (w *world) Post(_ string, f func()) bool {
	w.queue <- f
	return true
}

func (w *world) After(d time.Duration, label string, f func()) *loop.Timer {
	w.due[label] = f
	timer := w.timers.After(time.Hour, label, f)
	w.t.Cleanup(timer.Stop)
	return timer
}

// run runs what was posted.
func (w *world) run() {
	for {
		select {
		case f := <-w.queue:
			f()
		default:
			return
		}
	}
}

// next runs one event, which somebody is about to post.
func (w *world) next() {
	w.t.Helper()
	select {
	case f := <-w.queue:
		f()
	case <-time.After(30 * time.Second):
		w.t.Fatal("nothing was posted")
	}
}

// data gives the stream a block.
func (w *world) data(seq int, text string) {
	w.s.HandleData(parse(w.t, `<iq type='set' id='`+strconv.Itoa(seq)+`' from='bob@school.test/sugar'>`+data(strconv.Itoa(seq), text)+`</iq>`))
}

// close gives the stream the other side's end.
func (w *world) close() {
	w.s.HandleClose(parse(w.t, `<iq type='set' id='bye' from='bob@school.test/sugar'><close xmlns='http://jabber.org/protocol/ibb' sid='s'/></iq>`))
}

// answer answers the question asked first.
func (w *world) answer(err error) {
	answer := w.open[0]
	w.open = w.open[1:]
	answer(nil, err)
}

func (w *world) want(sent ...string) {
	w.t.Helper()
	if !slices.Equal(w.sent, sent) {
		w.t.Errorf("sent %q, want %q", w.sent, sent)
	}
	w.sent = nil
}

// read reads all that is there.
func (w *world) read() (string, error) {
	b, err := io.ReadAll(w.s)
	return string(b), err
}

// payloads names what was asked.
func (w *world) payloads() []string {
	var names []string
	for _, iq := range w.asked {
		p := iq.First()
		names = append(names, p.Local()+p.Attr("seq"))
	}
	w.asked = nil
	return names
}

func TestStream_wrongSequence(t *testing.T) {
	for _, seqs := range [][]int{{1}, {0, 2}, {0, 0}, {0, 1, 0}, {65535}} {
		w := newWorld(t, 8)
		for _, n := range seqs {
			w.data(n, "MQ==")
		}
		last := strconv.Itoa(seqs[len(seqs)-1])
		if got := w.sent[len(w.sent)-1]; got != last+" unexpected-request" {
			t.Errorf("%v: answered %q", seqs, w.sent)
		}
		got, err := w.read()
		if got != strings.Repeat("1", len(seqs)-1) || err != ErrSequence {
			t.Errorf("%v: read %q, %v", seqs, got, err)
		}
		if p := w.payloads(); !slices.Equal(p, []string{"close"}) || w.ended != 1 {
			t.Errorf("%v: asked %v, ended %d times", seqs, p, w.ended)
		}
		w.sent = nil
		w.data(seqs[len(seqs)-1]+1, "MQ==")
		w.want(strconv.Itoa(seqs[len(seqs)-1]+1) + " item-not-found")
	}
}

func TestStream_wraps(t *testing.T) {
	w := newWorld(t, 8)
	w.s.in = 65000
	for i := 65000; i < 65536+3; i++ {
		w.data(i%65536, "")
		if len(w.sent) != 1 || w.sent[0] != "result "+strconv.Itoa(i%65536) {
			t.Fatalf("block %d: %q", i, w.sent)
		}
		w.sent = nil
	}
	w = newWorld(t, 1)
	w.s.out = 65000
	go w.s.Write(make([]byte, 600))
	for i := 65000; i < 65600; i++ {
		for len(w.open) == 0 {
			w.next()
		}
		if seq := w.asked[0].First().Attr("seq"); seq != strconv.Itoa(i%65536) {
			t.Fatalf("block %d has number %s", i, seq)
		}
		w.asked = w.asked[1:]
		w.answer(nil)
	}
}

func TestStream_badBlocks(t *testing.T) {
	for name, text := range map[string]string{"no base64": "?", "too large": "MTIzNDU2Nzg5", "newline": "MQ=\n="} {
		w := newWorld(t, 8)
		w.data(0, "MQ==")
		w.data(1, text)
		w.want("result 0", "1 bad-request")
		if got, err := w.read(); got != "1" || err == nil || err == io.EOF {
			t.Errorf("%s: read %q, %v", name, got, err)
		}
	}
}

// Messages have no answers, and share the numbers.
func TestStream_dataInMessages(t *testing.T) {
	w := newWorld(t, 8)
	w.data(0, "MQ==")
	w.s.HandleData(parse(t, `<message from='bob@school.test/sugar'>`+data("1", "Mg==")+`</message>`))
	w.data(2, "Mw==")
	w.want("result 0", "result 2")
	w.s.HandleData(parse(t, `<message from='bob@school.test/sugar'>`+data("1", "Mg==")+`</message>`))
	w.want()
	if got, err := w.read(); got != "123" || err != ErrSequence {
		t.Errorf("read %q, %v", got, err)
	}
}

// block is a block of the largest size, in base64.
var block = strings.Repeat("A", MaxBlockSize/3*4) + "AA==" // 16384 is one more than a multiple of three

func TestStream_fullBuffer(t *testing.T) {
	w := newWorld(t, MaxBlockSize)
	n := 0
	for len(w.sent) == n {
		w.data(n, block)
		n++
	}
	if got := (n - 1) * MaxBlockSize; got > fullBuffer || got < fullBuffer-MaxBlockSize {
		t.Errorf("stopped acknowledging after %d bytes", got)
	}
	for range Window - 1 { // what is under way has room
		w.data(n, block)
		n++
	}
	if len(w.sent) != n-Window {
		t.Errorf("answered %d of %d: %q", len(w.sent), n, w.sent[len(w.sent)-1])
	}
	w.sent = nil
	if _, err := io.ReadFull(w.s, make([]byte, Window*MaxBlockSize)); err != nil {
		t.Error(err)
	}
	w.run()
	if len(w.sent) != Window || w.sent[0] != "result "+strconv.Itoa(n-Window) {
		t.Errorf("answered %q once there was room", w.sent)
	}
}

// Acknowledgements are not kept back for ever, but the buffer ends.
func TestStream_neverRead(t *testing.T) {
	w := newWorld(t, MaxBlockSize)
	n := 0
	for ; len(w.sent) == n; n++ {
		w.data(n, block)
	}
	w.sent = nil
	w.due["in-band acknowledgement overdue"]()
	w.want("result " + strconv.Itoa(n-1))
	for ; w.ended == 0; n++ {
		if w.data(n, block); n > 100 {
			t.Fatal("there is no end")
		}
	}
	if (n-1)*MaxBlockSize > maxBuffer {
		t.Errorf("took %d bytes", (n-1)*MaxBlockSize)
	}
	if !slices.Contains(w.sent, strconv.Itoa(n-1)+" resource-constraint") {
		t.Errorf("the last was answered by %q", w.sent)
	}
	if _, err := w.read(); err != ErrOverflow {
		t.Error(err)
	}
}

// Blocks without content cost no more than others.
func TestStream_manyWhileFull(t *testing.T) {
	w := newWorld(t, MaxBlockSize)
	for n := 0; w.ended == 0; n++ {
		text := block
		if len(w.s.held) > 0 {
			text = ""
		}
		if w.data(n, text); n > 1000 {
			t.Fatal("there is no end")
		}
	}
}

func TestStream_window(t *testing.T) {
	w := newWorld(t, 4)
	written := make(chan error, 1)
	go func() {
		_, err := w.s.Write(make([]byte, 4*Window+6))
		written <- errors.Join(err, w.s.CloseWrite())
	}()
	for len(w.open) < Window {
		w.next()
	}
	w.run()
	if p := w.payloads(); len(p) != Window {
		t.Fatalf("asked %v", p)
	}
	w.answer(nil)
	if p := w.payloads(); !slices.Equal(p, []string{"data10"}) {
		t.Errorf("then asked %v", p)
	}
	for len(w.open) > 0 {
		select {
		case err := <-written:
			if len(w.open) > 1 || w.asked[0].First().Local() != "close" {
				t.Errorf("flushed, %v, with %d under way", err, len(w.open))
			}
		default:
		}
		w.answer(nil)
		w.run()
	}
	if err := <-written; err != nil {
		t.Error(err)
	}
	w.run()
	if p := w.payloads(); !slices.Equal(p, []string{"data11", "close"}) {
		t.Errorf("and then %v", p)
	}
}

func TestStream_refused(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		want error
		said []string
	}{
		{"the other side has closed", stanza.NewError(stanza.ItemNotFound, ""), ErrReset, []string{"data0"}},
		{"silence", io.ErrNoProgress, io.ErrNoProgress, []string{"data0", "close"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, 4)
			if _, err := w.s.Write([]byte("1")); err != nil {
				t.Fatal(err)
			}
			w.run()
			w.answer(c.err)
			if p := w.payloads(); !slices.Equal(p, c.said) || w.ended != 1 {
				t.Errorf("asked %v, ended %d times", p, w.ended)
			}
			if _, err := w.s.Write([]byte("2")); err != c.want {
				t.Errorf("Write: %v", err)
			}
			if err := w.s.CloseWrite(); err != c.want {
				t.Errorf("CloseWrite: %v", err)
			}
			if _, err := w.read(); err != c.want {
				t.Errorf("Read: %v", err)
			}
			w.run()
		})
	}
}

// Who has been told goodbye may finish, for a while.
func TestStream_afterTheirClose(t *testing.T) {
	w := newWorld(t, 8)
	w.data(0, "MQ==")
	w.close()
	w.want("result 0")
	if got, err := w.read(); got != "1" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
	if _, err := w.s.Write([]byte("last")); err != nil {
		t.Error(err)
	}
	w.run()
	if p := w.payloads(); !slices.Equal(p, []string{"data0"}) {
		t.Errorf("asked %v", p)
	}
	w.data(1, "MQ==")
	w.close()
	w.want("1 item-not-found", "bye item-not-found")
	w.answer(nil)
	w.s.CloseWrite()
	w.run()
	w.want("result bye")
	if w.ended != 1 || len(w.payloads()) != 0 {
		t.Errorf("ended %d times", w.ended)
	}

	w = newWorld(t, 8)
	w.close()
	w.due["in-band close overdue"]()
	w.want("result bye")
	if _, err := w.s.Write([]byte("late")); err != ErrReset || w.ended != 1 {
		t.Errorf("wrote: %v; ended %d times", err, w.ended)
	}
}

func TestStream_closeTwice(t *testing.T) {
	w := newWorld(t, 8)
	w.s.Close()
	w.data(0, "MQ==") // before the loop knows
	w.want("0 item-not-found")
	w.s.Close()
	w.run()
	w.close()
	w.want("bye item-not-found")
	if p := w.payloads(); !slices.Equal(p, []string{"close"}) || w.ended != 1 {
		t.Errorf("asked %v, ended %d times", p, w.ended)
	}
	if _, err := w.read(); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	if got := slices.Collect(maps.Keys(w.due)); len(got) != 0 {
		t.Errorf("timers %v", got)
	}
}
