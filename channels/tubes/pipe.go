package tubes

import (
	"errors"
	"io"
	"sync"

	"telepathy-olpc/internal/dbuspeer"
	"telepathy-olpc/xmpp/bytestream"
)

// pipe carries a D-Bus tube with a contact: messages one after the other, both
// ways, in goroutines. Neither side is read before the other is there, and each
// is held back by the other. Senders and destinations are the programs' own
// affair (specification, Channel.Type.DBusTube).
type pipe struct {
	stream bytestream.Conn // once opened is closed
	opened chan struct{}
	client chan struct{} // closed when the local program is connected
	meet   sync.Once
	gone   chan struct{} // closed when the tube is over
	leave  sync.Once
}

func newPipe() *pipe {
	return &pipe{opened: make(chan struct{}), client: make(chan struct{}), gone: make(chan struct{})}
}

// events are those of the local program.
func (p *pipe) events() dbuspeer.Events {
	return dbuspeer.Events{
		Connected: func() { p.meet.Do(func() { close(p.client) }) },
		Message: func(_ dbuspeer.Header, m []byte) {
			select {
			case <-p.opened:
				_, _ = p.stream.Write(m) // the reader hears of it when it fails
			case <-p.gone:
			}
		},
	}
}

// open begins to carry. over is called from a goroutine when the other side has
// ended the stream, or has to be ended.
func (p *pipe) open(s bytestream.Conn, program *dbuspeer.Server, over func(error)) {
	p.stream = s
	close(p.opened)
	go func() {
		err := p.read(program)
		_ = s.Close()
		over(err)
	}()
}

var errSlow = errors.New("local program does not read what the other side says")

// read passes on what the other side says, as far as it is valid: libdbus gives
// up the connection of a program that gets anything else.
func (p *pipe) read(program *dbuspeer.Server) error {
	select {
	case <-p.client:
	case <-p.gone:
		return io.EOF
	}
	r := dbuspeer.NewReader(p.stream, dbuspeer.MaxMessage)
	for {
		m, err := r.Next()
		switch {
		case errors.Is(err, dbuspeer.ErrTooLong):
			continue
		case err != nil:
			return err
		}
		if _, err := dbuspeer.ParseMessage(m); err != nil {
			continue
		}
		if !program.Send(m) {
			return errSlow
		}
	}
}

// close ends it; the goroutine that reads ends soon.
func (p *pipe) close() {
	p.leave.Do(func() { close(p.gone) })
	select {
	case <-p.opened:
		_ = p.stream.Close()
	default:
	}
}
