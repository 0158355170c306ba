package cmtest

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"hash"
	"strconv"
	"strings"
)

// scram is the server's side of an exchange, RFC 5802 §5.
type scram struct {
	hash    func() hash.Hash
	user    string
	binding []byte // what a -PLUS mechanism is bound to, RFC 9266; nil for others
	offered bool   // the server offers -PLUS

	gs2, clientFirst, serverFirst string
	nonce                         string
	iterations                    int
	salted                        []byte
}

const (
	scramSalt     = "a salt of the test"
	maxIterations = 1 << 20 // more are a joke at the client's cost, not at ours
)

func newScram(mechanism string, iterations int) *scram {
	hashes := map[string]func() hash.Hash{
		"SCRAM-SHA-1": sha1.New, "SCRAM-SHA-256": sha256.New, "SCRAM-SHA-512": sha512.New,
	}
	h := hashes[strings.TrimSuffix(mechanism, "-PLUS")]
	if h == nil {
		return nil
	}
	return &scram{hash: h, iterations: iterations}
}

// first answers client-first-message. An unknown user gets a challenge like
// any other and is refused at the end, as servers do.
func (x *scram) first(message string, password func(string) (string, bool)) (string, bool) {
	parts := strings.SplitN(message, ",", 3)
	if len(parts) != 3 || !x.takesFlag(parts[0]) {
		return "", false
	}
	x.gs2 = parts[0] + "," + parts[1] + ","
	x.clientFirst = parts[2]
	attributes := scramAttributes(parts[2])
	x.user = strings.NewReplacer("=2C", ",", "=3D", "=").Replace(attributes["n"])
	x.nonce = attributes["r"] + "andours"
	x.serverFirst = "r=" + x.nonce + ",s=" + base64.StdEncoding.EncodeToString([]byte(scramSalt)) + ",i=" + strconv.Itoa(x.iterations)
	if secret, is := password(x.user); is && x.iterations < maxIterations {
		x.salted, _ = pbkdf2.Key(x.hash, secret, []byte(scramSalt), x.iterations, x.hash().Size())
	}
	return x.serverFirst, attributes["r"] != ""
}

// takesFlag tells whether the client's idea of channel binding is right. "y" says
// that it could and we cannot: if we can, somebody on the way has hidden it.
func (x *scram) takesFlag(flag string) bool {
	if x.binding != nil {
		return flag == "p=tls-exporter"
	}
	return flag == "n" || flag == "y" && !x.offered
}

// final checks client-final-message and proves that the server knows the password too.
func (x *scram) final(message string) (string, bool) {
	attributes := scramAttributes(message)
	binding, _ := base64.StdEncoding.DecodeString(attributes["c"])
	proof, _ := base64.StdEncoding.DecodeString(attributes["p"])
	if attributes["r"] != x.nonce || string(binding) != x.gs2+string(x.binding) || len(proof) != x.hash().Size() || x.salted == nil {
		return "", false
	}
	withoutProof, _, _ := strings.Cut(message, ",p=")
	text := x.clientFirst + "," + x.serverFirst + "," + withoutProof
	clientKey := x.mac(x.salted, "Client Key")
	h := x.hash()
	h.Write(clientKey)
	signature := x.mac(h.Sum(nil), text)
	for i := range proof {
		proof[i] ^= signature[i]
	}
	if !hmac.Equal(proof, clientKey) {
		return "", false
	}
	return "v=" + base64.StdEncoding.EncodeToString(x.mac(x.mac(x.salted, "Server Key"), text)), true
}

func (x *scram) mac(key []byte, text string) []byte {
	m := hmac.New(x.hash, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}

func scramAttributes(message string) map[string]string {
	list := make(map[string]string)
	for part := range strings.SplitSeq(message, ",") {
		if name, value, is := strings.Cut(part, "="); is {
			list[name] = value
		}
	}
	return list
}
