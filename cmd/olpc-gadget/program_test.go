package main

import (
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/sirupsen/logrus"
	"go.uber.org/goleak"

	"telepathy-olpc/internal/gadgetd"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// started is a program whose server is not there.
func started(t *testing.T) *program {
	t.Helper()
	cfg, err := newConfig(map[string]string{"address": "gadget.school.test", "secret": "hush", "server": "127.0.0.1:1", "state": t.TempDir(), "listen": "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	log := logrus.New()
	log.SetOutput(io.Discard)
	p, err := newProgram(cfg, logrus.NewEntry(log))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func get(t *testing.T, p *program, path string) (int, string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + p.listener.Addr().String() + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestProgram_http(t *testing.T) {
	p := started(t)
	if code, body := get(t, p, "/health"); code != http.StatusServiceUnavailable || !strings.Contains(body, "not connected") {
		t.Errorf("health: %d %s", code, body)
	}
	code, body := get(t, p, "/metrics")
	for _, m := range metrics {
		if !strings.Contains(body, "\n"+m.name+" 0\n") || code != http.StatusOK {
			t.Errorf("%d, no %s in\n%s", code, m.name, body)
		}
	}
	cfg := p.cfg
	cfg.limits = gadgetd.Limits{Views: 1}
	p.reload(cfg)
	if err := p.stop(); err != nil {
		t.Error(err)
	}
}

// Every figure is in the documentation, and every setting.
func TestDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/gadget.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range metrics {
		if !strings.Contains(string(text), "`"+m.name+"`") {
			t.Errorf("docs/gadget.md has no %s", m.name)
		}
	}
	for _, o := range options {
		if !strings.Contains(string(text), "`"+o.name+"`") {
			t.Errorf("docs/gadget.md has no %s", o.name)
		}
	}
}

func TestTellSystemd(t *testing.T) {
	path := t.TempDir() + "/notify"
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	tellSystemd("READY=1")
	buf := make([]byte, 100)
	n, err := conn.Read(buf)
	if err != nil || string(buf[:n]) != "READY=1" {
		t.Errorf("%q, %v", buf[:n], err)
	}
}
