package tubes

import (
	"math"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/bus"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/olpc"
)

// parametersOf are a tube's parameters as clients read them.
func parametersOf(t *tube) map[string]dbus.Variant {
	all := make(map[string]dbus.Variant, len(t.Parameters))
	for name, value := range t.Parameters {
		all[name] = dbus.MakeVariant(value)
	}
	return all
}

// setParameters takes the parameters of a tube that a client offers. Types that
// have no form on the wire are left out, as telepathy-gabble does it.
func (t *tube) setParameters(given map[string]dbus.Variant) error {
	p := make(olpc.Properties, len(given))
	for name, v := range given {
		p.Set(name, narrow(v.Value()))
	}
	if err := p.Check(); err != nil {
		return tp.Errorf(tp.ErrorInvalidArgument, "%v", err)
	}
	t.Parameters = p
	return nil
}

// narrow makes integers of other widths those that there are on the wire, if
// they fit.
func narrow(value any) any {
	switch value.(type) {
	case int32, uint32:
		return value
	}
	if n, is := bus.Int(value); is && n >= math.MinInt32 && n <= math.MaxInt32 {
		return int32(n)
	}
	if n, is := bus.Uint(value); is && n <= math.MaxUint32 {
		return uint32(n)
	}
	return value
}
