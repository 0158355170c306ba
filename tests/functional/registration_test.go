package functional

import (
	"testing"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/tests/cmtest"
)

// prosodyForm is what Prosody 0.12 answers by default.
const prosodyForm = `<query xmlns='jabber:iq:register'>
 <x xmlns='jabber:x:data' type='form'><title>Creating a new account</title>
  <instructions>Choose a username and password for use with this service.</instructions>
  <field type='hidden' var='FORM_TYPE'><value>jabber:iq:register</value></field>
  <field type='text-single' var='username' label='Username'><required/></field>
  <field type='text-private' var='password' label='Password'><required/></field></x>
 <instructions>Choose a username and password for use with this service.</instructions>
 <username/><password/></query>`

// newcomer is an account that the server does not have yet.
func newcomer(o ...cmtest.Option) []cmtest.Option {
	return append([]cmtest.Option{cmtest.Users(), cmtest.Param("register", true)}, o...)
}

func TestRegister_makesTheAccountAndLogsIn(t *testing.T) {
	for name, form := range map[string]string{
		"legacy fields": "",
		"Prosody":       prosodyForm,
	} {
		for _, mode := range []cmtest.Mode{cmtest.DirectTLS, cmtest.StartTLS} {
			t.Run(name+" over "+string(mode), func(t *testing.T) {
				t.Parallel()
				cm := cmtest.Start(t, newcomer(cmtest.Encryption(mode), cmtest.RegistrationForm(form))...)
				cm.Request().Login()
				set := cm.Expect(cmtest.IQ("set", nsRegister))
				query := set.Element.First()
				cmtest.Equal(t, query.Child(nsRegister, "username").Text(), cmtest.User)
				cmtest.Equal(t, query.Child(nsRegister, "password").Text(), cmtest.UserPassword)
				cm.Expect(cmtest.Element(nsSASL, "auth"))
			})
		}
	}
}

// RegistrationExists, and no other, makes Sugar take register back.
func TestRegister_accountExists(t *testing.T) {
	t.Parallel()
	cm := cmtest.Start(t, cmtest.Param("register", true))
	noLogin := cm.Forbid(cmtest.Element(nsSASL, "auth"))
	cm.Request().Fails(tp.ErrorRegistrationExists, tp.ConnectionStatusReasonNameInUse)
	noLogin.Lift()
	cm.Request(cmtest.Param("register", false)).Login()
}

func TestRegister_refused(t *testing.T) {
	refusal := func(kind, condition string) cmtest.Option {
		return cmtest.At(cmtest.StepRegister, cmtest.Say("<iq type='error' id='{id}'><error type='"+kind+"'><"+condition+
			" xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"))
	}
	form := func(content string) cmtest.Option {
		return cmtest.RegistrationForm("<query xmlns='jabber:iq:register'>" + content + "</query>")
	}
	const (
		authentication = tp.ConnectionStatusReasonAuthenticationFailed
		network        = tp.ConnectionStatusReasonNetworkError
	)
	for name, row := range map[string]struct {
		server cmtest.Option
		err    tp.ErrorName
		reason tp.ConnectionStatusReason
	}{
		"closed":              {cmtest.NoRegistration, tp.ErrorNotAvailable, authentication},
		"a name not allowed":  {refusal("modify", "not-acceptable"), tp.ErrorPermissionDenied, authentication},
		"not for this client": {refusal("auth", "forbidden"), tp.ErrorPermissionDenied, authentication},
		"switched off":        {refusal("cancel", "not-allowed"), tp.ErrorPermissionDenied, authentication},
		"too many at once":    {refusal("wait", "resource-constraint"), tp.ErrorConnectionFailed, network},
		"no reason":           {refusal("cancel", "undefined-condition"), tp.ErrorNotAvailable, authentication},
		"further fields":      {form("<username/><password/><email/>"), tp.ErrorNotAvailable, authentication},
		"nothing to fill in":  {form(""), tp.ErrorNotAvailable, authentication},
		"a form with a riddle": {form("<x xmlns='jabber:x:data' type='form'>" +
			"<field type='text-single' var='ocr' label='What do you see?'><required/></field></x>"), tp.ErrorNotAvailable, authentication},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cm := cmtest.Start(t, newcomer(row.server)...)
			noLogin := cm.Forbid(cmtest.Element(nsSASL, "auth"))
			cm.Request().Fails(row.err, row.reason)
			noLogin.Lift()
			cm.Server.Script(newcomer()...)
			cm.Request().Login()
		})
	}
}

// A registration shows the password to everybody on the way.
func TestRegister_notInTheClear(t *testing.T) {
	t.Parallel()
	cm := cmtest.Start(t, newcomer(cmtest.Encryption(cmtest.Plain))...)
	cm.Forbid(cmtest.IQ("set", nsRegister))
	cm.Request().Fails(tp.ErrorEncryptionNotAvailable, tp.ConnectionStatusReasonEncryptionError)
}
