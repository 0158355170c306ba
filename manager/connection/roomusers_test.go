package connection

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"telepathy-olpc/channels"
	"telepathy-olpc/internal/loop"
	"telepathy-olpc/internal/tp"
)

var hall = channels.Target{Type: tp.HandleTypeRoom, Handle: 7}

// stage is programs that use rooms, without a bus.
type stage struct {
	users *roomUsers
	loop  *loop.Loop
	gone  map[string][]func() // ends a program, by name
	left  []uint32            // rooms
}

// do runs f on the loop, and what it causes.
func (s *stage) do(f func()) {
	s.loop.Post("test", f)
	synctest.Wait()
}

func (s *stage) use(t channels.Target, program string) { s.do(func() { s.users.use(t, program) }) }

func (s *stage) kill(program string) {
	s.do(func() {
		gone := s.gone[program]
		delete(s.gone, program)
		for _, f := range gone {
			f()
		}
	})
}

func (s *stage) close() {
	s.do(func() { s.users.closed(&channels.Channel{Type: tp.InterfaceChannelText, Target: hall}) })
}

// wait lets time pass. That it has not come to the rooms' end is seen in left.
func (s *stage) wait(d time.Duration) {
	time.Sleep(d) // of the bubble
	synctest.Wait()
}

func onStage(t *testing.T, f func(*stage)) {
	t.Helper()
	synctest.Test(t, func(*testing.T) {
		s := &stage{loop: loop.New(loop.Config{}), gone: make(map[string][]func())}
		s.users = &roomUsers{
			whenGone: func(program string, gone func()) func() {
				s.gone[program] = append(s.gone[program], gone)
				return func() { delete(s.gone, program) }
			},
			after:  s.loop.After,
			leave:  func(room uint32) { s.left = append(s.left, room) },
			linger: defaultLinger,
			rooms:  make(map[uint32]*roomUse),
		}
		go s.loop.Run()
		f(s)
		s.loop.Close()
		<-s.loop.Done()
	})
}

func TestRoomUsers(t *testing.T) {
	for _, c := range []struct {
		name string
		play func(*stage)
		want []uint32
	}{
		{"killed a minute ago", func(s *stage) {
			s.use(hall, ":1.1")
			s.kill(":1.1")
			s.wait(defaultLinger)
		}, []uint32{7}},
		{"killed just now", func(s *stage) {
			s.use(hall, ":1.1")
			s.kill(":1.1")
			s.wait(defaultLinger - 1)
		}, nil},
		{"started again in time", func(s *stage) {
			s.use(hall, ":1.1")
			s.kill(":1.1")
			s.wait(defaultLinger - 1)
			s.use(hall, ":1.2")
			s.wait(2 * defaultLinger)
		}, nil},
		{"killed, started and killed again", func(s *stage) {
			s.use(hall, ":1.1")
			s.kill(":1.1")
			s.wait(defaultLinger - 1)
			s.use(hall, ":1.2")
			s.kill(":1.2")
			s.wait(defaultLinger)
		}, []uint32{7}},
		{"one of two", func(s *stage) {
			s.use(hall, ":1.1")
			s.use(hall, ":1.2")
			s.use(hall, ":1.1")
			s.kill(":1.1")
			s.wait(2 * defaultLinger)
		}, nil},
		{"both", func(s *stage) {
			s.use(hall, ":1.1")
			s.use(hall, ":1.2")
			s.kill(":1.1")
			s.kill(":1.2")
			s.wait(2 * defaultLinger)
		}, []uint32{7}},
		{"of two rooms", func(s *stage) {
			s.use(hall, ":1.1")
			s.use(channels.Target{Type: tp.HandleTypeRoom, Handle: 8}, ":1.1")
			s.use(channels.Target{Type: tp.HandleTypeRoom, Handle: 8}, ":1.2")
			s.kill(":1.1")
			s.wait(2 * defaultLinger)
		}, []uint32{7}},
		{"closed in between", func(s *stage) {
			s.use(hall, ":1.1")
			s.kill(":1.1")
			s.close()
			s.wait(2 * defaultLinger)
		}, nil},
		{"a chat with one person", func(s *stage) {
			s.use(channels.Target{Type: tp.HandleTypeContact, Handle: 7}, ":1.1")
			s.kill(":1.1")
			s.wait(2 * defaultLinger)
		}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			onStage(t, func(s *stage) {
				c.play(s)
				if !slices.Equal(s.left, c.want) {
					t.Errorf("left %v, want %v", s.left, c.want)
				}
			})
		})
	}
}

// For whom a room that is closed has been used is not waited any more.
func TestRoomUsers_forgotten(t *testing.T) {
	onStage(t, func(s *stage) {
		s.use(hall, ":1.1")
		s.use(hall, ":1.2")
		s.close()
		if len(s.gone) != 0 || len(s.users.rooms) != 0 {
			t.Errorf("%d programs are waited for, of %d rooms", len(s.gone), len(s.users.rooms))
		}
	})
}
