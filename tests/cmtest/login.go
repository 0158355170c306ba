package cmtest

import (
	"cmp"
	"crypto/tls"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strings"

	"telepathy-olpc/xmpp/stanza"
)

// Namespaces of the login.
const (
	nsStreams  = "http://etherx.jabber.org/streams"
	nsTLS      = "urn:ietf:params:xml:ns:xmpp-tls"
	nsSASL     = "urn:ietf:params:xml:ns:xmpp-sasl"
	nsBind     = "urn:ietf:params:xml:ns:xmpp-bind"
	nsSession  = "urn:ietf:params:xml:ns:xmpp-session"
	nsRegister = "jabber:iq:register"
)

// Step is a thing the server does in a login.
type Step string

// The steps, in order. A direct TLS login has the handshake and goes on at the
// secure stream; a plain one has neither.
const (
	StepConnect               Step = "accept the connection"
	StepStream                Step = "answer the stream header"
	StepFeatures              Step = "send the features"
	StepStartTLS              Step = "proceed with TLS"
	StepHandshake             Step = "do the TLS handshake"
	StepSecureStream          Step = "answer the secure stream header"
	StepSecureFeatures        Step = "send the secure features"
	StepRegisterForm          Step = "send the registration form"
	StepRegister              Step = "register"
	StepAuth                  Step = "answer the first SASL message"
	StepResponse              Step = "answer the second SASL message"
	StepAuthenticatedStream   Step = "answer the authenticated stream header"
	StepAuthenticatedFeatures Step = "send the authenticated features"
	StepBind                  Step = "bind"
)

// LoginSteps are those of a STARTTLS login with registration and SCRAM: all.
var LoginSteps = []Step{
	StepConnect, StepStream, StepFeatures, StepStartTLS, StepHandshake, StepSecureStream, StepSecureFeatures, StepRegisterForm,
	StepRegister, StepAuth, StepResponse, StepAuthenticatedStream, StepAuthenticatedFeatures, StepBind,
}

// Action is done at a step instead of the usual, which it may call.
type Action func(s *Stream, usual func() error) error

// Cut ends the TCP connection without a word.
func Cut(s *Stream, _ func() error) error {
	s.Cut()
	return errOver
}

// Silence answers nothing any more, for as long as the client cares to wait.
func Silence(s *Stream, _ func() error) error {
	io.Copy(io.Discard, s.in)
	return errOver
}

// Say writes this instead. "{id}" in it stands for the id of the IQ that the
// step answers.
func Say(xml string) Action {
	return func(s *Stream, _ func() error) error {
		s.Send(strings.ReplaceAll(xml, "{id}", s.current.Attr("id")))
		return nil
	}
}

// First writes this before the usual.
func First(xml string) Action {
	return func(s *Stream, usual func() error) error {
		s.Send(strings.ReplaceAll(xml, "{id}", s.current.Attr("id")))
		return usual()
	}
}

// Last writes this as the last words: the connection ends behind it.
func Last(xml string) Action {
	return func(s *Stream, _ func() error) error {
		s.Send(xml)
		s.HangUp()
		return Silence(s, nil)
	}
}

// CloseStream ends the stream in order.
func CloseStream(s *Stream, _ func() error) error {
	if !s.greeted {
		s.Send(s.header())
	}
	return Last("</stream:stream>")(s, nil)
}

// StreamError ends the stream with an error, RFC 6120 §4.9. Where no stream has
// been opened by the server yet, it opens one for that.
func StreamError(condition, text string) Action {
	return func(s *Stream, _ func() error) error {
		if !s.greeted {
			s.Send(s.header())
		}
		return Last(StreamErrorXML(condition, text))(s, nil)
	}
}

// StreamErrorXML is a stream error with the end of the stream. For
// see-other-host, text is the content of the condition.
func StreamErrorXML(condition, text string) string {
	return fmt.Sprintf("<stream:error><%[1]s xmlns='urn:ietf:params:xml:ns:xmpp-streams'>%[2]s</%[1]s></stream:error></stream:stream>", condition, text)
}

// do takes a step.
func (s *Stream) do(step Step, usual func() error) error {
	action := s.script.actions[step]
	if action == nil {
		return usual()
	}
	s.emit(KindStep, string(step))
	return action(s, usual)
}

