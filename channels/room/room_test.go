package room

import (
	"errors"
	"fmt"
	"testing"

	"go.uber.org/goleak"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/muc"
	"telepathy-olpc/xmpp/stanza"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Each condition has its answer, or is named here as one that has none of its own.
func TestJoinError_allConditions(t *testing.T) {
	ordinary := map[stanza.Condition]bool{
		stanza.BadRequest: true, stanza.Conflict: true, stanza.FeatureNotImplemented: true, stanza.Gone: true,
		stanza.InternalServerError: true, stanza.JIDMalformed: true, stanza.NotAcceptable: true, stanza.NotAuthorized: true,
		stanza.PolicyViolation: true, stanza.RecipientUnavailable: true, stanza.Redirect: true,
		stanza.RemoteServerNotFound: true, stanza.RemoteServerTimeout: true, stanza.ResourceConstraint: true,
		stanza.SubscriptionRequired: true, stanza.UndefinedCondition: true, stanza.UnexpectedRequest: true,
	}
	for _, c := range stanza.Conditions() {
		want, special := joinErrors[c]
		if special == ordinary[c] {
			t.Errorf("%s: decide what it means", c)
		}
		if !special {
			want = tp.ErrorNotAvailable
		}
		end := muc.Ending{Departure: muc.Departure{Cause: muc.Refused}, Err: fmt.Errorf("enter: %w", stanza.NewError(c, ""))}
		if got := joinError(end); got.Name != want {
			t.Errorf("%s: %s, want %s", c, got.Name, want)
		}
	}
}

func TestJoinError_withoutCondition(t *testing.T) {
	for cause, want := range map[muc.Cause]tp.ErrorName{
		muc.TimedOut: tp.ErrorNetworkError, muc.NicknamesTaken: tp.ErrorNotAvailable, muc.Refused: tp.ErrorNotAvailable,
	} {
		end := muc.Ending{Departure: muc.Departure{Cause: cause}, Err: errors.New("nick: is empty")}
		if got := joinError(end); got.Name != want {
			t.Errorf("cause %d: %s, want %s", cause, got.Name, want)
		}
	}
}

func TestReasons_allCauses(t *testing.T) {
	for cause := muc.Kicked; cause <= muc.Destroyed; cause++ {
		if _, decided := reasons[cause]; !decided {
			t.Errorf("cause %d has no reason", cause)
		}
	}
}

func TestConfigError(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		want tp.ErrorName
	}{
		{"not in the form", &muc.SettingError{Setting: muc.Limit, Unknown: true}, tp.ErrorServiceConfused},
		{"wrong type", &muc.SettingError{Setting: muc.Limit}, tp.ErrorInvalidArgument},
		{"no owner", stanza.NewError(stanza.Forbidden, ""), tp.ErrorPermissionDenied},
		{"not let", stanza.NewError(stanza.NotAllowed, ""), tp.ErrorPermissionDenied},
		{"other refusal", stanza.NewError(stanza.Conflict, ""), tp.ErrorNotAvailable},
		{"no form", muc.ErrNoForm, tp.ErrorNotAvailable},
		{"left", muc.ErrNotIn, tp.ErrorNotAvailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got *tp.Error
			if err := configError(fmt.Errorf("update: %w", c.err)); !errors.As(err, &got) || got.Name != c.want {
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
}
