package xmpp

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/dns/dnsmessage"

	"telepathy-olpc/xmpp/jid"
)

// zone is what a name server for tests knows; the keys are names with the dot
// at the end.
type zone struct {
	services  map[string][]dnsmessage.SRVResource
	addresses map[string]string // one IPv4 address
	broken    bool              // answers nothing but "server failure"
}

const (
	directService = "_xmpps-client._tcp.school.test."
	plainService  = "_xmpp-client._tcp.school.test."
)

func srv(priority, weight, port uint16, target string) dnsmessage.SRVResource {
	return dnsmessage.SRVResource{Priority: priority, Weight: weight, Port: port, Target: dnsmessage.MustNewName(target)}
}

// resolver starts a name server on the loopback and gives a resolver that asks it.
func (z zone) resolver(t *testing.T) *net.Resolver {
	t.Helper()
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		z.serve(server)
	}()
	t.Cleanup(func() { server.Close(); <-done })
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", server.LocalAddr().String())
	}}
}

func (z zone) serve(server net.PacketConn) {
	buffer := make([]byte, 4096)
	for {
		n, from, err := server.ReadFrom(buffer)
		if err != nil {
			return
		}
		var query dnsmessage.Message
		if query.Unpack(buffer[:n]) != nil || len(query.Questions) != 1 {
			continue
		}
		answer := z.answer(query)
		if packed, err := answer.Pack(); err == nil {
			server.WriteTo(packed, from)
		}
	}
}

func (z zone) answer(query dnsmessage.Message) dnsmessage.Message {
	question := query.Questions[0]
	name := question.Name.String()
	reply := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: query.ID, Response: true, RecursionAvailable: true},
		Questions: query.Questions,
	}
	header := dnsmessage.ResourceHeader{Name: question.Name, Class: dnsmessage.ClassINET, TTL: 60}
	services, known := z.services[name]
	for _, s := range services {
		if question.Type == dnsmessage.TypeSRV {
			reply.Answers = append(reply.Answers, dnsmessage.Resource{Header: header, Body: &s})
		}
	}
	if address, ok := z.addresses[name]; ok {
		known = true
		if question.Type == dnsmessage.TypeA {
			body := &dnsmessage.AResource{A: netip.MustParseAddr(address).As4()}
			reply.Answers = append(reply.Answers, dnsmessage.Resource{Header: header, Body: body})
		}
	}
	if !known {
		reply.RCode = dnsmessage.RCodeNameError
	}
	if z.broken {
		reply.RCode, reply.Answers = dnsmessage.RCodeServerFailure, nil
	}
	return reply
}

func TestMainTargets(t *testing.T) {
	both := zone{services: map[string][]dnsmessage.SRVResource{
		directService: {srv(20, 0, 443, "late.school.test."), srv(10, 0, 5223, "a.school.test.")},
		plainService:  {srv(10, 0, 5222, "b.school.test."), srv(5, 0, 5222, "c.school.test.")},
	}}
	none := []dnsmessage.SRVResource{srv(0, 0, 0, ".")}
	rows := []struct {
		name   string
		zone   zone
		config Config
		want   []target
		fails  bool
	}{
		{name: "both kinds, by priority, direct TLS first", zone: both, want: []target{
			{"c.school.test", 5222, false}, {"a.school.test", 5223, true}, {"b.school.test", 5222, false}, {"late.school.test", 443, true},
		}},
		{name: "direct TLS wanted", zone: both, config: Config{DirectTLS: true}, want: []target{
			{"a.school.test", 5223, true}, {"late.school.test", 443, true},
		}},
		{name: "port does not change records", zone: both, config: Config{DirectTLS: true, Port: 5224}, want: []target{
			{"a.school.test", 5223, true}, {"late.school.test", 443, true},
		}},
		{name: "no records", want: []target{{"school.test", 5222, false}}},
		{name: "no records, direct TLS", config: Config{DirectTLS: true}, want: []target{{"school.test", 5223, true}}},
		{name: "no records, port", config: Config{Port: 5280}, want: []target{{"school.test", 5280, false}}},
		{name: "name server fails", zone: zone{broken: true}, want: []target{{"school.test", 5222, false}}},
		{name: "no service", zone: zone{services: map[string][]dnsmessage.SRVResource{plainService: none}}, fails: true},
		{name: "no service of either kind", zone: zone{services: map[string][]dnsmessage.SRVResource{plainService: none, directService: none}}, fails: true},
		{name: "no direct TLS", zone: zone{services: map[string][]dnsmessage.SRVResource{directService: none}}, want: []target{{"school.test", 5222, false}}},
		{name: "no direct TLS, which is wanted", config: Config{DirectTLS: true}, zone: zone{services: map[string][]dnsmessage.SRVResource{directService: none}}, fails: true},
		{name: "direct TLS only", zone: zone{services: map[string][]dnsmessage.SRVResource{
			plainService: none, directService: {srv(0, 0, 443, "a.school.test.")},
		}}, want: []target{{"a.school.test", 443, true}}},
		{name: "records without use among others", zone: zone{services: map[string][]dnsmessage.SRVResource{
			plainService: {srv(0, 0, 0, "zero.school.test."), srv(1, 0, 5222, "a.school.test.")},
		}}, want: []target{{"a.school.test", 5222, false}}},
		{name: "configured server", zone: both, config: Config{Server: "XS.test"}, want: []target{{"xs.test", 5222, false}}},
		{name: "configured server, direct TLS", zone: both, config: Config{Server: "xs.test", DirectTLS: true}, want: []target{{"xs.test", 5223, true}}},
		{name: "configured server, port", zone: both, config: Config{Server: "xs.test", Port: 5223, DirectTLS: true}, want: []target{{"xs.test", 5223, true}}},
		{name: "configured address", config: Config{Server: "[2001:db8::1]"}, want: []target{{"2001:db8::1", 5222, false}}},
		{name: "account at an IPv4 address", config: Config{Account: jidAt(t, "192.0.2.1")}, want: []target{{"192.0.2.1", 5222, false}}},
		{name: "account at an IPv6 address", config: Config{Account: jidAt(t, "[2001:db8::1]")}, want: []target{{"2001:db8::1", 5222, false}}},
		{name: "internationalised domain", config: Config{Account: jidAt(t, "escuelaá.test")}, want: []target{{"xn--escuela-nwa.test", 5222, false}}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			c := row.config
			c.Resolver = row.zone.resolver(t)
			if c.Account.IsZero() {
				c.Account = schoolAccount(t)
			}
			got, err := c.mainTargets(t.Context())
			if row.fails {
				var failed *DNSError
				if !errors.As(err, &failed) || failed.Name != "school.test" {
					t.Errorf("got %v, %v; want an error", got, err)
				}
				return
			}
			if diff := cmp.Diff(row.want, got, cmp.AllowUnexported(target{})); diff != "" || err != nil {
				t.Errorf("%v (-want +got)\n%s", err, diff)
			}
		})
	}
}

