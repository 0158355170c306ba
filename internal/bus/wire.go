package bus

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/godbus/dbus/v5"
)

// Limits, in bytes, on what arrives. Dbus-daemon would let 128 MiB pass.
const (
	maxFields  = 64 << 10 // no valid header comes near: eight names of 255 bytes
	maxBody    = 1 << 20  // avatars and messages are a tenth of it, and an XO has 256 MiB
	maxPending = 16 << 20 // bodies of calls that a loop has not come to yet
)

var (
	errHeader  = errors.New("malformed header")
	errTooLong = errors.New("message is too long")
)

// message is one incoming message; its body is still encoded.
type message struct {
	order     byteOrder
	kind      dbus.Type
	flags     dbus.Flags
	serial    uint32
	bodyLen   uint32
	fieldsLen uint32 // of the header's array, without padding

	path                     dbus.ObjectPath
	iface, member, errorName string
	sender, signature        string
	replySerial              uint32
}

type byteOrder interface {
	binary.ByteOrder
	binary.AppendByteOrder
}

// fixedLen is what every message begins with: D-Bus specification, "Message Format".
const fixedLen = 16

// readMessage reads one message; body is valid until buf is used again. After
// errHeader and errTooLong the next message can be read; with errTooLong the
// header is known.
func readMessage(r io.Reader, buf *bytes.Buffer) (m message, body []byte, err error) {
	var fixed [fixedLen]byte
	if _, err := io.ReadFull(r, fixed[:]); err != nil {
		return m, nil, err
	}
	if err := m.parseFixed(fixed[:]); err != nil {
		return m, nil, err
	}
	padded := int64(m.fieldsLen+7) &^ 7
	if m.fieldsLen > maxFields {
		return m, nil, discard(r, padded+int64(m.bodyLen), errHeader)
	}
	buf.Reset()
	if _, err := io.CopyN(buf, r, padded); err != nil {
		return m, nil, err
	}
	if err := m.parseFields(buf.Bytes()[:m.fieldsLen]); err != nil {
		return m, nil, discard(r, int64(m.bodyLen), err)
	}
	if m.bodyLen > maxBody {
		return m, nil, discard(r, int64(m.bodyLen), errTooLong)
	}
	buf.Reset()
	if _, err := io.CopyN(buf, r, int64(m.bodyLen)); err != nil {
		return m, nil, err
	}
	return m, buf.Bytes(), nil
}

// discard passes n bytes over and then gives why.
func discard(r io.Reader, n int64, why error) error {
	if _, err := io.CopyN(io.Discard, r, n); err != nil {
		return err
	}
	return why
}

// parseFixed reads the part of the header that is the same in all messages. An
// error means that what follows makes no sense any more.
func (m *message) parseFixed(b []byte) error {
	switch b[0] {
	case 'l':
		m.order = binary.LittleEndian
	case 'B':
		m.order = binary.BigEndian
	default:
		return fmt.Errorf("unknown byte order %#x", b[0])
	}
	if b[3] != 1 {
		return fmt.Errorf("unknown protocol version %d", b[3])
	}
	m.kind, m.flags = dbus.Type(b[1]), dbus.Flags(b[2])
	m.bodyLen = m.order.Uint32(b[4:])
	m.serial = m.order.Uint32(b[8:])
	m.fieldsLen = m.order.Uint32(b[12:])
	if uint64(m.bodyLen)+uint64(m.fieldsLen) > 1<<27 {
		return fmt.Errorf("%w: %d bytes", errTooLong, m.bodyLen)
	}
	return nil
}

// parseFields reads the header's a(yv). Fields we do not know are passed over,
// as the specification wants, if their type is a basic one.
func (m *message) parseFields(b []byte) error {
	d := decoder{order: m.order, rest: b}
	for len(d.rest) > 0 {
		d.align(8)
		code, signature := d.byte(), d.signature()
		var text string
		var number uint32
		switch signature {
		case "s", "o":
			text = d.string()
		case "g":
			text = d.signature()
		case "u":
			number = d.uint32()
		default:
			return errHeader
		}
		if d.bad {
			return errHeader
		}
		m.setField(dbus.HeaderField(code), text, number)
	}
	return nil
}

func (m *message) setField(code dbus.HeaderField, text string, number uint32) {
	switch code {
	case dbus.FieldPath:
		m.path = dbus.ObjectPath(text)
	case dbus.FieldInterface:
		m.iface = text
	case dbus.FieldMember:
		m.member = text
	case dbus.FieldErrorName:
		m.errorName = text
	case dbus.FieldReplySerial:
		m.replySerial = number
	case dbus.FieldSender:
		m.sender = text
	case dbus.FieldSignature:
		m.signature = text
	}
}
