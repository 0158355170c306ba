package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"time"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
)

const (
	photoName = "mango tree.jpg"
	photoSize = 5_000_000
)

// photo is what one child sends the other. It only looks like noise.
func photo() []byte {
	b := make([]byte, photoSize)
	_, _ = rand.NewChaCha8([32]byte([]byte("a photo of the tree in the yard!"))).Read(b)
	return b
}

// file is one on its way, at one of its ends.
type file struct {
	path     dbus.ObjectPath // of its channel
	socket   string          // to which its bytes are written, or from which they are read
	outgoing bool
}

// ofFile calls a method of the file's channel.
func (a *activity) ofFile(method string, args []any, results ...any) error {
	return a.shell.ask(a.file.path, tp.InterfaceChannelFileTransfer, method, args, results...)
}

// Both ends get a Unix socket, as Sugar asks for it.
var (
	unixSocket = []any{uint32(tp.SocketAddressTypeUnix), uint32(tp.SocketAccessControlLocalhost), dbus.MakeVariant("")}
	fromStart  = uint64(0)
)

// sendFile offers a file to the other child in the activity.
func (a *activity) sendFile() ([]news, error) {
	var contact []uint32
	for id := range a.others {
		if err := a.ofConnection(tp.InterfaceConnection, "RequestHandles", []any{uint32(tp.HandleTypeContact), []string{id}}, &contact); err != nil {
			return nil, err
		}
	}
	if len(contact) != 1 {
		return nil, errors.New("there is nobody for the file")
	}
	request := map[string]dbus.Variant{ // integers are signed in Sugar's requests
		tp.PropertyChannelChannelType:               dbus.MakeVariant(tp.InterfaceChannelFileTransfer.Name),
		tp.PropertyChannelTargetHandleType:          dbus.MakeVariant(int32(tp.HandleTypeContact)),
		tp.PropertyChannelTargetHandle:              dbus.MakeVariant(contact[0]),
		tp.PropertyChannelFileTransferContentType:   dbus.MakeVariant("image/jpeg"),
		tp.PropertyChannelFileTransferFilename:      dbus.MakeVariant(photoName),
		tp.PropertyChannelFileTransferSize:          dbus.MakeVariant(int32(photoSize)),
		tp.PropertyChannelFileTransferDescription:   dbus.MakeVariant(""),
		tp.PropertyChannelFileTransferInitialOffset: dbus.MakeVariant(int32(0)),
	}
	a.file = file{outgoing: true}
	var properties map[string]dbus.Variant
	if err := a.ofConnection(tp.InterfaceConnectionRequests, "CreateChannel", []any{request}, &a.file.path, &properties); err != nil {
		return nil, err
	}
	return nil, a.openSocket("ProvideFile", unixSocket)
}

// openSocket has a socket made for the bytes.
func (a *activity) openSocket(method string, args []any) error {
	var address []byte
	if err := a.ofFile(method, args, &address); err != nil {
		return err
	}
	a.file.socket = string(bytes.TrimRight(address, "\x00"))
	return nil
}

// handleChannels accepts a file from another child.
func (a *activity) handleChannels(signal *dbus.Signal) ([]news, error) {
	var channels []channel
	if err := dbus.Store(signal.Body, &channels); err != nil {
		return nil, err
	}
	for _, c := range channels {
		if c.Properties[tp.PropertyChannelRequested].Value() != false ||
			c.Properties[tp.PropertyChannelChannelType].Value() != tp.InterfaceChannelFileTransfer.Name {
			continue
		}
		a.file = file{path: c.Path}
		name, _ := c.Properties[tp.PropertyChannelFileTransferFilename].Value().(string)
		size, _ := c.Properties[tp.PropertyChannelFileTransferSize].Value().(uint64)
		told := []news{{"", fmt.Sprintf("is offered the file “%s” of %d bytes, and accepts.", name, size)}}
		return told, a.openSocket("AcceptFile", append(unixSocket[:len(unixSocket):len(unixSocket)], fromStart))
	}
	return nil, nil
}

// handleFileState carries the bytes once the way is open, which must not keep the child from hearing, and tells the end.
func (a *activity) handleFileState(signal *dbus.Signal) ([]news, error) {
	var state tp.FileTransferState
	var reason uint32
	if err := dbus.Store(signal.Body, &state, &reason); err != nil {
		return nil, err
	}
	switch {
	case state == tp.FileTransferStateOpen && a.file.outgoing:
		go writePhoto(a.file.socket, a.tell)
	case state == tp.FileTransferStateOpen:
		go readPhoto(a.file.socket, a.tell)
	case state == tp.FileTransferStateCancelled:
		return nil, fmt.Errorf("the file is stopped for reason %d", reason)
	case state == tp.FileTransferStateCompleted && a.file.outgoing:
		return []news{{delivered, "is told that “" + photoName + "” has arrived."}}, a.endFile()
	case state == tp.FileTransferStateCompleted:
		return nil, a.endFile()
	}
	return nil, nil
}

func (a *activity) endFile() error {
	ended := a.file.path
	a.file = file{}
	return a.shell.ask(ended, tp.InterfaceChannel, "Close", nil)
}

// writePhoto is the program that has the file.
func writePhoto(socket string, tell func(news)) {
	c, err := net.Dial("unix", socket)
	if err == nil {
		_, err = c.Write(photo())
		err = errors.Join(err, c.Close())
	}
	if err != nil {
		tell(news{"", "cannot send the file: " + err.Error()})
	}
}

// readPhoto is the program that gets it, and checks that it is whole.
func readPhoto(socket string, tell func(news)) {
	began := time.Now()
	c, err := net.Dial("unix", socket)
	if err != nil {
		tell(news{"", "cannot read the file: " + err.Error()})
		return
	}
	defer c.Close()
	got := sha256.New()
	n, err := io.Copy(got, c)
	took := time.Since(began)
	want := sha256.Sum256(photo())
	if err != nil || !bytes.Equal(got.Sum(nil), want[:]) {
		tell(news{"", fmt.Sprintf("has got %d bytes that are not the file: %v", n, err)})
		return
	}
	tell(news{delivered, fmt.Sprintf("has “%s”, every byte as it was: %d bytes in %.0f ms, %.0f MB/s.",
		photoName, n, milliseconds(took), float64(n)/1e6/took.Seconds())})
}
