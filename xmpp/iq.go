package xmpp

import (
	"crypto/rand"
	"fmt"
	"strconv"
	"strings"
	"time"

	"telepathy-olpc/internal/loop"
	"telepathy-olpc/xmpp/jid"
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

// exchange is what a client's stream and a component's have in common: who
// handles what comes, and the questions that wait for an answer. It lives on
// the loop.
type exchange struct {
	loop      *loop.Loop
	send      func(*stanza.Element)
	isOpen    func() bool                // a question can be asked
	mayAnswer func(from, to string) bool // a reply from from answers what to was asked
	unhandled func(e *stanza.Element)    // gets messages and presences that no handler wanted; may be nil

	iqHandlers       map[string]func(*stanza.Element)
	messageHandlers  []func(*stanza.Element) bool
	presenceHandlers []func(*stanza.Element) bool

	questions map[string]*question
	idPrefix  string
	lastID    uint64
}

// newExchange makes one; the functions are still to be set.
func newExchange(l *loop.Loop) exchange {
	return exchange{
		loop:       l,
		iqHandlers: make(map[string]func(*stanza.Element)),
		questions:  make(map[string]*question),
		idPrefix:   newIDPrefix(),
	}
}

// HandleMessage registers a handler for messages. Handlers are asked in the
// order of registration until one is true.
func (x *exchange) HandleMessage(handle func(*stanza.Element) bool) {
	x.messageHandlers = append(x.messageHandlers, handle)
}

// HandlePresence is HandleMessage for presences.
func (x *exchange) HandlePresence(handle func(*stanza.Element) bool) {
	x.presenceHandlers = append(x.presenceHandlers, handle)
}

// dispatch hands a stanza to who handles it. One whose sender is no address is
// nobody's, and no handler has to deal with it. It is false if it is no stanza
// at all.
func (x *exchange) dispatch(e *stanza.Element) bool {
	usable := e.Attr("from") == "" || isAddress(e.Attr("from"))
	switch local := e.Local(); {
	case local != "iq" && local != "message" && local != "presence":
		return false
	case !usable:
	case local == "iq":
		x.handleIQ(e)
	case local == "message":
		x.offer(x.messageHandlers, e)
	default:
		x.offer(x.presenceHandlers, e)
	}
	return true
}

func isAddress(s string) bool {
	_, err := jid.ParseLenient(s)
	return err == nil
}

func (x *exchange) offer(handlers []func(*stanza.Element) bool, e *stanza.Element) {
	for _, handle := range handlers {
		if handle(e) {
			return
		}
	}
	if x.unhandled != nil {
		x.unhandled(e)
	}
}

// Ask sends an IQ of type get or set; its id is given here. The callback runs
// exactly once, on the loop and after Ask has returned: with the result, or
// with an error that is a [*stanza.Error] from whom was asked, [ErrTimeout], or
// [ErrLost] when the session ends first.
func (x *exchange) Ask(iq *stanza.Element, answer func(reply *stanza.Element, err error)) {
	x.AskWithin(askTimeout, iq, answer)
}

// AskWithin is [Session.Ask] with another limit of time; 0 is none, for what
// the other side asks its user first.
func (x *exchange) AskWithin(limit time.Duration, iq *stanza.Element, answer func(reply *stanza.Element, err error)) {
	if !x.isOpen() {
		x.loop.Post("ask without session", func() { answer(nil, ErrLost) })
		return
	}
	x.lastID++
	id := x.idPrefix + strconv.FormatUint(x.lastID, 36)
	q := &question{to: iq.Attr("to"), answer: answer}
	if limit > 0 {
		q.timer = x.loop.After(limit, "answer overdue", func() { x.answer(id, nil, ErrTimeout) })
	}
	x.questions[id] = q
	x.send(iq.With(stanza.A("id", id)))
}

// newIDPrefix makes the ids of a session's questions impossible to guess.
func newIDPrefix() string { return rand.Text()[:12] + "-" }

// answer gives a question its answer.
func (x *exchange) answer(id string, reply *stanza.Element, err error) {
	q := x.questions[id]
	delete(x.questions, id)
	q.timer.Stop()
	q.answer(reply, err)
}

// abandonQuestions answers all questions that are left, and those that the
// callbacks ask, with ErrLost.
func (x *exchange) abandonQuestions() {
	for id := range x.questions {
		x.answer(id, nil, ErrLost)
	}
}

// HandleIQ registers who answers the IQs of type get and set whose first child
// is in the namespace. The handler sends the reply itself, at once or later.
// There is one handler for a namespace.
func (x *exchange) HandleIQ(space string, handle func(iq *stanza.Element)) {
	if x.iqHandlers[space] != nil {
		panic(fmt.Sprintf("xmpp: two handlers for %s", space))
	}
	x.iqHandlers[space] = handle
}

// handleIQ handles an IQ, RFC 6120 §8.2.3. What nobody asked for is passed
// over; what nobody can answer is answered with an error.
func (x *exchange) handleIQ(iq *stanza.Element) {
	switch iq.Attr("type") {
	case "result":
		x.handleReply(iq, nil)
	case "error":
		x.handleReply(nil, iq)
	case "get", "set":
		x.handleRequest(iq)
	default:
		x.refuse(iq, stanza.BadRequest)
	}
}

func (x *exchange) handleRequest(iq *stanza.Element) {
	payload := iq.First()
	handle := x.iqHandlers[payload.Space()]
	switch {
	case payload == nil || iq.Attr("id") == "":
		x.refuse(iq, stanza.BadRequest)
	case handle == nil:
		x.refuse(iq, stanza.ServiceUnavailable)
	default:
		handle(iq)
	}
}

// refuse answers an IQ with an error.
func (x *exchange) refuse(iq *stanza.Element, c stanza.Condition) {
	x.send(stanza.ReplyError(iq, stanza.NewError(c, "")))
}

// handleReply gives the answer to who asked, if it comes from whom was asked.
func (x *exchange) handleReply(result, failure *stanza.Element) {
	iq := result
	if iq == nil {
		iq = failure
	}
	id, from := iq.Attr("id"), iq.Attr("from")
	q := x.questions[id]
	if q == nil || !x.mayAnswer(from, q.to) {
		return
	}
	if failure != nil {
		x.answer(id, nil, stanza.ErrorOf(failure))
		return
	}
	x.answer(id, result, nil)
}

// mayAnswerAccount tells whether a reply from from answers what to was asked, RFC
// 6120 §8.1.2.1 and §10.3.3: without an address the account answers, which is
// how old servers leave out "from", or put their own.
func (s *Session) mayAnswerAccount(from, to string) bool {
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