func jidAt(t *testing.T, domain string) jid.JID {
	t.Helper()
	account, err := jid.Parse("user@" + domain)
	if err != nil {
		t.Fatal(err)
	}
	return account
}

// Records of one priority come in an order drawn by weight: the heavy one is
// usually first, the light one sometimes.
func TestMainTargets_weights(t *testing.T) {
	z := zone{services: map[string][]dnsmessage.SRVResource{
		plainService: {srv(0, 1, 5222, "light.school.test."), srv(0, 3, 5222, "heavy.school.test.")},
	}}
	c := Config{Account: schoolAccount(t), Resolver: z.resolver(t)}
	first := map[string]int{}
	for range 200 {
		list, err := c.mainTargets(t.Context())
		if err != nil || len(list) != 2 {
			t.Fatal(list, err)
		}
		first[list[0].host]++
	}
	if first["light.school.test"] == 0 || first["heavy.school.test"] < 100 {
		t.Errorf("first of 200: %v", first)
	}
}

func TestMainTargets_manyRecords(t *testing.T) {
	var records []dnsmessage.SRVResource
	for i := range uint16(maxTargets + 4) {
		records = append(records, srv(i, 0, 5222, "a.school.test."))
	}
	c := Config{Account: schoolAccount(t), Resolver: zone{services: map[string][]dnsmessage.SRVResource{plainService: records}}.resolver(t)}
	if list, err := c.mainTargets(t.Context()); len(list) != maxTargets || err != nil {
		t.Errorf("%d targets, %v; want %d", len(list), err, maxTargets)
	}
}

func TestFallbackTargets(t *testing.T) {
	c := Config{FallbackServers: []string{
		"A.test", "b.test:443", "[2001:db8::1]", "[2001:db8::1]:443", "2001:db8::2", "192.0.2.1:80", "á.test:5222",
		"", ":5222", "c.test:", "c.test:0", "c.test:65536", "c.test:xmpp", "c.test:1:2", "[c.test",
	}}
	want := []target{
		{"a.test", 5222, false}, {"b.test", 443, false}, {"2001:db8::1", 5222, false}, {"2001:db8::1", 443, false},
		{"2001:db8::2", 5222, false}, {"192.0.2.1", 80, false}, {"xn--1ca.test", 5222, false},
	}
	if diff := cmp.Diff(want, c.fallbackTargets(), cmp.AllowUnexported(target{})); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	c = Config{DirectTLS: true, Port: 5224, FallbackServers: []string{"a.test", "b.test:443"}}
	want = []target{{"a.test", 5224, true}, {"b.test", 443, true}}
	if diff := cmp.Diff(want, c.fallbackTargets(), cmp.AllowUnexported(target{})); diff != "" {
		t.Errorf("with port and direct TLS (-want +got)\n%s", diff)
	}
}
