package load

import (
	"context"

	"telepathy-olpc/tests/pupil"
	"telepathy-olpc/tests/school"
)

// Crowd are simulated children for tests of others. Its methods are for one goroutine; which children they are for is told by
// numbers, from 0 up, and none means all.
type Crowd struct {
	children []*child
	heard    tally
}

// NewCrowd makes so many children for a school.
func NewCrowd(n int, s *school.Server) (*Crowd, error) {
	c := new(Crowd)
	for i := range n {
		one, err := newChild(i, s, s.DirectPort, &c.heard)
		if err != nil {
			return nil, err
		}
		c.children = append(c.children, one)
	}
	return c, nil
}

// Arrive has children log in, anew if need be, and publish everything.
func (c *Crowd) Arrive(ctx context.Context, which ...int) error {
	return each(ctx, c.chosen(which), func(one *child, ctx context.Context) error {
		_ = one.leave(ctx) // of what was lost nothing may stay
		return one.arrive(ctx)
	})
}

// Change gives children another nick and another colour.
func (c *Crowd) Change(ctx context.Context, which ...int) error {
	return each(ctx, c.chosen(which), (*child).change)
}

// Leave has children log out.
func (c *Crowd) Leave(ctx context.Context, which ...int) error {
	return each(ctx, c.chosen(which), (*child).leave)
}

// Pupil is the session of a child who has arrived.
func (c *Crowd) Pupil(n int) *pupil.Pupil { return c.children[n].pupil }

// Heard is how many stanzas the children were sent that are no answers.
func (c *Crowd) Heard() int { return int(c.heard.messages.Load() + c.heard.presences.Load()) }

func (c *Crowd) chosen(which []int) []*child {
	if len(which) == 0 {
		return c.children
	}
	var list []*child
	for _, n := range which {
		list = append(list, c.children[n])
	}
	return list
}
