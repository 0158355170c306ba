package functional

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/tests/cmtest"
	"telepathy-olpc/xmpp/disco"
	"telepathy-olpc/xmpp/filetransfer"
	"telepathy-olpc/xmpp/ibb"
	"telepathy-olpc/xmpp/si"
	"telepathy-olpc/xmpp/stanza"
)

var (
	fileInterface = tp.InterfaceChannelFileTransfer

	fileState    = cmtest.Signal(tp.SignalChannelFileTransferFileTransferStateChanged)
	fileOffset   = cmtest.Signal(tp.SignalChannelFileTransferInitialOffsetDefined)
	fileProgress = cmtest.Signal(tp.SignalChannelFileTransferTransferredBytesChanged)
	fileURI      = cmtest.Signal(tp.SignalChannelFileTransferURIDefined)

	unixSocket = uint32(tp.SocketAddressTypeUnix)
	localhost  = uint32(tp.SocketAccessControlLocalhost)
)

const (
	accepted  = uint32(tp.FileTransferStateAccepted)
	open      = uint32(tp.FileTransferStateOpen)
	completed = uint32(tp.FileTransferStateCompleted)
	cancelled = uint32(tp.FileTransferStateCancelled)

	fileTitle = "My trip to the museum"
	fileText  = "It was a long way, and worth it."
)

// transfer is a file between us and bob.
type transfer struct {
	*cmtest.Connection
	path dbus.ObjectPath
	bob  uint32
	si   *cmtest.Event // our offer to bob
}

// withBob connects, and bob is there with a client that has these features.
func withBob(t *testing.T, features ...string) *transfer {
	t.Helper()
	x := &transfer{Connection: cmtest.Connect(t)}
	x.bob = x.Handle(bob)
	info, announced := clientInfo(t, "pc", append(features, disco.NSInfo)...)
	x.Server.Send(presenceFrom(bobSugar, announced))
	x.Server.Answer(x.Expect(cmtest.IQ("get", disco.NSInfo).To(bobSugar)), info.Element().String())
	x.Expect(capabilitiesChanged)
	return x
}

// fileRequest is what Sugar asks for, with its integers.
func fileRequest(contact uint32, more map[string]any) map[string]dbus.Variant {
	request := map[string]dbus.Variant{
		tp.PropertyChannelChannelType:               dbus.MakeVariant(fileInterface.Name),
		tp.PropertyChannelTargetHandleType:          dbus.MakeVariant(int32(1)),
		tp.PropertyChannelTargetHandle:              dbus.MakeVariant(contact),
		tp.PropertyChannelFileTransferContentType:   dbus.MakeVariant("text/plain"),
		tp.PropertyChannelFileTransferFilename:      dbus.MakeVariant(fileTitle),
		tp.PropertyChannelFileTransferSize:          dbus.MakeVariant(int32(len(fileText))),
		tp.PropertyChannelFileTransferDescription:   dbus.MakeVariant("a description"),
		tp.PropertyChannelFileTransferInitialOffset: dbus.MakeVariant(int32(0)),
	}
	for name, value := range more {
		if value == nil {
			delete(request, name)
			continue
		}
		request[name] = dbus.MakeVariant(value)
	}
	return request
}

// offers has us offer a file to bob, and waits for it on the wire.
func (x *transfer) offers(more map[string]any) {
	x.T.Helper()
	reply := x.Call(x.Path, tp.InterfaceConnectionRequests, "CreateChannel", fileRequest(x.bob, more))
	x.path = cmtest.As[dbus.ObjectPath](x.T, reply.Arg(0))
	x.si = x.Expect(cmtest.IQ("set", si.NS).To(bobSugar))
}

// sends begins to send a file that bob takes in-band, and gives the local
// program's connection.
func (x *transfer) sends() net.Conn {
	x.T.Helper()
	x.offers(nil)
	address := x.Call(x.path, fileInterface, "ProvideFile", unixSocket, localhost, dbus.MakeVariant("")).Arg(0)
	x.accepts("")
	x.opens(0)
	return x.dial(address)
}

