package faults

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"telepathy-olpc/tests/cmtest"
	"telepathy-olpc/tests/laptop"
	"telepathy-olpc/tests/school"
)

// useAll logs a laptop in and out again, and has it do what needs a folder in between: show somebody, D-Bus tubes, files.
func useAll(l, with *laptop.Laptop, room string) {
	l.T.Helper()
	l.Connect(nil)
	with.Connect(nil)
	l.AwaitBuddy(with.Self)
	with.AwaitBuddy(l.Self)
	here, there := l.Join(room), with.Join(room)
	service := "org.laptop.Folders"
	number, address := here.OfferDBusTube(service)
	l.OpenPeer(address).Close()
	there.AcceptDBusTube(there.AwaitTube(service))
	here.AwaitNames(number, 2, 0)
	laptop.SendFile(with, l, room, bytes.Repeat([]byte("x"), 1<<16)).Carry()
	converse(here, there, "hello")
	l.Disconnect()
}

// small mounts a file system of so many bytes.
func small(t *testing.T, size int, flags uintptr) string {
	t.Helper()
	needRoot(t, "mounting")
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", flags, fmt.Sprintf("size=%d", size)); err != nil {
		t.Skipf("mount: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// testCacheFull: the disk is full where answers are kept for the next time. They are not kept, and nothing is left half written.
func testCacheFull(t *testing.T, s *school.Server) {
	dir := small(t, 64<<10, 0)
	own := filepath.Join(dir, "telepathy-olpc")
	if err := os.Mkdir(own, 0o700); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(dir, "filler"))
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = f.Write(make([]byte, 1024))
	}
	if err := errors.Join(f.Close()); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	useAll(laptop.Open(t, s, s.DirectPort, "Tom", cmtest.Binary(t), "XDG_CACHE_HOME="+dir), open(t, s, "Uma"), "full")
	for path := range files(t, dir) {
		if stat, err := os.Stat(path); err == nil && path != f.Name() && stat.Size() == 0 {
			t.Errorf("left half written: %s", path)
		}
	}
}

// files are all below a folder that are no folders.
func files(t *testing.T, dir string) map[string]bool {
	t.Helper()
	all := make(map[string]bool)
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			all[path] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

const folders = "HOME XDG_CACHE_HOME XDG_CONFIG_HOME XDG_DATA_HOME XDG_RUNTIME_DIR TMPDIR"

// testNoHome: started by something that gives no environment. Nothing is kept, and sockets are in the folder for all, in folders
// for nobody else.
func testNoHome(t *testing.T, s *school.Server) {
	bare := script(t, "unset "+folders+"\nexec "+cmtest.Binary(t)+" \"$@\"")
	useAll(laptop.Open(t, s, s.DirectPort, "Vic", bare), open(t, s, "Wes"), "homeless")
}

// testHomeReadOnly: the same with a home that cannot be written.
func testHomeReadOnly(t *testing.T, s *school.Server) {
	home := t.TempDir()
	if os.Getuid() == 0 {
		home = small(t, 4096, unix.MS_RDONLY) // modes mean nothing to root
	} else if err := os.Chmod(home, 0o500); err != nil {
		t.Fatal(err)
	}
	bare := script(t, "unset "+folders+"\nHOME="+home+" exec "+cmtest.Binary(t)+" \"$@\"")
	useAll(laptop.Open(t, s, s.DirectPort, "Xia", bare), open(t, s, "Yan"), "read-only")
	if left := files(t, home); len(left) > 0 {
		t.Errorf("written to a home that cannot be written: %v", left)
	}
}
