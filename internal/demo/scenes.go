package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"telepathy-olpc/tests/desktop"
	"telepathy-olpc/tests/school"
)

// demo is the stage: one school, some children with their laptops, and what has happened so far.
type demo struct {
	kind   school.Kind
	binary string
	stay   bool
	story  *story

	school *school.Server
	cast   []*pupil
	events chan event    // from all desktops
	over   chan struct{} // closed when nobody reads events any more
}

func newDemo(kind school.Kind, binary string, out io.Writer) *demo {
	return &demo{kind: kind, binary: binary, story: newStory(out), events: make(chan event), over: make(chan struct{})}
}

// scene is one step of the story. Later ones rely on earlier ones.
type scene struct {
	title  string
	within time.Duration
	do     func(*demo, context.Context) error
	await  mark // what the bus must tell of every child before the next scene; "" for nothing
}

// scenes is the story in its order.
var scenes = []scene{
	{"The school opens", 60 * time.Second, (*demo).openSchool, ""},
	{"Two children log in at their laptops", 15 * time.Second, (*demo).startDesktops, managed},
	{"Sugar makes its accounts, the link-local one first", 15 * time.Second, (*demo).makeAccounts, activated},
	{"The laptops go on-line, and the children see each other", 30 * time.Second, (*demo).nothing, met},
	{"The school server now knows both", 5 * time.Second, (*demo).countAccounts, ""},
	{"Link-local is switched off while there is a school, as Sugar does", 5 * time.Second, (*demo).disableLinkLocal, ""},
	{"Alice takes another nick", 15 * time.Second, (*demo).rename, aware(newNick)},
	{"Alice goes away", 15 * time.Second, (*demo).goAway, alone},
	{"Alice comes back, and is there again", 30 * time.Second, (*demo).comeBack, met},
	{"Alice shares an activity, and Bob sees it", 15 * time.Second, perform(0, "shares the Chat activity “"+activityName+"”.", (*activity).share), sharing},
	{"Bob joins", 15 * time.Second, perform(1, "joins “"+activityName+"”.", (*activity).join), together},
	{"The Neighborhood shows each at the activity", 15 * time.Second, (*demo).nothing, gathered},
	{"They chat", 15 * time.Second, say(0, greeting), said(greeting)},
	{"Bob answers", 15 * time.Second, say(1, answer), said(answer)},
	{"Alice offers a D-Bus tube, and Bob's activity accepts it", 15 * time.Second, perform(0, "lets the others call her activity.", (*activity).offerTube), tubed},
	{"Bob's activity calls Alice's through the tube", 15 * time.Second, perform(1, "asks how many trees of the kind “"+tree+"” there are.", (*activity).count), counted},
	{"Alice sends Bob a photo", 15 * time.Second, perform(0, "sends the file “"+photoName+"”.", (*activity).sendFile), delivered},
	{"Bob leaves, and Alice is told", 15 * time.Second, leave(1), apart},
	{"Alice leaves, and nothing stays in the Neighborhood", 15 * time.Second, leave(0), faded},
}

// What the children share and say.
const (
	activityName = "Our trees"
	greeting     = "Which tree is in front of your house?"
	answer       = "A mango tree!"
)

// newNick is what Alice calls herself later.
const newNick = "Ada"

// lastScene is played after -stay.
var lastScene = scene{"The children go home", 15 * time.Second, (*demo).goHome, disconnected}

// play runs all scenes.
func (d *demo) play(ctx context.Context) error {
	for _, s := range scenes {
		if err := d.playScene(ctx, s); err != nil {
			return err
		}
	}
	if d.stay {
		return nil
	}
	return d.playScene(ctx, lastScene)
}

