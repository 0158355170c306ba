package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"telepathy-olpc/xmpp"
	"telepathy-olpc/xmpp/stanza"
)

const nsRegister = "jabber:iq:register"

// registration makes an account as a new laptop does, and logs in to it, which
// is one session. With an account given nothing is made.
func (e *exam) registration(ctx context.Context) verdict {
	switch {
	case e.route == nil:
		return skip("no encrypted way to the server")
	case !e.opts.Account.IsZero():
		return skip("not tried, an account was given")
	}
	c := e.newChild()
	if c == nil {
		return bad(WrongHost, e.domain+" is no name of a server")
	}
	v := e.register(ctx, c)
	e.children[0] = c
	return v
}

// register makes the account of a throwaway child. A failure after that is
// left to the step login.
func (e *exam) register(ctx context.Context, c *child) verdict {
	cfg := e.config(c.account, c.password)
	cfg.Register = true
	began := time.Now()
	c.outcome = c.logIn(ctx, cfg)
	if c.outcome == nil {
		return fine("registers itself and logs in, in " + short(time.Since(began)))
	}
	var refusal *xmpp.RegisterError
	switch {
	case errors.As(c.outcome, &refusal):
		c.throwaway = false // there is nothing to remove
		return bad(registerCause(refusal), refusal.Error())
	case errors.Is(c.outcome, xmpp.ErrRegistrationForm):
		c.throwaway = false
		return failed(NeedsForm, c.outcome)
	case unknownDomain(c.outcome):
		c.throwaway = false
		return failed(WrongHost, c.outcome)
	case notAuthorized(c.outcome):
		c.throwaway = false
		return bad(Closed, "the server ends the connection: not-authorized")
	case errors.As(c.outcome, new(*xmpp.SASLError)), errors.As(c.outcome, new(*xmpp.BindError)):
		return fine("is registered")
	default:
		return failed(Unregistered, c.outcome)
	}
}

// throttles are the conditions by which servers say “not so fast”: ejabberd
// 23.01's and Prosody 0.12's.
var throttles = []stanza.Condition{stanza.ResourceConstraint, stanza.PolicyViolation}

// closedConditions are those by which they say “not here”.
var closedConditions = []stanza.Condition{
	stanza.ServiceUnavailable, stanza.FeatureNotImplemented, stanza.NotAllowed, stanza.Forbidden, stanza.NotAuthorized, stanza.ItemNotFound,
}

func registerCause(refusal *xmpp.RegisterError) Cause {
	switch c := stanza.Condition(refusal.Condition); {
	case slices.Contains(throttles, c):
		return Throttled
	case slices.Contains(closedConditions, c):
		return Closed
	case c == stanza.NotAcceptable && strings.Contains(strings.ToLower(refusal.Text), "captcha"):
		return NeedsForm
	default:
		return Unregistered
	}
}

// unknownDomain tells whether the server does not serve the account's domain.
func unknownDomain(err error) bool {
	var s *xmpp.StreamError
	return errors.As(err, &s) && (s.Condition == "host-unknown" || s.Condition == "host-gone")
}

// notAuthorized is how ejabberd answers, before the login, to questions that it
// has no module for.
func notAuthorized(err error) bool {
	var s *xmpp.StreamError
	return errors.As(err, &s) && s.Condition == "not-authorized"
}

// login tells how the login went, or does it with the account given.
func (e *exam) login(ctx context.Context) verdict {
	if e.route == nil {
		return skip("no encrypted way to the server")
	}
	c := e.children[0]
	if e.opts.Account.IsZero() {
		if c == nil || c.outcome != nil && !c.throwaway {
			return skip("there is no account to log in to")
		}
		return loginVerdict(c)
	}
	c = e.newChild()
	c.outcome = c.logIn(ctx, e.config(c.account, c.password))
	e.children[0] = c
	return loginVerdict(c)
}

func loginVerdict(c *child) verdict {
	switch err := c.outcome; {
	case err == nil:
		return fine("as " + c.self.String())
	case errors.As(err, new(*xmpp.SASLError)):
		return failed(Refused, err)
	case unknownDomain(err):
		return failed(WrongHost, err)
	default:
		return failed(LoginLost, err)
	}
}

// secondLaptop registers another one from the same address, as a class does.
func (e *exam) secondLaptop(ctx context.Context) verdict {
	switch {
	case e.main() == nil:
		return skip(errNotLoggedIn.Error())
	case !e.opts.Account.IsZero():
		return skip("not tried, an account was given")
	}
	c := e.newChild()
	v := e.register(ctx, c)
	e.children[1] = c
	if c.outcome == nil || v.cause != "" {
		return v
	}
	return loginVerdict(c)
}

// cleanUp removes the throwaway accounts.
func (e *exam) cleanUp(ctx context.Context) verdict {
	var left []string
	made := 0
	for _, c := range e.children {
		if c == nil || !c.throwaway {
			continue
		}
		made++
		if err := e.remove(ctx, c); err != nil {
			left = append(left, fmt.Sprintf("%s (%v)", c.account, err))
		}
	}
	switch {
	case len(left) > 0:
		return bad(LeftBehind, strings.Join(left, ", "))
	case made == 0:
		return fine("nothing: no account was made")
	case made == 1:
		return fine("nothing: the throwaway account is removed")
	default:
		return fine("nothing: both throwaway accounts are removed")
	}
}

// remove has the server forget an account, XEP-0077 §3.2. Servers end the
// session on that, some before they answer; in doubt the account is tried.
func (e *exam) remove(ctx context.Context, c *child) error {
	if !c.isOnline() {
		err := c.again(ctx, e.config(c.account, c.password))
		if errors.As(err, new(*xmpp.SASLError)) {
			return nil // there is none
		}
		if err != nil {
			return err
		}
	}
	limited, cancel := e.patient(ctx)
	defer cancel()
	_, err := c.ask(limited, stanza.New(stanza.NSClient, "iq", stanza.A("type", "set"), stanza.A("to", e.domain),
		stanza.New(nsRegister, "query", stanza.New(nsRegister, "remove"))))
	if err == nil || isRefusal(err) {
		return err
	}
	err = c.again(ctx, e.config(c.account, c.password))
	switch {
	case errors.As(err, new(*xmpp.SASLError)):
		return nil
	case err != nil:
		return err
	default:
		return errors.New("the server does not remove it")
	}
}

// again logs in anew.
func (c *child) again(ctx context.Context, cfg xmpp.Config) error {
	c.close()
	return c.logIn(ctx, cfg)
}