// accepts has bob accept our offer, in-band, and open.
func (x *transfer) accepts(file string) {
	x.T.Helper()
	x.Server.Answer(x.si, "<si xmlns='"+si.NS+"'><si-multiple xmlns='"+si.NSMultiple+"'><value>"+ibb.NS+"</value></si-multiple>"+file+"</si>")
	x.Server.Answer(x.Expect(cmtest.IQ("set", ibb.NS).To(bobSugar).Having(ibb.NS, "open")), "")
}

// opens waits for the signals with which a transfer begins.
func (x *transfer) opens(offset uint64) {
	x.T.Helper()
	x.Expect(fileOffset.At(x.path).Args(offset))
	x.Expect(fileState.At(x.path).Args(open, uint32(0)))
}

func (x *transfer) ends(state uint32, why tp.FileTransferStateChangeReason) {
	x.T.Helper()
	x.Expect(fileState.At(x.path).Args(state, uint32(why)))
}

// dial connects to the socket that a method has given.
func (x *transfer) dial(address any) net.Conn {
	x.T.Helper()
	path := string(cmtest.As[[]byte](x.T, address))
	c, err := net.Dial("unix", path)
	if err != nil {
		x.T.Fatal(err)
	}
	x.T.Cleanup(func() { c.Close() })
	return c
}

// takes has bob take data until the stream is closed.
func (x *transfer) takes(want string) {
	x.T.Helper()
	var got strings.Builder
	for {
		e := x.Expect(cmtest.IQ("set", ibb.NS).To(bobSugar))
		x.Server.Answer(e, "")
		if e.Element.First().Local() == "close" {
			break
		}
		data, _ := base64.StdEncoding.DecodeString(e.Element.First().Text())
		got.Write(data)
	}
	cmtest.Equal(x.T, got.String(), want)
}

// bobSends has bob ask for something, and waits for the answer.
func (x *transfer) bobSends(id, payload, answer string) *cmtest.Event {
	x.T.Helper()
	x.Server.Send("<iq from='" + bobSugar + "' to='" + cmtest.Self + "' type='set' id='" + id + "'>" + payload + "</iq>")
	return x.Expect(cmtest.IQAnswer(answer, id))
}

// offer is bob's offer of a file.
func offer(id, file string) string {
	o := si.Offer{ID: id, Profile: filetransfer.NS, Methods: []string{ibb.NS}}
	return strings.Replace(o.Element().String(), "</si>", file+"</si>", 1)
}

func fileElement(attributes, content string) string {
	return "<file xmlns='" + filetransfer.NS + "' " + attributes + ">" + content + "</file>"
}

// isOffered has bob offer a file, and gives what is told of the channel.
func (x *transfer) isOffered(file string) map[string]any {
	x.T.Helper()
	x.Server.Send("<iq from='" + bobSugar + "' to='" + cmtest.Self + "' type='set' id='offer'>" + offer("s1", file) + "</iq>")
	e := x.Expect(cmtest.Signal(tp.SignalConnectionRequestsNewChannels))
	list := cmtest.As[[]struct {
		Path       dbus.ObjectPath
		Properties map[string]any
	}](x.T, e.Arg(0))
	x.path = list[0].Path
	return list[0].Properties
}

// block is one of bob's, XEP-0047 §2.2.
func block(seq int, text string) string {
	return fmt.Sprintf("<data xmlns='%s' sid='s1' seq='%d'>%s</data>", ibb.NS, seq, base64.StdEncoding.EncodeToString([]byte(text)))
}

const (
	openBlock  = "<open xmlns='" + ibb.NS + "' sid='s1' block-size='4096'/>"
	closeBlock = "<close xmlns='" + ibb.NS + "' sid='s1'/>"
)

// isGone checks that nothing is left of a socket, not even its folder.
func isGone(t *testing.T, address any) {
	t.Helper()
	path := string(cmtest.As[[]byte](t, address))
	if _, err := os.Stat(filepath.Dir(path)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket's folder is left: %v", err)
	}
}

// Sugar looks for a class with exactly these two fixed properties.
func TestFileTransfer_classAsSugarTestsIt(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t)
	classes := cmtest.As[[]channelClass](t, cm.Get(cm.Path, tp.InterfaceConnectionRequests, "RequestableChannelClasses"))
	for _, class := range classes {
		if len(class.Fixed) == 2 && class.Fixed[tp.PropertyChannelChannelType] == fileInterface.Name &&
			cmtest.Same(class.Fixed[tp.PropertyChannelTargetHandleType], uint32(1)) {
			return
		}
	}
	t.Errorf("not among %v", classes)
}