// playScene runs what the scene does beside the telling of what happens meanwhile, so that all is told when it happens.
func (d *demo) playScene(ctx context.Context, s scene) error {
	ctx, cancel := context.WithTimeout(ctx, s.within)
	defer cancel()
	d.story.heading(s.title)
	done := make(chan error, 1)
	go func() { done <- s.do(d, ctx) }()
	for acting := true; acting || len(d.without(s.await)) > 0; {
		select {
		case e := <-d.events:
			d.take(e)
		case err := <-done:
			if err != nil {
				return err
			}
			acting = false
			done = nil
		case <-ctx.Done():
			if acting {
				if err := d.abandon(done); err != nil {
					return fmt.Errorf("%w; %w", ctx.Err(), err)
				}
				acting, done = false, nil
				continue
			}
			return fmt.Errorf("%s: not %s after %v", strings.Join(d.without(s.await), " and "), s.await, s.within)
		}
	}
	return nil
}

// abandon waits for a scene whose context has ended.
func (d *demo) abandon(done <-chan error) error {
	for {
		select {
		case e := <-d.events:
			d.take(e)
		case err := <-done:
			return err
		}
	}
}

// say tells something that a scene does.
func (d *demo) say(v voice, text string) { d.events <- event{when: time.Now(), voice: v, text: text} }

// teller gives what tells the news of a child from any goroutine.
func (d *demo) teller(p *pupil) func(news) {
	return func(n news) {
		select {
		case d.events <- event{time.Now(), p.voice, n.text, p, n.mark}:
		case <-d.over:
		}
	}
}

// take tells an event, but not again what holds already.
func (d *demo) take(e event) {
	if e.pupil == nil || e.pupil.reach(e.mark) {
		d.story.at(e.when, e.voice, e.text)
	}
}

// without names the children of whom something has not been told yet.
func (d *demo) without(m mark) []string {
	if m == "" {
		return nil
	}
	var names []string
	for _, p := range d.cast {
		if !p.reached[m] {
			names = append(names, p.Nick)
		}
	}
	return names
}

// stayUntil goes on telling until the context ends.
func (d *demo) stayUntil(ctx context.Context) {
	d.story.heading("Staying; Ctrl-C ends it")
	d.story.tell(theSchool, fmt.Sprintf("%s, STARTTLS on %s:%d, TLS on port %d", d.school.Domain, d.school.Host, d.school.Port, d.school.DirectPort))
	for _, p := range d.cast {
		d.story.tell(p.voice, "DBUS_SESSION_BUS_ADDRESS="+p.desktop.Address)
	}
	for {
		select {
		case e := <-d.events:
			d.take(e)
		case <-ctx.Done():
			return
		}
	}
}

func (d *demo) openSchool(ctx context.Context) error {
	d.say(theSchool, fmt.Sprintf("A throwaway %s starts on ports of its own.", d.kind))
	children := []desktop.Child{{Nick: "Alice", Color: "#FF2B34,#005FE4"}, {Nick: "Bob", Color: "#00EA11,#F8E800"}}
	opts := school.Options{Kind: d.kind}
	for i, c := range children {
		d.cast = append(d.cast, &pupil{Child: c, voice: voices[i], turns: make(chan turn), reached: make(map[mark]bool)})
		opts.Members = append(opts.Members, c.Name())
	}
	var err error
	if d.school, err = school.Start(ctx, opts); err != nil {
		return err
	}
	d.say(theSchool, fmt.Sprintf("%s is open at %s, port %d: any child may register.", d.school.Domain, d.school.Host, d.school.DirectPort))
	return nil
}

