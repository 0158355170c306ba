package sugar

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// sharing is an activity that Alice shares and Bob joins.
type sharing struct {
	s              *Stage
	bundle, id     string // id is the activity's
	alices, bobs   *Process
	aliceIs, bobIs string // their nicks when it began
}

func (s *Stage) newSharing(bundle string) *sharing {
	return &sharing{s: s, bundle: bundle, aliceIs: s.alice.nick, bobIs: s.bob.nick}
}

// begin: Alice starts it.
func (a *sharing) begin(ctx context.Context) (err error) {
	a.alices, a.id, err = a.s.alice.launch(ctx, a.bundle, "")
	return err
}

// share: Alice lets everybody join.
func (a *sharing) share(ctx context.Context) error {
	if err := a.alices.call(ctx, nil, "share", false); err != nil {
		return err
	}
	return a.alices.until(ctx, nil, "shared")
}

// seen waits until a child's Neighborhood has the activity with all that is wanted of it.
func (a *sharing) seen(ctx context.Context, by *laptop, wanted map[string]any) error {
	wanted["id"], wanted["bundle"] = a.id, a.bundle
	return by.shell.until(ctx, nil, "activity", wanted)
}

// join: Bob clicks on it.
func (a *sharing) join(ctx context.Context) (err error) {
	var id string
	if a.bobs, id, err = a.s.bob.launch(ctx, a.bundle, a.id); err == nil && id != a.id {
		err = fmt.Errorf("he has started the activity %s", id)
	}
	return err
}

// together waits until each has the other child in the activity, and nobody else.
func (a *sharing) together(ctx context.Context) error {
	for p, other := range map[*Process]string{a.bobs: a.aliceIs, a.alices: a.bobIs} {
		if err := p.until(ctx, nil, "shared"); err != nil {
			return err
		}
		if err := p.until(ctx, nil, "in_it", []string{other}); err != nil {
			return err
		}
	}
	return nil
}

// both has a function called on both sides until it gives something.
func (a *sharing) both(ctx context.Context, function string, args ...any) error {
	return errors.Join(a.alices.until(ctx, nil, function, args...), a.bobs.until(ctx, nil, function, args...))
}

// joining: Alice shares, Bob sees it and joins. The extra checks come before Bob does anything.
func (a *sharing) joining(extra ...check) []check {
	checks := append([]check{{"Alice shares it with her Neighborhood", a.share}}, extra...)
	return append(checks,
		check{"Bob sees it", func(ctx context.Context) error {
			return a.seen(ctx, a.s.bob, map[string]any{"private": false, "buddies": []string{a.aliceIs}})
		}},
		check{"Bob joins", a.join},
		check{"both are in it, for both", a.together},
	)
}

// ending is how a sharing ends: Bob leaves, then Alice. The extra checks come between.
func (a *sharing) ending(extra ...check) []check {
	alice, bob := a.s.alice, a.s.bob
	checks := append([]check{
		{"Bob leaves", func(ctx context.Context) error { return a.bobs.close(ctx) }},
	}, extra...)
	return append(checks,
		check{"Alice does not see Bob in it any more", func(ctx context.Context) error {
			return alice.shell.until(ctx, nil, "without", a.id, a.bobIs)
		}},
		check{"Alice leaves", func(ctx context.Context) error { return a.alices.close(ctx) }},
		check{"nothing of it stays with Bob", func(ctx context.Context) error { return bob.shell.until(ctx, nil, "no_activity", a.id) }},
		check{"nothing of it stays with Alice", func(ctx context.Context) error { return alice.shell.until(ctx, nil, "no_activity", a.id) }},
	)
}

// story is a whole sharing: Alice starts it and shares it; what is to be so before Bob joins, and what they do together; the end.
func (a *sharing) story(name string, before, together []check) []check {
	return slices.Concat([]check{{"Alice starts " + name, a.begin}}, a.joining(before...), together, a.ending())
}
