package dbuspeer

import (
	"bytes"
	"encoding/binary"

	"telepathy-olpc/internal/dbuswire"
)

// senderRoom is what a sender such as tubes have takes in a header. With so much
// room behind a message [SetSender] need not make it anew.
const senderRoom = 64

// SetSender returns the message with this sender, in its own byte order. All
// other fields and the body stay as they are. b, with the room behind it, is used
// up: the message may lie in it.
func SetSender(b []byte, sender string) ([]byte, error) {
	fixed, err := parseFixed(b)
	if err != nil {
		return nil, err
	}
	if fixed.size() != int64(len(b)) {
		return nil, invalid("its length")
	}
	if !dbuswire.IsBusName(sender) {
		return nil, invalid("its sender")
	}
	end := fixedLen + int(fixed.fieldsLen)
	w := walker{order: fixed.order, b: b[fixedLen:end]}
	head := append(make([]byte, 0, pad8(end)+len(sender)+32), b[:fixedLen]...)
	for w.pos < len(w.b) {
		f, ok := w.nextField()
		if !ok {
			return nil, invalid("a header field")
		}
		raw := w.b[f.begin:f.end]
		if f.code != fieldSender {
			head = append(padded(head), raw...)
		} else if f.signature == "s" && bytes.Equal(w.b[f.value:f.end-1], []byte(sender)) {
			return b, nil
		}
	}
	head = appendText(fixed.order, head, fieldSender, 's', sender)
	fixed.order.PutUint32(head[12:], uint32(len(head)-fixedLen))
	head = padded(head)
	body := b[pad8(end):]
	size := len(head) + len(body)
	out := b[:min(size, cap(b))]
	if len(out) < size {
		out = make([]byte, size)
	}
	copy(out[len(head):], body) // first: what it lies in is overwritten
	copy(out, head)
	return out, nil
}

// padded adds zeros up to a multiple of eight.
func padded(b []byte) []byte {
	return append(b, make([]byte, pad8(len(b))-len(b))...)
}

// appendText adds a field with a text to a header.
func appendText(order binary.AppendByteOrder, b []byte, code, kind byte, text string) []byte {
	b = append(padded(b), code, 1, kind, 0)
	if kind == 'g' {
		b = append(b, byte(len(text)))
	} else {
		b = order.AppendUint32(b, uint32(len(text)))
	}
	return append(append(b, text...), 0)
}

// BuildError returns the answer to a call that cannot be delivered, as if from
// whom it was for.
func BuildError(call Header, name, text string) []byte {
	order := binary.LittleEndian
	b := []byte{'l', KindError, FlagNoReply, 1}
	b = order.AppendUint32(b, uint32(4+len(text)+1))
	b = order.AppendUint32(b, call.Serial)
	b = order.AppendUint32(b, 0)
	b = appendText(order, b, fieldErrorName, 's', name)
	b = append(padded(b), fieldReplySerial, 1, 'u', 0)
	b = order.AppendUint32(b, call.Serial)
	if call.Destination != "" {
		b = appendText(order, b, fieldSender, 's', call.Destination)
	}
	b = appendText(order, b, fieldSignature, 'g', "s")
	order.PutUint32(b[12:], uint32(len(b)-fixedLen))
	b = order.AppendUint32(padded(b), uint32(len(text)))
	return append(append(b, text...), 0)
}
