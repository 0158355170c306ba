package doctor

import (
	"testing"
	"time"

	"telepathy-olpc/internal/doctor"
	"telepathy-olpc/tests/cmtest"
)

// scripted is for a server that no real one would be. It knows neither rooms
// nor shared rosters, so what comes after its fault says nothing.
func scripted(t *testing.T, opts ...cmtest.Option) doctor.Options {
	t.Helper()
	cm := cmtest.Prepare(t, opts...)
	second := cm.NewServer(cmtest.Encryption(cmtest.StartTLS))
	return doctor.Options{
		Server: cmtest.Domain, Host: "127.0.0.1", Port: uint16(cm.Server.Port), Port2: uint16(second.Port),
		RootCAs: cm.Authority(), Bus: noBus, Patience: time.Second,
	}
}

func TestDoctor_certificate(t *testing.T) {
	t.Parallel()
	tests := map[cmtest.CertificateKind]doctor.Cause{
		cmtest.Expired:     doctor.CertExpired,
		cmtest.NotYetValid: doctor.CertEarly,
		cmtest.WrongHost:   doctor.CertHost,
		cmtest.WeakKey:     doctor.CertWeak,
		cmtest.ClientOnly:  doctor.CertWeak,
	}
	for kind, cause := range tests {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			r := examine(t, scripted(t, cmtest.Certificate(kind)))
			expect(t, r, "certificate", doctor.Warning, cause)
		})
	}
}

// A certificate that nobody known has signed is what a school's server has.
func TestDoctor_selfSigned(t *testing.T) {
	t.Parallel()
	for _, kind := range []cmtest.CertificateKind{cmtest.SelfSigned, cmtest.Untrusted} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			r := examine(t, scripted(t, cmtest.Certificate(kind)))
			if got := r.Finding("certificate"); got.Level != doctor.OK {
				t.Errorf("certificate: %+v", got)
			}
		})
	}
}

func TestDoctor_oldTLS(t *testing.T) {
	t.Parallel()
	expect(t, examine(t, scripted(t, cmtest.Legacy)), "tls", doctor.Warning, doctor.OldTLS)
}

func TestDoctor_registrationNeedsForm(t *testing.T) {
	t.Parallel()
	r := examine(t, scripted(t, cmtest.RegistrationForm(
		"<query xmlns='jabber:iq:register'><instructions>Write to us</instructions><username/><password/><email/></query>")))
	expect(t, r, "registration", doctor.Problem, doctor.NeedsForm)
}

// The server has forgotten whom it has just registered. The account cannot be
// removed, and it may be there.
func TestDoctor_loginRefused(t *testing.T) {
	t.Parallel()
	r := examine(t, scripted(t, cmtest.At(cmtest.StepRegister, cmtest.Say("<iq type='result' id='{id}'/>"))))
	expect(t, r, "login", doctor.Problem, doctor.Refused)
}

func TestDoctor_notXMPP(t *testing.T) {
	t.Parallel()
	opts := scripted(t, cmtest.Encryption(cmtest.StartTLS), cmtest.At(cmtest.StepStream, cmtest.Say("SSH-2.0-OpenSSH_9.2\r\n")))
	opts.Port, opts.Port2 = opts.Port2, opts.Port
	if got := examine(t, opts).Finding("port-5222"); got.Cause != doctor.NotXMPP {
		t.Errorf("port 5222: %+v", got)
	}
}

// Somebody who takes connections and says nothing costs the doctor no more than
// its patience.
func TestDoctor_silentServer(t *testing.T) {
	t.Parallel()
	r := examine(t, scripted(t, cmtest.At(cmtest.StepHandshake, cmtest.Silence)))
	expect(t, r, "tls", doctor.Problem, doctor.NoTLS)
}

// A server that does not remove accounts is told of.
func TestDoctor_accountLeftBehind(t *testing.T) {
	t.Parallel()
	r := examine(t, scripted(t, cmtest.AnswersError(cmtest.IQ("set", "jabber:iq:register"), "cancel", "not-allowed")))
	if got := r.Finding("clean-up"); got.Cause != doctor.LeftBehind {
		t.Errorf("clean-up: %+v", got)
	}
}
