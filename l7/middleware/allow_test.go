package middleware_test

import (
	"net/netip"
	"strings"
	"testing"

	. "github.com/portico-lb/portico/l7/middleware"
)

func networks(list ...string) (out []netip.Prefix) {
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func TestAllow(t *testing.T) {
	office := Allow{Sources: networks("192.0.2.0/24", "2001:db8::/32")}
	for _, c := range []struct {
		name string
		step Allow
		hops string // who connected first, the client last
		want string
	}{
		{"inside", office, "192.0.2.7", "200"},
		{"outside", office, "198.51.100.7", "403"},
		{"IPv6", office, "2001:db8::7", "200"},
		{"IPv4 in IPv6", office, "::ffff:192.0.2.7", "200"},
		{"with a zone", Allow{Sources: networks("fe80::/10")}, "fe80::1%eth0", "200"},
		{"behind a proxy", office, "10.0.0.1 192.0.2.7", "200"},
		{"from a proxy inside", office, "192.0.2.1 198.51.100.7", "403"},
		{"peer", Allow{Sources: office.Sources, Whose: Whose{Peer: true}}, "192.0.2.1 198.51.100.7", "200"},
		{"depth", Allow{Sources: office.Sources, Whose: Whose{Depth: 1}}, "10.0.0.1 192.0.2.7 198.51.100.7", "200"},
		{"depth to the client", Allow{Sources: office.Sources, Whose: Whose{Depth: 2}}, "10.0.0.1 192.0.2.7 198.51.100.7", "403"},
		{"no such depth", Allow{Sources: office.Sources, Whose: Whose{Depth: 1}}, "192.0.2.7", "403"},
		{"no such depth for those denied", Allow{Denied: networks("198.51.100.0/24"), Whose: Whose{Depth: 1}}, "192.0.2.7", "403"},
		{"denied", Allow{Sources: office.Sources, Denied: networks("192.0.2.7/32")}, "192.0.2.7", "403"},
		{"not denied", Allow{Denied: networks("192.0.2.7/32")}, "192.0.2.8", "200"},
		{"nothing said", Allow{}, "192.0.2.7", "403"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := read(t, "GET http://a/")
			r.Hops = nil
			for s := range strings.FieldsSeq(c.hops) {
				r.Hops = append(r.Hops, netip.MustParseAddr(s))
			}
			r.Peer, r.Client = r.Hops[0], r.Hops[len(r.Hops)-1]
			if got := exchange(chain(c.step), r, "200"); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestAllowSection(t *testing.T) {
	depth := 0
	for _, c := range []struct {
		in   AllowSection
		want string
	}{
		{AllowSection{Sources: []string{"10.0.0.0/8", "::1"}, Denied: []string{"10.0.0.1"}}, ""},
		{AllowSection{}, ": lets nobody pass: want sources, or denied"},
		{AllowSection{Sources: []string{"10.0.0.0/8", "10.0.0"}}, `sources[1]: "10.0.0" is no address and no network: want one such as "10.0.0.0/8"`},
		{AllowSection{Denied: []string{"x"}, Depth: &depth}, "denied[0]: \"x\" is no address and no network: want one such as \"10.0.0.0/8\"\n" +
			"depth: 0 is out of range: allowed are 1 to 100"},
	} {
		if got := faults(c.in); got != c.want {
			t.Errorf("%+v: got\n%s\nwant\n%s", c.in, got, c.want)
		}
	}
}