// The whole way of a file out, in Sugar's order: offered, provided, accepted from
// an offset, sent, completed.
func TestFileTransfer_sent(t *testing.T) {
	t.Parallel()
	x := withBob(t, filetransfer.NS)
	x.offers(map[string]any{
		tp.PropertyChannelFileTransferContentHashType:     uint32(tp.FileHashTypeMD5),
		tp.PropertyChannelFileTransferContentHash:         "552DA749930852C69AE5D2141D3766B1",
		tp.PropertyChannelFileTransferDate:                int64(1700000000),
		tp.PropertyChannelFileTransferURI:                 "file:///tmp/a",
		tp.PropertyChannelFileTransferMetadataServiceName: "org.example.Chess",
		tp.PropertyChannelFileTransferMetadataMetadata:    map[string][]string{"moves": {"e4", "e5"}},
	})
	got, err := filetransfer.Parse(x.si.Element.First())
	if err != nil {
		t.Fatal(err)
	}
	cmtest.Equal(t, got.MD5, "552da749930852c69ae5d2141d3766b1")
	cmtest.Equal(t, got.Modified.Unix(), int64(1700000000))
	cmtest.Equal(t, []string{got.Name, got.Description, got.MIMEType, got.Service}, []string{fileTitle, "a description", "text/plain", "org.example.Chess"})
	cmtest.Equal(t, got.Metadata, map[string][]string{"moves": {"e4", "e5"}})
	all := x.GetAll(x.path, fileInterface)
	for name, want := range map[string]any{
		"State": uint32(tp.FileTransferStatePending), "Size": uint64(len(fileText)), "URI": "file:///tmp/a",
		"ContentHashType": uint32(tp.FileHashTypeMD5), "Date": int64(1700000000), "TransferredBytes": uint64(0), "FileCollection": "",
	} {
		if !cmtest.Same(all[name], want) {
			t.Errorf("%s is %v, want %v", name, all[name], want)
		}
	}
	x.Refused(tp.ErrorNotAvailable, x.path, fileInterface, "AcceptFile", unixSocket, localhost, dbus.MakeVariant(""), uint64(0))
	x.Refused(tp.ErrorNotImplemented, x.path, fileInterface, "ProvideFile", unixSocket, uint32(tp.SocketAccessControlNetmask), dbus.MakeVariant(""))
	address := x.Call(x.path, fileInterface, "ProvideFile", unixSocket, localhost, dbus.MakeVariant("")).Arg(0)
	x.Refused(tp.ErrorNotAvailable, x.path, fileInterface, "ProvideFile", unixSocket, localhost, dbus.MakeVariant(""))

	x.accepts("<file xmlns='" + filetransfer.NS + "'><range offset='7'/></file>")
	x.Expect(fileState.At(x.path).Args(accepted, uint32(0)))
	x.opens(7)
	c := x.dial(address)
	_, _ = io.WriteString(c, fileText[7:])
	c.Close()
	x.takes(fileText[7:])
	x.Expect(fileProgress.At(x.path).Args(uint64(len(fileText) - 7)))
	x.ends(completed, 0)
	isGone(t, address)
	x.Call(x.path, tp.InterfaceChannel, "Close")
	x.Expect(cmtest.Signal(tp.SignalChannelClosed).At(x.path))
	x.Sync()
}

// Nothing is open before both have happened; the file of nothing has an order as
// well.
func TestFileTransfer_acceptedBeforeProvided(t *testing.T) {
	t.Parallel()
	x := withBob(t, filetransfer.NS)
	x.offers(map[string]any{tp.PropertyChannelFileTransferSize: uint64(0)})
	early := x.Forbid(fileOffset)
	x.accepts("")
	x.Expect(fileState.At(x.path).Args(accepted, uint32(0)))
	x.Sync()
	early.Lift()
	address := x.Call(x.path, fileInterface, "ProvideFile", unixSocket, localhost, dbus.MakeVariant("")).Arg(0)
	x.opens(0)
	x.dial(address)
	x.takes("")
	x.ends(completed, 0)
	isGone(t, address)
}

