package presence

import (
	"slices"
	"strings"
	"time"

	"telepathy-olpc/internal/bus"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
	"telepathy-olpc/xmpp/vcard"
)

// What an avatar has to be like, XEP-0153 §4.6.
const (
	minAvatarSide         = 32 // pixels
	maxAvatarSide         = 96
	recommendedAvatarSide = 64
)

// avatarTypes lists the best first.
var avatarTypes = []string{"image/png", "image/jpeg", "image/gif"}

// maxTokenWait is how long a call waits for tokens that have to be asked for.
const maxTokenWait = 5 * time.Second

// Avatars serves Connection.Interface.Avatars: an avatar is the photo in
// somebody's vCard, its token the SHA-1 of that, which presence tells
// (XEP-0153).
type Avatars struct {
	host     Host
	cards    *VCards
	presence *SimplePresence

	tokens    map[uint32]string // as last told, "" for no avatar
	wrong     map[uint32]string // last claim, where the vCard has shown it to be wrong
	requested map[uint32]bool   // AvatarRetrieved is on its way
	waiting   []func()          // for the own token
}

// NewAvatars knows no avatar yet.
func NewAvatars(h Host, p *People, own *SimplePresence, cards *VCards) *Avatars {
	a := &Avatars{
		host: h, cards: cards, presence: own,
		tokens:    make(map[uint32]string),
		wrong:     make(map[uint32]string),
		requested: make(map[uint32]bool),
	}
	p.Watch(Watcher{Presence: a.handlePresence})
	cards.Read(a.readCard)
	own.Extend(a.buildUpdate)
	return a
}

// Interface is the D-Bus side.
func (a *Avatars) Interface() bus.Interface {
	return bus.Interface{
		Facts: tp.InterfaceConnectionAvatars,
		Methods: map[string]func(*bus.Call){
			"GetAvatarRequirements": whileConnected(a.host, getAvatarRequirements),
			"GetAvatarTokens":       whileConnected(a.host, a.getAvatarTokens),
			"GetKnownAvatarTokens":  whileConnected(a.host, a.getKnownAvatarTokens),
			"RequestAvatar":         whileConnected(a.host, a.requestAvatar),
			"RequestAvatars":        whileConnected(a.host, a.requestAvatars),
			"SetAvatar":             whileConnected(a.host, a.setAvatar),
			"ClearAvatar":           whileConnected(a.host, a.clearAvatar),
		},
		Properties: map[string]func() any{
			"SupportedAvatarMIMETypes": bus.Fixed(avatarTypes),
			"MinimumAvatarHeight":      bus.Fixed(uint32(minAvatarSide)),
			"MinimumAvatarWidth":       bus.Fixed(uint32(minAvatarSide)),
			"RecommendedAvatarHeight":  bus.Fixed(uint32(recommendedAvatarSide)),
			"RecommendedAvatarWidth":   bus.Fixed(uint32(recommendedAvatarSide)),
			"MaximumAvatarHeight":      bus.Fixed(uint32(maxAvatarSide)),
			"MaximumAvatarWidth":       bus.Fixed(uint32(maxAvatarSide)),
			"MaximumAvatarBytes":       bus.Fixed(uint32(vcard.MaxAvatarBytes)),
		},
	}
}

// Attributes tells the token of a contact to the Contacts interface.
func (a *Avatars) Attributes(contact uint32) map[string]any {
	token, known := a.tokens[contact]
	if !known {
		return nil
	}
	return map[string]any{tp.ContactAttributeConnectionAvatarsToken: token}
}

// Connected reads the own vCard: before that presence can't say which avatar
// there is (XEP-0153 §4.1).
func (a *Avatars) Connected() { a.readOwn() }

func (a *Avatars) readOwn() {
	a.cards.Request(a.host.Self().Bare(), func(_ *stanza.Element, err error) {
		if err != nil {
			a.host.Log().WithError(err).Debug("Own vCard not read")
		}
		a.settle()
	})
}

// settle tells those who wait for the own token.
func (a *Avatars) settle() {
	waiting := a.waiting
	a.waiting = nil
	for _, done := range waiting {
		done()
	}
}

// buildUpdate is what each own presence says of the avatar.
func (a *Avatars) buildUpdate() *stanza.Element {
	token, known := a.tokens[a.host.SelfHandle()]
	return vcard.BuildUpdate(token, known)
}

// handlePresence takes the token that a contact claims to have. A wrong claim
// that is repeated is no news.
func (a *Avatars) handlePresence(c *Contact, from jid.JID, presence *stanza.Element) {
	token, ok := vcard.ParseUpdate(presence)
	if !ok || from == a.host.Self() {
		return
	}
	if wrong, was := a.wrong[c.Handle]; was && wrong == token {
		return
	}
	delete(a.wrong, c.Handle)
	told, known := a.tokens[c.Handle]
	switch {
	case known && told == token:
	case c.Handle == a.host.SelfHandle():
		// Another client of the user's has changed the avatar, or is mistaken
		// (XEP-0153 §4.3).
		a.wrong[c.Handle] = strings.Clone(token)
		a.readOwn()
	default:
		a.cards.Forget(c.JID)
		a.setToken(c.Handle, strings.Clone(token))
	}
}

// readCard takes the token of the photo that is really there.
func (a *Avatars) readCard(who jid.JID, card *stanza.Element) {
	contact, known := a.host.Handles().Contacts.Lookup(who)
	if !known {
		return
	}
	photo, _ := vcard.ParsePhoto(card)
	token := photo.Token()
	if told, known := a.tokens[contact]; known && told != token && contact != a.host.SelfHandle() {
		a.wrong[contact] = told
	}
	a.setToken(contact, token)
}

