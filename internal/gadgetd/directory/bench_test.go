package directory

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"telepathy-olpc/xmpp/gadget"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/olpc"
)

// The largest school that was ever thought of.
const (
	benchBuddies    = 50_000
	benchActivities = 10_000
)

func benchBuddy(i int) gadget.Buddy {
	names := []string{"Ana", "Tomás", "María José", "李", "Omar", "Njeri", "Pedro"}
	return gadget.Buddy{
		JID: addr(fmt.Sprintf("%040x@school.test", i)), Alias: fmt.Sprint(names[i%len(names)], " ", i),
		Properties: olpc.Properties{"color": fmt.Sprintf("#%06X,#00588C", i%200), "key": []byte(strings.Repeat("k", 580) + fmt.Sprint(i))},
	}
}

func benchActivity(i int) (olpc.Activity, olpc.Properties) {
	return olpc.Activity{ID: fmt.Sprintf("%040x", i), Room: addr(fmt.Sprintf("%040x@conference.school.test", i))},
		olpc.Properties{"type": fmt.Sprint("org.laptop.A", i%20), "name": fmt.Sprint("Activity ", i), "color": "#00EA11,#00588C", "tags": "", "private": false}
}

// benchWorld is a school with everybody there, each with two views; it is the
// same for all benchmarks, which leave as much in it as there was.
var benchWorld = sync.OnceValue(func() *Directory {
	d := New(Config{Notify: func(jid.JID, gadget.Notification) {}, Dirty: func() {}, Limits: Limits{Views: 8, Size: 200}})
	for i := range benchBuddies {
		d.ShowBuddy(benchBuddy(i))
	}
	for i := range benchActivities {
		a, props := benchActivity(i)
		d.ShowActivity(a, props)
		for k := range 5 {
			d.Join(a.Room, benchBuddy(i*5+k).JID)
		}
	}
	for i := range benchBuddies {
		owner := addr(fmt.Sprintf("%040x@school.test/sugar", i))
		d.Open(owner, gadget.Request{Kind: gadget.Buddies, View: "1", Size: 20})
		d.Open(owner, gadget.Request{Kind: gadget.Activities, View: "2", Size: 10})
	}
	d.Flush()
	return d
})

// BenchmarkBuddy is what it costs that one of 50,000, of whom each has two
// views, goes and comes back.
func BenchmarkBuddy(b *testing.B) {
	d := benchWorld()
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		buddy := benchBuddy(i % benchBuddies)
		d.HideBuddy(buddy.JID)
		d.ShowBuddy(buddy)
		d.Flush()
		i++
	}
}

// BenchmarkActivity is what it costs that one of 10,000 changes its name and
// one child joins it and leaves.
func BenchmarkActivity(b *testing.B) {
	d := benchWorld()
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		a, props := benchActivity(i % benchActivities)
		props["name"] = fmt.Sprint("Other ", i)
		d.ShowActivity(a, props)
		who := benchBuddy(i % benchBuddies).JID
		d.Join(a.Room, who)
		d.Flush()
		d.Leave(a.Room, who)
		d.Flush()
		i++
	}
}

// BenchmarkOpen is a random view of twenty buddies, opened and closed.
func BenchmarkOpen(b *testing.B) {
	d := benchWorld()
	owner := addr("visitor@school.test/sugar")
	b.ReportAllocs()
	for b.Loop() {
		if c, err := d.Open(owner, gadget.Request{Kind: gadget.Buddies, View: "1", Size: 20}); err != nil || len(c.Buddies) != 20 {
			b.Fatal(len(c.Buddies), err)
		}
		d.CloseAll(owner)
	}
}

// BenchmarkSearch is a search for part of a name that a few have, and for one
// that thousands have.
func BenchmarkSearch(b *testing.B) {
	d := benchWorld()
	for _, alias := range []string{"njeri 2345", "tom", "o"} {
		b.Run(alias, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if c := d.Search(gadget.Request{Kind: gadget.Buddies, Size: 20, Criteria: gadget.Criteria{Alias: alias}}); len(c.Buddies) == 0 {
					b.Fatal("nobody found")
				}
			}
		})
	}
}

// BenchmarkFill is the whole school coming, by the buddy.
func BenchmarkFill(b *testing.B) {
	d := New(Config{Notify: func(jid.JID, gadget.Notification) {}, Dirty: func() {}, Limits: Limits{Views: 8, Size: 200}})
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		d.ShowBuddy(benchBuddy(i))
		i++
	}
}
