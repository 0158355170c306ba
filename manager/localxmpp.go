package manager

import (
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/manager/connection"
)

// Salut is the link-local connection manager that Sugar demands. Sugar makes
// its salut account first and gives up on all collaboration when it can't, so
// the name must be there; link-local collaboration itself is not offered.
func Salut() Definition {
	return Definition{Name: "salut", Protocols: []*Protocol{{
		Name:        "local-xmpp",
		EnglishName: "Link-local XMPP",
		Icon:        "im-local-xmpp",
		Parameters: []Parameter{
			{Name: "nickname", Signature: "s"},
			{Name: "first-name", Signature: "s", Flags: tp.ConnMgrParamFlagsRequired},
			{Name: "last-name", Signature: "s", Flags: tp.ConnMgrParamFlagsRequired},
			{Name: "jid", Signature: "s"},
			{Name: "email", Signature: "s"},
			{Name: "published-name", Signature: "s"},
		},
		ConnectionInterfaces: []string{},
		Identify:             identifyLocal,
		Configure: func(Values) (connection.Config, error) {
			return connection.Config{}, tp.Errorf(tp.ErrorNotAvailable,
				"sharing without a server is not available; set a school server in Sugar's network settings")
		},
	}}}
}

func identifyLocal(v Values) (string, error) {
	if name := v.text("published-name"); name != "" {
		return name, nil
	}
	return v.text("nickname"), nil
}
