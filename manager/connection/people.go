package connection

import (
	"errors"

	"telepathy-olpc/channels/filetransfer"
	"telepathy-olpc/channels/room"
	"telepathy-olpc/channels/roomlist"
	"telepathy-olpc/channels/text"
	"telepathy-olpc/channels/tubes"
	"telepathy-olpc/channels/view"
	"telepathy-olpc/presence"
	"telepathy-olpc/xmpp"
	"telepathy-olpc/xmpp/blocking"
	"telepathy-olpc/xmpp/bytestream"
	"telepathy-olpc/xmpp/disco"
	"telepathy-olpc/xmpp/roster"
)

// people is all that a Connection knows of the user and the contacts.
type people struct {
	people       *presence.People
	presence     *presence.SimplePresence
	contactList  *presence.ContactList
	groups       *presence.ContactGroups
	blocking     *presence.ContactBlocking
	events       *presence.PersonalEvents
	cards        *presence.VCards
	aliasing     *presence.Aliasing
	contactInfo  *presence.ContactInfo
	avatars      *presence.Avatars
	capabilities *presence.Capabilities
	activities   *presence.Activities
	gadget       *presence.Gadget

	acquaintances *presence.Acquaintances

	lists     *lists
	rooms     *room.Rooms
	chats     *text.Chats
	roomLists *roomlist.Lists
	streams   *bytestream.Manager
	files     *filetransfer.Transfers
	tubes     *tubes.Tubes
	views     *view.Views
	requests  *requests
	users     *roomUsers
}

// meet makes everything that watches people. Watchers are told in the order in
// which they are made: "subscribe", in lists, has a newcomer before anybody tells
// of its activities.
func (c *Connection) meet() {
	c.people.people = presence.NewPeople(c)
	c.presence = presence.NewSimplePresence(c, c.people.people)
	c.contactList = presence.NewContactList(c, c.people.people, c.cfg.XMPP.Account, presence.CacheDirectory(), c.attributes)
	c.groups = presence.NewContactGroups(c.contactList)
	c.blocking = presence.NewContactBlocking(c, c.presence, c.contactList)
	c.events = presence.NewPersonalEvents(c)
	c.cards = presence.NewVCards(c, c.cfg.XMPP.Account)
	c.aliasing = presence.NewAliasing(c, c.people.people, c.events, c.cards, c.contactList)
	c.contactInfo = presence.NewContactInfo(c, c.cards)
	c.avatars = presence.NewAvatars(c, c.people.people, c.presence, c.cards)
	c.capabilities = presence.NewCapabilities(c, c.people.people, c.presence)
	c.lists = newLists(c)
	c.activities = presence.NewActivities(c, c.people.people, c.events)
	c.gadget = presence.NewGadget(c, c.people.people, c.activities, c.aliasing.Named, c.cfg.Gadget)
	c.acquaintances = presence.NewAcquaintances(c.gadget, c.capabilities, c.presence, c.aliasing.Alias)
	c.rooms = room.New(c, c.activities)
	c.activities.Use(c.rooms)
	c.presence.Follow(c.rooms.UpdatePresence)
	c.chats = newChats(c)
	c.roomLists = roomlist.New(c)
	c.streams = newStreams(c)
	c.files = newFiles(c)
	c.tubes = newTubes(c)
	c.views = view.New(c, c.gadget)
	c.requests = newRequests(c)
	c.users = newRoomUsers(c)
}

// listen has the session's stanzas handled by who knows them; of two handlers
// of a kind the first is asked first.
func (c *Connection) listen(s *xmpp.Session) {
	c.streams.Listen(s)
	s.HandlePresence(c.rooms.HandlePresence)
	s.HandlePresence(c.gadget.HandlePresence)
	s.HandlePresence(c.acquaintances.HandlePresence)
	s.HandlePresence(c.contactList.HandlePresence)
	s.HandlePresence(c.people.people.HandlePresence)
	s.HandleMessage(c.events.HandleMessage)
	s.HandleMessage(c.gadget.HandleMessage)
	s.HandleMessage(c.activities.HandleMessage)
	s.HandleMessage(c.tubes.HandleMessage)
	s.HandleMessage(c.chats.HandleError)
	s.HandleMessage(c.rooms.HandleMessage)
	s.HandleMessage(c.chats.HandleMessage)
	s.HandleIQ(roster.NS, c.contactList.HandlePush)
	s.HandleIQ(blocking.NS, c.blocking.HandlePush)
	s.HandleIQ(blocking.NSPrivacy, c.blocking.HandlePush)
	s.HandleIQ(disco.NSInfo, c.capabilities.HandleInfo)
	s.HandleIQ(disco.NSItems, c.capabilities.HandleItems)
}

// appear publishes the user and fetches the contacts. The own presence is known
// before the status is CONNECTED.
func (c *Connection) appear(setConnected func()) {
	c.capabilities.Connected()
	c.presence.Connected()
	setConnected()
	c.contactList.Connected(roster.IsVersioned(c.session.Features()))
	c.blocking.Connected(c.server)
	c.avatars.Connected()
	c.activities.Connected()
	c.gadget.Connected(c.services)
}

var errOver = errors.New("the connection has ended")

// depart answers those who still wait for something of the server.
func (c *Connection) depart() {
	c.rooms.Close()
	c.roomLists.Close()
	c.streams.Close()
	c.gadget.Close()
	c.acquaintances.Close()
	c.activities.Disconnecting()
	c.events.Close(errOver)
	c.cards.Close(errOver)
	c.capabilities.Close()
	c.contactList.Close()
}
