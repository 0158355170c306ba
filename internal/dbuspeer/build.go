package dbuspeer

import (
	"bytes"
	"encoding/binary"

	"telepathy-olpc/internal/dbuswire"
)

// SetSender returns the message with this sender, in its own byte order, which
// may be b itself. All other fields and the body stay as they are.
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
	out := make([]byte, fixedLen, len(b)+len(sender)+32)
	copy(out, b)
	for w.pos < len(w.b) {
		f, ok := w.nextField()
		if !ok {
			return nil, invalid("a header field")
		}
		raw := w.b[f.begin:f.end]
		if f.code != fieldSender {
			out = append(padded(out), raw...)
		} else if f.signature == "s" && bytes.Equal(w.b[f.value:f.end-1], []byte(sender)) {
			return b, nil
		}
	}
	out = appendText(fixed.order, out, fieldSender, 's', sender)
	fixed.order.PutUint32(out[12:], uint32(len(out)-fixedLen))
	return append(padded(out), b[pad8(end):]...), nil
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
