package dbuspeer

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// keyContext is the name of our cookies' file.
const keyContext = "telepathy_olpc"

// Ages and number of cookies, as libdbus has them: one that was made in the last
// five minutes is used again, after seven nobody may use it.
const (
	reuseFor   = 5 * time.Minute
	keepFor    = 7 * time.Minute
	maxCookies = 256
	maxKeyFile = 64 << 10
	staleLock  = 30 * time.Second
)

var errKeyring = errors.New("keyring is in use or not private")

// keyring is the file with cookies that shows, to who can read it, that one is
// the user it belongs to: D-Bus specification, "DBUS_COOKIE_SHA1".
type keyring struct {
	dir   string
	owner *user.User
	mu    sync.Mutex // libdbus locks the file against other programs only
}

// newKeyring returns the user's keyring, where libdbus and GLib look for it.
func newKeyring() *keyring {
	u, err := user.Current()
	if err != nil {
		u = &user.User{Uid: strconv.Itoa(os.Getuid())}
	}
	k := &keyring{owner: u}
	home, err := os.UserHomeDir()
	if err != nil {
		home = u.HomeDir
	}
	if home != "" {
		k.dir = filepath.Join(home, ".dbus-keyrings")
	}
	return k
}

// isOwner tells whether a name or number is that of our user.
func (k *keyring) isOwner(name string) bool {
	return name != "" && (name == k.owner.Uid || name == k.owner.Username)
}

// secret is one cookie and the number by which it is asked for.
type secret struct {
	id     int64
	made   time.Time
	cookie string
}

// cookie returns one that is good for a while.
func (k *keyring) cookie() (id, cookie string, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.prepare(); err != nil {
		return "", "", err
	}
	unlock, err := k.lock()
	if err != nil {
		return "", "", err
	}
	defer unlock()
	now := time.Now()
	list := k.read(now)
	last := int64(0)
	for _, s := range list {
		if now.Sub(s.made) < reuseFor {
			return strconv.FormatInt(s.id, 10), s.cookie, nil
		}
		last = max(last, s.id)
	}
	s := secret{last + 1, now, randomHex(24)}
	return strconv.FormatInt(s.id, 10), s.cookie, k.write(append(list, s))
}

// prepare makes the directory, which must be the user's alone.
func (k *keyring) prepare() error {
	if k.dir == "" {
		return errKeyring
	}
	if err := os.Mkdir(k.dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("make keyring: %w", err)
	}
	info, err := os.Lstat(k.dir)
	if err != nil || !info.IsDir() || info.Mode().Perm()&0o077 != 0 {
		return errKeyring
	}
	return nil
}

func (k *keyring) file() string { return filepath.Join(k.dir, keyContext) }

// lock keeps other programs of ours away from the file. One that crashed has
// left its lock behind.
func (k *keyring) lock() (unlock func(), err error) {
	name := k.file() + ".lock"
	if info, err := os.Lstat(name); err == nil && time.Since(info.ModTime()) > staleLock {
		os.Remove(name)
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock keyring: %w", err)
	}
	f.Close()
	return func() { os.Remove(name) }, nil
}

// read returns the cookies that somebody may still use, in the order of the
// file. A file that cannot be read or is of others' making has none.
func (k *keyring) read(now time.Time) (list []secret) {
	info, err := os.Lstat(k.file())
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxKeyFile {
		return nil
	}
	b, err := os.ReadFile(k.file())
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) != 3 || len(list) == maxCookies {
			continue
		}
		id, err1 := strconv.ParseInt(f[0], 10, 32)
		seconds, err2 := strconv.ParseInt(f[1], 10, 64)
		made := time.Unix(seconds, 0)
		age := now.Sub(made)
		if err1 == nil && err2 == nil && id >= 0 && age > -time.Minute && age < keepFor {
			list = append(list, secret{id, made, f[2]})
		}
	}
	return list
}

// write replaces the file whole, as clients read it without a lock.
func (k *keyring) write(list []secret) error {
	var text strings.Builder
	for _, s := range list {
		fmt.Fprintf(&text, "%d %d %s\n", s.id, s.made.Unix(), s.cookie)
	}
	f, err := os.CreateTemp(k.dir, keyContext+".*") // private from the beginning
	if err != nil {
		return fmt.Errorf("write keyring: %w", err)
	}
	_, err = f.WriteString(text.String())
	if err := errors.Join(err, f.Close()); err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("write keyring: %w", err)
	}
	if err := os.Rename(f.Name(), k.file()); err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("write keyring: %w", err)
	}
	return nil
}
