package ibb

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"telepathy-olpc/xmpp/stanza"
)

// dialogue is a stream with whose both sides a fuzzer does what it likes, beside
// what should have come of that.
type dialogue struct {
	*world
	stanzas int            // of the other side
	iqs     []string       // ids of those that want one answer each
	got     map[string]int // answers, by id
	next    int            // the number of the next block that is in order
	taken   []byte         // in blocks that the stream took
	read    int            // bytes, by our user
	written []byte         // by our user
	out     int            // bytes, in blocks of ours
	blocks  int            // of ours
	closes  int            // <close/>s of ours
	shut    bool           // by our user
}

// maxSteps is more than fills the buffer and what may be held beside it.
const maxSteps = 150

// steps are what can happen, each with a byte that says how.
var steps = []func(d *dialogue, how byte){
	(*dialogue).inOrder,
	(*dialogue).inOrder,
	func(d *dialogue, how byte) { d.block(d.next+int(int8(how)), "MQ==", "iq") },
	func(d *dialogue, how byte) { d.block(d.next, strings.Repeat("MTIz", int(how)), "iq") },
	func(d *dialogue, how byte) { d.block(d.next, []string{"", "?", "MQ", "MQ==\n", "M"}[how%5], "message") },
	func(d *dialogue, _ byte) { d.bye() },
	func(d *dialogue, how byte) { d.readSome(int(how) << 9) },
	func(d *dialogue, how byte) { d.write(int(how) << 7) },
	func(d *dialogue, _ byte) { d.finish() },
	func(d *dialogue, _ byte) { d.shut = true; d.s.Close() },
	func(d *dialogue, how byte) { d.reply(int(how)) },
	func(d *dialogue, how byte) { d.window = 1 + int(how)%Window },
	func(d *dialogue, _ byte) { d.run() },
	func(d *dialogue, how byte) { d.expire(how) },
}

// inOrder is the next block: the largest, or a small one that differs from others.
func (d *dialogue) inOrder(how byte) {
	kind := "iq"
	if how >= 0xf0 {
		kind = "message"
	}
	text := block
	if how%4 > 0 {
		text = base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{byte(d.stanzas)}, int(how)/4))
	}
	d.block(d.next, text, kind)
}

func (d *dialogue) id(kind string) string {
	d.stanzas++
	id := fmt.Sprint("id", d.stanzas)
	if kind == "iq" {
		d.iqs = append(d.iqs, id)
	}
	return id
}

// block has the other side send a block, and notes whether it should be taken.
func (d *dialogue) block(seq int, text, kind string) {
	e := parse(d.t, fmt.Sprintf("<%s type='set' id='%s'>%s</%[1]s>", kind, d.id(kind), data(fmt.Sprint(seq), text)))
	before, held, closed := d.s.received.Len(), len(d.s.held), d.s.ended || d.s.farewell != nil || d.shut
	d.s.HandleData(e)
	block, err := base64.StdEncoding.Strict().DecodeString(text)
	good := err == nil && !strings.Contains(text, "\n") && len(block) <= MaxBlockSize && seq == d.next
	switch grown := d.s.received.Len() - before; {
	case d.s.ended && !closed:
		over := before+len(block) > maxBuffer || held == maxHeld
		if good && !over {
			d.t.Errorf("block %d is no reason to end", seq)
		}
	case closed:
		if grown > 0 {
			d.t.Errorf("%d bytes taken after the end", grown)
		}
	case !good || grown != len(block):
		d.t.Errorf("block %d of %d bytes, in order %v: %d bytes taken", seq, len(block), good, grown)
	default:
		d.taken, d.next = append(d.taken, block...), d.next+1
	}
}

// bye has the other side close.
func (d *dialogue) bye() {
	d.s.HandleClose(parse(d.t, "<iq type='set' id='"+d.id("iq")+"'>"+Close("s").String()+"</iq>"))
}

// readSome reads what is there, where Read does not wait.
func (d *dialogue) readSome(n int) {
	if d.s.received.Len() == 0 && d.s.readErr == nil {
		return
	}
	p := make([]byte, n)
	n, err := d.s.Read(p)
	if n > 0 && err != nil {
		d.t.Errorf("%d bytes and %v", n, err)
	}
	if !bytes.HasPrefix(d.taken[d.read:], p[:n]) {
		d.t.Errorf("read something else than came")
	}
	d.read += n
}

// write writes as much as Write takes without waiting.
func (d *dialogue) write(n int) {
	p := bytes.Repeat([]byte{byte(len(d.written))}, min(n, maxUnsent-d.s.unsent.Len()))
	n, err := d.s.Write(p)
	if err == nil && n < len(p) {
		d.t.Errorf("wrote %d of %d bytes", n, len(p))
	}
	d.written = append(d.written, p[:n]...)
}

