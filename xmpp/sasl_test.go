package xmpp

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"hash"
	"strings"
	"testing"

	"crypto/pbkdf2"

	"mellium.im/sasl"

	"telepathy-olpc/xmpp/jid"
)

// Lists as servers offer them.
var (
	offeredByEjabberd = []string{"PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-512", "SCRAM-SHA-512-PLUS", "X-OAUTH2"}
	offeredByProsody  = []string{"SCRAM-SHA-1", "PLAIN"}
	offeredIn2008     = []string{"DIGEST-MD5", "PLAIN"}
)

func TestChooseMechanism(t *testing.T) {
	tls13, tls12 := tlsState(t, tls.VersionTLS13), tlsState(t, tls.VersionTLS12)
	both := []string{"tls-unique", exporterType}
	open, strict := Config{}, Config{RequireEncryption: true}
	rows := []struct {
		name      string
		offered   []string
		encrypted bool
		config    Config
		state     *tls.ConnectionState
		bindings  []string
		mechanism string // "": an error
		start     string // of the first message
	}{
		{"new ejabberd, TLS 1.3", offeredByEjabberd, true, strict, tls13, both, "SCRAM-SHA-512-PLUS", "p=tls-exporter,,n="},
		{"new ejabberd, TLS 1.3, any certificate", offeredByEjabberd, true, Config{IgnoreTLSErrors: true}, tls13, both, "SCRAM-SHA-512-PLUS", "p=tls-exporter,,n="},
		{"new ejabberd, TLS 1.2 binds nothing", offeredByEjabberd, true, strict, tls12, both, "SCRAM-SHA-512", "n,,n="},
		{"ejabberd 23.01 lists no bindings", offeredByEjabberd, true, strict, tls13, nil, "SCRAM-SHA-512", "n,,n="},
		{"server binds to something else", offeredByEjabberd, true, strict, tls13, []string{"tls-server-end-point"}, "SCRAM-SHA-512", "n,,n="},
		{"no -PLUS, TLS 1.3", offeredByProsody, true, strict, tls13, nil, "SCRAM-SHA-1", "y,,n="},
		{"no -PLUS, but a binding, TLS 1.3", offeredByProsody, true, strict, tls13, both, "SCRAM-SHA-1", "y,,n="},
		{"no -PLUS, TLS 1.2", offeredByProsody, true, strict, tls12, nil, "SCRAM-SHA-1", "n,,n="},
		{"-PLUS of an unknown hash", []string{"SCRAM-SHA3-512-PLUS", "SCRAM-SHA-256"}, true, strict, tls13, nil, "SCRAM-SHA-256", "n,,n="},
		{"weaker hash with binding", []string{"SCRAM-SHA-512", "SCRAM-SHA-1-PLUS"}, true, strict, tls13, both, "SCRAM-SHA-1-PLUS", "p=tls-exporter,,n="},
		{"old server", offeredIn2008, true, strict, tls12, nil, "PLAIN", "\x00"},
		{"no TLS, nothing required", offeredByProsody, false, open, nil, nil, "SCRAM-SHA-1", "n,,n="},
		{"no TLS, PLAIN alone, nothing required", offeredIn2008, false, open, nil, nil, "PLAIN", "\x00"},
		{"no TLS, -PLUS offered", offeredByEjabberd, false, open, nil, nil, "SCRAM-SHA-512", "n,,n="},
		{"no TLS, encryption required", offeredByProsody, false, strict, nil, nil, "", ""},
		{"nothing in common", []string{"DIGEST-MD5", "ANONYMOUS", "EXTERNAL", "plain"}, true, strict, tls13, nil, "", ""},
		{"nothing", nil, true, strict, tls13, nil, "", ""},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			m, err := chooseMechanism(row.offered, row.encrypted, row.config, row.state, row.bindings...)
			if m.Name != row.mechanism || (err == nil) != (row.mechanism != "") {
				t.Fatalf("got %q, %v; want %q", m.Name, err, row.mechanism)
			}
			if err != nil {
				return
			}
			_, initial, err := saslConfig().startSASL(m)
			if err != nil || !strings.HasPrefix(string(initial), row.start) {
				t.Errorf("got first message %q, %v; want prefix %q", initial, err, row.start)
			}
		})
	}
}

func TestChooseMechanism_errors(t *testing.T) {
	_, err := chooseMechanism(offeredByEjabberd, false, Config{RequireEncryption: true}, nil)
	if !errors.Is(err, ErrEncryptionRequired) {
		t.Errorf("without TLS: %v", err)
	}
	var refusal *SASLError
	_, err = chooseMechanism([]string{"EXTERNAL"}, true, Config{}, nil)
	if !errors.As(err, &refusal) || refusal.Condition != conditionInvalidMechanism {
		t.Errorf("nothing in common: %v", err)
	}
}

