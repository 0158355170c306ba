package manager

import (
	"time"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/manager/connection"
	"telepathy-olpc/presence"
	"telepathy-olpc/xmpp"
	"telepathy-olpc/xmpp/gadget"
	"telepathy-olpc/xmpp/jid"
)

const (
	// defaultKeepalive is the time, in seconds, within which a dead link is
	// noticed; lowBandwidthKeepalive the same where every byte counts.
	defaultKeepalive      = 30
	lowBandwidthKeepalive = 120
	// defaultViewBuddies and defaultViewActivities are how much of a school is
	// shown where only a server component knows all of it: as much as there is
	// room for in Sugar's neighborhood.
	defaultViewBuddies    = 40
	defaultViewActivities = 20
)

// Gabble is the connection manager that Sugar asks for by name when it wants
// XMPP. Its parameters are those that Sugar sends plus what deployers of
// telepathy-gabble know; names and types are the specification's
// (Connection_Parameter_Name) where it has them.
func Gabble() Definition {
	return Definition{Name: "gabble", Protocols: []*Protocol{{
		Name:        "jabber",
		EnglishName: "Jabber",
		Icon:        "im-jabber",
		VCardField:  "x-jabber",
		Parameters: []Parameter{
			{Name: "account", Signature: "s", Flags: tp.ConnMgrParamFlagsRequired},
			{Name: "password", Signature: "s", Flags: tp.ConnMgrParamFlagsRequired | tp.ConnMgrParamFlagsSecret},
			{Name: "server", Signature: "s"},
			{Name: "port", Signature: "q"},
			{Name: "resource", Signature: "s"},
			{Name: "priority", Signature: "n", Default: int16(0)},
			{Name: "register", Signature: "b", Default: false},
			{Name: "old-ssl", Signature: "b", Default: false},
			{Name: "require-encryption", Signature: "b", Default: true},
			{Name: "ignore-ssl-errors", Signature: "b", Default: false},
			{Name: "low-bandwidth", Signature: "b", Default: false},
			{Name: "keepalive-interval", Signature: "u"},
			{Name: "fallback-servers", Signature: "as", Default: []string{}},
			{Name: "fallback-conference-server", Signature: "s"},
			{Name: "fallback-socks5-proxies", Signature: "as", Default: []string{}},
			{Name: "gadget", Signature: "b", Default: true},
			{Name: "gadget-buddies", Signature: "u", Default: uint32(defaultViewBuddies)},
			{Name: "gadget-activities", Signature: "u", Default: uint32(defaultViewActivities)},
			{Name: "extra-certificate-identities", Signature: "as", Default: []string{}},
		},
		ConnectionInterfaces: connection.Interfaces(),
		Channels:             connection.ChannelClasses(),
		Statuses:             connection.Statuses(),
		Identify:             identifyJabber,
		Normalize:            normalizeJabber,
		Configure:            configureJabber,
	}}}
}

func identifyJabber(v Values) (string, error) {
	account, err := parseAccount(v)
	return account.String(), err
}

// normalizeJabber removes the resource: off-line nothing tells a room's
// occupant from a contact (Telepathy specification, Protocol.NormalizeContact).
func normalizeJabber(id string) (string, error) {
	j, err := jid.Parse(id)
	if err != nil || j.Local() == "" {
		return "", tp.Errorf(tp.ErrorInvalidHandle, "%q is not a JID", id)
	}
	return j.Bare().String(), nil
}

// parseAccount reads the account parameter. Sugar without a configured server
// sends "<key hash>@", which is refused here.
func parseAccount(v Values) (jid.JID, error) {
	text := v.text("account")
	j, err := jid.Parse(text)
	if err != nil || j.Local() == "" || !j.IsBare() {
		return jid.JID{}, tp.Errorf(tp.ErrorInvalidArgument,
			"parameter \"account\" is %q, expected user@server", text)
	}
	return j, nil
}

func configureJabber(v Values) (connection.Config, error) {
	account, err := parseAccount(v)
	if err != nil {
		return connection.Config{}, err
	}
	if p := number[int16](v, "priority"); p < -128 || p > 127 {
		return connection.Config{}, tp.Errorf(tp.ErrorInvalidArgument,
			"parameter \"priority\" is %d, expected -128 to 127", p)
	}
	silence := keepalive(v)
	return connection.Config{
		Protocol:           "jabber",
		Priority:           int8(number[int16](v, "priority")),
		FallbackConference: v.text("fallback-conference-server"),
		FallbackRelays:     v.list("fallback-socks5-proxies"),
		Gadget: presence.Sizes{
			On:         v.flag("gadget"),
			Buddies:    int(min(number[uint32](v, "gadget-buddies"), gadget.MaxEntries)),
			Activities: int(min(number[uint32](v, "gadget-activities"), gadget.MaxEntries)),
		},
		XMPP: xmpp.Config{
			Account:           account,
			Resource:          v.text("resource"),
			Password:          xmpp.NewSecret(v.text("password")),
			Server:            v.text("server"),
			Port:              number[uint16](v, "port"),
			DirectTLS:         v.flag("old-ssl"),
			Register:          v.flag("register"),
			RequireEncryption: v.flag("require-encryption"),
			IgnoreTLSErrors:   v.flag("ignore-ssl-errors"),
			ExtraIdentities:   v.list("extra-certificate-identities"),
			FallbackServers:   v.list("fallback-servers"),
			Keepalive:         half(silence),
			DeadAfter:         half(silence),
			LoginTimeout:      loginTimeout(silence),
		},
	}, nil
}

// keepalive is the time a silent link is trusted; 0 for ever.
func keepalive(v Values) time.Duration {
	seconds := uint32(defaultKeepalive)
	if _, given := v["keepalive-interval"]; given {
		seconds = number[uint32](v, "keepalive-interval")
	} else if v.flag("low-bandwidth") {
		seconds = lowBandwidthKeepalive
	}
	return time.Duration(seconds) * time.Second
}

// half splits the time between waiting to ask the server for a sign of life and
// waiting for its answer; a session takes a negative time as never.
func half(silence time.Duration) time.Duration {
	if silence == 0 {
		return -1
	}
	return silence / 2
}

// loginTimeout bounds the whole login. Who waits long for a sign of life also
// waits long for the login; who never checks still must not wait for ever.
func loginTimeout(silence time.Duration) time.Duration {
	if silence == 0 {
		return 2 * defaultKeepalive * time.Second
	}
	return 2 * silence
}
