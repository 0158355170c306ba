package muc

import (
	"strconv"

	"telepathy-olpc/xmpp/disco"
)

// State is what a room tells to everybody of the present moment, beside its
// settings (XEP-0045 §6.4).
type State struct {
	Subject   string
	Occupants uint32
	Counted   bool // Occupants was told
}

// ParseState reads it from what a room says about itself; info may be nil.
func ParseState(info *disco.Info) State {
	var s State
	if info == nil {
		return s
	}
	for _, f := range info.Forms {
		if f.Type() != NS+"#roominfo" {
			continue
		}
		for _, l := range f.Fields {
			if len(l.Values) > 0 {
				s.add(l.Var, l.Values[0])
			}
		}
	}
	return s
}

// add takes a field of the form of XEP-0045 §15.5.4.
func (s *State) add(name, value string) {
	switch name {
	case "muc#roominfo_subject":
		s.Subject = value
	case "muc#roominfo_occupants":
		if n, err := strconv.ParseUint(value, 10, 32); err == nil {
			s.Occupants, s.Counted = uint32(n), true
		}
	}
}
