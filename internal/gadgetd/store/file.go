package store

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"

	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/olpc"
)

// File is a Store in one file of a folder: a journal with a line of JSON for
// each change, which is written anew, and put into the place of the old one,
// when most of its lines count no more. A line that is cut short, or damaged,
// costs that line.
type File struct {
	path string
	log  *logrus.Entry

	mu      sync.Mutex
	changed sync.Cond
	live    map[string]record // all that is kept
	pending map[string]bool   // keys that are not yet written
	closed  bool

	// Only Load and then the writer look at these.
	file  *os.File
	lines int
	done  chan struct{}
	err   error // of the last attempt
}

// record is a line. The zero value of what it tells removes it.
type record struct {
	Publisher string `json:"publisher,omitempty"` // one of these two is the key
	Room      string `json:"room,omitempty"`
	Hears     bool   `json:"hears,omitempty"`
	Publishes bool   `json:"publishes,omitempty"`
	Activity  string `json:"activity,omitempty"` // its id
}

func (r record) key() string { return cmp.Or(r.Publisher, r.Room) }

func (r record) isEmpty() bool { return !r.Hears && !r.Publishes && r.Activity == "" }

const (
	// fileName is the journal's; it is the user's alone, as it has children's
	// addresses in it.
	fileName = "gadget.journal"
	// maxLine bounds one line: an address has at most 3,071 bytes.
	maxLine = 64 << 10
	// slack is how many lines that count no more are not worth a new file.
	slack = 1000
	// retryAfter is how long a full disk is left alone.
	retryAfter = 5 * time.Second
)

// NewFile returns a Store in a folder, which is made if it is not there.
func NewFile(dir string, log *logrus.Entry) *File {
	f := &File{path: filepath.Join(dir, fileName), log: log, live: make(map[string]record), pending: make(map[string]bool), done: make(chan struct{})}
	f.changed.L = &f.mu
	return f
}

// Load implements [Store]. It starts the goroutine that writes.
func (f *File) Load() (State, error) {
	if err := os.MkdirAll(filepath.Dir(f.path), 0o700); err != nil {
		return State{}, err
	}
	file, err := os.OpenFile(f.path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return State{}, err
	}
	// Two instances on one file would each forget what the other knows.
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		file.Close()
		return State{}, fmt.Errorf("%s is in use: %w", f.path, err)
	}
	f.file = file
	if err := f.read(file); err != nil {
		file.Close()
		return State{}, fmt.Errorf("read %s: %w", f.path, err)
	}
	if err := f.rewrite(); err != nil {
		f.file.Close()
		return State{}, fmt.Errorf("write %s: %w", f.path, err)
	}
	go f.run()
	return f.state(), nil
}

// read reads a journal. What is no record is passed over.
func (f *File) read(r io.Reader) error {
	in := bufio.NewReaderSize(r, maxLine)
	for {
		line, err := in.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			continue // the rest of it is no record either
		}
		var rec record
		if len(line) > 0 && json.Unmarshal(line, &rec) == nil && rec.key() != "" {
			f.set(rec)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (f *File) set(rec record) {
	if rec.isEmpty() {
		delete(f.live, rec.key())
	} else {
		f.live[rec.key()] = rec
	}
}

func (f *File) state() State {
	var s State
	for _, rec := range f.live {
		who, err := jid.ParseLenient(rec.key())
		switch {
		case err != nil:
		case rec.Room != "":
			s.Activities = append(s.Activities, olpc.Activity{ID: rec.Activity, Room: who})
		default:
			s.Publishers = append(s.Publishers, Publisher{who, rec.Hears, rec.Publishes})
		}
	}
	slices.SortFunc(s.Publishers, func(a, b Publisher) int { return cmp.Compare(a.JID.String(), b.JID.String()) })
	slices.SortFunc(s.Activities, func(a, b olpc.Activity) int { return cmp.Compare(a.Room.String(), b.Room.String()) })
	return s
}

// PutPublisher implements [Store].
func (f *File) PutPublisher(p Publisher) {
	f.put(record{Publisher: p.JID.String(), Hears: p.Hears, Publishes: p.Publishes})
}

// PutActivity implements [Store].
func (f *File) PutActivity(a olpc.Activity) { f.put(record{Room: a.Room.String(), Activity: a.ID}) }

// DeleteActivity implements [Store].
func (f *File) DeleteActivity(room jid.JID) { f.put(record{Room: room.String()}) }

func (f *File) put(rec record) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.live[rec.key()] == rec || rec.isEmpty() && f.live[rec.key()] == (record{}) {
		return
	}
	f.set(rec)
	f.pending[rec.key()] = rec.Room != ""
	f.changed.Signal()
}

// Close implements [Store].
func (f *File) Close() error {
	f.mu.Lock()
	f.closed = true
	f.changed.Signal()
	f.mu.Unlock()
	<-f.done
	return f.err
}

// run writes what is put, and all that has come together meanwhile at once.
func (f *File) run() {
	defer close(f.done)
	defer func() { f.file.Close() }()
	for {
		batch, live, more := f.next()
		if len(batch) > 0 {
			f.write(batch, live)
		}
		if !more {
			return
		}
	}
}

// next waits for something to write.
func (f *File) next() (batch []record, live int, more bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.pending) == 0 && !f.closed {
		f.changed.Wait()
	}
	for key, isRoom := range f.pending {
		rec, ok := f.live[key]
		if !ok && isRoom {
			rec = record{Room: key}
		} else if !ok {
			rec = record{Publisher: key}
		}
		batch = append(batch, rec)
	}
	clear(f.pending)
	return batch, len(f.live), !f.closed
}

// write appends to the journal, or makes a new one. What has failed goes out
// with the next: it is all in the new journal.
func (f *File) write(batch []record, live int) {
	if f.err == nil && f.lines+len(batch) <= 2*live+slack {
		f.lines += len(batch)
		f.err = errors.Join(appendTo(f.file, batch), f.file.Sync())
	} else {
		f.err = f.rewrite()
	}
	if f.err == nil {
		return
	}
	f.log.WithError(f.err).Error("State not written, trying again")
	time.AfterFunc(retryAfter, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, rec := range batch {
			f.pending[rec.key()] = rec.Room != ""
		}
		f.changed.Signal()
	})
}

func appendTo(w io.Writer, batch []record) error {
	out := bufio.NewWriter(w)
	enc := json.NewEncoder(out)
	for _, rec := range batch {
		if err := enc.Encode(rec); err != nil {
			return err
		}
	}
	return out.Flush()
}

// rewrite puts a journal with nothing but what counts into the place of the
// old one.
func (f *File) rewrite() error {
	f.mu.Lock()
	all := make([]record, 0, len(f.live))
	for _, rec := range f.live {
		all = append(all, rec)
	}
	f.mu.Unlock()
	path := f.path + ".new"
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	err = errors.Join(syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB), appendTo(file, all), file.Sync())
	if err == nil {
		err = os.Rename(path, f.path)
	}
	if err != nil {
		return errors.Join(err, file.Close(), os.Remove(path))
	}
	f.file.Close()
	f.file, f.lines = file, len(all)
	return syncDir(filepath.Dir(f.path))
}

// syncDir makes a new name last.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
