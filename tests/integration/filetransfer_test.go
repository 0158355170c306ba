package integration

import (
	"crypto/md5"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/sirupsen/logrus"

	"telepathy-olpc/internal/loop"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/tests/cmtest"
	"telepathy-olpc/tests/school"
	"telepathy-olpc/xmpp"
	"telepathy-olpc/xmpp/bytestream"
	"telepathy-olpc/xmpp/disco"
	"telepathy-olpc/xmpp/filetransfer"
	"telepathy-olpc/xmpp/ibb"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
	"telepathy-olpc/xmpp/tubes"
)

var (
	files     = tp.InterfaceChannelFileTransfer
	fileState = cmtest.Signal(tp.SignalChannelFileTransferFileTransferStateChanged)
)

const (
	fileCompleted = uint32(tp.FileTransferStateCompleted)
	fileCancelled = uint32(tp.FileTransferStateCancelled)
	fileOpen      = uint32(tp.FileTransferStateOpen)
)

// testFiles has two children send each other files, over SOCKS5 and, to one whose
// program has nothing better, in-band; and has them stop at any point.
func testFiles(t *testing.T, s *school.Server) {
	cm := cmtest.Start(t, sugars(s, "Olga")...)
	olga := cm.Request()
	olga.Login()
	pete := cm.Request(sugars(s, "Pete")...)
	pete.Login()
	olgasPete, petesOlga := olga.Handle(address(s, "Pete")), pete.Handle(address(s, "Olga"))
	cm.ExpectUnordered(seen(olga, olgasPete, available), seen(pete, petesOlga, available))
	before := cm.Descriptors()

	f := &passing{cm: cm, from: olga, to: pete, contact: olgasPete, size: 100 << 20}
	f.begin()
	f.carry()
	f.check()
	cm.CheckMemory()
	random := mathrand.New(mathrand.NewPCG(1, 2))
	for range 3 {
		for name, stop := range stops {
			f := &passing{cm: cm, from: olga, to: pete, contact: olgasPete, size: 64 << 20}
			f.begin()
			f.stopAt(random.IntN(8<<20), name, stop)
		}
	}
	sameDescriptors(cm, before)
	testInBand(t, s, cm, olga)
	sameDescriptors(cm, before)
	olga.Disconnect()
	pete.Disconnect()
	if left := cm.Sockets(); len(left) > 0 {
		t.Errorf("sockets are left: %v", left)
	}
}

// sameDescriptors checks that nothing is left of what was open.
func sameDescriptors(cm *cmtest.CM, before int) {
	cm.T.Helper()
	cm.Sync()
	if now := cm.Descriptors(); now > before+2 { // the runtime's own
		cm.T.Errorf("%d descriptors are open, %d were", now, before)
	}
}

// passing is a file on its way between two connections.
type passing struct {
	cm       *cmtest.CM
	from, to *cmtest.Connection
	contact  uint32
	size     int

	out, in  dbus.ObjectPath
	local    string // the sender's socket
	writer   net.Conn
	reader   net.Conn
	sum, got [sha256.Size]byte
}

// request is a file for a contact.
func request(contact uint32, size int) map[string]dbus.Variant {
	return map[string]dbus.Variant{
		tp.PropertyChannelChannelType:               dbus.MakeVariant(files.Name),
		tp.PropertyChannelTargetHandleType:          dbus.MakeVariant(int32(1)),
		tp.PropertyChannelTargetHandle:              dbus.MakeVariant(contact),
		tp.PropertyChannelFileTransferContentType:   dbus.MakeVariant("application/octet-stream"),
		tp.PropertyChannelFileTransferFilename:      dbus.MakeVariant("a file"),
		tp.PropertyChannelFileTransferSize:          dbus.MakeVariant(int64(size)),
		tp.PropertyChannelFileTransferDescription:   dbus.MakeVariant(""),
		tp.PropertyChannelFileTransferInitialOffset: dbus.MakeVariant(int32(0)),
	}
}

