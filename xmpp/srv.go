package xmpp

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/idna"
)

// The usual ports: RFC 6120 §14.7, and what everybody used for TLS from the
// first byte before XEP-0368.
const (
	clientPort    uint16 = 5222
	directTLSPort uint16 = 5223
)

const (
	// srvTimeout bounds the look-up of services: a school's name server that
	// swallows what it does not know must leave time for the plain address.
	srvTimeout = 10 * time.Second
	// maxTargets bounds how many services of a domain are tried.
	maxTargets = 16
)

var errNotOffered = errors.New("domain offers no XMPP service")

// target is one place to connect to.
type target struct {
	host      string // name or IP address
	port      uint16
	directTLS bool
}

func (t target) address() string { return net.JoinHostPort(t.host, strconv.Itoa(int(t.port))) }

// mainTargets lists where the account's server may be, in the order of trying:
// the configured server alone, or what DNS says for the account's domain, or
// that domain itself. The error is a [*DNSError].
func (c Config) mainTargets(ctx context.Context) ([]target, error) {
	if c.Server != "" {
		return []target{c.targetOn(c.Server)}, nil
	}
	domain := asciiHost(c.Account.Domain())
	if _, err := netip.ParseAddr(domain); err == nil {
		return []target{c.targetOn(domain)}, nil // RFC 6120 §3.2: addresses have no services
	}
	services, err := c.lookupServices(ctx, domain)
	if err != nil || len(services) > 0 {
		return services, err
	}
	return []target{c.targetOn(domain)}, nil // RFC 6120 §3.2.2
}

// targetOn is the account's port on a host that no service record named.
func (c Config) targetOn(host string) target {
	return target{host: asciiHost(host), port: c.port(), directTLS: c.DirectTLS}
}

func (c Config) port() uint16 {
	switch {
	case c.Port != 0:
		return c.Port
	case c.DirectTLS:
		return directTLSPort
	default:
		return clientPort
	}
}

// fallbackTargets lists the FallbackServers. One that is neither "host",
// "host:port" nor "[address]:port" is left out.
func (c Config) fallbackTargets() []target {
	var list []target
	for _, entry := range c.FallbackServers {
		if host, port, ok := splitServer(entry); ok {
			t := c.targetOn(host)
			if port != 0 {
				t.port = port
			}
			list = append(list, t)
		}
	}
	return list
}

// splitServer splits "host:port"; the port is 0 if there is none.
func splitServer(entry string) (host string, port uint16, ok bool) {
	if _, err := netip.ParseAddr(trimBrackets(entry)); err == nil {
		return entry, 0, true
	}
	if !strings.Contains(entry, ":") {
		return entry, 0, entry != "" && !strings.ContainsAny(entry, "[]")
	}
	host, service, err := net.SplitHostPort(entry)
	if err != nil || host == "" {
		return "", 0, false
	}
	number, err := strconv.ParseUint(service, 10, 16)
	return host, uint16(number), err == nil && number != 0
}

// lookupServices finds the service records of a domain, RFC 6120 §3.2.1 and
// XEP-0368 §2: both kinds in one list by priority, direct TLS first where
// priorities are equal (it is a round trip quicker), and by weight within one
// kind, which [net.Resolver.LookupSRV] has already seen to. A domain without
// records, or whose records cannot be had, gives an empty list; one that says
// there is no service gives an error.
func (c Config) lookupServices(ctx context.Context, domain string) ([]target, error) {
	ctx, cancel := context.WithTimeout(ctx, srvTimeout)
	defer cancel()
	var direct, plain []*net.SRV
	var wg sync.WaitGroup
	wg.Go(func() { direct = c.lookupSRV(ctx, "xmpps-client", domain) })
	if !c.DirectTLS {
		wg.Go(func() { plain = c.lookupSRV(ctx, "xmpp-client", domain) })
	}
	wg.Wait()
	services, wanted := mergeServices(direct, plain), plain
	if c.DirectTLS {
		wanted = direct
	}
	if len(services) == 0 && len(wanted) > 0 {
		return nil, &DNSError{Name: domain, Err: errNotOffered}
	}
	return services, nil
}

// lookupSRV asks for the records of one service. An error of the name server
// is the same as none: the domain's own address is tried then. The records of
// an answer some of which are broken still count.
func (c Config) lookupSRV(ctx context.Context, service, domain string) []*net.SRV {
	_, records, err := c.resolver().LookupSRV(ctx, service, "tcp", domain+".")
	if err != nil && c.Log != nil {
		c.Log.WithError(err).WithField("service", service).Debug("No service records")
	}
	return records
}

func (c Config) resolver() *net.Resolver {
	if c.Resolver != nil {
		return c.Resolver
	}
	return net.DefaultResolver
}

// mergeServices leaves out the target ".", which says that there is no such
// service (RFC 2782).
func mergeServices(direct, plain []*net.SRV) []target {
	type ranked struct {
		target
		priority uint16
	}
	var all []ranked
	add := func(records []*net.SRV, directTLS bool) {
		for _, r := range records {
			if host := strings.TrimSuffix(r.Target, "."); host != "" && r.Port != 0 {
				all = append(all, ranked{target{host, r.Port, directTLS}, r.Priority})
			}
		}
	}
	add(direct, true)
	add(plain, false)
	sort.SliceStable(all, func(i, j int) bool { return all[i].priority < all[j].priority })

	var list []target
	for _, r := range all[:min(len(all), maxTargets)] {
		list = append(list, r.target)
	}
	return list
}

// asciiHost is a host as DNS and certificates have it: an internationalised
// name in its ASCII form (RFC 5890 §2.3.2.1), without the dot at the end; an
// IPv6 address without brackets. What is neither is left for the resolver to
// refuse.
func asciiHost(host string) string {
	host = trimBrackets(host)
	if _, err := netip.ParseAddr(host); err == nil {
		return host
	}
	host = strings.TrimSuffix(host, ".")
	if ascii, err := idna.Lookup.ToASCII(host); err == nil {
		return ascii
	}
	return strings.ToLower(host)
}

// trimBrackets takes the brackets off "[::1]", the form in addresses of
// accounts (RFC 7622 §3.2).
func trimBrackets(host string) string {
	if inner, ok := strings.CutPrefix(host, "["); ok {
		if inner, ok = strings.CutSuffix(inner, "]"); ok {
			return inner
		}
	}
	return host
}
