package sugar

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
)

// same compares a SHA-256 in hexadecimal digits with that of bytes.
func same(sum string, bytes []byte) error {
	if want := sha256.Sum256(bytes); sum != hex.EncodeToString(want[:]) {
		return fmt.Errorf("the bytes are not those that were sent: SHA-256 is %s, not %x", sum, want)
	}
	return nil
}

// journalft: an entry of one Journal goes to the Journal of a friend.
func (s *Stage) journalft() []check {
	const title, description, mimeType = "Our trees – 平", "in front of the school", "image/png"
	picture := make([]byte, 300_000)
	rand.Read(picture)
	alice, bob := s.alice.shell, s.bob.shell
	return []check{
		{"Alice makes Bob her friend", func(ctx context.Context) error {
			if err := alice.call(ctx, nil, "make_friend", s.bob.address()); err != nil {
				return err
			}
			return alice.until(ctx, nil, "friend_is_there", s.bob.nick)
		}},
		{"Alice has a picture in her Journal", func(ctx context.Context) error {
			path := s.alice.runtime("trees.png")
			if err := os.WriteFile(path, picture, 0o600); err != nil {
				return err
			}
			return alice.call(ctx, nil, "keep", title, description, mimeType, path)
		}},
		{"Alice sends it to Bob from there", func(ctx context.Context) error {
			return alice.call(ctx, nil, "send_to", s.bob.nick, title)
		}},
		{"Bob is offered it by Alice", func(ctx context.Context) error {
			err := bob.until(ctx, nil, "offered", map[string]any{
				"title": title, "description": description, "type": mimeType, "size": len(picture), "from": s.alice.nick})
			s.photograph(ctx, "offered")
			return err
		}},
		{"Bob accepts", func(ctx context.Context) error { return bob.call(ctx, nil, "accept_file", title) }},
		{"it is whole in Bob's Journal", func(ctx context.Context) error {
			if err := bob.until(ctx, nil, "kept", title); err != nil {
				return err
			}
			var sum string
			if err := bob.call(ctx, &sum, "journal_sum", title); err != nil {
				return err
			}
			return same(sum, picture)
		}},
		{"Alice is told that it is there", func(ctx context.Context) error {
			return alice.until(ctx, nil, "complete", map[string]any{"title": title})
		}},
	}
}
