package xmpp

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"hash"
	"strconv"
	"strings"

	"mellium.im/sasl"
)

// maxIterations bounds what a server may make us compute before it has shown
// that it knows us. Servers use 4,096 (ejabberd) to 10,000 (Prosody), today's
// advice for stored passwords is 600,000; ten million would keep an XO busy for
// minutes, and no deadline can interrupt that.
const maxIterations = 600_000

// scramHashes are the variants that we speak, best first.
var scramHashes = []struct {
	name string
	new  func() hash.Hash
}{
	{"SCRAM-SHA-512", sha512.New}, // draft-melnikov-scram-sha-512
	{"SCRAM-SHA-256", sha256.New}, // RFC 7677
	{"SCRAM-SHA-1", sha1.New},     // RFC 5802
}

// scram is the client's side of SCRAM, RFC 5802. The mechanisms of
// mellium.im/sasl v0.3.2 have neither SHA-512 nor a bound on the iterations,
// and take an empty proof of the server for "not yet". Names and passwords are
// used as they are: SASLprep changes nothing in what Sugar sends, 40 hex digits.
func scram(name string, newHash func() hash.Hash, header gs2) sasl.Mechanism {
	return sasl.Mechanism{
		Name: name,
		Start: func(n *sasl.Negotiator) (bool, []byte, any, error) {
			user, _, _ := n.Credentials()
			x := &scramExchange{hash: newHash, header: header, user: string(user), nonce: string(n.Nonce())}
			return true, []byte(x.clientFirst()), x, nil
		},
		Next: func(n *sasl.Negotiator, challenge []byte, cache any) (bool, []byte, any, error) {
			x := cache.(*scramExchange)
			if x.serverSignature != nil {
				return false, nil, x, x.verify(string(challenge))
			}
			_, password, _ := n.Credentials()
			final, err := x.clientFinal(string(challenge), string(password))
			return true, []byte(final), x, err
		},
	}
}

// gs2 is the channel binding part of the messages, RFC 5802 §7.
type gs2 struct {
	flag    string // "n", "y" or "p=" and the type
	binding []byte // with "p=" only
}

func (g gs2) header() string { return g.flag + ",," } // no authorization identity

// cbind is the attribute c: header and binding.
func (g gs2) cbind() string {
	return base64.StdEncoding.EncodeToString(append([]byte(g.header()), g.binding...))
}

// scramExchange is the state of one login.
type scramExchange struct {
	hash            func() hash.Hash
	header          gs2
	user            string
	nonce           string
	serverSignature []byte // what the server must send; nil before clientFinal
}

// saslname escapes a user name, RFC 5802 §5.1.
var saslname = strings.NewReplacer("=", "=3D", ",", "=2C")

// clientFirst is the client-first-message, RFC 5802 §7.
func (x *scramExchange) clientFirst() string { return x.header.header() + x.clientFirstBare() }

func (x *scramExchange) clientFirstBare() string {
	return "n=" + saslname.Replace(x.user) + ",r=" + x.nonce
}

// clientFinal answers the server-first-message with our proof, RFC 5802 §3.
func (x *scramExchange) clientFinal(serverFirst, password string) (string, error) {
	server, err := parseServerFirst(serverFirst, x.nonce)
	if err != nil {
		return "", err
	}
	salted, err := pbkdf2.Key(x.hash, password, server.salt, server.iterations, x.hash().Size())
	if err != nil {
		return "", fmt.Errorf("derive key: %w", err)
	}
	withoutProof := "c=" + x.header.cbind() + ",r=" + server.nonce
	authMessage := x.clientFirstBare() + "," + serverFirst + "," + withoutProof

	clientKey := x.hmac(salted, "Client Key")
	storedKey := x.hash()
	storedKey.Write(clientKey)
	proof := x.hmac(storedKey.Sum(nil), authMessage)
	subtle.XORBytes(proof, clientKey, proof)
	x.serverSignature = x.hmac(x.hmac(salted, "Server Key"), authMessage)
	return withoutProof + ",p=" + base64.StdEncoding.EncodeToString(proof), nil
}

// verify checks the server-final-message: only who knows the password, or what
// it was stored as, can have signed.
func (x *scramExchange) verify(serverFinal string) error {
	signature, err := parseServerFinal(serverFinal)
	if err != nil {
		return err
	}
	if !hmac.Equal(signature, x.serverSignature) {
		return aborted("server does not prove that it knows the password")
	}
	return nil
}

func (x *scramExchange) hmac(key []byte, text string) []byte {
	mac := hmac.New(x.hash, key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

// serverFirst is the server-first-message.
type serverFirst struct {
	nonce      string // ours and the server's
	salt       []byte
	iterations int
}

// parseServerFirst reads "r=…,s=…,i=…", RFC 5802 §7. Extensions behind are
// passed over; the reserved "m=" before is not ours to understand and fails.
// No error repeats what the server sent: nonce and salt belong in no log.
func parseServerFirst(message, clientNonce string) (serverFirst, error) {
	var m serverFirst
	fields := strings.SplitN(message, ",", 4)
	if len(fields) < 3 {
		return m, aborted("malformed first message of the server")
	}
	nonce, okNonce := strings.CutPrefix(fields[0], "r=")
	salt, okSalt := strings.CutPrefix(fields[1], "s=")
	count, okCount := strings.CutPrefix(fields[2], "i=")
	if !okNonce || !okSalt || !okCount {
		return m, aborted("malformed first message of the server")
	}
	if !strings.HasPrefix(nonce, clientNonce) || len(nonce) == len(clientNonce) {
		return m, aborted("nonce of the server does not extend ours")
	}
	decoded, err := base64.StdEncoding.DecodeString(salt)
	if err != nil || len(decoded) == 0 {
		return m, aborted("malformed salt")
	}
	iterations, err := strconv.ParseUint(count, 10, 64)
	if err != nil || iterations == 0 {
		return m, aborted("malformed iteration count")
	}
	if iterations > maxIterations {
		return m, aborted(fmt.Sprintf("%d iterations demanded, at most %d allowed", iterations, maxIterations))
	}
	return serverFirst{nonce: nonce, salt: decoded, iterations: int(iterations)}, nil
}

// parseServerFinal reads "v=…" or "e=…", RFC 5802 §7.
func parseServerFinal(message string) (signature []byte, err error) {
	field, _, _ := strings.Cut(message, ",")
	if reason, ok := strings.CutPrefix(field, "e="); ok {
		return nil, &SASLError{Condition: conditionNotAuthorized, Text: reason}
	}
	value, ok := strings.CutPrefix(field, "v=")
	if !ok {
		return nil, aborted("no signature of the server")
	}
	signature, err = base64.StdEncoding.DecodeString(value)
	if err != nil || len(signature) == 0 {
		return nil, aborted("malformed signature of the server")
	}
	return signature, nil
}
