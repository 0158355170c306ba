package xmpp

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"strings"
	"testing"

	"mellium.im/sasl"
)

// scramVector is one whole exchange.
type scramVector struct {
	name        string
	hash        func() hash.Hash
	header      gs2
	user        string
	nonce       string
	clientFirst string
	serverFirst string
	clientFinal string
	serverFinal string
}

var scramVectors = []scramVector{
	{
		name: "RFC 5802 §5", hash: sha1.New, header: gs2{flag: "n"}, user: "user", nonce: "fyko+d2lbbFgONRv9qkxdawL",
		clientFirst: "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
		serverFirst: "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
		clientFinal: "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
		serverFinal: "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
	},
	{
		name: "RFC 7677 §3", hash: sha256.New, header: gs2{flag: "n"}, user: "user", nonce: "rOprNGfwEbeRWgbNEkqO",
		clientFirst: "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
		serverFirst: "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
		clientFinal: "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
		serverFinal: "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
	},
	{ // computed with Python's hashlib by the program that gives the two above
		name: "SHA-512", hash: sha512.New, header: gs2{flag: "n"}, user: "user", nonce: "rOprNGfwEbeRWgbNEkqO",
		clientFirst: "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
		serverFirst: "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
		clientFinal: "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=gMGXRcevScNtxZ6/8lQYpGtnsNAc3mGcmNomv+xnoOMw+3R2xNJdMNnzMlTN8PPC6wdp6dybEmDYXYTxwnYPJQ==",
		serverFinal: "v=ZQnYEgWQMFmmsM8aQMF0nDDCy/AgCzkwk8CmMZYcMg0vSVlKDanekLtifDSeVGT4+5ZxXnJq199RVG2rR7N7Zw==",
	},
	{ // likewise
		name: "bound, escaped, with extension", hash: sha512.New,
		header: gs2{flag: "p=tls-exporter", binding: countingBytes(32)}, user: "a=,b", nonce: "rOprNGfwEbeRWgbNEkqO",
		clientFirst: "p=tls-exporter,,n=a=3D=2Cb,r=rOprNGfwEbeRWgbNEkqO",
		serverFirst: "r=rOprNGfwEbeRWgbNEkqOserver,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
		clientFinal: "c=cD10bHMtZXhwb3J0ZXIsLAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f,r=rOprNGfwEbeRWgbNEkqOserver,p=gbgTbwDl1Cohukf29gWaz22CyqvrRANyh5+EJuE/4ZWjHRd2lyVDXUZ/NEqSJGdq+J5oJS08CjFbSVM/YiUmoQ==",
		serverFinal: "v=0C4cBqK+Ldxbg6/Co1Is1o1ARUGDBWwTWYVploTmrkH6R7D9FGBLJymWF1ngo3PsWJTe8cLwPGUYJfIfmexG+w==,x=ignored",
	},
}

func countingBytes(n int) []byte {
	list := make([]byte, n)
	for i := range list {
		list[i] = byte(i)
	}
	return list
}

func (v scramVector) exchange() *scramExchange {
	return &scramExchange{hash: v.hash, header: v.header, user: v.user, nonce: v.nonce}
}

func TestSCRAM_vectors(t *testing.T) {
	for _, v := range scramVectors {
		t.Run(v.name, func(t *testing.T) {
			x := v.exchange()
			if got := x.clientFirst(); got != v.clientFirst {
				t.Errorf("first message\n-want %s\n+got  %s", v.clientFirst, got)
			}
			got, err := x.clientFinal(v.serverFirst, "pencil")
			if err != nil {
				t.Fatal(err)
			}
			if got != v.clientFinal {
				t.Errorf("final message\n-want %s\n+got  %s", v.clientFinal, got)
			}
			if err := x.verify(v.serverFinal); err != nil {
				t.Errorf("right signature refused: %v", err)
			}
		})
	}
}

