package dbuspeer

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"io"
	"strconv"
	"strings"
)

// Limits on who is not let in yet. No library says half as much.
const (
	maxLine  = 1 << 10
	maxLines = 32
)

var errAuth = errors.New("D-Bus client gave up authentication, or does not know how")

// Names of mechanisms: D-Bus specification, "Authentication Mechanisms".
const (
	external   = "EXTERNAL"
	cookieSHA1 = "DBUS_COOKIE_SHA1"
	anonymous  = "ANONYMOUS"
)

// door decides who is let in. What it knows of who knocks comes from the kernel.
type door struct {
	guid   string
	access Access
	self   uint32        // our own user
	peer   func() uint32 // whose program it is
	keys   *keyring
	offers []string // mechanisms, the best first
}

// exchange is the server's side of the conversation with one program.
type exchange struct {
	door
	mechanism string // under way; "" if there is none
	let       bool   // in, as soon as it says BEGIN
	cookie    []byte // of DBUS_COOKIE_SHA1
	challenge string
}

// admit has the conversation, up to and with BEGIN.
func (d door) admit(r *bufio.Reader, w io.Writer) error {
	if first, err := r.ReadByte(); err != nil || first != 0 {
		return errAuth
	}
	x := exchange{door: d}
	for range maxLines {
		line, err := readLine(r)
		if err != nil {
			return err
		}
		if line == "BEGIN" && x.let {
			return nil
		}
		answer, ok := x.answer(line)
		if !ok {
			return errAuth
		}
		if _, err := io.WriteString(w, answer+"\r\n"); err != nil {
			return err
		}
	}
	return errAuth
}

// readLine reads a line of ASCII, without its end.
func readLine(r *bufio.Reader) (string, error) {
	var line []byte
	for len(line) <= maxLine {
		c, err := r.ReadByte()
		if err != nil {
			return "", err
		}
		if c == '\n' && len(line) > 0 && line[len(line)-1] == '\r' {
			return string(line[:len(line)-1]), nil
		}
		if c == 0 || c >= 0x80 {
			return "", errAuth
		}
		line = append(line, c)
	}
	return "", errAuth
}

// answer gives what is said to a line; ok is false when that is nothing more.
// The states are those of the D-Bus specification, "Server states".
func (x *exchange) answer(line string) (answer string, ok bool) {
	command, argument, _ := strings.Cut(line, " ")
	switch {
	case command == "BEGIN":
		return "", false
	case command == "CANCEL", command == "ERROR":
		return x.reject(), true
	case x.let && command == "NEGOTIATE_UNIX_FD":
		return "ERROR descriptors cannot travel", true
	case command == "AUTH" && !x.let && x.mechanism == "":
		mechanism, initial, given := strings.Cut(argument, " ")
		return x.begin(mechanism, initial, given), true
	case command == "DATA" && x.mechanism != "":
		return x.data(argument), true
	}
	return "ERROR", true
}

// reject ends what is under way and says what may be tried.
func (x *exchange) reject() string {
	*x = exchange{door: x.door}
	return "REJECTED " + strings.Join(x.offers, " ")
}

func (x *exchange) begin(mechanism, initial string, given bool) string {
	for _, offer := range x.offers {
		if offer != mechanism {
			continue
		}
		x.mechanism = mechanism
		if !given && mechanism != anonymous {
			return "DATA" // who it is may come in a line of its own
		}
		return x.data(initial)
	}
	return x.reject()
}

func (x *exchange) data(argument string) string {
	said, err := hex.DecodeString(argument)
	switch {
	case err != nil:
	case x.mechanism == external && x.isPeer(said), x.mechanism == anonymous:
		return x.accept()
	case x.mechanism == cookieSHA1 && x.cookie == nil:
		if question, ok := x.ask(said); ok {
			return question
		}
	case x.mechanism == cookieSHA1 && x.knowsCookie(said):
		return x.accept()
	}
	return x.reject()
}

func (x *exchange) accept() string {
	x.mechanism, x.let = "", true
	return "OK " + x.guid
}

// isPeer tells whether a program is of the user that it says, which it need not
// say, and whether that one is let in.
func (x *exchange) isPeer(said []byte) bool {
	peer := x.peer()
	if len(said) > 0 && string(said) != strconv.FormatUint(uint64(peer), 10) {
		return false
	}
	return peer == x.self || x.access == Localhost && peer != nobody
}

// nobody stands for a user whom the kernel does not tell.
const nobody = 1<<32 - 1

// ask names the cookie to be known, in a file that only our user can read.
func (x *exchange) ask(user []byte) (string, bool) {
	if !x.keys.isOwner(string(user)) {
		return "", false
	}
	id, cookie, err := x.keys.cookie()
	if err != nil {
		return "", false
	}
	x.cookie, x.challenge = []byte(cookie), randomHex(16)
	return "DATA " + hex.EncodeToString([]byte(keyContext+" "+id+" "+x.challenge)), true
}

// knowsCookie checks the client's challenge and the hash of both with the cookie.
func (x *exchange) knowsCookie(said []byte) bool {
	theirs, hash, ok := bytes.Cut(said, []byte(" "))
	if !ok || len(theirs) == 0 {
		return false
	}
	sum := sha1.Sum([]byte(x.challenge + ":" + string(theirs) + ":" + string(x.cookie)))
	return subtle.ConstantTimeCompare([]byte(hex.EncodeToString(sum[:])), hash) == 1
}

func randomHex(bytes int) string {
	b := make([]byte, bytes)
	rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
