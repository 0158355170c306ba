package cachefile

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func put(dir, text string) error {
	return Replace(dir, "name", func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	})
}

func TestReplace(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "yet")
	for _, text := range []string{"first, long", "2"} {
		if err := put(dir, text); err != nil {
			t.Fatal(err)
		}
		f, err := Open(dir, "name")
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(f)
		if string(got) != text || err != nil {
			t.Errorf("read %q, error %v; want %q", got, err, text)
		}
		stat, err := f.Stat()
		if err != nil || stat.Mode() != 0o600 {
			t.Errorf("mode %v, error %v", stat.Mode(), err)
		}
		f.Close()
	}
	full := func(io.Writer) error { return syscall.ENOSPC }
	if err := Replace(dir, "name", full); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("full disk: error %v", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("in the directory: %v, error %v", entries, err)
	}
	for range 2 {
		if err := Remove(dir, "name"); err != nil {
			t.Error(err)
		}
	}
	if f, err := Open(dir, "name"); f != nil || err != nil {
		t.Errorf("after the removal: %v, error %v", f, err)
	}
}

func TestOpen_noFile(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"pipe", "folder"} {
		if _, err := Open(dir, name); err == nil {
			t.Errorf("a %s was opened", name)
		}
	}
	if err := Replace(dir, "folder", func(io.Writer) error { return nil }); err == nil {
		t.Error("a folder was replaced")
	}
}

func TestNoDirectory(t *testing.T) {
	f, err := Open("", "name")
	if f != nil || err != nil || put("", "x") != nil || Remove("", "name") != nil {
		t.Errorf("opened %v, error %v", f, err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if put(file, "x") == nil || put("/proc/none", "x") == nil {
		t.Error("written where there is no directory")
	}
}
