package functional

import (
	"fmt"
	"testing"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/tests/cmtest"
)

// groupsOf reads the groups of a contact.
func groupsOf(cm *cmtest.Connection, contact uint32) []string {
	cm.T.Helper()
	name := tp.InterfaceConnectionContactGroups.Name
	all := cm.Call(cm.Path, tp.InterfaceConnectionContacts, "GetContactAttributes", []uint32{contact}, []string{name}, false)
	attributes := cmtest.As[map[uint32]map[string]any](cm.T, all.Arg(0))
	return cmtest.As[[]string](cm.T, attributes[contact][name+"/groups"])
}

var (
	groupsCreated = cmtest.Signal(tp.SignalConnectionContactGroupsGroupsCreated)
	groupsChanged = cmtest.Signal(tp.SignalConnectionContactGroupsGroupsChanged)
	groupsRemoved = cmtest.Signal(tp.SignalConnectionContactGroupsGroupsRemoved)
)

// inGroups is a contact elsewhere, whom no shared group holds.
func inGroups(name string, groups ...string) string {
	return rosterItem(name+"@away.test", "name='The "+name+"' subscription='both'", groups...)
}

// written is the item that the client may write of it.
func written(name string, groups ...string) string {
	return rosterItem(name+"@away.test", "name='The "+name+"'", groups...)
}

func TestContactGroups_follow(t *testing.T) {
	t.Parallel()
	groups := tp.InterfaceConnectionContactGroups
	cm := cmtest.Start(t, cmtest.RosterItem(inGroups("ann", "Choir", "Chess")), cmtest.RosterItem(inGroups("bob", "Chess")),
		cmtest.RosterItem(inGroups("cat", "Chess")))
	c := cm.Request()
	c.Login()
	ann, bob, cat := c.Handle("ann@away.test"), c.Handle("bob@away.test"), c.Handle("cat@away.test")
	cm.Expect(groupsCreated.Args([]string{"Chess", "Choir"}))
	cm.ExpectUnordered(groupsChanged.Args([]uint32{ann}, []string{"Chess", "Choir"}, []string{}),
		groupsChanged.Args([]uint32{bob, cat}, []string{"Chess"}, []string{}))
	cmtest.Equal(t, cm.GetAll(c.Path, groups), map[string]any{
		"DisjointGroups": false, "GroupStorage": uint32(tp.ContactMetadataStorageTypeAnyone), "Groups": []string{"Chess", "Choir"},
	})
	cmtest.Equal(t, groupsOf(c, ann), []string{"Chess", "Choir"})

	push(c, inGroups("ann", "Chess", "Football"))
	cm.Expect(groupsCreated.Args([]string{"Football"}))
	cm.Expect(groupsChanged.Args([]uint32{ann}, []string{"Football"}, []string{"Choir"}))
	cm.Expect(groupsRemoved.Args([]string{"Choir"}))
	push(c, rosterItem("ann@away.test", "subscription='remove'"))
	cm.Expect(groupsChanged.Args([]uint32{ann}, []string{}, []string{"Chess", "Football"}))
	cm.Expect(groupsRemoved.Args([]string{"Football"}))
	cmtest.Equal(t, cm.Get(c.Path, groups, "Groups"), []string{"Chess"})
	cmtest.Equal(t, groupsOf(c, ann), []string{})

	cm.Forbid(groupsChanged)
	push(c, inGroups("bob", "Chess", "Chess", ""))
	cm.Sync()
}

