package text

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func newQueue(texts ...string) *queue {
	q := &queue{}
	for _, text := range texts {
		q.add(&pending{Message: Message{Text: text}})
	}
	return q
}

func (q *queue) texts() []string {
	texts := []string{}
	for _, p := range q.list {
		texts = append(texts, fmt.Sprint(p.id, p.Text))
	}
	return texts
}

func TestQueue_remove(t *testing.T) {
	for _, c := range []struct {
		name    string
		ids     []uint32
		removed []uint32
		left    []string
	}{
		{"none", nil, nil, []string{"1a", "2b", "3c", "4d"}},
		{"the oldest", []uint32{1}, []uint32{1}, []string{"2b", "3c", "4d"}},
		{"all, in disorder", []uint32{4, 2, 1, 3}, []uint32{1, 2, 3, 4}, []string{}},
		{"one in between", []uint32{3}, []uint32{3}, []string{"1a", "2b", "4d"}},
		{"oldest and latest", []uint32{4, 1}, []uint32{1, 4}, []string{"2b", "3c"}},
		{"one twice", []uint32{2, 2}, []uint32{2}, []string{"1a", "3c", "4d"}},
	} {
		q := newQueue("a", "b", "c", "d")
		removed, ok := q.remove(c.ids)
		if !ok || !slices.Equal(removed, c.removed) {
			t.Errorf("%s: removed %v, %v", c.name, removed, ok)
		}
		if diff := cmp.Diff(c.left, q.texts()); diff != "" || q.bytes != len(c.left) {
			t.Errorf("%s: %d bytes are left, and (-want +got):\n%s", c.name, q.bytes, diff)
		}
	}
}

func TestQueue_removeAllOrNone(t *testing.T) {
	q := newQueue("a", "b")
	for _, ids := range [][]uint32{{3}, {0}, {1, 3}, {1, 2, 1 << 31}} {
		if removed, ok := q.remove(ids); ok || removed != nil {
			t.Errorf("removing %v gives %v", ids, removed)
		}
	}
	if len(q.list) != 2 || q.bytes != 2 {
		t.Errorf("left: %v, %d bytes", q.texts(), q.bytes)
	}
}

// Ids are not used again, whatever was removed.
func TestQueue_ids(t *testing.T) {
	q := newQueue("a", "b")
	q.drop(2)
	q.add(&pending{Message: Message{Text: "c"}})
	if diff := cmp.Diff([]string{"3c"}, q.texts()); diff != "" {
		t.Error(diff)
	}
}

func TestQueue_bounded(t *testing.T) {
	q := &queue{}
	for n := uint32(1); n <= 10_000; n++ {
		lost := q.add(&pending{Message: Message{Text: "x"}})
		if len(lost) > 0 && (len(lost) != maxPending/8 || len(q.list) != maxPending-maxPending/8+1) {
			t.Fatalf("%d lost at message %d, %d are left", len(lost), n, len(q.list))
		}
		if len(q.list) > maxPending || q.list[len(q.list)-1].id != n {
			t.Fatalf("%d messages, the latest %d, after %d", len(q.list), q.list[len(q.list)-1].id, n)
		}
	}
	first := q.list[0].id
	for i, p := range q.list {
		if p.id != first+uint32(i) {
			t.Fatalf("message %d after %d", p.id, first+uint32(i)-1)
		}
	}
}

// The latest is kept, however long it is.
func TestQueue_boundedInBytes(t *testing.T) {
	q := newQueue("short")
	long := strings.Repeat("x", maxPendingBytes/2)
	for n, want := range [][]uint32{nil, {1, 2}, nil, {3, 4}} {
		lost := q.add(&pending{Message: Message{Text: long}})
		if !slices.Equal(lost, want) {
			t.Errorf("long message %d: lost %v, want %v", n+1, lost, want)
		}
	}
	q.add(&pending{Message: Message{Text: long + long + long}})
	if len(q.list) != 1 || q.bytes != 3*len(long) {
		t.Errorf("%d messages of %d bytes", len(q.list), q.bytes)
	}
}

func TestClip(t *testing.T) {
	for _, text := range []string{"", "ab", "abcd", "äöü", "a😀b", "😀😀"} {
		for n := range len(text) + 2 {
			got := clip(text, n)
			if len(got) > n || len(got) < min(n, len(text))-3 || !strings.HasPrefix(text, got) || !utf8.ValidString(got) {
				t.Errorf("%q cut to %d is %q", text, n, got)
			}
		}
	}
}