// begin brings the file to where both programs are connected.
func (f *passing) begin() {
	t := f.cm.T
	t.Helper()
	call := f.cm.CallAsync(f.from.Path, tp.InterfaceConnectionRequests, "CreateChannel", request(f.contact, f.size))
	events := f.cm.ExpectUnordered(cmtest.Reply(call), cmtest.Signal(tp.SignalConnectionNewChannel).At(f.to.Path).Where("of a file", func(e *cmtest.Event) bool {
		return e.Arg(1) == files.Name
	}))
	f.out = cmtest.As[dbus.ObjectPath](t, events[0].Arg(0))
	f.in = cmtest.As[dbus.ObjectPath](t, events[1].Arg(0))
	f.local = f.provide()
	address := f.cm.Call(f.in, files, "AcceptFile", uint32(0), uint32(0), dbus.MakeVariant(""), uint64(0)).Arg(0)
	f.cm.ExpectUnordered(fileState.At(f.in).Args(fileOpen, uint32(0)), fileState.At(f.out).Args(fileOpen, uint32(0)))
	f.writer = dialUnix(t, f.local)
	f.reader = dialUnix(t, string(cmtest.As[[]byte](t, address)))
}

func (f *passing) provide() string {
	f.cm.T.Helper()
	return string(cmtest.As[[]byte](f.cm.T, f.cm.Call(f.out, files, "ProvideFile", uint32(0), uint32(0), dbus.MakeVariant("")).Arg(0)))
}

