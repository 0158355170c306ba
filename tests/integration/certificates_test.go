package integration

import (
	"testing"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/tests/cmtest"
	"telepathy-olpc/tests/school"
)

// testSelfSigned is what a strict account makes of a server without authority.
func testSelfSigned(t *testing.T, s *school.Server) {
	cm := cmtest.Start(t, sugars(s, "Carla", cmtest.Strict)...)
	cm.Request().Fails(tp.ErrorCertSelfSigned, tp.ConnectionStatusReasonCertSelfSigned)
	cm.Request(startTLS(s)...).Fails(tp.ErrorCertSelfSigned, tp.ConnectionStatusReasonCertSelfSigned)
}

func testKnownAuthority(t *testing.T, s *school.Server) {
	cm := cmtest.Start(t, sugars(s, "Dora", cmtest.Strict, cmtest.Env("SSL_CERT_FILE="+s.CAFile))...)
	login(cm)
	login(cm, append(startTLS(s), cmtest.Param("register", false))...)
}

func testUnknownAuthority(t *testing.T, s *school.Server) {
	cm := cmtest.Start(t, sugars(s, "Eva", cmtest.Strict)...)
	cm.Request().Fails(tp.ErrorCertUntrusted, tp.ConnectionStatusReasonCertUntrusted)
	cm.Request(startTLS(s)...).Fails(tp.ErrorCertUntrusted, tp.ConnectionStatusReasonCertUntrusted)
	login(cm, cmtest.Param("ignore-ssl-errors", true))
}
