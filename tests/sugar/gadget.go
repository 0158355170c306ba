package sugar

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"telepathy-olpc/internal/child"
	"telepathy-olpc/tests/school"
)

const (
	// gadgetLabel is the first label of the component's address.
	gadgetLabel = "gadget"
	gadgetLog   = "gadget.log"
)

// gadget is the server component of a school without a shared roster.
type gadget struct {
	proc *child.Process
	read chan struct{} // closed when all that it has logged is in the log
	dir  string
}

// startGadget starts the component and returns when the server has taken it in.
func startGadget(ctx context.Context, program, out string, server *school.Server) (_ *gadget, err error) {
	g := &gadget{read: make(chan struct{})}
	if g.dir, err = os.MkdirTemp("", "sugar-gadget-"); err != nil {
		return nil, err
	}
	cmd := exec.Command(program, "--address", gadgetLabel+"."+server.Domain, "--state", g.dir, "--listen", "none", "--log-level", "trace",
		"--server", net.JoinHostPort(server.Host, strconv.Itoa(int(server.ComponentPort))))
	cmd.Env = append(os.Environ(), "OLPC_GADGET_SECRET="+school.ComponentSecret)
	log, err := os.Create(filepath.Join(out, gadgetLog))
	if err != nil {
		return g, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return g, err
	}
	defer w.Close()
	cmd.Stdout, cmd.Stderr = w, w
	if g.proc, err = child.Start(cmd); err != nil {
		return g, err
	}
	connected := make(chan struct{})
	go g.keep(r, log, connected)
	select {
	case <-connected:
		return g, nil
	case <-g.read:
		return g, fmt.Errorf("%s ended at once, see %s", program, log.Name())
	case <-ctx.Done():
		return g, fmt.Errorf("%s was not taken in by the server, see %s", program, log.Name())
	}
}

// keep writes the log, and closes connected when the component says that it is.
func (g *gadget) keep(r, log *os.File, connected chan<- struct{}) {
	defer close(g.read)
	defer log.Close()
	defer r.Close()
	said := false
	for lines := bufio.NewReader(r); ; {
		line, err := lines.ReadString('\n')
		log.WriteString(line)
		if err != nil {
			return
		}
		if !said && strings.Contains(line, "msg=Connected") {
			close(connected)
			said = true
		}
	}
}

func (g *gadget) stop() error {
	defer os.RemoveAll(g.dir)
	if g.proc == nil {
		return nil
	}
	err := g.proc.Stop()
	<-g.read
	return err
}