// finish is CloseWrite without its waiting.
func (d *dialogue) finish() {
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	d.s.finished = true
	d.s.wake()
}

// reply answers what we asked first.
func (d *dialogue) reply(how int) {
	if len(d.open) > 0 {
		d.answer([]error{nil, nil, nil, nil, nil, stanza.NewError(stanza.ItemNotFound, ""), errors.New("silence")}[how%7])
	}
}

// expire has a timer run that is running.
func (d *dialogue) expire(how byte) {
	switch {
	case how%2 == 0 && len(d.s.held) > 0:
		d.due["in-band acknowledgement overdue"]()
	case how%2 == 1 && d.s.farewell != nil && !d.s.ended:
		d.due["in-band close overdue"]()
	}
}

// check asserts what holds at any time.
func (d *dialogue) check() {
	for _, iq := range d.asked {
		e := iq.First()
		if e.Local() == "close" {
			d.closes++
			continue
		}
		block, err := ParseData(e, MaxBlockSize)
		if err != nil || int(block.Seq) != d.blocks || d.closes > 0 || !bytes.HasPrefix(d.written[d.out:], block.Bytes) {
			d.t.Errorf("our block %d, after %d <close/>s: %d, %v", d.blocks, d.closes, block.Seq, err)
		}
		d.out, d.blocks = d.out+len(block.Bytes), d.blocks+1
	}
	d.asked = nil
	for _, said := range d.sent {
		id, condition, _ := strings.Cut(said, " ")
		if id == "result" {
			id = condition
		}
		d.got[id]++
	}
	d.sent = nil
	switch s := d.s; {
	case d.ended > 1 || d.closes > 1:
		d.t.Errorf("ended %d times, with %d <close/>s", d.ended, d.closes)
	case s.received.Len() > maxBuffer || s.unsent.Len() > maxUnsent || s.unacked > Window || len(s.held) > maxHeld:
		d.t.Errorf("%d received, %d to send, %d blocks under way, %d held", s.received.Len(), s.unsent.Len(), s.unacked, len(s.held))
	}
}

// over ends whatever is left, and asserts that nothing is.
func (d *dialogue) over() {
	d.s.Close()
	for d.run(); len(d.open) > 0; d.run() {
		d.answer(nil)
	}
	d.check()
	if d.ended != 1 {
		d.t.Errorf("ended %d times", d.ended)
	}
	for id, n := range d.got {
		if n != 1 || !slices.Contains(d.iqs, id) {
			d.t.Errorf("%s answered %d times", id, n)
		}
	}
	if len(d.got) != len(d.iqs) {
		d.t.Errorf("%d IQs, %d answers", len(d.iqs), len(d.got))
	}
	if n, err := d.s.Read(make([]byte, 1)); n > 0 || err == nil {
		d.t.Errorf("read %d bytes after the end, %v", n, err)
	}
	if n, err := d.s.Write([]byte{1}); n > 0 || err == nil {
		d.t.Errorf("wrote %d bytes after the end, %v", n, err)
	}
}

// FuzzStream asserts that whatever comes in whatever order, and whatever our own
// user does, the stream stays within its bounds, passes on bytes in their order
// and nothing after its end, and answers each IQ once.
func FuzzStream(f *testing.F) {
	f.Add([]byte{0, 0, 0, 4, 6, 255, 12, 0, 5, 0, 8, 0, 12, 0})    // blocks, read, their close, ours
	f.Add([]byte{7, 255, 12, 0, 10, 0, 8, 0, 12, 0, 10, 0, 12, 0}) // written, acknowledged, closed
	f.Add([]byte{0, 4, 2, 1, 0, 4, 5, 0})                          // out of sequence, then more
	f.Add([]byte{3, 255, 4, 1, 2, 200})                            // large, no base64
	f.Add(append(bytes.Repeat([]byte{0, 0}, 40), 13, 0, 6, 255))   // never read
	f.Add(append(bytes.Repeat([]byte{0, 0}, 25), bytes.Repeat([]byte{0, 3}, 70)...))
	f.Add([]byte{7, 9, 12, 0, 10, 5, 7, 1, 12, 0})
	f.Add([]byte{9, 0, 0, 4, 5, 0, 12, 0, 0, 4})
	f.Add([]byte{7, 255, 5, 0, 12, 0, 13, 1, 10, 0})
	f.Fuzz(func(t *testing.T, script []byte) {
		d := &dialogue{world: newWorld(t, MaxBlockSize), got: make(map[string]int)}
		for n := 0; len(script) >= 2 && n < maxSteps; n, script = n+1, script[2:] {
			steps[int(script[0])%len(steps)](d, script[1])
			d.check()
		}
		d.over()
	})
}
