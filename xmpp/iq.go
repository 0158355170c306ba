package xmpp

import (
	"crypto/rand"
	"fmt"
	"strconv"
	"strings"
	"time"

	"telepathy-olpc/internal/loop"
	"telepathy-olpc/xmpp/stanza"
)

// askTimeout bounds how long an answer may take: long enough for a slow server
// to fetch something from another.
const askTimeout = 60 * time.Second

// question is an IQ that waits for its answer.
type question struct {
	to     string
	answer func(*stanza.Element, error)
	timer  *loop.Timer
}

// Ask sends an IQ of type get or set; its id is given here. The callback runs
// exactly once, on the loop and after Ask has returned: with the result, or
// with an error that is a [*stanza.Error] from whom was asked, [ErrTimeout], or
// [ErrLost] when the session ends first.
func (s *Session) Ask(iq *stanza.Element, answer func(reply *stanza.Element, err error)) {
	if s.phase != online && s.phase != resuming {
		s.loop.Post("ask without session", func() { answer(nil, ErrLost) })
		return
	}
	s.lastID++
	id := s.idPrefix + strconv.FormatUint(s.lastID, 36)
	s.questions[id] = &question{
		to:     iq.Attr("to"),
		answer: answer,
		timer:  s.loop.After(askTimeout, "answer overdue", func() { s.answer(id, nil, ErrTimeout) }),
	}
	s.Send(iq.With(stanza.A("id", id)))
}

// newIDPrefix makes the ids of a session's questions impossible to guess.
func newIDPrefix() string { return rand.Text()[:12] + "-" }

// answer gives a question its answer.
func (s *Session) answer(id string, reply *stanza.Element, err error) {
	q := s.questions[id]
	delete(s.questions, id)
	q.timer.Stop()
	q.answer(reply, err)
}

// abandonQuestions answers all questions that are left, and those that the
// callbacks ask, with ErrLost.
func (s *Session) abandonQuestions() {
	for id := range s.questions {
		s.answer(id, nil, ErrLost)
	}
}

// HandleIQ registers who answers the IQs of type get and set whose first child
// is in the namespace. The handler sends the reply itself, at once or later.
// There is one handler for a namespace.
func (s *Session) HandleIQ(space string, handle func(iq *stanza.Element)) {
	if s.iqHandlers[space] != nil {
		panic(fmt.Sprintf("xmpp: two handlers for %s", space))
	}
	s.iqHandlers[space] = handle
}

// handleIQ handles an IQ, RFC 6120 §8.2.3. What nobody asked for is passed
// over; what nobody can answer is answered with an error.
func (s *Session) handleIQ(iq *stanza.Element) {
	switch iq.Attr("type") {
	case "result":
		s.handleReply(iq, nil)
	case "error":
		s.handleReply(nil, iq)
	case "get", "set":
		s.handleRequest(iq)
	default:
		s.refuse(iq, stanza.BadRequest)
	}
}

func (s *Session) handleRequest(iq *stanza.Element) {
	payload := iq.First()
	handle := s.iqHandlers[payload.Space()]
	switch {
	case payload == nil || iq.Attr("id") == "":
		s.refuse(iq, stanza.BadRequest)
	case handle == nil:
		s.refuse(iq, stanza.ServiceUnavailable)
	default:
		handle(iq)
	}
}

// refuse answers an IQ with an error.
func (s *Session) refuse(iq *stanza.Element, c stanza.Condition) {
	s.Send(stanza.ReplyError(iq, stanza.NewError(c, "")))
}

// handleReply gives the answer to who asked, if it comes from whom was asked.
func (s *Session) handleReply(result, failure *stanza.Element) {
	iq := result
	if iq == nil {
		iq = failure
	}
	id, from := iq.Attr("id"), iq.Attr("from")
	q := s.questions[id]
	if q == nil || !s.mayAnswer(from, q.to) {
		return
	}
	if failure != nil {
		s.answer(id, nil, stanza.ErrorOf(failure))
		return
	}
	s.answer(id, result, nil)
}

// mayAnswer tells whether a reply from from answers what to was asked, RFC
// 6120 §8.1.2.1 and §10.3.3: without an address the account answers, which is
// how old servers leave out "from", or put their own.
func (s *Session) mayAnswer(from, to string) bool {
	if sameAddress(from, to) {
		return true
	}
	bare := s.self.Bare().String()
	byAccount := from == "" || sameAddress(from, bare) || sameAddress(from, s.self.String())
	switch {
	case to == "":
		return byAccount || sameAddress(from, s.self.Domain())
	case sameAddress(to, bare):
		return byAccount
	case sameAddress(to, s.self.Domain()), sameAddress(to, s.self.String()):
		return from == ""
	}
	return false
}

// sameAddress compares addresses as servers do that prepare them differently:
// only the resource is told apart by case.
func sameAddress(a, b string) bool {
	if a == b {
		return true
	}
	bareA, resourceA, _ := strings.Cut(a, "/")
	bareB, resourceB, _ := strings.Cut(b, "/")
	return resourceA == resourceB && strings.EqualFold(bareA, bareB)
}

// FromAccount tells whether a stanza comes from our own server on behalf of our
// account: rosters and the like are to be believed from nobody else (RFC 6121
// §2.1.6).
func (s *Session) FromAccount(e *stanza.Element) bool {
	from := e.Attr("from")
	return from == "" || sameAddress(from, s.self.Bare().String())
}
