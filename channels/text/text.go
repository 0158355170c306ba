package text

import (
	"slices"

	"telepathy-olpc/internal/bus"
	"telepathy-olpc/internal/tp"
)

// pendingText is Pending_Text_Message, (uuuuus).
type pendingText struct {
	ID, Timestamp, Sender uint32
	Type                  tp.ChannelTextMessageType
	Flags                 tp.ChannelTextMessageFlags
	Text                  string
}

// text is Channel.Type.Text, which Sugar uses and newer clients only to
// acknowledge.
func (c *Conversation) text() bus.Interface {
	return bus.Interface{
		Facts: tp.InterfaceChannelText,
		Methods: map[string]func(*bus.Call){
			"AcknowledgePendingMessages": c.acknowledgePendingMessages,
			"GetMessageTypes":            func(call *bus.Call) { call.Return(types) },
			"ListPendingMessages":        c.listPendingMessages,
			"Send":                       c.sendText,
		},
	}
}

func (c *Conversation) acknowledgePendingMessages(call *bus.Call) {
	var ids []uint32
	if !call.Args(&ids) {
		return
	}
	if err := c.acknowledge(ids); err != nil {
		call.Fail(err)
		return
	}
	call.Return()
}

func (c *Conversation) acknowledge(ids []uint32) error {
	removed, found := c.pending.remove(ids)
	if !found {
		return tp.Errorf(tp.ErrorInvalidArgument, "not all of these messages are pending")
	}
	if len(removed) > 0 {
		c.emitRemoved(removed)
	}
	return nil
}

func (c *Conversation) listPendingMessages(call *bus.Call) {
	var clear bool
	if call.Args(&clear) {
		call.Return(c.list(clear))
	}
}

func (c *Conversation) list(clear bool) []pendingText {
	list := make([]pendingText, len(c.pending.list))
	for i := range list {
		p := &c.pending.list[i]
		list[i] = pendingText{p.id, uint32(p.at), p.Sender, p.kind(), p.flags(), p.Text}
	}
	if clear && len(list) > 0 {
		c.emitRemoved(c.pending.drop(len(list)))
	}
	return list
}

func (c *Conversation) sendText(call *bus.Call) {
	var o Outgoing
	if !call.Args((*uint32)(&o.Type), &o.Text) {
		return
	}
	if err := checkType(o.Type); err != nil {
		call.Fail(err)
		return
	}
	if err := c.send(o, func(string) { call.Return() }); err != nil {
		call.Fail(err)
	}
}

func checkType(t tp.ChannelTextMessageType) error {
	if !slices.Contains(types, t) {
		return tp.Errorf(tp.ErrorInvalidArgument, "messages of type %d can't be sent", t)
	}
	return nil
}
