package dbuspeer

import (
	"bufio"
	"errors"
	"io"
)

// ErrTooLong is given for a message that is over the limit but no longer than
// D-Bus allows.
var ErrTooLong = errors.New("D-Bus message is too long")

// readBuffer is how much is read at once; longer messages are read in place.
const readBuffer = 16 << 10

// firstStep is how much is set aside for a message on its sender's word.
const firstStep = 64 << 10

// Reader finds the messages in a stream of bytes.
type Reader struct {
	r   *bufio.Reader
	max int
}

// NewReader returns a Reader for messages of at most max bytes.
func NewReader(r io.Reader, max int) *Reader {
	return &Reader{bufio.NewReaderSize(r, readBuffer), max}
}

// Next returns the next message, which is the caller's. It is whole, but what is
// in it was not looked at: see [ParseMessage]. After [ErrTooLong], which passes
// the message over, one can go on, after others not.
func (r *Reader) Next() ([]byte, error) {
	head, err := r.r.Peek(fixedLen)
	if err != nil {
		if err == io.EOF && len(head) > 0 {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	fixed, err := parseFixed(head)
	if err != nil {
		return nil, err
	}
	size := int(fixed.size())
	if size > r.max {
		if _, err := r.r.Discard(size); err != nil {
			return nil, err
		}
		return nil, ErrTooLong
	}
	b := make([]byte, min(size, firstStep), min(size, firstStep)+senderRoom)
	for at := 0; ; {
		if _, err := io.ReadFull(r.r, b[at:]); err == io.EOF {
			return nil, io.ErrUnexpectedEOF
		} else if err != nil {
			return nil, err
		}
		if len(b) == size {
			return b, nil
		}
		at = len(b)
		b = append(make([]byte, 0, min(size, 4*at)+senderRoom), b...)
		b = b[:cap(b)-senderRoom]
	}
}
