package bytestream

import (
	"bytes"
	"io"
	"testing"
)

func TestStream_bothWays(t *testing.T) {
	each(t, func(t *testing.T, a, b *child) {
		x, y := pair(t, a, b)
		question, answer := bytes.Repeat([]byte("question"), 10_000), bytes.Repeat([]byte("answer"), 20_000)
		done := make(chan error, 1)
		go func() {
			got, err := io.ReadAll(y)
			if !bytes.Equal(got, question) {
				t.Errorf("got %d bytes, want %d", len(got), len(question))
			}
			y.Write(answer)
			y.CloseWrite()
			done <- err
		}()
		if _, err := x.Write(question); err != nil {
			t.Error(err)
		}
		if err := x.CloseWrite(); err != nil {
			t.Error(err)
		}
		got, err := io.ReadAll(x)
		if err != nil || !bytes.Equal(got, answer) {
			t.Errorf("got %d bytes and %v, want %d", len(got), err, len(answer))
		}
		if err := await(t, done, "the other end"); err != nil {
			t.Error(err)
		}
		x.Close()
		y.Close()
		a.do(func() {})
		b.do(func() {})
	})
}
