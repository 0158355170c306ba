package xmpp

import (
	"errors"
	"fmt"
	"testing"

	"telepathy-olpc/xmpp/stanza"
)

// prosodyForm is what Prosody 0.12 sends: the same questions twice.
const prosodyForm = `<query xmlns='jabber:iq:register'><instructions>Choose a username and password for use with this service.</instructions><username/><password/>` +
	`<x xmlns='jabber:x:data' type='form'><title>Creating a new account</title><instructions>Choose a username and password for use with this service.</instructions>` +
	`<field type='hidden' var='FORM_TYPE'><value>jabber:iq:register</value></field><field type='text-single' label='Username' var='username'><required/></field>` +
	`<field type='text-private' label='Password' var='password'><required/></field></x></query>`

func TestFillRegistration(t *testing.T) {
	const plain = `<query xmlns='jabber:iq:register'><username>ana</username><password>hush</password></query>`
	for _, c := range []struct{ name, form, want string }{
		{"name and password", `<query xmlns='jabber:iq:register'><instructions>Do</instructions><username/><password/></query>`, plain},
		{"Prosody", prosodyForm, plain},
		{"already registered", `<query xmlns='jabber:iq:register'><registered/><username>ana</username><password/></query>`, plain},
		{"data form alone", `<query xmlns='jabber:iq:register'><x xmlns='jabber:x:data'><field type='hidden' var='FORM_TYPE'><value>jabber:iq:register</value></field>` +
			`<field type='fixed'><value>Welcome</value></field><field var='username'><required/></field><field var='nick'/><field var='password'><required/></field></x></query>`,
			`<query xmlns='jabber:iq:register'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>jabber:iq:register</value></field>` +
				`<field var='username'><value>ana</value></field><field var='password'><value>hush</value></field></x></query>`},
		{"more asked for", `<query xmlns='jabber:iq:register'><username/><password/><email/></query>`, ""},
		{"more required in a data form", `<query xmlns='jabber:iq:register'><x xmlns='jabber:x:data'><field var='username'/><field var='ocr'><required/></field></x></query>`, ""},
		{"data form about something else", `<query xmlns='jabber:iq:register'><x xmlns='jabber:x:data'><field var='colour'/></x></query>`, ""},
		{"web page instead", `<query xmlns='jabber:iq:register'><instructions>Go there</instructions><x xmlns='jabber:x:oob'><url>http://school.test</url></x></query>`, ""},
		{"nothing asked for", `<query xmlns='jabber:iq:register'/>`, ""},
		{"no query", `<iq/>`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			query := parse(t, c.form)
			if query.Local() != "query" {
				query = query.First()
			}
			got, err := fillRegistration(query, "ana", NewSecret("hush"))
			if c.want == "" {
				if !errors.Is(err, ErrRegistrationForm) {
					t.Errorf("got %v, %v", got, err)
				}
			} else if err != nil || got.String() != c.want {
				t.Errorf("got %v, %v\nwant %s", got, err, c.want)
			}
		})
	}
}

func TestRegister_refused(t *testing.T) {
	const refusal = `<iq type='error' id='%s'><query xmlns='jabber:iq:register'/><error type='cancel'><conflict xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>Taken</text></error></iq>`
	for _, c := range []struct {
		name   string
		script func(*peer)
	}{
		{"at the form", func(p *peer) { p.send(fmt.Sprintf(refusal, p.iq("get").Attr("id"))) }},
		{"at the account", func(p *peer) {
			p.answer(p.iq("get"), prosodyForm)
			p.send(fmt.Sprintf(refusal, p.iq("set").Attr("id")))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := newScripted(t)
			cfg := server.config()
			cfg.Register = true
			client := connect(t, cfg)
			p := server.accept()
			p.open(features(offerPlain))
			c.script(p)
			var got *RegisterError
			if e := client.next(); !errors.As(e.lost, &got) || *got != (RegisterError{string(stanza.Conflict), "Taken"}) {
				t.Errorf("got %+v", e)
			}
		})
	}
}

// TestRegister_thenLogIn also has a server that says other things in between.
func TestRegister_thenLogIn(t *testing.T) {
	server := newScripted(t)
	cfg := server.config()
	cfg.Register = true
	c := connect(t, cfg)
	p := server.accept()
	p.open(features(offerPlain))
	form := p.iq("get")
	p.send("<message from='school.test'><body>Hello</body></message><iq type='result' id='other'/>")
	p.answer(form, prosodyForm)
	account := p.iq("set").Child(nsRegister, "query")
	if account.Child(nsRegister, "username").Text() != "ana" || account.Child(nsRegister, "password").Text() != "hush-hush" {
		t.Errorf("registered %v", account)
	}
	p.send("<iq type='result' id='register'/>")
	p.read(nsSASL, "auth")
	p.send(success)
	p.open(features(offerBind))
	p.bind()
	c.wantReady()
}

func TestRegister_neverUnencrypted(t *testing.T) {
	server := newScripted(t)
	cfg := server.config()
	cfg.Register, cfg.RequireEncryption = true, true
	c := connect(t, cfg)
	p := server.accept()
	p.open(features(offerPlain))
	c.wantLost(ErrEncryptionRequired)
	if e, err := p.in.Next(); err == nil {
		t.Errorf("the client sent %v", e)
	}
}
