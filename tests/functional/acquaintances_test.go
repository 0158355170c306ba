package functional

import (
	"testing"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/tests/cmtest"
	"telepathy-olpc/xmpp/disco"
	"telepathy-olpc/xmpp/filetransfer"
	"telepathy-olpc/xmpp/si"
)

// introduction is the presence by which we make ourselves known to one address;
// asks is "true" if we want the same in return.
func introduction(to, asks string) cmtest.Matcher {
	return cmtest.Presence().To(to).Type("").Having(nsBuddies, "buddy").Where("asks='"+asks+"'", func(e *cmtest.Event) bool {
		return e.Element.Child(nsBuddies, "buddy").Attr("asks") == asks
	})
}

// introduced is that of a child, from a device of its own.
func introduced(id, attributes string) string {
	return presenceFrom(id+"/sugar", "<buddy xmlns='"+nsBuddies+"' jid='"+id+"' alias='Child "+id[:3]+"'"+attributes+">"+looks+"</buddy>")
}

// A file goes to somebody whom only a view shows; it ends when that child goes.
func TestAcquaintances_file(t *testing.T) {
	t.Parallel()
	c := meetCrowd(t)
	bob := c.Handle(bobID)
	news(c.Connection, "<added xmlns='"+nsBuddies+"' id='"+c.buddies+"'>"+buddyTold(bobID, looks)+"</added>")
	c.Expect(moved(c.list, []uint32{bob}, nil, nil, nil))
	request := c.CallAsync(c.Path, tp.InterfaceConnectionRequests, "CreateChannel", fileRequest(bob, nil))
	sent := c.Expect(introduction(bobID, "true"))
	cmtest.Equal(t, sent.Element.Child(nsBuddies, "buddy").Attr("jid"), cmtest.User+"@"+cmtest.Domain)
	same := []*cmtest.Ban{c.Forbid(presencesChanged), c.Forbid(introduction(bobID, "true")), c.Forbid(introduction(bobID+"/sugar", ""))}
	c.Server.Send(introduced(bobID, ""))
	info, _ := clientInfo(t, "pc", filetransfer.NS, disco.NSInfo)
	c.Server.Answer(c.Expect(cmtest.IQ("get", disco.NSInfo).To(bobID+"/sugar")), info.Element().String())
	path := cmtest.As[dbus.ObjectPath](t, c.Expect(cmtest.Reply(request)).Arg(0))
	c.Expect(cmtest.IQ("set", si.NS).To(bobID + "/sugar"))

	openChat(c.Connection, bob)
	c.Server.Send(gone(bobID + "/sugar"))
	c.Expect(fileState.At(path).Args(cancelled, uint32(tp.FileTransferStateChangeReasonRemoteStopped)))
	c.Sync()
	for _, b := range same {
		b.Lift()
	}
	news(c.Connection, "<removed xmlns='"+nsBuddies+"' id='"+c.buddies+"'><buddy jid='"+bobID+"'/></removed>")
	c.Expect(presencesChanged.Args(presenceOf(bob, tp.ConnectionPresenceTypeOffline)))
}

// Somebody whom no view shows has something to do with us: it is a buddy like the
// others, and hears of us when our programs know it.
func TestAcquaintances_answered(t *testing.T) {
	t.Parallel()
	c := meetCrowd(t)
	eve := c.Handle(eveID)
	early := c.Forbid(introduction(eveID+"/sugar", ""))
	c.Forbid(fetch)
	c.Server.Send(introduced(eveID, " asks='true'"))
	c.Expect(presencesChanged.Args(presenceOf(eve, tp.ConnectionPresenceTypeAvailable)))
	c.Expect(moved(c.list, []uint32{eve}, nil, nil, nil))
	c.Expect(propertiesChanged.Args(eve, lookIs))
	c.Sync()
	early.Lift()
	asked := c.CallAsync(c.Path, tp.InterfaceConnectionContacts, "GetContactAttributes", []uint32{eve}, []string{tp.InterfaceConnectionAliasing.Name}, false)
	c.ExpectUnordered(cmtest.Reply(asked), introduction(eveID+"/sugar", ""))
	c.Server.Send(gone(eveID + "/sugar"))
	c.Expect(presencesChanged.Args(presenceOf(eve, tp.ConnectionPresenceTypeOffline)))
	c.Expect(moved(c.list, nil, []uint32{eve}, nil, nil))
}

// With whom the user begins to chat is told with whom; nobody of another school,
// and nobody where there is no component.
func TestAcquaintances_chat(t *testing.T) {
	t.Parallel()
	c := meetCrowd(t)
	openChat(c.Connection, c.Handle(bobID))
	c.Expect(introduction(bobID, "true"))

	for name, c := range map[string]*cmtest.Connection{"without component": cmtest.Connect(t), "switched off": meetComponent(t, byHand), "of another school": c.Connection} {
		who := bobID
		if name == "of another school" {
			who = "mallory@other.test"
		}
		c.Forbid(cmtest.Presence().Having(nsBuddies, "buddy"))
		openChat(c, c.Handle(who))
		c.Server.Send(introduced(who, " asks='true'"))
		c.Sync()
	}
}