func TestFileTransfer_refused(t *testing.T) {
	t.Parallel()
	x := withBob(t, filetransfer.NS)
	for condition, why := range map[string]tp.FileTransferStateChangeReason{
		"forbidden":           tp.FileTransferStateChangeReasonRemoteStopped,
		"service-unavailable": tp.FileTransferStateChangeReasonRemoteError,
	} {
		x.offers(nil)
		x.Server.AnswerError(x.si, "cancel", condition)
		x.ends(cancelled, why)
		x.Refused(tp.ErrorNotAvailable, x.path, fileInterface, "ProvideFile", unixSocket, localhost, dbus.MakeVariant(""))
	}
	x.offers(nil)
	x.accepts("<file xmlns='" + filetransfer.NS + "'><range offset='4000'/></file>") // beyond the end
	x.ends(cancelled, tp.FileTransferStateChangeReasonRemoteError)
	x.offers(nil)
	x.Server.Send("<presence from='" + bobSugar + "' type='unavailable'/>")
	x.ends(cancelled, tp.FileTransferStateChangeReasonRemoteStopped)
}

// Each of the two sides, and the line, can stop a file half way.
func TestFileTransfer_sendingStops(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		stop func(x *transfer, c net.Conn)
		why  tp.FileTransferStateChangeReason
	}{
		"program goes": {func(_ *transfer, c net.Conn) { c.Close() }, tp.FileTransferStateChangeReasonLocalError},
		"channel closed": {func(x *transfer, _ net.Conn) {
			x.Call(x.path, tp.InterfaceChannel, "Close")
		}, tp.FileTransferStateChangeReasonLocalStopped},
		"bob stops": {func(x *transfer, _ net.Conn) {
			open := x.si.Element.First().Attr("id")
			x.bobSends("c1", "<close xmlns='"+ibb.NS+"' sid='"+open+"'/>", "result")
		}, tp.FileTransferStateChangeReasonRemoteStopped},
		"line cut": {func(x *transfer, _ net.Conn) {
			x.Server.Stream().Cut()
		}, tp.FileTransferStateChangeReasonLocalError},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := withBob(t, filetransfer.NS)
			c := x.sends()
			_, _ = io.WriteString(c, fileText[:5])
			data := x.Expect(cmtest.IQ("set", ibb.NS).To(bobSugar).Having(ibb.NS, "data"))
			x.Server.Answer(data, "")
			tt.stop(x, c)
			x.ends(cancelled, tt.why)
			if n, err := c.Read(make([]byte, 1)); n > 0 || err == nil {
				t.Error("the program's connection is still there")
			}
		})
	}
}

// A file is for one device, which is found in time or not at all.
func TestFileTransfer_whoCanNot(t *testing.T) {
	t.Parallel()
	x := withBob(t)
	requests := tp.InterfaceConnectionRequests
	x.Refused(tp.ErrorNotCapable, x.Path, requests, "CreateChannel", fileRequest(x.bob, nil))
	x.Refused(tp.ErrorOffline, x.Path, requests, "CreateChannel", fileRequest(x.Handle("nobody@"+cmtest.Domain), nil))
	for name, bad := range map[string]any{
		tp.PropertyChannelFileTransferFilename:         "",
		tp.PropertyChannelFileTransferContentType:      nil,
		tp.PropertyChannelFileTransferSize:             "big",
		tp.PropertyChannelFileTransferDescription:      int32(5),
		tp.PropertyChannelFileTransferDate:             "today",
		tp.PropertyChannelFileTransferURI:              strings.Repeat("u", 40<<10),
		tp.PropertyChannelFileTransferMetadataMetadata: map[string][]string{"FORM_TYPE": {}},
	} {
		x.Refused(tp.ErrorInvalidArgument, x.Path, requests, "CreateChannel", fileRequest(x.bob, map[string]any{name: bad}))
	}
	x.Refused(tp.ErrorInvalidArgument, x.Path, requests, "CreateChannel", fileRequest(x.bob, map[string]any{
		tp.PropertyChannelFileTransferContentHashType: uint32(tp.FileHashTypeMD5), tp.PropertyChannelFileTransferContentHash: "no hash"}))
	x.Refused(tp.ErrorNotImplemented, x.Path, requests, "CreateChannel", fileRequest(x.bob, map[string]any{tp.PropertyChannelFileTransferState: "x"}))
}

