package sugar

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// Process is the shell of a Sugar, or one of its activities, with our agent in it; folder agent has what can be called.
type Process struct {
	hello hello
	conn  net.Conn
	gone  chan struct{} // closed when the process has ended

	mu      sync.Mutex
	last    int // the latest question
	waiting map[int]chan answer
}

// hello is what an agent says first.
type hello struct {
	Role, Bundle string
	PID          int
}

type question struct {
	ID    int    `json:"id"`
	Call  string `json:"call"`
	Args  []any  `json:"args"`
	Until bool   `json:"until"`
}

type answer struct {
	ID     int
	Result json.RawMessage
	Error  string
}

// errGone says that a process ended before it answered.
var errGone = errors.New("the process has ended")

// meet reads the hello of a process that has just connected, and begins to read its answers.
func meet(conn net.Conn) (*Process, error) {
	p := &Process{conn: conn, gone: make(chan struct{}), waiting: make(map[int]chan answer)}
	lines := json.NewDecoder(bufio.NewReader(conn))
	if err := lines.Decode(&p.hello); err != nil {
		conn.Close()
		return nil, err
	}
	go p.read(lines)
	return p, nil
}

func (p *Process) read(lines *json.Decoder) {
	defer p.conn.Close()
	defer close(p.gone)
	for {
		var a answer
		if lines.Decode(&a) != nil {
			return
		}
		p.mu.Lock()
		if c := p.waiting[a.ID]; c != nil {
			c <- a
			delete(p.waiting, a.ID)
		}
		p.mu.Unlock()
	}
}

// call has a function called once in the main loop, and stores what it gives in result, which may be nil.
func (p *Process) call(ctx context.Context, result any, function string, args ...any) error {
	return p.ask(ctx, result, question{Call: function, Args: args})
}

// until has a function called until it gives something, which is stored in result.
func (p *Process) until(ctx context.Context, result any, function string, args ...any) error {
	return p.ask(ctx, result, question{Call: function, Args: args, Until: true})
}

func (p *Process) ask(ctx context.Context, result any, q question) error {
	if q.Args == nil {
		q.Args = []any{}
	}
	came := make(chan answer, 1)
	p.mu.Lock()
	p.last++
	q.ID = p.last
	p.waiting[q.ID] = came
	line, err := json.Marshal(q)
	if err == nil {
		_, err = p.conn.Write(append(line, '\n'))
	}
	p.mu.Unlock()
	if err != nil {
		return fmt.Errorf("%s: %w", q.Call, errors.Join(err, p.ended()))
	}
	select {
	case a := <-came:
		if a.Error != "" {
			return fmt.Errorf("%s: %s", q.Call, a.Error)
		}
		if result == nil {
			return nil
		}
		return json.Unmarshal(a.Result, result)
	case <-p.gone:
		return fmt.Errorf("%s: %w", q.Call, errGone)
	case <-ctx.Done():
		return fmt.Errorf("waited in vain for %s%q", q.Call, q.Args)
	}
}

// ended tells whether the process has ended.
func (p *Process) ended() error {
	select {
	case <-p.gone:
		return errGone
	default:
		return nil
	}
}

// close closes an activity as its button does, and waits until its process has ended.
func (p *Process) close(ctx context.Context) error {
	if err := p.call(ctx, nil, "close"); err != nil && !errors.Is(err, errGone) {
		return err
	}
	select {
	case <-p.gone:
		return nil
	case <-ctx.Done():
		return errors.New("the activity does not close")
	}
}

// stateLimit is how long a process may take to tell its state for a report.
const stateLimit = 10 * time.Second

// state is what there is to see, for a report.
func (p *Process) state(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, stateLimit)
	defer cancel()
	var state json.RawMessage
	if err := p.call(ctx, &state, "state"); err != nil {
		return err.Error()
	}
	return string(state)
}
