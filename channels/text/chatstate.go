package text

import (
	"maps"

	"telepathy-olpc/internal/bus"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/chat"
)

// wireStates says how the states are called in XEP-0085 §4, by number.
var wireStates = [...]chat.State{
	tp.ChannelChatStateGone:      chat.Gone,
	tp.ChannelChatStateInactive:  chat.Inactive,
	tp.ChannelChatStateActive:    chat.Active,
	tp.ChannelChatStatePaused:    chat.Paused,
	tp.ChannelChatStateComposing: chat.Composing,
}

// WireState gives a state's name on the wire.
func WireState(s tp.ChannelChatState) chat.State { return wireStates[s] }

// StateOf gives the state with that name.
func StateOf(s chat.State) (tp.ChannelChatState, bool) {
	for state, name := range wireStates {
		if name == s {
			return tp.ChannelChatState(state), true
		}
	}
	return 0, false
}

// chatState is Channel.Interface.ChatState.
func (c *Conversation) chatState() bus.Interface {
	return bus.Interface{
		Facts:      tp.InterfaceChannelChatState,
		Methods:    map[string]func(*bus.Call){"SetChatState": c.setChatState},
		Properties: map[string]func() any{"ChatStates": func() any { return c.chatStates() }},
	}
}

func (c *Conversation) setChatState(call *bus.Call) {
	var s tp.ChannelChatState
	if !call.Args((*uint32)(&s)) {
		return
	}
	if err := c.changeState(s); err != nil {
		call.Fail(err)
		return
	}
	call.Return()
}

func (c *Conversation) changeState(s tp.ChannelChatState) error {
	switch {
	case s == tp.ChannelChatStateGone:
		return tp.Errorf(tp.ErrorInvalidArgument, "who is gone closes the channel")
	case int64(s) >= int64(len(wireStates)):
		return tp.Errorf(tp.ErrorInvalidArgument, "%d is not a chat state", s)
	case s == c.own:
		return nil
	}
	if err := c.cfg.SetState(s); err != nil {
		return err
	}
	c.setOwn(s)
	return nil
}

func (c *Conversation) setOwn(s tp.ChannelChatState) {
	if s != c.own {
		c.own = s
		c.emitState(c.cfg.Self(), s)
	}
}

// SetContactState tells what somebody else is doing. Whoever leaves the
// conversation is inactive, which is what is assumed of all who say nothing.
func (c *Conversation) SetContactState(contact uint32, s tp.ChannelChatState) {
	if c.contactState(contact) == s {
		return
	}
	if s == tp.ChannelChatStateInactive {
		delete(c.states, contact)
	} else {
		if c.states == nil {
			c.states = make(map[uint32]tp.ChannelChatState)
		}
		c.states[contact] = s
	}
	c.emitState(contact, s)
}

func (c *Conversation) contactState(contact uint32) tp.ChannelChatState {
	if s, active := c.states[contact]; active {
		return s
	}
	return tp.ChannelChatStateInactive
}

func (c *Conversation) emitState(contact uint32, s tp.ChannelChatState) {
	c.Channel.Emit(tp.SignalChannelChatStateChatStateChanged, contact, s)
}

// chatStates has those who are not inactive.
func (c *Conversation) chatStates() map[uint32]tp.ChannelChatState {
	all := maps.Clone(c.states)
	if all == nil {
		all = make(map[uint32]tp.ChannelChatState, 1)
	}
	if c.own != tp.ChannelChatStateInactive {
		all[c.cfg.Self()] = c.own
	}
	return all
}