// Who has just come is not known yet; the request waits until it is.
func TestFileTransfer_toANewcomer(t *testing.T) {
	t.Parallel()
	x := &transfer{Connection: cmtest.Connect(t)}
	x.bob = x.Handle(bob)
	call := x.CallAsync(x.Path, tp.InterfaceConnectionRequests, "CreateChannel", fileRequest(x.bob, nil))
	x.Sync()
	x.Server.Send(presenceFrom(bobPhone, ""))
	info := &disco.Info{Features: []string{disco.NSInfo}}
	x.Server.Send(presenceFrom(bobSugar, ""))
	asked := x.ExpectUnordered(cmtest.IQ("get", disco.NSInfo).To(bobPhone), cmtest.IQ("get", disco.NSInfo).To(bobSugar))
	x.Server.Answer(asked[0], info.Element().String())
	info = &disco.Info{Features: []string{filetransfer.NS}}
	x.Server.Answer(asked[1], info.Element().String())
	x.Expect(cmtest.Reply(call))
	x.Expect(cmtest.IQ("set", si.NS).To(bobSugar))
}

// The whole way of a file in: offered, accepted from an offset, received, read to
// its end by the program, completed.
func TestFileTransfer_received(t *testing.T) {
	t.Parallel()
	x := withBob(t)
	told := x.isOffered(fileElement("name='../a/b' size='12' mime-type='x-sugar/from-activity' hash='552da749930852c69ae5d2141d3766b1' date='2023-11-14T22:13:20Z'",
		"<desc>what it is</desc><range/>"))
	for name, want := range map[string]any{
		tp.PropertyChannelRequested: false, tp.PropertyChannelChannelType: fileInterface.Name, tp.PropertyChannelInitiatorHandle: x.bob,
		tp.PropertyChannelTargetHandle: x.bob, tp.PropertyChannelFileTransferFilename: ".._a_b", tp.PropertyChannelFileTransferSize: uint64(12),
		tp.PropertyChannelFileTransferContentType: "x-sugar/from-activity", tp.PropertyChannelFileTransferDescription: "what it is",
		tp.PropertyChannelFileTransferDate: int64(1700000000), tp.PropertyChannelFileTransferContentHash: "552da749930852c69ae5d2141d3766b1",
	} {
		if !cmtest.Same(told[name], want) {
			t.Errorf("%s is %v, want %v", name, told[name], want)
		}
	}
	x.Call(x.path, tp.InterfaceDBusProperties, "Set", fileInterface.Name, "URI", dbus.MakeVariant("file:///tmp/b"))
	x.Expect(fileURI.At(x.path).Args("file:///tmp/b"))
	accept := func(offset uint64) []any {
		return []any{unixSocket, localhost, dbus.MakeVariant(""), offset}
	}
	x.Refused(tp.ErrorNotAvailable, x.path, fileInterface, "ProvideFile", accept(0)[:3]...)
	x.Refused(tp.ErrorInvalidArgument, x.path, fileInterface, "AcceptFile", accept(13)...)
	call := x.CallAsync(x.path, fileInterface, "AcceptFile", accept(2)...)
	x.ends(accepted, tp.FileTransferStateChangeReasonRequested)
	address := x.Expect(cmtest.Reply(call)).Arg(0)
	answer := x.Expect(cmtest.IQAnswer("result", "offer"))
	cmtest.Equal(t, filetransfer.ParseRange(answer.Element.First()), filetransfer.Range{Offset: 2})
	x.Refused(tp.ErrorNotAvailable, x.path, fileInterface, "AcceptFile", accept(0)...)
	x.Refused(tp.ErrorNotAvailable, x.path, tp.InterfaceDBusProperties, "Set", fileInterface.Name, "URI", dbus.MakeVariant("file:///tmp/c"))

	x.bobSends("o1", openBlock, "result")
	x.opens(2)
	early := x.Forbid(fileState.At(x.path))
	x.bobSends("d0", block(0, "0123456789"), "result")
	x.Server.Send("<iq from='" + bobSugar + "' to='" + cmtest.Self + "' type='set' id='c1'>" + closeBlock + "</iq>")
	x.Sync() // though all is there, nobody has read it
	early.Lift()
	c := x.dial(address)
	got, err := io.ReadAll(c)
	if err != nil || string(got) != "0123456789" {
		t.Errorf("program read %q, %v", got, err)
	}
	c.Close()
	x.Expect(fileProgress.At(x.path).Args(uint64(10)))
	x.ends(completed, 0)
	isGone(t, address)
}

