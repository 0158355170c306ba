package presence

import (
	"hash/maphash"

	"telepathy-olpc/internal/bus"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
	"telepathy-olpc/xmpp/vcard"
)

// ContactInfo serves Connection.Interface.ContactInfo over people's vCards
// (XEP-0054). Servers do not tell when one changes, so what is known is what
// was asked for, by whatever interface.
type ContactInfo struct {
	host  Host
	cards *VCards
	seed  maphash.Seed
	told  map[uint32]uint64 // hash of what was last announced of a contact
}

// fieldSpec is Field_Spec, (sasuu).
type fieldSpec struct {
	Name       string
	Parameters []string
	Flags      tp.ContactInfoFieldFlags
	Max        uint32
}

// NewContactInfo tells what is in the cards.
func NewContactInfo(h Host, cards *VCards) *ContactInfo {
	i := &ContactInfo{host: h, cards: cards, seed: maphash.MakeSeed(), told: make(map[uint32]uint64)}
	cards.Read(i.readCard)
	return i
}

// Interface is the D-Bus side.
func (i *ContactInfo) Interface() bus.Interface {
	return bus.Interface{
		Facts: tp.InterfaceConnectionContactInfo,
		Methods: map[string]func(*bus.Call){
			"GetContactInfo":     whileConnected(i.host, i.getContactInfo),
			"RefreshContactInfo": whileConnected(i.host, i.refreshContactInfo),
			"RequestContactInfo": whileConnected(i.host, i.requestContactInfo),
			"SetContactInfo":     whileConnected(i.host, i.setContactInfo),
		},
		Properties: map[string]func() any{
			"ContactInfoFlags": bus.Fixed(tp.ContactInfoFlagsCanSet),
			"SupportedFields":  bus.Fixed(supportedFields()),
		},
	}
}

func supportedFields() []fieldSpec {
	var specs []fieldSpec
	for _, f := range vcard.SupportedFields() {
		spec := fieldSpec{Name: f.Name, Parameters: f.Parameters, Max: f.Max}
		if len(f.Parameters) == 0 {
			spec.Flags |= tp.ContactInfoFieldFlagsParametersExact
		}
		if f.Nickname {
			spec.Flags |= tp.ContactInfoFieldFlagsOverwrittenByNickname
		}
		specs = append(specs, spec)
	}
	return specs
}

// Attributes tells what is known of a contact to the Contacts interface.
func (i *ContactInfo) Attributes(contact uint32) map[string]any {
	fields, known := i.cached(contact)
	if !known {
		return nil
	}
	return map[string]any{tp.ContactAttributeConnectionContactInfoInfo: fields}
}

func (i *ContactInfo) cached(contact uint32) ([]vcard.Field, bool) {
	who, _ := i.host.Handles().Contacts.ID(contact)
	return i.cards.Cached(who)
}

// readCard announces a vCard unless the same was announced before.
func (i *ContactInfo) readCard(who jid.JID, card *stanza.Element) {
	contact, known := i.host.Handles().Contacts.Lookup(who)
	fields := vcard.ParseFields(card)
	hash := i.hash(fields)
	if told, was := i.told[contact]; !known || was && told == hash {
		return
	}
	i.told[contact] = hash
	i.host.Emit(tp.SignalConnectionContactInfoContactInfoChanged, contact, fields)
}

func (i *ContactInfo) hash(fields []vcard.Field) uint64 {
	var h maphash.Hash
	h.SetSeed(i.seed)
	write := func(s string) {
		h.WriteString(s)
		h.WriteByte(0) // which XML cannot carry
	}
	for _, f := range fields {
		write(f.Name)
		for _, p := range f.Parameters {
			write(p)
		}
		h.WriteByte(1)
		for _, v := range f.Values {
			write(v)
		}
		h.WriteByte(2)
	}
	return h.Sum64()
}

func (i *ContactInfo) getContactInfo(call *bus.Call) {
	contacts, ok := contactsOf(i.host, call)
	if !ok {
		return
	}
	all := make(map[uint32][]vcard.Field)
	for _, contact := range contacts {
		if fields, known := i.cached(contact); known {
			all[contact] = fields
		}
	}
	call.Return(all)
}

func (i *ContactInfo) refreshContactInfo(call *bus.Call) {
	contacts, ok := contactsOf(i.host, call)
	if !ok {
		return
	}
	i.refresh(contacts)
	call.Return()
}

// refresh asks for vCards anew. What comes is announced even if it is the same,
// as the answer to the call.
func (i *ContactInfo) refresh(contacts []uint32) {
	for _, contact := range contacts {
		delete(i.told, contact)
		i.fetch(contact, func([]vcard.Field, error) {})
	}
}

func (i *ContactInfo) requestContactInfo(call *bus.Call) {
	contact, ok := contactOf(i.host, call)
	if !ok {
		return
	}
	i.request(contact, func(fields []vcard.Field, err error) {
		if err != nil {
			call.Fail(refusal(err))
			return
		}
		call.Return(fields)
	})
}

// request gives what is known of a contact, or asks for it.
func (i *ContactInfo) request(contact uint32, done func([]vcard.Field, error)) {
	if fields, known := i.cached(contact); known {
		done(fields, nil)
		return
	}
	i.fetch(contact, done)
}

func (i *ContactInfo) fetch(contact uint32, done func([]vcard.Field, error)) {
	who, _ := i.host.Handles().Contacts.ID(contact)
	i.cards.Request(who, func(card *stanza.Element, err error) {
		if err != nil {
			i.host.Log().WithError(err).Debug("No vCard")
			done(nil, err)
			return
		}
		done(vcard.ParseFields(card), nil)
	})
}

func (i *ContactInfo) setContactInfo(call *bus.Call) {
	var fields []vcard.Field
	if !call.Args(&fields) {
		return
	}
	i.set(fields, func(err error) {
		if err != nil {
			call.Fail(refusal(err))
			return
		}
		call.Return()
	})
}

// set replaces the fields in the own vCard. Reading what was written announces
// it before done is called.
func (i *ContactInfo) set(fields []vcard.Field, done func(error)) {
	change, err := vcard.SetFields(fields)
	if err != nil {
		done(tp.Errorf(tp.ErrorInvalidArgument, "%v", err))
		return
	}
	i.cards.Edit(change, done)
}