func (d *demo) startDesktops(ctx context.Context) error {
	for _, p := range d.cast {
		var err error
		if p.desktop, err = desktop.Start(ctx, desktop.Options{Binary: d.binary}); err != nil {
			return err
		}
		p.shell = newShell(p.Child, p.call)
		p.activity = newActivity(activityName, p.shell)
		p.activity.tell = d.teller(p)
		go p.watch(d.events, d.over)
		if err := (client{p.desktop.Bus}).export(); err != nil {
			return err
		}
		d.say(p.voice, "has a D-Bus session bus and asks for mission-control.")
		if err := p.desktop.Wake(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (d *demo) makeAccounts(ctx context.Context) error {
	for _, p := range d.cast {
		var err error
		if p.linkLocal, err = p.desktop.LinkLocalAccount(ctx, p.Child, d.school.Domain); err != nil {
			return err
		}
		d.say(p.voice, "has a link-local account (salut); without one Sugar would stop here.")
		at := desktop.School{Domain: d.school.Domain, Host: d.school.Host, Port: d.school.DirectPort}
		if p.account, err = p.desktop.SchoolAccount(ctx, p.Child, at); err != nil {
			return err
		}
		d.say(p.voice, "has a school account (gabble), "+short(p.Name())+"@"+d.school.Domain+", to be registered.")
	}
	return nil
}

// nothing is to be done: mission-control acts by itself.
func (d *demo) nothing(context.Context) error { return nil }

func (d *demo) countAccounts(ctx context.Context) error {
	names, err := d.school.Accounts(ctx)
	if err != nil {
		return err
	}
	if len(names) != len(d.cast) {
		return fmt.Errorf("the server has %d accounts: %q", len(names), names)
	}
	d.say(theSchool, fmt.Sprintf("Accounts registered in-band: %d.", len(names)))
	return nil
}

func (d *demo) disableLinkLocal(ctx context.Context) error {
	for _, p := range d.cast {
		if err := p.desktop.Set(ctx, p.linkLocal, "Enabled", false); err != nil {
			return err
		}
		d.say(p.voice, "needs no link-local account any more.")
	}
	return nil
}

func (d *demo) rename(ctx context.Context) error {
	d.say(d.cast[0].voice, "changes her nick to "+newNick+".")
	return d.cast[0].desktop.Set(ctx, d.cast[0].account, "Nickname", newNick)
}

func (d *demo) goAway(ctx context.Context) error {
	d.say(d.cast[0].voice, "goes off-line.")
	return d.cast[0].desktop.Set(ctx, d.cast[0].account, "Enabled", false)
}

func (d *demo) comeBack(ctx context.Context) error {
	d.say(d.cast[0].voice, "goes on-line again.")
	return d.cast[0].desktop.Set(ctx, d.cast[0].account, "Enabled", true)
}

// perform is a scene in which a child's activity does something, between the signals that it hears.
func perform(i int, text string, do func(*activity) ([]news, error)) func(*demo, context.Context) error {
	return func(d *demo, ctx context.Context) error {
		p := d.cast[i]
		d.say(p.voice, text)
		done := make(chan error, 1)
		select {
		case p.turns <- turn{func() ([]news, error) { return do(p.activity) }, done}:
		case <-ctx.Done():
			return ctx.Err()
		}
		select {
		case err := <-done:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// say is a scene in which a child says something in the activity.
func say(i int, text string) func(*demo, context.Context) error {
	return perform(i, "types a line.", func(a *activity) ([]news, error) { return nil, a.say(text) })
}

// leave is a scene in which a child closes the activity.
func leave(i int) func(*demo, context.Context) error {
	return perform(i, "closes Chat.", func(a *activity) ([]news, error) { return nil, a.leave() })
}

func (d *demo) goHome(ctx context.Context) error {
	for _, p := range d.cast {
		if err := p.desktop.Set(ctx, p.account, "Enabled", false); err != nil {
			return err
		}
	}
	return nil
}

// logs is what the programs behind a failed story had to say.
func (d *demo) logs() string {
	var b strings.Builder
	for _, p := range d.cast {
		if p.desktop != nil {
			fmt.Fprintf(&b, "--- %s's bus and programs\n%s\n", p.Nick, p.desktop.Log())
		}
	}
	return b.String()
}

func (d *demo) cleanUp() error {
	close(d.over)
	var errs []error
	for _, p := range d.cast {
		if p.desktop != nil {
			errs = append(errs, p.desktop.Stop())
		}
	}
	if d.school != nil {
		errs = append(errs, d.school.Stop())
	}
	return errors.Join(errs...)
}
