package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"telepathy-olpc/xmpp/disco"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/muc"
	"telepathy-olpc/xmpp/services"
	"telepathy-olpc/xmpp/stanza"
)

// room makes a room as the one who shares an activity does, sets it up, looks
// whether that holds, and destroys it.
func (e *exam) room(ctx context.Context) verdict {
	c := e.main()
	switch {
	case c == nil:
		return skip(errNotLoggedIn.Error())
	case e.rooms.IsZero():
		return skip("there is no conference service")
	}
	address, err := jid.New(name(), e.rooms.Domain(), "")
	if err != nil {
		return failed(RoomRefused, err)
	}
	s := &stay{child: c, address: address}
	defer s.leave(context.WithoutCancel(ctx), e.opts.Patience)
	ctx, cancel := e.patient(ctx)
	defer cancel()
	began := time.Now()
	arrival, ending, err := s.enter(ctx)
	if err != nil {
		return failed(RoomSilent, err)
	}
	if ending != nil {
		return bad(RoomRefused, refusal(ending))
	}
	if err := arrival.SettingsErr; err != nil {
		return failed(RoomLocked, err)
	}
	settings, err := s.settings(ctx)
	if err != nil {
		return failed(RoomSilent, err)
	}
	return judge(settings, "made, set up and destroyed, in "+short(time.Since(began)))
}

// judge holds what a room says of itself against what Sugar needs.
func judge(got muc.Settings, found string) verdict {
	needs := []struct {
		setting muc.Setting
		want    bool
		cause   Cause
		text    string
	}{
		{muc.InviteOnly, false, RoomMembers, "the room stays for members only"},
		{muc.Anonymous, false, RoomAnonymous, "the room hides who is in it"},
		{muc.PasswordProtected, false, RoomMembers, "the room wants a password"},
		{muc.Persistent, false, RoomListed, "the room stays when everybody has left"},
		{muc.Private, true, RoomListed, "the room is listed for everybody"},
	}
	for _, n := range needs {
		if value, told := got[n.setting]; told && value != n.want {
			return bad(n.cause, n.text)
		}
	}
	return fine(found)
}

// stay is a stay in a room.
type stay struct {
	child   *child
	address jid.JID

	// Of the loop.
	room  *muc.Room
	ended bool
	gone  func() // called by Ended
}

// enter comes to an arrival, or to the end.
func (s *stay) enter(ctx context.Context) (muc.Arrival, *muc.Ending, error) {
	var arrival muc.Arrival
	var ending *muc.Ending
	err := s.child.wait(ctx, func(done func()) {
		s.gone = func() {}
		s.room = muc.New(muc.Config{
			Host: s.child.session, After: s.child.after, Self: s.child.self, Room: s.address,
			Events: s.events(func(a muc.Arrival, e *muc.Ending) {
				arrival, ending = a, e
				done()
			}),
		})
		s.child.session.HandlePresence(s.room.HandlePresence)
		s.child.session.HandleMessage(s.room.HandleMessage)
		s.room.Join(muc.Entry{
			Nick:     "doctor",
			Presence: func() *stanza.Element { return stanza.New(stanza.NSClient, "presence") },
			Settings: muc.ForActivity(),
		})
	})
	if err != nil {
		return muc.Arrival{}, nil, err
	}
	return arrival, ending, nil
}

// events calls first with what comes first: the arrival, or the end.
func (s *stay) events(first func(muc.Arrival, *muc.Ending)) muc.Events {
	come := false
	once := func(a muc.Arrival, e *muc.Ending) {
		if !come {
			come = true
			first(a, e)
		}
	}
	return muc.Events{
		Joined: func(a muc.Arrival) { once(a, nil) },
		Ended: func(end muc.Ending) {
			s.ended = true
			once(muc.Arrival{}, &end)
			s.gone()
		},
		Rejoined: func() {}, Reconfigured: func() {},
		Entered: func(muc.Occupant) {}, Left: func(muc.Occupant, muc.Departure) {}, Renamed: func(string, muc.Occupant) {},
		Changed: func(_, _ muc.Occupant) {}, SelfChanged: func(_, _ muc.Occupant) {},
		Subject: func(muc.Subject) {}, Message: func(muc.Message) {},
		Failed: func(string, string, *stanza.Error) {}, Declined: func(muc.Decline) {},
	}
}

// refusal says why the room did not let us in.
func refusal(e *muc.Ending) string {
	if e.Err != nil {
		return e.Err.Error()
	}
	return "the room ended at once"
}

// settings asks the room what it is like, XEP-0045 §6.4.
func (s *stay) settings(ctx context.Context) (muc.Settings, error) {
	reply, err := s.child.ask(ctx, disco.InfoQuery(s.address, ""))
	if err != nil {
		return nil, err
	}
	info, err := disco.ParseInfo(reply.Child(disco.NSInfo, "query"))
	if err != nil {
		return nil, err
	}
	return muc.ParseInfo(info), nil
}

// leave destroys the room, XEP-0045 §10.9. One that cannot be goes with us, as
// it is not persistent.
func (s *stay) leave(ctx context.Context, patience time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	s.child.wait(ctx, func(done func()) { // what does not answer has forgotten us
		if s.room == nil || s.ended {
			done()
			return
		}
		s.gone = done
		s.room.Destroy("", func(err error) {
			if err != nil {
				s.room.Leave("")
			}
		})
	})
	s.child.loop.Post("close room", func() {
		if s.room != nil {
			s.room.Close()
		}
	})
}

// proxy finds the relay for streams of bytes and connects to it, XEP-0065 §4.
func (e *exam) proxy(ctx context.Context) verdict {
	c := e.main()
	if c == nil {
		return skip(errNotLoggedIn.Error())
	}
	ctx, cancel := e.patient(ctx)
	defer cancel()
	relay, ok := e.service(ctx, services.Relay)
	if !ok {
		return bad(NoProxy, "the server has no relay")
	}
	host, port, err := c.streamHost(ctx, relay.JID)
	if err != nil {
		return bad(DeadProxy, fmt.Sprintf("%s: %v", relay.JID, err))
	}
	address := net.JoinHostPort(host, strconv.Itoa(int(port)))
	dialer := net.Dialer{Resolver: e.opts.Resolver}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return bad(DeadProxy, fmt.Sprintf("%s says %s: %s", relay.JID, address, e.dialText(port, err)))
	}
	conn.Close()
	return fine(fmt.Sprintf("%s at %s", relay.JID, address))
}

const nsBytestreams = "http://jabber.org/protocol/bytestreams"

var errNoStreamHost = errors.New("it names no address")

// streamHost asks a relay where it listens.
func (c *child) streamHost(ctx context.Context, relay jid.JID) (string, uint16, error) {
	reply, err := c.ask(ctx, stanza.New(stanza.NSClient, "iq", stanza.A("type", "get"), stanza.A("to", relay.String()),
		stanza.New(nsBytestreams, "query")))
	if err != nil {
		return "", 0, err
	}
	for host := range reply.Child(nsBytestreams, "query").Each(nsBytestreams, "streamhost") {
		port, err := strconv.ParseUint(host.Attr("port"), 10, 16)
		if err == nil && port != 0 && host.Attr("host") != "" {
			return host.Attr("host"), uint16(port), nil
		}
	}
	return "", 0, errNoStreamHost
}