// setToken announces an avatar that was changed or discovered. That somebody
// has none is no discovery. The own one is told to all contacts.
func (a *Avatars) setToken(contact uint32, token string) {
	was, known := a.tokens[contact]
	a.tokens[contact] = token
	if was == token && (known || token == "") {
		return
	}
	a.host.Emit(tp.SignalConnectionAvatarsAvatarUpdated, contact, token)
	if contact == a.host.SelfHandle() {
		a.presence.Resend()
	}
}

func getAvatarRequirements(call *bus.Call) {
	call.Return(avatarTypes, uint16(minAvatarSide), uint16(minAvatarSide), uint16(maxAvatarSide), uint16(maxAvatarSide),
		uint32(vcard.MaxAvatarBytes))
}

// getKnownAvatarTokens waits for the own token, which is to be known always: a
// client that misses it sets its avatar again.
func (a *Avatars) getKnownAvatarTokens(call *bus.Call) {
	contacts, ok := contactsOf(a.host, call)
	if !ok {
		return
	}
	a.known(contacts, func(tokens map[uint32]string) { call.Return(tokens) })
}

func (a *Avatars) known(contacts []uint32, done func(map[uint32]string)) {
	p := newPatience(a.host, func() {
		tokens := make(map[uint32]string, len(contacts))
		for _, contact := range contacts {
			if token, known := a.tokens[contact]; known {
				tokens[contact] = token
			}
		}
		done(tokens)
	})
	self := a.host.SelfHandle()
	if _, known := a.tokens[self]; !known && slices.Contains(contacts, self) {
		a.waiting = append(a.waiting, p.one())
		a.readOwn()
	}
	p.begin(maxTokenWait, "own avatar requested")
}

func (a *Avatars) getAvatarTokens(call *bus.Call) {
	contacts, ok := contactsOf(a.host, call)
	if !ok {
		return
	}
	a.all(contacts, func(tokens []string) { call.Return(tokens) })
}

// all gives the tokens of contacts in their order, and asks for those that are
// not known.
func (a *Avatars) all(contacts []uint32, done func([]string)) {
	p := newPatience(a.host, func() {
		tokens := make([]string, len(contacts))
		for i, contact := range contacts {
			tokens[i] = a.tokens[contact]
		}
		done(tokens)
	})
	for _, contact := range contacts {
		if _, known := a.tokens[contact]; !known {
			arrived := p.one()
			a.request(contact, func(vcard.Photo, error) { arrived() })
		}
	}
	p.begin(maxTokenWait, "avatar tokens requested")
}

// request asks for a contact's avatar. Without one the photo has no data.
func (a *Avatars) request(contact uint32, done func(vcard.Photo, error)) {
	who, _ := a.host.Handles().Contacts.ID(contact)
	a.cards.Request(who, func(card *stanza.Element, err error) {
		if err != nil {
			a.host.Log().WithError(err).Debug("No vCard")
			done(vcard.Photo{}, err)
			return
		}
		photo, _ := vcard.ParsePhoto(card)
		done(photo, nil)
	})
}

func (a *Avatars) requestAvatar(call *bus.Call) {
	contact, ok := contactOf(a.host, call)
	if !ok {
		return
	}
	a.request(contact, func(photo vcard.Photo, err error) {
		switch {
		case err != nil:
			call.Fail(refusal(err))
		case len(photo.Data) == 0:
			call.Fail(tp.Errorf(tp.ErrorNotAvailable, "contact %d has no avatar", contact))
		default:
			call.Return(photo.Data, photo.Type)
		}
	})
}

func (a *Avatars) requestAvatars(call *bus.Call) {
	contacts, ok := contactsOf(a.host, call)
	if !ok {
		return
	}
	for _, contact := range contacts {
		a.retrieve(contact)
	}
	call.Return()
}

// retrieve announces the avatar that a contact really has, under its own token.
func (a *Avatars) retrieve(contact uint32) {
	if a.requested[contact] {
		return
	}
	a.requested[contact] = true
	a.request(contact, func(photo vcard.Photo, err error) {
		delete(a.requested, contact)
		if len(photo.Data) > 0 {
			a.host.Emit(tp.SignalConnectionAvatarsAvatarRetrieved, contact, photo.Token(), photo.Data, photo.Type)
		}
	})
}

func (a *Avatars) setAvatar(call *bus.Call) {
	var photo vcard.Photo
	if !call.Args(&photo.Data, &photo.Type) {
		return
	}
	a.set(photo, func(err error) {
		if err != nil {
			call.Fail(refusal(err))
			return
		}
		call.Return(photo.Token())
	})
}

func (a *Avatars) clearAvatar(call *bus.Call) {
	a.change(vcard.Photo{}, func(err error) {
		if err != nil {
			call.Fail(refusal(err))
			return
		}
		call.Return()
	})
}

// set publishes an avatar that is as it should be. How many pixels it has is
// the client's business.
func (a *Avatars) set(photo vcard.Photo, done func(error)) {
	switch {
	case !slices.Contains(avatarTypes, photo.Type):
		done(tp.Errorf(tp.ErrorInvalidArgument, "avatars of type %q are not supported", photo.Type))
	case len(photo.Data) == 0 || len(photo.Data) > vcard.MaxAvatarBytes:
		done(tp.Errorf(tp.ErrorInvalidArgument, "an avatar has 1 to %d bytes, this one %d", vcard.MaxAvatarBytes, len(photo.Data)))
	default:
		a.change(photo, done)
	}
}

// change writes the photo in the own vCard; reading what was written announces
// it before done is called.
func (a *Avatars) change(photo vcard.Photo, done func(error)) {
	a.cards.Edit(vcard.SetPhoto(photo), done)
}