func TestSCRAM_serverFirst(t *testing.T) {
	const salt = "QSXCR+Q6sek8bf92"
	rows := []struct {
		name, message string
		iterations    int // 0: refused
	}{
		{"usual", "r=oursTheirs,s=" + salt + ",i=4096", 4096},
		{"extension behind", "r=oursTheirs,s=" + salt + ",i=10000,x=more,y", 10000},
		{"most iterations", fmt.Sprintf("r=oursTheirs,s=%s,i=%d", salt, maxIterations), maxIterations},
		{"one iteration more", fmt.Sprintf("r=oursTheirs,s=%s,i=%d", salt, maxIterations+1), 0},
		{"2^31 iterations", "r=oursTheirs,s=" + salt + ",i=2147483648", 0},
		{"more iterations than fit", "r=oursTheirs,s=" + salt + ",i=99999999999999999999", 0},
		{"no iterations", "r=oursTheirs,s=" + salt + ",i=0", 0},
		{"negative iterations", "r=oursTheirs,s=" + salt + ",i=-1", 0},
		{"iterations are text", "r=oursTheirs,s=" + salt + ",i=many", 0},
		{"reserved extension before", "m=new,r=oursTheirs,s=" + salt + ",i=4096", 0},
		{"nonce is ours alone", "r=ours,s=" + salt + ",i=4096", 0},
		{"nonce is another", "r=otherTheirs,s=" + salt + ",i=4096", 0},
		{"nonce is shorter", "r=our,s=" + salt + ",i=4096", 0},
		{"no nonce", "s=" + salt + ",i=4096", 0},
		{"no salt", "r=oursTheirs,i=4096", 0},
		{"empty salt", "r=oursTheirs,s=,i=4096", 0},
		{"salt is not base64", "r=oursTheirs,s=?,i=4096", 0},
		{"another order", "r=oursTheirs,i=4096,s=" + salt, 0},
		{"error", "e=unknown-user", 0},
		{"empty", "", 0},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			got, err := parseServerFirst(row.message, "ours")
			if row.iterations == 0 {
				wantAborted(t, err)
				return
			}
			if err != nil || got.iterations != row.iterations || got.nonce != "oursTheirs" || base64.StdEncoding.EncodeToString(got.salt) != salt {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

func TestSCRAM_serverFinal(t *testing.T) {
	v := scramVectors[0]
	rows := []struct{ name, message, condition string }{
		{"nothing", "", conditionAborted},
		{"empty signature", "v=", conditionAborted},
		{"signature is not base64", "v=?", conditionAborted},
		{"another signature", "v=AAAAAAAAAAAAAAAAAAAAAAAAAAA=", conditionAborted},
		{"shorter signature", "v=rmF9", conditionAborted},
		{"signature behind something else", "x=1," + v.serverFinal, conditionAborted},
		{"refusal", "e=invalid-proof", conditionNotAuthorized},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			x := v.exchange()
			if _, err := x.clientFinal(v.serverFirst, "pencil"); err != nil {
				t.Fatal(err)
			}
			var refusal *SASLError
			if err := x.verify(row.message); !errors.As(err, &refusal) || refusal.Condition != row.condition {
				t.Errorf("got %v, want condition %s", err, row.condition)
			}
		})
	}
}

func wantAborted(t *testing.T, err error) {
	t.Helper()
	var refusal *SASLError
	if !errors.As(err, &refusal) || refusal.Condition != conditionAborted {
		t.Errorf("got %v, want condition %s", err, conditionAborted)
	}
}

// A name in UTF-8 must reach the server as it is, apart from "," and "=".
func TestSCRAM_name(t *testing.T) {
	x := &scramExchange{header: gs2{flag: "n"}, user: "Ñandú=,校", nonce: "abc"}
	if got, want := x.clientFirst(), "n,,n=Ñandú=3D=2C校,r=abc"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// The negotiator hands the password over only when asked for a proof, and no
// error repeats it or what the server sent.
func TestSCRAM_errorsHoldNoSecret(t *testing.T) {
	const password, salt = "s3cr3t-password", "c2FsdHNhbHQ="
	for _, challenge := range []string{"", "r=x,s=" + salt + ",i=4096", "s=" + salt, "e=other-error", "r=,s=?" + salt + ",i=1"} {
		credentials := sasl.Credentials(func() (a, b, c []byte) { return []byte("user"), []byte(password), nil })
		n := sasl.NewClient(scram("SCRAM-SHA-1", sha1.New, gs2{flag: "n"}), credentials)
		if _, _, err := n.Step(nil); err != nil {
			t.Fatal(err)
		}
		_, _, err := n.Step([]byte(challenge))
		if err == nil || strings.Contains(err.Error(), password) || strings.Contains(err.Error(), salt) {
			t.Errorf("challenge %q: error is %v", challenge, err)
		}
	}
}

func FuzzSCRAM_serverFirst(f *testing.F) {
	for _, v := range scramVectors {
		f.Add(v.serverFirst)
	}
	for _, s := range []string{"", ",,,", "r=,s=,i=", "m=x,r=fyko,s=AA==,i=1", "r=fykoX,s=AA==,i=600001", "r=fykoX,s=AA==,i=+5"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, message string) {
		got, err := parseServerFirst(message, "fyko")
		if err != nil {
			return
		}
		if got.iterations < 1 || got.iterations > maxIterations || len(got.salt) == 0 {
			t.Errorf("limits do not hold: %+v", got)
		}
		if len(got.nonce) <= len("fyko") || !strings.HasPrefix(got.nonce, "fyko") || strings.Contains(got.nonce, ",") {
			t.Errorf("nonce %q", got.nonce)
		}
	})
}

// Whatever a server sends, only the one right signature is believed.
func FuzzSCRAM_serverFinal(f *testing.F) {
	v := scramVectors[1]
	x := v.exchange()
	if _, err := x.clientFinal(v.serverFirst, "pencil"); err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{v.serverFinal, v.serverFinal + ",x=1", "", "v=", "e=", "e=other-error", "v=AAAA", "v=" + strings.Repeat("A", 1000)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, message string) {
		field, _, _ := strings.Cut(message, ",")
		signature, decodeErr := base64.StdEncoding.DecodeString(strings.TrimPrefix(field, "v="))
		right := strings.HasPrefix(field, "v=") && decodeErr == nil && string(signature) == string(x.serverSignature)
		if err := x.verify(message); (err == nil) != right {
			t.Errorf("%q: %v", message, err)
		}
	})
}
