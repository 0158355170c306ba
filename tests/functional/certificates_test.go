package functional

import (
	"testing"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/tests/cmtest"
)

// badCertificates holds each fault with the error that Telepathy has for it.
var badCertificates = map[cmtest.CertificateKind]struct {
	err    tp.ErrorName
	reason tp.ConnectionStatusReason
}{
	cmtest.Expired:     {tp.ErrorCertExpired, tp.ConnectionStatusReasonCertExpired},
	cmtest.NotYetValid: {tp.ErrorCertNotActivated, tp.ConnectionStatusReasonCertNotActivated},
	cmtest.SelfSigned:  {tp.ErrorCertSelfSigned, tp.ConnectionStatusReasonCertSelfSigned},
	cmtest.Untrusted:   {tp.ErrorCertUntrusted, tp.ConnectionStatusReasonCertUntrusted},
	cmtest.WrongHost:   {tp.ErrorCertHostnameMismatch, tp.ConnectionStatusReasonCertHostnameMismatch},
	cmtest.WeakKey:     {tp.ErrorCertInsecure, tp.ConnectionStatusReasonCertInsecure},
	cmtest.ClientOnly:  {tp.ErrorCertInvalid, tp.ConnectionStatusReasonCertOtherError},
}

func TestCertificate_bad(t *testing.T) {
	for kind, want := range badCertificates {
		for _, mode := range []cmtest.Mode{cmtest.DirectTLS, cmtest.StartTLS} {
			t.Run(string(kind)+" over "+string(mode), func(t *testing.T) {
				t.Parallel()
				cm := cmtest.Start(t, cmtest.Strict, cmtest.Encryption(mode), cmtest.Certificate(kind))
				cm.Forbid(cmtest.Element(nsSASL, "auth"))
				cm.Request().Fails(want.err, want.reason)
			})
		}
	}
}

func TestCertificate_ignored(t *testing.T) {
	for kind := range badCertificates {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			cmtest.Connect(t, cmtest.Certificate(kind))
		})
	}
}

func TestCertificate_valid(t *testing.T) {
	for _, mode := range []cmtest.Mode{cmtest.DirectTLS, cmtest.StartTLS} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			// Its name is the account's domain, not the server connected to.
			cmtest.Connect(t, cmtest.Strict, cmtest.Encryption(mode))
		})
	}
}

// A name that the user gave is as good as the domain.
func TestCertificate_forTheServerGiven(t *testing.T) {
	t.Parallel()
	cmtest.Connect(t, cmtest.Strict, cmtest.Certificate(cmtest.ServerHost))
}

func TestCertificate_extraIdentity(t *testing.T) {
	t.Parallel()
	cmtest.Connect(t, cmtest.Strict, cmtest.Certificate(cmtest.WrongHost),
		cmtest.Param("extra-certificate-identities", []string{cmtest.OtherDomain}))
}

// Old school servers speak TLS 1.0 with RSA suites.
func TestCertificate_legacyServer(t *testing.T) {
	t.Run("ignoring errors", func(t *testing.T) {
		t.Parallel()
		cmtest.Connect(t, cmtest.Legacy)
	})
	t.Run("strict", func(t *testing.T) {
		t.Parallel()
		cm := cmtest.Start(t, cmtest.Legacy, cmtest.Strict)
		cm.Request().Fails(tp.ErrorEncryptionError, tp.ConnectionStatusReasonEncryptionError)
	})
}

func TestCertificate_noTLSBehindThePort(t *testing.T) {
	t.Parallel()
	cm := cmtest.Start(t, cmtest.At(cmtest.StepConnect, cmtest.Last("<?xml version='1.0'?><stream:stream "+
		"xmlns='jabber:client' xmlns:stream='"+nsStreams+"' from='school.test' version='1.0'>"+cmtest.StreamErrorXML("not-well-formed", ""))))
	cm.Request().Fails(tp.ErrorEncryptionError, tp.ConnectionStatusReasonEncryptionError)
}
