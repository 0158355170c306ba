package sugar

import (
	"context"
	"fmt"
)

const chatBundle = "org.laptop.Chat"

// talk is a Chat that both children have open.
type talk struct {
	*sharing
	aliceSays, bobSays string
}

func (s *Stage) newTalk(aliceSays, bobSays string) *talk {
	return &talk{sharing: s.newSharing(chatBundle), aliceSays: aliceSays, bobSays: bobSays}
}

// exchange: what each says comes to the other, once.
func (t *talk) exchange(ctx context.Context) error {
	for _, line := range []struct {
		from, to   *Process
		nick, text string
	}{
		{t.alices, t.bobs, t.aliceIs, t.aliceSays},
		{t.bobs, t.alices, t.bobIs, t.bobSays},
	} {
		if err := line.from.call(ctx, nil, "say", line.text); err != nil {
			return err
		}
		if err := line.to.until(ctx, nil, "told", line.nick, line.text); err != nil {
			return err
		}
		for _, p := range []*Process{line.from, line.to} {
			var times int
			if err := p.call(ctx, &times, "times", line.nick, line.text); err != nil {
				return err
			}
			if times != 1 {
				return fmt.Errorf("%q is there %d times", line.text, times)
			}
		}
	}
	return nil
}

// ending of a talk: Alice is told as well.
func (t *talk) ending() []check {
	return t.sharing.ending(check{"Alice is told that Bob has left", func(ctx context.Context) error {
		return t.alices.until(ctx, nil, "told", t.bobIs, t.bobIs+" left the chat")
	}})
}

// chat: an activity that all may see and join.
func (s *Stage) chat() []check {
	t := s.newTalk("Which tree is in front of your house? / 平", "An old lime")
	return append([]check{
		{"Alice starts Chat", t.begin},
		{"Alice shares it with her Neighborhood", t.share},
		{"Bob sees it, public, and Alice in it", func(ctx context.Context) error {
			return t.seen(ctx, s.bob, map[string]any{"private": false, "colors": s.alice.colors, "buddies": []string{t.aliceIs}})
		}},
		{"Bob sees Alice look at it", func(ctx context.Context) error {
			err := t.seen(ctx, s.bob, map[string]any{"current": []string{t.aliceIs}})
			s.photograph(ctx, "shared")
			return err
		}},
		{"Bob joins", t.join},
		{"both are in it, for both", t.together},
		{"Alice is told that Bob has joined", func(ctx context.Context) error {
			return t.alices.until(ctx, nil, "told", t.bobIs, t.bobIs+" joined the chat")
		}},
		{"Bob is told that Alice is there", func(ctx context.Context) error {
			return t.bobs.until(ctx, nil, "told", t.aliceIs, t.aliceIs+" is here")
		}},
		{"they chat", func(ctx context.Context) error {
			err := t.exchange(ctx)
			s.photograph(ctx, "chat")
			return err
		}},
		{"Alice sees Bob in it and look at it", func(ctx context.Context) error {
			return t.seen(ctx, s.alice, map[string]any{"buddies": []string{t.bobIs}, "current": []string{t.bobIs}})
		}},
	}, t.ending()...)
}

// invite: an activity that only the invited know of.
func (s *Stage) invite() []check {
	t := s.newTalk("Only for you", "I tell nobody")
	return append([]check{
		{"Alice starts Chat", t.begin},
		{"Alice invites Bob", func(ctx context.Context) error {
			if err := s.alice.shell.until(ctx, nil, "active", t.id); err != nil {
				return err
			}
			return s.alice.shell.call(ctx, nil, "invite", s.bob.address())
		}},
		{"Alice's Chat is shared by that", func(ctx context.Context) error { return t.alices.until(ctx, nil, "shared") }},
		{"Bob is invited", func(ctx context.Context) error {
			err := s.bob.shell.until(ctx, nil, "invitation", map[string]any{"bundle": chatBundle, "colors": s.alice.colors})
			s.photograph(ctx, "invited")
			return err
		}},
		{"Bob accepts, and his Chat starts", func(ctx context.Context) (err error) {
			if err := s.bob.shell.call(ctx, nil, "accept"); err != nil {
				return err
			}
			t.bobs, _, err = s.bob.started(ctx, chatBundle)
			return err
		}},
		{"both are in it, for both", t.together},
		{"it is private for Bob", func(ctx context.Context) error { return t.seen(ctx, s.bob, map[string]any{"private": true}) }},
		{"they chat", func(ctx context.Context) error {
			err := t.exchange(ctx)
			s.photograph(ctx, "private")
			return err
		}},
	}, t.ending()...)
}
