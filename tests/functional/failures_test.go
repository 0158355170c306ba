package functional

import (
	"testing"
	"time"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/tests/cmtest"
)

// What goes wrong on the way to a login, with the error and the reason that
// the account manager is told. It tries again by itself after Network_Error.
const (
	authentication = tp.ConnectionStatusReasonAuthenticationFailed
	network        = tp.ConnectionStatusReasonNetworkError
	encryption     = tp.ConnectionStatusReasonEncryptionError
	nameInUse      = tp.ConnectionStatusReasonNameInUse
)

func TestFailure_authentication(t *testing.T) {
	refusal := func(condition string) cmtest.Option {
		return cmtest.At(cmtest.StepAuth, cmtest.Say("<failure xmlns='"+nsSASL+"'><"+condition+"/></failure>"))
	}
	for name, row := range map[string]struct {
		server []cmtest.Option
		err    tp.ErrorName
		reason tp.ConnectionStatusReason
	}{
		"wrong password, SCRAM": {[]cmtest.Option{cmtest.Users(cmtest.User, "something else")}, tp.ErrorAuthenticationFailed, authentication},
		"wrong password, PLAIN": {[]cmtest.Option{cmtest.Users(cmtest.User, "something else"), cmtest.Mechanisms("PLAIN")},
			tp.ErrorAuthenticationFailed, authentication},
		"unknown user, SCRAM":     {[]cmtest.Option{cmtest.Users()}, tp.ErrorAuthenticationFailed, authentication},
		"unknown user, PLAIN":     {[]cmtest.Option{cmtest.Users(), cmtest.Mechanisms("PLAIN")}, tp.ErrorAuthenticationFailed, authentication},
		"account disabled":        {[]cmtest.Option{refusal("account-disabled")}, tp.ErrorAuthenticationFailed, authentication},
		"condition of the future": {[]cmtest.Option{refusal("blue-moon")}, tp.ErrorAuthenticationFailed, authentication},
		"server cannot just now":  {[]cmtest.Option{refusal("temporary-auth-failure")}, tp.ErrorConnectionFailed, network},
		"no mechanism in common":  {[]cmtest.Option{cmtest.Mechanisms("X-UNKNOWN", "EXTERNAL")}, tp.ErrorAuthenticationFailed, authentication},
		"no mechanisms at all":    {[]cmtest.Option{cmtest.Mechanisms()}, tp.ErrorAuthenticationFailed, authentication},
		"server does not know it": {[]cmtest.Option{cmtest.At(cmtest.StepResponse, cmtest.Say("<success xmlns='"+nsSASL+"'>dj1BQUFB</success>"))},
			tp.ErrorAuthenticationFailed, authentication},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cm := cmtest.Start(t, row.server...)
			cm.Request().Fails(row.err, row.reason)
			cm.Server.Script()
			cm.Request().Login()
		})
	}
}

func TestFailure_serverDown(t *testing.T) {
	t.Parallel()
	cm := cmtest.Start(t)
	cm.Server.Down()
	cm.Request().Fails(tp.ErrorConnectionFailed, network)
	cm.Server.Up()
	cm.Request().Login()
}

func TestFailure_noSuchServer(t *testing.T) {
	for name, options := range map[string][]cmtest.Option{
		"named by the account": {cmtest.Param("account", cmtest.User+"@school.invalid"), cmtest.Param("server", nil), cmtest.Param("port", nil)},
		"named in server":      {cmtest.Param("server", "xs.school.invalid")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cm := cmtest.Start(t)
			cm.Request(options...).Fails(tp.ErrorNetworkError, network)
			cm.Request().Login()
		})
	}
}

// login is one that has all the steps there are.
func login() []cmtest.Option {
	return newcomer(cmtest.Encryption(cmtest.StartTLS), cmtest.Mechanisms("SCRAM-SHA-256"))
}

// A server that goes away in the middle says nothing about password or
// certificate: the account manager may try again.
func TestFailure_cutAtEachStep(t *testing.T) {
	for _, step := range cmtest.LoginSteps {
		t.Run(string(step), func(t *testing.T) {
			t.Parallel()
			cm := cmtest.Start(t, append(login(), cmtest.At(step, cmtest.Cut))...)
			cm.Request().FailsBecause(network)
			cm.Server.Script(login()...)
			cm.Request().Login()
		})
	}
}

func TestFailure_closedAtEachStep(t *testing.T) {
	for _, step := range cmtest.LoginSteps {
		if step == cmtest.StepHandshake || step == cmtest.StepConnect {
			continue // no stream to close
		}
		t.Run(string(step), func(t *testing.T) {
			t.Parallel()
			cm := cmtest.Start(t, append(login(), cmtest.At(step, cmtest.CloseStream))...)
			cm.Request().FailsBecause(network)
		})
	}
}

