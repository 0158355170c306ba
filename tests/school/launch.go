package school

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"telepathy-olpc/internal/child"
)

const logFile = "server.log" // the server's own log

// errPortTaken says that somebody else listens on one of the ports we chose.
var errPortTaken = errors.New("port taken meanwhile")

// portTakenText is how the two servers say so. Prosody goes on without the port; ejabberd ends, saying why only on its output.
var portTakenText = regexp.MustCompile(`(?i)eaddrinuse|already in use|port is in use`)

// launch starts the configured server and waits until both ports answer.
func (s *Server) launch(ctx context.Context) error {
	if err := os.RemoveAll(filepath.Join(s.dir, logFile)); err != nil { // awaitReady reads it
		return err
	}
	argv, env, err := s.backend.command(s)
	if err != nil {
		return err
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = s.dir
	cmd.Env = append([]string{"PATH=/usr/bin:/bin:/usr/sbin:/sbin", "LANG=C.UTF-8", "HOME=" + s.dir}, env...)
	s.out = new(output)
	cmd.Stdout, cmd.Stderr = s.out, s.out // not an *os.File: so the process is done when its descendants are
	if s.proc, err = child.Start(cmd); err != nil {
		return err
	}
	if err := s.awaitReady(ctx); err != nil {
		return errors.Join(err, s.end((*child.Process).Kill))
	}
	return nil
}

// output is what a program has printed so far, for any goroutine.
type output struct {
	mu   sync.Mutex
	text []byte
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text = append(o.text, p...)
	return len(p), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.text)
}

// retryInterval is between attempts to reach a server that is starting; neither server can say that it is ready.
const retryInterval = 50 * time.Millisecond

// awaitReady returns when a stream can be opened on both ports.
func (s *Server) awaitReady(ctx context.Context) error {
	for {
		err := s.probe(ctx)
		if s.portTaken() {
			return errPortTaken
		}
		if err == nil {
			return nil
		}
		select {
		case <-s.proc.Done():
			if s.portTaken() { // said so between the two
				return errPortTaken
			}
			return fmt.Errorf("ended while starting: %v", s.proc.Err())
		case <-ctx.Done():
			return fmt.Errorf("%w; last attempt: %w", ctx.Err(), err)
		case <-time.After(retryInterval):
		}
	}
}

func (s *Server) portTaken() bool { return portTakenText.MatchString(s.Log() + s.out.String()) }

// probeTimeout bounds one attempt of awaitReady.
const probeTimeout = 5 * time.Second

func (s *Server) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	var plain net.Dialer
	direct := tls.Dialer{Config: &tls.Config{RootCAs: s.CertPool, ServerName: s.Domain}}
	return errors.Join(
		s.openStream(ctx, plain.DialContext, s.Port),
		s.openStream(ctx, direct.DialContext, s.DirectPort),
	)
}

type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// openStream opens a stream as RFC 6120 §4.2 has it and closes it again once the features have come.
func (s *Server) openStream(ctx context.Context, dial dialFunc, port uint16) error {
	conn, err := dial(ctx, "tcp", net.JoinHostPort(s.Host, strconv.Itoa(int(port))))
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	_, err = fmt.Fprintf(conn, "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='%s' version='1.0'>", s.Domain)
	if err != nil {
		return err
	}
	var answer strings.Builder
	for buf := make([]byte, 4096); ; {
		n, err := conn.Read(buf)
		answer.Write(buf[:n])
		if strings.Contains(answer.String(), "</stream:features>") {
			_, err := io.WriteString(conn, "</stream:stream>")
			return err
		}
		if err != nil {
			return fmt.Errorf("port %d answered %q: %w", port, answer.String(), err)
		}
	}
}

// Ports are taken below the range from which Linux gives ports to outgoing connections (ip_local_port_range begins at 32768),
// so that between choosing and listening only another school server could take one.
const (
	firstPort = 10240
	lastPort  = 32767
)

// freePorts finds n different loopback ports that nobody listens on.
func freePorts(n int) ([]uint16, error) {
	var ports []uint16
	for range 1000 {
		port := firstPort + rand.N(lastPort-firstPort+1)
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			continue
		}
		defer l.Close() // kept until all are chosen, so that they differ
		if ports = append(ports, uint16(port)); len(ports) == n {
			return ports, nil
		}
	}
	return nil, errors.New("no free ports on 127.0.0.1")
}