func dialUnix(t testing.TB, path string) net.Conn {
	t.Helper()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// write writes random bytes as a program does, and ends.
func (f *passing) write() {
	h := sha256.New()
	seed := [32]byte{}
	_, _ = rand.Read(seed[:])
	_, _ = io.Copy(io.MultiWriter(f.writer, h), io.LimitReader(mathrand.NewChaCha8(seed), int64(f.size)))
	f.writer.Close()
	f.sum = [sha256.Size]byte(h.Sum(nil))
}

// carry passes the file whole.
func (f *passing) carry() {
	var both sync.WaitGroup
	both.Go(f.write)
	both.Go(func() {
		h := sha256.New()
		_, _ = io.Copy(h, f.reader)
		f.reader.Close()
		f.got = [sha256.Size]byte(h.Sum(nil))
	})
	both.Wait()
}

func (f *passing) check() {
	f.cm.T.Helper()
	f.cm.ExpectUnordered(fileState.At(f.in).Args(fileCompleted, uint32(0)), fileState.At(f.out).Args(fileCompleted, uint32(0)))
	if f.sum != f.got {
		f.cm.T.Error("another file arrived than was sent")
	}
}

// stop is how a file comes to an early end, and what both sides are told then.
type stop struct {
	do      func(*passing)
	out, in tp.FileTransferStateChangeReason
}

const (
	localStopped  = tp.FileTransferStateChangeReasonLocalStopped
	remoteStopped = tp.FileTransferStateChangeReasonRemoteStopped
	localError    = tp.FileTransferStateChangeReasonLocalError
)

var stops = map[string]stop{
	"sender's channel closed":   {func(f *passing) { f.cm.CallAsync(f.out, tp.InterfaceChannel, "Close") }, localStopped, remoteStopped},
	"receiver's channel closed": {func(f *passing) { f.cm.CallAsync(f.in, tp.InterfaceChannel, "Close") }, remoteStopped, localStopped},
	"sender's program goes":     {func(f *passing) { f.writer.Close() }, localError, remoteStopped},
	"receiver's program goes":   {func(f *passing) { f.reader.Close() }, remoteStopped, localError},
}

// stopAt ends the transfer when so many bytes have arrived.
func (f *passing) stopAt(n int, name string, s stop) {
	f.cm.T.Helper()
	var both sync.WaitGroup
	both.Go(f.write)
	if _, err := io.CopyN(io.Discard, f.reader, int64(n)); err != nil {
		f.cm.T.Fatal(err)
	}
	f.cm.Note("%s after %d bytes", name, n)
	s.do(f)
	both.Go(func() { _, _ = io.Copy(io.Discard, f.reader) }) // programs read as long as there is something
	f.cm.ExpectUnordered(fileState.At(f.out).Args(fileCancelled, uint32(s.out)), fileState.At(f.in).Args(fileCancelled, uint32(s.in)))
	both.Wait()
}

// inBandPeer is a child whose program passes files, and what goes through stream
// tubes, in-band only.
type inBandPeer struct {
	*xmpp.Session
	loop     *loop.Loop
	log      *logrus.Entry
	streams  *bytestream.Manager
	received chan [md5.Size]byte
}

func (p *inBandPeer) Post(label string, f func()) bool { return p.loop.Post(label, f) }
func (p *inBandPeer) After(d time.Duration, label string, f func()) *loop.Timer {
	return p.loop.After(d, label, f)
}
func (p *inBandPeer) Log() *logrus.Entry { return p.log }

// newInBandPeer logs in and shows itself.
func newInBandPeer(t *testing.T, s *school.Server, nick string) *inBandPeer {
	t.Helper()
	log := logrus.New()
	log.SetOutput(io.Discard)
	p := &inBandPeer{loop: loop.New(loop.Config{}), log: logrus.NewEntry(log), received: make(chan [md5.Size]byte, 1)}
	ready := make(chan error, 1)
	p.Session = xmpp.NewSession(pupilOf(t, s, nick), p.loop, xmpp.Events{
		Ready: func(jid.JID) { ready <- nil },
		Lost:  func(err error) { ready <- err },
	})
	go p.loop.Run()
	p.streams = bytestream.New(p, nil)
	p.loop.Post("log in", func() {
		p.streams.SetMethods(ibb.NS)
		p.streams.Listen(p)
		p.streams.Serve(filetransfer.NS, p.offered)
		info := disco.Info{Features: append([]string{filetransfer.NS, tubes.NS}, bytestream.Features...)}
		p.HandleIQ(disco.NSInfo, func(iq *stanza.Element) { p.Send(disco.Answer(iq, func(string) *disco.Info { return &info })) })
		p.Connect()
	})
	t.Cleanup(func() {
		p.loop.Post("log out", func() {
			p.streams.Close()
			p.Close(p.loop.Close)
		})
		<-p.loop.Done()
	})
	if err := <-ready; err != nil {
		t.Fatal(err)
	}
	p.loop.Post("come", func() { p.Send(stanza.New(stanza.NSClient, "presence")) })
	return p
}

// offered takes any file and sums it up.
func (p *inBandPeer) offered(o *bytestream.Offer) {
	o.Accept(nil, func(c bytestream.Conn, err error) {
		if err != nil {
			p.received <- [md5.Size]byte{}
			return
		}
		go func() {
			h := md5.New()
			_, _ = io.Copy(h, c)
			_ = errors.Join(c.CloseWrite(), c.Close())
			p.received <- [md5.Size]byte(h.Sum(nil))
		}()
	})
}

// testInBand sends ten megabytes through the server.
func testInBand(t *testing.T, s *school.Server, cm *cmtest.CM, olga *cmtest.Connection) {
	peer := newInBandPeer(t, s, "Quim")
	quim := olga.Handle(address(s, "Quim"))
	cm.ExpectWithin(patience, seen(olga, quim, available))
	data := make([]byte, 10<<20)
	_, _ = rand.Read(data)
	f := &passing{cm: cm, from: olga, contact: quim, size: len(data)}
	f.out = cmtest.As[dbus.ObjectPath](t, cm.Call(olga.Path, tp.InterfaceConnectionRequests, "CreateChannel", request(quim, f.size)).Arg(0))
	f.local = f.provide()
	cm.ExpectWithin(patience, fileState.At(f.out).Args(fileOpen, uint32(0)))
	c := dialUnix(t, f.local)
	start := time.Now()
	_, _ = c.Write(data)
	c.Close()
	if got := <-peer.received; got != md5.Sum(data) {
		t.Error("another file arrived in-band than was sent")
	}
	t.Logf("in-band: %.1f MB/s", float64(len(data))/1e6/time.Since(start).Seconds())
	cm.ExpectWithin(patience, fileState.At(f.out).Args(fileCompleted, uint32(0)))
	if _, err := os.Stat(f.local); !strings.Contains(fmt.Sprint(err), "no such file") {
		t.Errorf("the socket is left: %v", err)
	}
}