// All of them wait at once in one process; the rest of it goes on meanwhile.
func TestFailure_silentAtEachStep(t *testing.T) {
	t.Parallel()
	cm := cmtest.Start(t, login()...)
	var ends []cmtest.Matcher
	for _, step := range cmtest.LoginSteps {
		server := cm.NewServer(append(login(), cmtest.At(step, cmtest.Silence))...)
		c := cm.Request(cmtest.To(server), cmtest.Param("resource", string(step)), quick)
		cm.Call(c.Path, tp.InterfaceConnection, "Connect")
		ends = append(ends, cmtest.Signal(tp.SignalConnectionConnectionError).At(c.Path).Args(string(tp.ErrorConnectionFailed)),
			c.Status(tp.ConnectionStatusDisconnected, network), cmtest.NameGone(c.Name))
	}
	cm.Request().Login()
	cm.ExpectUnordered(ends...)
}

func TestFailure_disconnectAtEachStep(t *testing.T) {
	for _, step := range cmtest.LoginSteps {
		t.Run(string(step), func(t *testing.T) {
			t.Parallel()
			cm := cmtest.Start(t, append(login(), cmtest.At(step, cmtest.Silence))...)
			cm.Forbid(cmtest.Signal(tp.SignalConnectionConnectionError))
			c := cm.Request()
			cm.Call(c.Path, tp.InterfaceConnection, "Connect")
			cm.Expect(cmtest.Reached(step))
			cm.Call(c.Path, tp.InterfaceConnection, "Disconnect")
			cm.Expect(c.Status(tp.ConnectionStatusDisconnected, tp.ConnectionStatusReasonRequested))
			cm.ExpectWithin(3*time.Second, cmtest.NameGone(c.Name))
		})
	}
}

func TestFailure_streamErrorWhileLoggingIn(t *testing.T) {
	for condition, want := range map[string]struct {
		err    tp.ErrorName
		reason tp.ConnectionStatusReason
	}{
		"conflict":                 {tp.ErrorAlreadyConnected, nameInUse},
		"host-unknown":             {tp.ErrorAuthenticationFailed, authentication},
		"host-gone":                {tp.ErrorAuthenticationFailed, authentication},
		"system-shutdown":          {tp.ErrorConnectionLost, network},
		"see-other-host":           {tp.ErrorConnectionFailed, network},
		"resource-constraint":      {tp.ErrorConnectionFailed, network},
		"remote-connection-failed": {tp.ErrorConnectionFailed, network},
		"undefined-condition":      {tp.ErrorNetworkError, network},
	} {
		for _, step := range []cmtest.Step{cmtest.StepStream, cmtest.StepSecureFeatures, cmtest.StepAuth, cmtest.StepBind} {
			t.Run(condition+" to "+string(step), func(t *testing.T) {
				t.Parallel()
				cm := cmtest.Start(t, append(login(), cmtest.At(step, cmtest.StreamError(condition, "elsewhere.test")))...)
				c := cm.Request()
				c.Fails(want.err, want.reason)
			})
		}
	}
}

func TestFailure_streamErrorInTheSession(t *testing.T) {
	for condition, want := range map[string]struct {
		err    tp.ErrorName
		reason tp.ConnectionStatusReason
	}{
		"conflict":              {tp.ErrorConnectionReplaced, nameInUse},
		"system-shutdown":       {tp.ErrorConnectionLost, network},
		"see-other-host":        {tp.ErrorConnectionFailed, network},
		"connection-timeout":    {tp.ErrorConnectionLost, network},
		"reset":                 {tp.ErrorConnectionLost, network},
		"internal-server-error": {tp.ErrorConnectionFailed, network},
		"policy-violation":      {tp.ErrorConnectionLost, network},
		"undefined-condition":   {tp.ErrorNetworkError, network},
	} {
		t.Run(condition, func(t *testing.T) {
			t.Parallel()
			cm := cmtest.Connect(t)
			cm.Server.Send(cmtest.StreamErrorXML(condition, "elsewhere.test"))
			cm.Ends(want.err, want.reason)
			cm.Request().Login()
		})
	}
}

// see-other-host is not followed by itself (a stranger could send the child
// anywhere), but the account manager tries again and a person can read it.
func TestFailure_serverWordsAreHandedOn(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t)
	cm.Server.Send("<stream:error><system-shutdown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>" +
		"<text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>Power cut at noon</text></stream:error></stream:stream>")
	broken := cm.Expect(cmtest.Signal(tp.SignalConnectionConnectionError))
	cmtest.Equal(t, cmtest.As[map[string]any](t, broken.Arg(1))["server-message"], any("Power cut at noon"))
	cm.Expect(cm.Status(tp.ConnectionStatusDisconnected, network))
}

func TestFailure_lostInTheSession(t *testing.T) {
	for name, end := range map[string]func(*cmtest.Connection){
		"closed by the server": func(c *cmtest.Connection) { c.Server.Send("</stream:stream>") },
		"cut":                  func(c *cmtest.Connection) { c.Server.Stream().Cut() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cm := cmtest.Connect(t)
			end(cm)
			cm.Ends(tp.ErrorConnectionLost, network)
			cm.Request().Login()
		})
	}
}

// The first server is dead, the second one lives.
func TestFailure_fallbackServer(t *testing.T) {
	t.Parallel()
	cm := cmtest.Start(t)
	dead := cm.NewServer()
	dead.Down()
	cm.Request(cmtest.To(dead), cmtest.Param("fallback-servers", []string{cm.Server.Address()})).Login()
}
