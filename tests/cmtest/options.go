package cmtest

import "maps"

// Option changes how the harness is set up. Options of the server count for
// [Start], [Connect] and [Server.Script], parameters for those and [CM.Request].
type Option func(*options)

type options struct {
	busName string
	args    []string
	env     []string
	params  map[string]any
	script  script
}

// The account of every test, as Sugar makes them: hashes of a key.
const (
	Domain       = "school.test"
	User         = "5b0f1a6c2e4d8f90a1b2c3d4e5f60718293a4b5c"
	Account      = User + "@" + Domain
	Self         = Account + "/sugar"
	UserPassword = "c0ffee11d00d22feed33beef44face55cafe6677"
)

func defaults() options {
	return options{
		busName: GabbleName,
		params: map[string]any{
			"account":            Account,
			"password":           UserPassword,
			"server":             "127.0.0.1",
			"resource":           "sugar",
			"require-encryption": true,
			"ignore-ssl-errors":  true,
			"register":           false,
			"old-ssl":            true,
		},
		script: script{
			mode:         DirectTLS,
			users:        map[string]string{User: UserPassword},
			mechanisms:   []string{"SCRAM-SHA-1", "SCRAM-SHA-256", "PLAIN"},
			iterations:   4096,
			registration: true,
			certificate:  Valid,
			actions:      map[Step]Action{},
			vcard:        "<vCard xmlns='vcard-temp'/>",
		},
	}
}

// Name is the bus name to activate: [GabbleName] if not said otherwise.
func Name(name string) Option { return func(o *options) { o.busName = name } }

// Args are command-line arguments of the binary.
func Args(args ...string) Option { return func(o *options) { o.args = args } }

// Env adds to the environment of the binary: "NAME=value".
func Env(assignments ...string) Option {
	return func(o *options) { o.env = append(o.env, assignments...) }
}

// Param sets a parameter of the account; nil leaves it out. The port is that of
// the scripted server if no test says otherwise.
func Param(name string, value any) Option {
	return func(o *options) {
		o.params = maps.Clone(o.params)
		if value == nil {
			delete(o.params, name)
		} else {
			o.params[name] = value
		}
	}
}

// To makes a connection go to that server.
func To(s *Server) Option { return Param("port", uint32(s.Port)) }

// Mode is how a server is reached.
type Mode string

// The ways to reach a server.
const (
	DirectTLS Mode = "direct TLS"
	StartTLS  Mode = "STARTTLS"
	Plain     Mode = "plain"
)

// Encryption sets the server's mode, and old-ssl to fit.
func Encryption(m Mode) Option {
	return func(o *options) {
		o.script.mode = m
		Param("old-ssl", m == DirectTLS)(o)
	}
}

// Strict has the certificate checked.
func Strict(o *options) { Param("ignore-ssl-errors", false)(o) }

// Certificate is the one that the server shows.
func Certificate(k CertificateKind) Option { return func(o *options) { o.script.certificate = k } }

// Mechanisms are the SASL mechanisms that the server offers, in its order.
func Mechanisms(names ...string) Option { return func(o *options) { o.script.mechanisms = names } }

// ScramIterations is the work that the server asks for.
func ScramIterations(n int) Option { return func(o *options) { o.script.iterations = n } }

// ChannelBindings are the types of binding that the server lists, XEP-0440.
func ChannelBindings(types ...string) Option { return func(o *options) { o.script.bindings = types } }

// Legacy makes the server speak nothing newer than TLS 1.0 with RSA suites, as
// old school servers do.
func Legacy(o *options) { o.script.legacy = true }

// Users are the accounts on the server, name and password by turns.
func Users(pairs ...string) Option {
	return func(o *options) {
		o.script.users = make(map[string]string)
		for i := 0; i < len(pairs); i += 2 {
			o.script.users[pairs[i]] = pairs[i+1]
		}
	}
}

// NoRegistration makes the server neither offer nor do registration.
func NoRegistration(o *options) { o.script.registration = false }

// RegistrationForm is the payload with which the server answers the question
// what it wants to know.
func RegistrationForm(query string) Option { return func(o *options) { o.script.registerForm = query } }

// At replaces what the server does at a step of the login.
func At(step Step, action Action) Option {
	return func(o *options) {
		o.script.actions = maps.Clone(o.script.actions)
		o.script.actions[step] = action
	}
}

// GivenResource is what the server binds, whatever the client wants.
func GivenResource(resource string) Option { return func(o *options) { o.script.resource = resource } }

// DeafToClose makes the server neither answer nor end a stream that the client
// has closed.
func DeafToClose(o *options) { o.script.deaf = true }

// StreamManagement makes the server offer XEP-0198 with resumption.
func StreamManagement(o *options) { o.script.management = true }

// RosterVersions makes the server offer versions of the roster, RFC 6121 §2.6.
func RosterVersions(o *options) { o.script.versions = true }

// Contact puts a contact with a subscription both ways into the roster.
func Contact(address string) Option {
	return RosterItem("<item jid='" + address + "' subscription='both'/>")
}

// RosterItem adds an item to the roster.
func RosterItem(item string) Option {
	return func(o *options) {
		o.script.roster = append(o.script.roster[:len(o.script.roster):len(o.script.roster)], item)
	}
}

// Answers makes the server answer such questions with a result of that payload.
func Answers(m Matcher, payload string) Option {
	return rule(m, func(*Event) (string, string) { return "result", payload })
}

// AnswersError makes the server answer such questions with a stanza error.
func AnswersError(m Matcher, kind, condition string) Option {
	return rule(m, func(*Event) (string, string) { return "error", stanzaError(kind, condition) })
}

// Unanswered leaves such questions to the test, see [Server.Answer].
func Unanswered(m Matcher) Option { return rule(m, nil) }

func rule(m Matcher, answer func(*Event) (kind, payload string)) Option {
	return func(o *options) {
		o.script.rules = append([]answerRule{{m, answer}}, o.script.rules...)
	}
}