// The binding must be the same at both ends of the connection.
func TestChooseMechanism_bindsConnection(t *testing.T) {
	client, server := tlsStates(t, tls.VersionTLS13)
	m, err := chooseMechanism(offeredByEjabberd, true, Config{}, client, exporterType)
	if err != nil {
		t.Fatal(err)
	}
	e, initial, err := saslConfig().startSASL(m)
	if err != nil {
		t.Fatal(err)
	}
	_, nonce, _ := strings.Cut(string(initial), ",r=")
	final, err := e.challenge([]byte("r=" + nonce + "x,s=c2FsdA==,i=1"))
	if err != nil {
		t.Fatal(err)
	}
	exported, err := server.ExportKeyingMaterial("EXPORTER-Channel-Binding", nil, 32)
	if err != nil {
		t.Fatal(err)
	}
	want := "c=" + base64.StdEncoding.EncodeToString(append([]byte("p=tls-exporter,,"), exported...)) + ","
	if !strings.HasPrefix(string(final), want) {
		t.Errorf("got %q, want prefix %q", final, want)
	}
}

func saslConfig() Config {
	account, err := jid.Parse("user@school.test")
	if err != nil {
		panic(err)
	}
	return Config{Account: account, Password: NewSecret("pencil")}
}

// scramServer is mellium's, the other side written by somebody else.
func scramServer(m sasl.Mechanism, newHash func() hash.Hash, password string) *sasl.Negotiator {
	return sasl.NewServer(m, nil, sasl.SaltedCredentials(func(_, _ []byte, _ string) (salt, salted []byte, iterations int64, err error) {
		salt = []byte("salt")
		salted, err = pbkdf2.Key(newHash, password, salt, 4096, newHash().Size())
		return salt, salted, 4096, err
	}))
}

func TestSASLExchange_againstMellium(t *testing.T) {
	rows := []struct {
		name   string
		server sasl.Mechanism
		hash   func() hash.Hash
		end    func(e *saslExchange, final []byte) error
	}{
		{"SHA-1, signature in success", sasl.ScramSha1, sha1.New, (*saslExchange).success},
		{"SHA-256, signature in success", sasl.ScramSha256, sha256.New, (*saslExchange).success},
		{"SHA-256, signature in a challenge", sasl.ScramSha256, sha256.New, func(e *saslExchange, final []byte) error {
			response, err := e.challenge(final)
			if err == nil && len(response) > 0 {
				err = errors.New("response to the last challenge is not empty")
			}
			return errors.Join(err, e.success(nil))
		}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			e, final := exchangeUntilProof(t, scramServer(row.server, row.hash, "pencil"), row.server.Name)
			if err := row.end(e, final); err != nil {
				t.Errorf("right server refused: %v", err)
			}
		})
	}
}

// exchangeUntilProof runs an exchange up to the server's last message.
func exchangeUntilProof(t *testing.T, server *sasl.Negotiator, mechanism string) (*saslExchange, []byte) {
	t.Helper()
	m, err := chooseMechanism([]string{mechanism}, true, Config{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	e, initial, err := saslConfig().startSASL(m)
	if err != nil {
		t.Fatal(err)
	}
	_, challenge, err := server.Step(initial)
	if err != nil {
		t.Fatal(err)
	}
	response, err := e.challenge(challenge)
	if err != nil {
		t.Fatal(err)
	}
	_, final, err := server.Step(response)
	if err != nil {
		t.Fatal(err)
	}
	return e, final
}

// A server that does not prove itself is refused, however it ends.
func TestSASLExchange_unprovedSuccess(t *testing.T) {
	rows := []struct {
		name string
		end  func(e *saslExchange, final []byte) error
	}{
		{"success without signature", func(e *saslExchange, _ []byte) error { return e.success(nil) }},
		{"success with another signature", func(e *saslExchange, _ []byte) error {
			return e.success([]byte("v=AAAAAAAAAAAAAAAAAAAAAAAAAAA="))
		}},
		{"challenge without signature", func(e *saslExchange, _ []byte) error { _, err := e.challenge(nil); return err }},
		{"challenge after the signature", func(e *saslExchange, final []byte) error {
			if _, err := e.challenge(final); err != nil {
				return nil // the wrong one failed
			}
			_, err := e.challenge(final)
			return err
		}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			e, final := exchangeUntilProof(t, scramServer(sasl.ScramSha1, sha1.New, "pencil"), "SCRAM-SHA-1")
			wantAborted(t, row.end(e, final))
		})
	}
}

func TestSASLExchange_earlySuccess(t *testing.T) {
	m, err := chooseMechanism([]string{"SCRAM-SHA-1"}, true, Config{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("empty", func(t *testing.T) {
		e, _, _ := saslConfig().startSASL(m)
		wantAborted(t, e.success(nil))
	})
	t.Run("with the first message of the server", func(t *testing.T) {
		e, initial, _ := saslConfig().startSASL(m)
		_, nonce, _ := strings.Cut(string(initial), ",r=")
		wantAborted(t, e.success([]byte("r="+nonce+"x,s=c2FsdA==,i=1")))
	})
}

func TestSASLExchange_plain(t *testing.T) {
	e, initial, err := saslConfig().startSASL(sasl.Plain)
	if err != nil || string(initial) != "\x00user\x00pencil" {
		t.Errorf("got %q, %v", initial, err)
	}
	if err := e.success(nil); err != nil {
		t.Error(err)
	}
	_, err = e.challenge(nil)
	wantAborted(t, err)
}