// open reads the client's stream header and answers it.
func (s *Stream) open() error {
	s.decoder = xml.NewDecoder(s.in)
	for {
		token, err := s.decoder.Token()
		if err != nil {
			return err
		}
		start, is := token.(xml.StartElement)
		if !is {
			continue // the XML declaration
		}
		if start.Name.Space != nsStreams || start.Name.Local != "stream" {
			return fmt.Errorf("stream begins with %v", start.Name)
		}
		s.emit(KindOpened, describeHeader(start))
		break
	}
	if err := s.do(s.phase(StepStream, StepSecureStream, StepAuthenticatedStream), func() error {
		s.Send(s.header())
		return nil
	}); err != nil {
		return err
	}
	return s.do(s.phase(StepFeatures, StepSecureFeatures, StepAuthenticatedFeatures), func() error {
		s.Send(s.features())
		return nil
	})
}

func describeHeader(start xml.StartElement) string {
	var b strings.Builder
	for _, a := range start.Attr {
		fmt.Fprintf(&b, "%s='%s' ", a.Name.Local, a.Value)
	}
	return b.String()
}

func (s *Stream) phase(plain, secure, authenticated Step) Step {
	switch {
	case s.user != "":
		return authenticated
	case s.secure:
		return secure
	}
	return plain
}

func (s *Stream) header() string {
	s.greeted = true
	return fmt.Sprintf("<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='%s' from='%s' id='s%s' version='1.0'>",
		nsStreams, Domain, strings.ReplaceAll(s.name, " ", ""))
}

func (s *Stream) features() string {
	var list []string
	switch {
	case s.user != "":
		list = append(list, "<bind xmlns='"+nsBind+"'/>", "<session xmlns='"+nsSession+"'><optional/></session>")
		if s.script.versions {
			list = append(list, "<ver xmlns='urn:xmpp:features:rosterver'/>")
		}
		if s.script.management {
			list = append(list, "<sm xmlns='"+nsManagement+"'/>")
		}
	default:
		if s.script.mode == StartTLS && !s.secure {
			list = append(list, "<starttls xmlns='"+nsTLS+"'/>")
		}
		list = append(list, "<mechanisms xmlns='"+nsSASL+"'><mechanism>"+
			strings.Join(s.script.mechanisms, "</mechanism><mechanism>")+"</mechanism></mechanisms>")
		if len(s.script.bindings) > 0 {
			list = append(list, "<sasl-channel-binding xmlns='urn:xmpp:sasl-cb:0'><channel-binding type='"+
				strings.Join(s.script.bindings, "'/><channel-binding type='")+"'/></sasl-channel-binding>")
		}
		if s.script.registration {
			list = append(list, "<register xmlns='http://jabber.org/features/iq-register'/>")
		}
	}
	return "<stream:features>" + strings.Join(list, "") + "</stream:features>"
}

// handle does what an element asks for. Unknown ones are left to the test.
func (s *Stream) handle(el *stanza.Element) error {
	s.current = el
	switch el.Space() {
	case nsTLS:
		return s.handleStartTLS()
	case nsSASL:
		return s.handleSASL(el)
	case nsManagement:
		return s.handleManagement(el)
	case nsClient:
		return s.handleStanza(el)
	}
	return nil
}

func (s *Stream) handleStartTLS() error {
	if err := s.do(StepStartTLS, func() error {
		s.Send("<proceed xmlns='" + nsTLS + "'/>")
		return nil
	}); err != nil {
		return err
	}
	if err := s.do(StepHandshake, s.startTLS); err != nil {
		return err
	}
	s.greeted = false
	return s.open()
}

func (s *Stream) handleStanza(el *stanza.Element) error {
	question := payload(el)
	switch {
	case el.Local() != "iq":
		s.reflectPresence(el)
		return nil
	case s.user == "" && question.Is(nsRegister, "query"):
		return s.handleRegister(el, question)
	case s.user != "" && question.Is(nsBind, "bind"):
		return s.do(StepBind, func() error { return s.bind(el, question) })
	case s.isReady():
		s.answer(el)
	}
	return nil
}

// handleRegister is XEP-0077 §3.1.
func (s *Stream) handleRegister(iq, query *stanza.Element) error {
	if iq.Attr("type") == "get" {
		return s.do(StepRegisterForm, func() error {
			form := s.script.registerForm
			if form == "" {
				form = "<query xmlns='jabber:iq:register'><instructions>Choose</instructions><username/><password/></query>"
			}
			if s.script.registration {
				s.Send(s.reply(iq, "result", form))
			} else {
				s.Send(s.reply(iq, "error", stanzaError("cancel", "service-unavailable")))
			}
			return nil
		})
	}
	user := query.Child(nsRegister, "username").Text()
	password := query.Child(nsRegister, "password").Text()
	return s.do(StepRegister, func() error {
		s.Send(s.register(iq, user, password))
		return nil
	})
}

