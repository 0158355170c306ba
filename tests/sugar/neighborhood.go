package sugar

import "context"

// look is how somebody appears to others.
func (l *laptop) look() map[string]any {
	return map[string]any{"address": l.address(), "nick": l.nick, "colors": l.colors, "key": l.key}
}

// sees waits until one child sees the other as that one looks.
func (l *laptop) sees(ctx context.Context, other *laptop) error {
	return l.shell.until(ctx, nil, "buddy", other.look())
}

// neighborhood: both laptops register, log in, and see each other.
func (s *Stage) neighborhood() []check {
	return []check{
		{"Alice sees Bob with nick, colours and key", func(ctx context.Context) error { return s.alice.sees(ctx, s.bob) }},
		{"Bob sees Alice with nick, colours and key", func(ctx context.Context) error { return s.bob.sees(ctx, s.alice) }},
		{"both look at their Neighborhood", func(ctx context.Context) error {
			for _, l := range s.laptops() {
				if err := l.shell.call(ctx, nil, "show_neighborhood"); err != nil {
					return err
				}
			}
			s.photograph(ctx, "neighborhood")
			return nil
		}},
	}
}

// profile: new colours and a new nick reach the others.
func (s *Stage) profile() []check {
	return []check{
		{"Alice takes other colours, and Bob sees them", func(ctx context.Context) error {
			s.alice.colors = "#AC32FF,#BCCEFF"
			if err := s.alice.shell.call(ctx, nil, "set_colors", s.alice.colors); err != nil {
				return err
			}
			return s.bob.sees(ctx, s.alice)
		}},
		{"Alice takes another nick, and Bob sees it", func(ctx context.Context) error {
			s.alice.nick = "Alicia"
			if err := s.alice.shell.call(ctx, nil, "set_nick", s.alice.nick); err != nil {
				return err
			}
			return s.bob.sees(ctx, s.alice)
		}},
	}
}

// comeBack: who goes is not seen any more, and who comes back is seen again.
func (s *Stage) comeBack() []check {
	return []check{
		{"Alice goes off-line, and Bob does not see her", func(ctx context.Context) error {
			if err := s.alice.shell.call(ctx, nil, "go_offline"); err != nil {
				return err
			}
			return s.bob.shell.until(ctx, nil, "nobody", map[string]any{"address": s.alice.address()})
		}},
		{"Alice comes back, and Bob sees her again", func(ctx context.Context) error {
			if err := s.alice.shell.call(ctx, nil, "go_online"); err != nil {
				return err
			}
			return s.bob.sees(ctx, s.alice)
		}},
		{"Alice sees Bob again", func(ctx context.Context) error { return s.alice.sees(ctx, s.bob) }},
	}
}
