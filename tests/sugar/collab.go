package sugar

import "context"

// The activities that use CollabWrapper: who joins is sent the state in a file, and then everybody sends messages.
const (
	memorizeBundle = "org.laptop.Memorize"
	pippyBundle    = "org.laptop.Pippy"
)

// memorize: both play one game. That Memorize 58 does not show Bob the game it is sent, since it opens a zip file by a name in
// bytes, is no matter of ours; pippy looks at what comes.
func (s *Stage) memorize() []check {
	turned := func(card int) map[string]any { return map[string]any{"action": "flip", "n": card} }
	a := s.newSharing(memorizeBundle)
	return a.story("Memorize", nil, []check{
		{"Bob is sent Alice's game", func(ctx context.Context) error {
			return s.bob.shell.until(ctx, nil, "complete", map[string]any{
				"title": "org.freedesktop.Telepathy.Client." + memorizeBundle, "description": "!!ACTION_INIT_RESPONSE", "from": a.aliceIs})
		}},
		{"Alice turns a card over, and Bob is told", func(ctx context.Context) error {
			if err := a.both(ctx, "listen"); err != nil {
				return err
			}
			if err := a.alices.call(ctx, nil, "turn_over", 3); err != nil {
				return err
			}
			return a.bobs.until(ctx, nil, "heard", a.aliceIs, turned(3))
		}},
		{"Bob turns a card over, and Alice is told", func(ctx context.Context) error {
			if err := a.bobs.call(ctx, nil, "post", turned(8)); err != nil {
				return err
			}
			err := a.alices.until(ctx, nil, "heard", a.bobIs, turned(8))
			s.photograph(ctx, "memorize")
			return err
		}},
	})
}

// pippy: both write one program.
func (s *Stage) pippy() []check {
	const alices, bobs = "print('Our trees / 平')\n", "print('An old lime')\n"
	a := s.newSharing(pippyBundle)
	return a.story("Pippy", []check{
		{"Alice writes a line", func(ctx context.Context) error { return a.alices.call(ctx, nil, "write_code", alices) }},
	}, []check{
		{"Bob is sent what Alice has written", func(ctx context.Context) error { return a.bobs.until(ctx, nil, "code_is", alices) }},
		{"Bob writes a line, and Alice sees it", func(ctx context.Context) error {
			if err := a.bobs.call(ctx, nil, "write_code", bobs); err != nil {
				return err
			}
			err := a.alices.until(ctx, nil, "code_is", alices+bobs)
			s.photograph(ctx, "pippy")
			return err
		}},
		{"Alice writes another, and Bob sees it", func(ctx context.Context) error {
			if err := a.alices.call(ctx, nil, "write_code", alices); err != nil {
				return err
			}
			return a.bobs.until(ctx, nil, "code_is", alices+bobs+alices)
		}},
	})
}