func TestFileTransfer_declined(t *testing.T) {
	t.Parallel()
	x := withBob(t)
	x.isOffered(fileElement("name='a' size='12'", ""))
	x.Call(x.path, tp.InterfaceChannel, "Close")
	e := x.Expect(cmtest.IQAnswer("error", "offer"))
	cmtest.Equal(t, stanza.ErrorOf(e.Element).Condition, stanza.Forbidden)
	x.ends(cancelled, tp.FileTransferStateChangeReasonLocalStopped)
	x.isOffered(fileElement("name='b' size='12'", ""))
	x.Server.Send("<presence from='" + bobSugar + "' type='unavailable'/>")
	x.ends(cancelled, tp.FileTransferStateChangeReasonRemoteStopped)
}

// A file that ends too early is cancelled before the program sees its end.
func TestFileTransfer_receivingStops(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		stop func(x *transfer, c net.Conn)
		why  tp.FileTransferStateChangeReason
	}{
		"bob stops":      {func(x *transfer, _ net.Conn) { x.bobSends("c1", closeBlock, "result") }, tp.FileTransferStateChangeReasonRemoteStopped},
		"out of order":   {func(x *transfer, _ net.Conn) { x.bobSends("d1", block(7, "x"), "error") }, tp.FileTransferStateChangeReasonRemoteError},
		"channel closed": {func(x *transfer, _ net.Conn) { x.Call(x.path, tp.InterfaceChannel, "Close") }, tp.FileTransferStateChangeReasonLocalStopped},
		"program goes": {func(x *transfer, c net.Conn) {
			c.Close()
			x.bobSends("d1", block(1, "x"), "result")
		}, tp.FileTransferStateChangeReasonLocalError},
		"line cut": {func(x *transfer, _ net.Conn) { x.Server.Stream().Cut() }, tp.FileTransferStateChangeReasonLocalError},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := withBob(t)
			x.isOffered(fileElement("name='a' size='12'", ""))
			address := x.Call(x.path, fileInterface, "AcceptFile", unixSocket, localhost, dbus.MakeVariant(""), uint64(0)).Arg(0)
			x.bobSends("o1", openBlock, "result")
			x.opens(0)
			c := x.dial(address)
			x.bobSends("d0", block(0, "01234"), "result")
			if _, err := io.ReadFull(c, make([]byte, 5)); err != nil {
				t.Fatal(err)
			}
			tt.stop(x, c)
			x.ends(cancelled, tt.why)
			isGone(t, address)
		})
	}
}

// What strangers send costs only themselves: bad offers are refused, of good ones
// so many wait, and a file is no longer than was said.
func TestFileTransfer_hostile(t *testing.T) {
	t.Parallel()
	x := withBob(t)
	refuses := func(id, payload string, want stanza.Condition) {
		t.Helper()
		e := x.bobSends(id, payload, "error")
		cmtest.Equal(t, stanza.ErrorOf(e.Element).Condition, want)
	}
	refuses("h1", offer("a", ""), stanza.BadRequest)
	refuses("h2", offer("b", fileElement("name='a' size='99999999999999999999'", "")), stanza.BadRequest)
	refuses("h3", offer("c", fileElement("name='a' size='-5'", "")), stanza.BadRequest)
	none := cmtest.IQAnswer("error", "w15")
	ban := x.Forbid(none)
	for i := range 16 {
		x.Server.Send(fmt.Sprintf("<iq from='%s' to='%s' type='set' id='w%d'>%s</iq>", bobSugar, cmtest.Self, i,
			offer(fmt.Sprint("w", i), fileElement("name='"+strings.Repeat("n", 9000)+"'", "<desc>"+strings.Repeat("d", 9000)+"</desc>"))))
		told := x.Expect(cmtest.Signal(tp.SignalConnectionRequestsNewChannels))
		_ = told
	}
	ban.Lift()
	refuses("w16", offer("w16", fileElement("name='a'", "")), stanza.ResourceConstraint)
	x.Sync()
}