// What each method writes, item by item, and that the change is announced
// before the answer. Name and other groups stay as they are.
func TestContactGroups_change(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t, cmtest.Unanswered(rosterSet), cmtest.RosterItem(inGroups("ann", "Choir")), cmtest.RosterItem(inGroups("bob", "Chess", "Choir")))
	ann, bob, cat := cm.Handle("ann@away.test"), cm.Handle("bob@away.test"), cm.Handle("cat@away.test")
	for _, row := range []struct {
		method string
		args   []any
		sets   []rosterChange
		after  string // groups of ann, bob and cat
	}{
		{"SetContactGroups", []any{ann, []string{"Go", "Choir"}}, []rosterChange{{written("ann", "Go", "Choir"), inGroups("ann", "Go", "Choir")}}, "[Choir Go] [Chess Choir] []"},
		{"SetContactGroups", []any{ann, []string{"Choir", "Go"}}, nil, "[Choir Go] [Chess Choir] []"},
		{"AddToGroup", []any{"Chess", []uint32{ann, bob}}, []rosterChange{{written("ann", "Choir", "Go", "Chess"), inGroups("ann", "Chess", "Choir", "Go")}}, "[Chess Choir Go] [Chess Choir] []"},
		{"AddToGroup", []any{"Chess", []uint32{cat}}, []rosterChange{{rosterItem("cat@away.test", "", "Chess"), rosterItem("cat@away.test", "", "Chess")}}, "[Chess Choir Go] [Chess Choir] [Chess]"},
		{"RemoveFromGroup", []any{"Choir", []uint32{ann, cat}}, []rosterChange{{written("ann", "Chess", "Go"), inGroups("ann", "Chess", "Go")}}, "[Chess Go] [Chess Choir] [Chess]"},
		{"RemoveFromGroup", []any{"Nobody's", []uint32{ann}}, nil, "[Chess Go] [Chess Choir] [Chess]"},
		{"SetGroupMembers", []any{"Go", []uint32{bob}}, []rosterChange{
			{written("bob", "Chess", "Choir", "Go"), inGroups("bob", "Chess", "Choir", "Go")}, {written("ann", "Chess"), inGroups("ann", "Chess")}}, "[Chess] [Chess Choir Go] [Chess]"},
		{"RenameGroup", []any{"Choir", "Band"}, []rosterChange{{written("bob", "Chess", "Go", "Band"), inGroups("bob", "Band", "Chess", "Go")}}, "[Chess] [Band Chess Go] [Chess]"},
		{"RemoveGroup", []any{"Go"}, []rosterChange{{written("bob", "Band", "Chess"), inGroups("bob", "Band", "Chess")}}, "[Chess] [Band Chess] [Chess]"},
		{"RemoveGroup", []any{"Nobody's"}, nil, "[Chess] [Band Chess] [Chess]"},
	} {
		cm.Note("%s%v", row.method, row.args)
		call := cm.CallAsync(cm.Path, tp.InterfaceConnectionContactGroups, row.method, row.args...)
		takeSets(cm, row.sets...)
		for range row.sets {
			cm.Expect(groupsChanged)
		}
		cm.Expect(cmtest.Reply(call))
		if got := fmt.Sprint(groupsOf(cm, ann), groupsOf(cm, bob), groupsOf(cm, cat)); got != row.after {
			t.Errorf("%s: groups %s, want %s", row.method, got, row.after)
		}
	}
	cm.Forbid(rosterSet)
	groups := tp.InterfaceConnectionContactGroups
	cm.Refused(tp.ErrorDoesNotExist, cm.Path, groups, "RenameGroup", "Choir", "Orchestra")
	cm.Refused(tp.ErrorNotAvailable, cm.Path, groups, "RenameGroup", "Band", "Chess")
	cm.Refused(tp.ErrorInvalidHandle, cm.Path, groups, "SetContactGroups", uint32(999), []string{"Chess"})
	cm.Refused(tp.ErrorInvalidHandle, cm.Path, groups, "SetGroupMembers", "Chess", []uint32{ann, 999})
	cm.Sync()
}

func TestContactGroups_refused(t *testing.T) {
	t.Parallel()
	groups := tp.InterfaceConnectionContactGroups
	cm := cmtest.Start(t, cmtest.AnswersError(rosterSet, "modify", "not-acceptable"), cmtest.RosterItem(inGroups("ann", "Choir")))
	c := cm.Request()
	for method, args := range map[string][]any{
		"SetContactGroups": {uint32(1), []string{}}, "SetGroupMembers": {"Choir", []uint32{}}, "AddToGroup": {"Choir", []uint32{}},
		"RemoveFromGroup": {"Choir", []uint32{}}, "RemoveGroup": {"Choir"}, "RenameGroup": {"Choir", "Band"},
	} {
		cm.Note("%s before CONNECTED", method)
		cm.Refused(tp.ErrorNotYet, c.Path, groups, method, args...)
	}
	c.Login()
	cm.Expect(groupsChanged)
	cm.Sync()
	cm.Forbid(groupsChanged)
	cm.Refused(tp.ErrorNetworkError, c.Path, groups, "RenameGroup", "Choir", "Band")
	cm.Refused(tp.ErrorNetworkError, c.Path, groups, "RemoveGroup", "Choir")
	cmtest.Equal(t, cm.Get(c.Path, groups, "Groups"), []string{"Choir"})
	cm.Sync()
}