func (s *Stream) register(iq *stanza.Element, user, password string) string {
	srv := s.server
	srv.mu.Lock()
	defer srv.mu.Unlock()
	srv.keepSecret(password)
	_, exists := srv.users[user]
	switch {
	case !s.script.registration:
		return s.reply(iq, "error", stanzaError("cancel", "not-allowed"))
	case exists:
		return s.reply(iq, "error", stanzaError("cancel", "conflict"))
	}
	srv.users[user] = password
	return s.reply(iq, "result", "")
}

// handleSASL is RFC 6120 §6.
func (s *Stream) handleSASL(el *stanza.Element) error {
	data, err := base64.StdEncoding.DecodeString(strings.Trim(el.Text(), "= \n") + padding(el.Text()))
	if err != nil {
		data = nil
	}
	s.server.mu.Lock()
	s.server.keepSecret(el.Text(), string(data))
	s.server.mu.Unlock()
	switch el.Local() {
	case "auth":
		return s.do(StepAuth, func() error { return s.authenticate(el.Attr("mechanism"), data) })
	case "response":
		return s.do(StepResponse, func() error { return s.respond(data) })
	}
	return nil
}

// padding is the = at the end of a base64 text.
func padding(text string) string {
	text = strings.TrimSpace(text)
	return text[len(strings.TrimRight(text, "=")):]
}

func (s *Stream) authenticate(mechanism string, data []byte) error {
	if !slices.Contains(s.script.mechanisms, mechanism) {
		return s.saslFailure("invalid-mechanism")
	}
	if mechanism == "PLAIN" {
		parts := strings.Split(string(data), "\x00")
		if len(parts) != 3 || !s.knows(parts[1], parts[2]) {
			return s.saslFailure("not-authorized")
		}
		return s.success(parts[1], "")
	}
	s.exchange = newScram(mechanism, s.script.iterations)
	if s.exchange == nil {
		return s.saslFailure("invalid-mechanism")
	}
	s.exchange.offered = slices.ContainsFunc(s.script.mechanisms, isPlus)
	if isPlus(mechanism) {
		state := s.conn.(*tls.Conn).ConnectionState()
		s.exchange.binding, _ = state.ExportKeyingMaterial("EXPORTER-Channel-Binding", nil, 32)
	}
	challenge, ok := s.exchange.first(string(data), s.password)
	if !ok {
		return s.saslFailure("malformed-request")
	}
	s.sayData("challenge", challenge)
	return nil
}

func isPlus(mechanism string) bool { return strings.HasSuffix(mechanism, "-PLUS") }

func (s *Stream) respond(data []byte) error {
	if s.exchange == nil {
		return s.saslFailure("malformed-request")
	}
	proof, ok := s.exchange.final(string(data))
	if !ok {
		return s.saslFailure("not-authorized")
	}
	return s.success(s.exchange.user, proof)
}

// sayData sends a SASL element with base64 content.
func (s *Stream) sayData(local, data string) {
	text := base64.StdEncoding.EncodeToString([]byte(data))
	s.server.mu.Lock()
	s.server.keepSecret(text, data)
	s.server.mu.Unlock()
	s.Send(fmt.Sprintf("<%[1]s xmlns='%[2]s'>%[3]s</%[1]s>", local, nsSASL, text))
}

func (s *Stream) saslFailure(condition string) error {
	s.Send("<failure xmlns='" + nsSASL + "'><" + condition + "/></failure>")
	return nil
}

func (s *Stream) success(user, data string) error {
	s.sayData("success", data)
	s.user, s.greeted = user, false
	return s.open()
}

func (s *Stream) knows(user, password string) bool {
	want, is := s.password(user)
	return is && want == password
}

func (s *Stream) password(user string) (string, bool) {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	password, is := s.server.users[user]
	return password, is
}

// bind gives the resource that the client wants, RFC 6120 §7.
func (s *Stream) bind(iq, bind *stanza.Element) error {
	resource := cmp.Or(s.script.resource, bind.Child(nsBind, "resource").Text(), "given-by-server")
	s.mu.Lock()
	s.jid = s.user + "@" + Domain + "/" + resource
	s.mu.Unlock()
	s.Send(s.reply(iq, "result", "<bind xmlns='"+nsBind+"'><jid>"+escape(s.address())+"</jid></bind>"))
	s.mu.Lock()
	s.ready = true
	s.mu.Unlock()
	return nil
}

func escape(text string) string {
	var b strings.Builder
	xml.EscapeText(&b, []byte(text))
	return b.String()
}
