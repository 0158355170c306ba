package presence

import "testing"

func TestHasFeature(t *testing.T) {
	s := newCaps(t).connect()
	pc, phone := capsInfo("pc", capsFeature), capsInfo("phone", capsPrefix+"x")
	s.online(capsOf(t, pc), "a@school.test/pc")
	want := func(who, feature string, want bool) {
		t.Helper()
		var got bool
		s.do(func() { got = s.hub.HasFeature(capsJID(t, who), feature) })
		if got != want {
			t.Errorf("%s has %s: %v", who, feature, got)
		}
	}
	want("a@school.test/pc", capsFeature, false) // not known yet
	want("b@school.test", capsFeature, false)
	s.answer("a@school.test/pc", pc)
	s.online(capsOf(t, phone), "a@school.test/phone")
	s.answer("a@school.test/phone", phone)
	want("a@school.test/pc", capsFeature, true)
	want("a@school.test/phone", capsFeature, false)
	want("a@school.test", capsFeature, true)
	want("a@school.test", capsPrefix+"x", true)
	want("a@school.test", "urn:example:none", false)
	s.offline("a@school.test/pc")
	want("a@school.test", capsFeature, false)
}
