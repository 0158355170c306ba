package presence

import (
	"fmt"
	"testing"
)

// Sugar takes a buddy away at OFFLINE alone, so who was there and is gone is
// that, whether or not the roster knows of it.
func TestPeople_strangerLeaves(t *testing.T) {
	sugarTest(t, func(r *sugarRig) {
		r.appear(eve)
		r.expect("PresencesChanged eve=available")
		r.leave(eve)
		r.expect("PresencesChanged eve=offline")
		r.do(func() { r.people.Reckon(eve) })
		r.expect()
	})
}

func TestPeople_tooManyStrangers(t *testing.T) {
	sugarTest(t, func(r *sugarRig) {
		r.rostered[bob] = true
		r.do(func() {
			for i := range maxContacts + 10 {
				r.people.HandlePresence(sugarXML(t, fmt.Sprintf("<presence from='x%d@elsewhere.test/r'/>", i)))
			}
		})
		r.log = nil
		if n := len(r.people.contacts); n != maxContacts {
			t.Errorf("%d contacts are kept, want %d", n, maxContacts)
		}
		r.appear(bob)
		r.expect("PresencesChanged bob=available")
	})
}
