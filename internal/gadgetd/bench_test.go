package gadgetd

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"telepathy-olpc/xmpp/olpc"
	"telepathy-olpc/xmpp/stanza"
)

// discard is a world that counts what is sent.
type discard struct {
	*world
	stanzas, bytes int
}

func (d *discard) Send(e *stanza.Element) {
	d.stanzas++
	d.bytes += len(e.AppendXML(nil, stanza.NSClient))
}

// BenchmarkSchool is the login of a whole school, as the stanzas of an
// in-process server: everybody publishes, comes, and opens two views; then one
// in five shares an activity. It tells what one child takes of the component.
func BenchmarkSchool(b *testing.B) {
	const children, activities = 50_000, 10_000
	for b.Loop() {
		w := newWorld(b, func(c *Config) { c.Limits.Size = 200 })
		out := &discard{world: w}
		w.Server.link = out
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		start := time.Now()
		in := 0
		feed := func(f func(*stanza.Element) bool, format string, args ...any) {
			in++
			f(parse(b, fmt.Sprintf(format, args...)))
		}
		for i := range children {
			who := fmt.Sprintf("%040x", i)
			feed(w.presence, "<presence from='%s@school.test' type='subscribe'/>", who)
			feed(w.presence, "<presence from='%s@school.test' type='subscribed'/>", who)
			feed(w.presence, "<presence from='%s@school.test/sugar'/>", who)
			feed(w.message, "%s", event(who, olpc.NodeBuddyProperties, olpc.BuildBuddyProperties(olpc.Properties{
				"color": fmt.Sprintf("#%06X,#00588C", i%200), "key": []byte(strings.Repeat("k", 580) + who)}).String()))
			w.iq["http://laptop.org/xmpp/buddy"](parse(b, strings.Replace(view(who+"@school.test/sugar", "buddy", "1"), "'10'", "'20'", 1)))
			w.iq["http://laptop.org/xmpp/activity"](parse(b, view(who+"@school.test/sugar", "activity", "2")))
			if i%20 == 19 { // as many as come together in the 200 ms of a flush
				w.dir.Flush()
			}
		}
		for i := range activities {
			who := fmt.Sprintf("%040x", i*5)
			a := olpc.ActivityProperties{Activity: olpc.Activity{ID: who, Room: addr(b, who+"@conference.school.test")},
				Properties: olpc.Properties{"type": "org.laptop.Chat", "name": fmt.Sprint("Chat ", i), "color": "#00EA11,#00588C", "tags": "", "private": false}}
			feed(w.message, "%s", event(who, olpc.NodeActivityProperties, olpc.BuildActivityProperties([]olpc.ActivityProperties{a}).String()))
			feed(w.message, "%s", event(who, olpc.NodeActivities, olpc.BuildActivities([]olpc.Activity{a.Activity}).String()))
			if i%20 == 19 {
				w.dir.Flush()
			}
		}
		took := time.Since(start)
		runtime.GC()
		runtime.ReadMemStats(&after)
		if s := w.Stats(); s.Buddies != children || s.Activities != activities {
			b.Fatalf("%+v", s)
		}
		b.ReportMetric(float64(took.Microseconds())/children, "µs/child")
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/children, "heap-B/child")
		b.ReportMetric(float64(out.stanzas)/children, "sent/child")
		b.ReportMetric(float64(out.bytes)/children, "sent-B/child")
		runtime.KeepAlive(w)
	}
}
