package muc

import (
	"testing"

	"telepathy-olpc/xmpp/disco"
)

func TestParseState(t *testing.T) {
	form := func(kind string, fields ...disco.Field) *disco.Info {
		fields = append(fields, disco.Field{Var: "FORM_TYPE", Type: "hidden", Values: []string{kind}})
		return &disco.Info{Forms: []disco.Form{{Fields: fields}}}
	}
	field := func(name string, values ...string) disco.Field { return disco.Field{Var: name, Values: values} }
	for _, c := range []struct {
		name string
		info *disco.Info
		want State
	}{
		{"nothing", nil, State{}},
		{"no form", &disco.Info{}, State{}},
		{"all", form(NS+"#roominfo", field("muc#roominfo_subject", "Maths"), field("muc#roominfo_occupants", "7")), State{"Maths", 7, true}},
		{"nobody there", form(NS+"#roominfo", field("muc#roominfo_occupants", "0")), State{"", 0, true}},
		{"another form", form("urn:other", field("muc#roominfo_occupants", "7")), State{}},
		{"no values", form(NS+"#roominfo", field("muc#roominfo_subject"), field("muc#roominfo_occupants")), State{}},
		{"no number", form(NS+"#roominfo", field("muc#roominfo_occupants", "many")), State{}},
		{"negative", form(NS+"#roominfo", field("muc#roominfo_occupants", "-1")), State{}},
		{"beyond 32 bits", form(NS+"#roominfo", field("muc#roominfo_occupants", "4294967296")), State{}},
	} {
		if got := ParseState(c.info); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}
