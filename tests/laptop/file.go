package laptop

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
)

// File is a file on its way between two laptops.
type File struct {
	from, to *Laptop
	data     []byte
	out, in  dbus.ObjectPath
	writer   net.Conn
	reader   net.Conn
}

// SendFile brings a file to where both programs are connected. Its name tells it from others.
func SendFile(from, to *Laptop, name string, data []byte) *File {
	from.T.Helper()
	f := &File{from: from, to: to, data: data}
	from.Store(from.Call(from.Path, tp.InterfaceConnectionRequests, "CreateChannel", map[string]any{
		tp.PropertyChannelChannelType:             tp.InterfaceChannelFileTransfer.Name,
		tp.PropertyChannelTargetHandleType:        uint32(tp.HandleTypeContact),
		tp.PropertyChannelTargetID:                to.Self,
		tp.PropertyChannelFileTransferContentType: "application/octet-stream",
		tp.PropertyChannelFileTransferFilename:    name,
		tp.PropertyChannelFileTransferSize:        uint64(len(data)),
	}), &f.out, new(map[string]dbus.Variant))
	to.Await("file "+name, tp.SignalConnectionRequestsNewChannels, func(s *dbus.Signal) bool {
		var channels []struct {
			Path       dbus.ObjectPath
			Properties map[string]dbus.Variant
		}
		if s.Path != to.Path || dbus.Store(s.Body, &channels) != nil {
			return false
		}
		for _, c := range channels {
			if c.Properties[tp.PropertyChannelFileTransferFilename].Value() == name {
				f.in = c.Path
			}
		}
		return f.in != ""
	})
	var address dbus.Variant
	socket := []any{uint32(tp.SocketAddressTypeUnix), uint32(tp.SocketAccessControlLocalhost), dbus.MakeVariant("")}
	from.Store(from.Call(f.out, tp.InterfaceChannelFileTransfer, "ProvideFile", socket...), &address)
	f.writer = Dial(from.T, string(address.Value().([]byte)))
	to.Store(to.Call(f.in, tp.InterfaceChannelFileTransfer, "AcceptFile", append(socket, uint64(0))...), &address)
	f.reader = Dial(to.T, string(address.Value().([]byte)))
	return f
}

// Sockets are those that both programs were given.
func (f *File) Sockets() []string {
	return []string{f.writer.RemoteAddr().String(), f.reader.RemoteAddr().String()}
}

// Carry passes the file whole, sees both sides told, and closes their channels.
func (f *File) Carry() {
	f.from.T.Helper()
	var both sync.WaitGroup
	var got []byte
	var sent, read error
	both.Go(func() {
		_, sent = io.Copy(f.writer, bytes.NewReader(f.data))
		f.writer.Close()
	})
	both.Go(func() {
		got, read = io.ReadAll(f.reader)
		f.reader.Close()
	})
	both.Wait()
	if sent != nil || read != nil || sha256.Sum256(got) != sha256.Sum256(f.data) {
		f.from.T.Errorf("a file of %d bytes arrived with %d, %v, %v", len(f.data), len(got), sent, read)
		return
	}
	for l, channel := range map[*Laptop]dbus.ObjectPath{f.from: f.out, f.to: f.in} {
		l.Await(fmt.Sprint("completion of ", channel), tp.SignalChannelFileTransferFileTransferStateChanged, func(s *dbus.Signal) bool {
			return s.Path == channel && s.Body[0] == uint32(tp.FileTransferStateCompleted)
		})
		l.Call(channel, tp.InterfaceChannel, "Close")
	}
}
