// Package health asks servers whether they work and remembers the answers.
//
// A Check is a value: what to ask, whom, how often, and how many answers decide.
// A Monitor asks each distinct Check once, however many services want it, and
// publishes what it knows as one Snapshot.
package health

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// A Kind is the way a server is asked.
type Kind string

// The kinds of check. Prober.Probe is the one place that lists what they do.
const (
	// TCP passes when a connection can be opened.
	TCP Kind = "tcp"
	// HTTP passes when a request is answered as HTTPRequest says.
	HTTP Kind = "http"
	// HTTPS is HTTP over TLS.
	HTTPS Kind = "https"
	// TLS passes when the handshake ends well.
	TLS Kind = "tls"
	// GRPC passes when the server's grpc.health.v1.Health says SERVING.
	GRPC Kind = "grpc"
	// DNS passes when a query over UDP is answered with the wanted code.
	DNS Kind = "dns"
	// UDP passes when a datagram is answered as wanted, or, where no answer is
	// wanted, not refused.
	UDP Kind = "udp"
	// Ping passes when an ICMP echo is answered.
	Ping Kind = "ping"
	// Exec passes when a program ends with exit code 0.
	Exec Kind = "exec"
	// DRPath passes when the server takes connections to the virtual address,
	// sent as direct routing sends them, and keeps silent about it in ARP.
	DRPath Kind = "drpath"
)

// kinds are all, in the order in which messages list them.
var kinds = []Kind{TCP, HTTP, HTTPS, TLS, GRPC, DNS, UDP, Ping, Exec, DRPath}

// A Check is one question to one server. It is comparable and is its own
// identity: two equal Checks are asked once. Each of the structs below is the
// zero value but for the kinds it belongs to.
type Check struct {
	Kind Kind
	// Target is whom to ask. Ping has no use for the port.
	Target netip.AddrPort
	// VIPs are the addresses that clients use. They are set for DRPath alone,
	// whose target has the port that clients connect to: all others ask the
	// same, whatever the service, and are asked once for all of them.
	VIPs AddrList
	HTTP HTTPRequest // HTTP, HTTPS
	TLS  TLSOptions  // HTTPS, TLS, and GRPC where it is over TLS
	GRPC GRPCOptions
	DNS  DNSQuery
	UDP  Datagram
	Exec Program
	// WeightFrom is where the answer says how much of its weight the server
	// wants, in the configuration's words: "body" or "header:X-Weight" (HTTP,
	// HTTPS), "output" (Exec). "" asks for none.
	WeightFrom string
	// Interval is from the start of one attempt to the start of the next.
	Interval time.Duration
	// Timeout bounds one attempt, connecting included.
	Timeout time.Duration
	// Fall is how many failures in a row take an up server down, Rise how
	// many passes in a row bring a down one up. Both are at least 1.
	Fall, Rise int
	// CountRefused makes a refused connection one failure like any other. If
	// false it takes the server down at once: a port that refuses us refuses
	// every client too.
	CountRefused bool
}

// String names the check in logs: "http 10.0.0.3:9181/ready". What stands in
// the query is not told: it may be a secret.
func (c Check) String() string {
	switch c.Kind {
	case HTTP, HTTPS:
		path, _, more := strings.Cut(c.HTTP.Path, "?")
		if more {
			path += "?..."
		}
		return fmt.Sprintf("%s %s%s", c.Kind, c.Target, path)
	case GRPC:
		return strings.TrimSpace(fmt.Sprintf("grpc %s %s", c.Target, c.GRPC.Service))
	case DNS:
		return fmt.Sprintf("dns %s %s", c.Target, c.DNS)
	case Ping:
		return fmt.Sprintf("ping %s", c.Target.Addr())
	case Exec:
		return fmt.Sprintf("exec %s for %s", c.Exec.args()[0], c.Target)
	case DRPath:
		return fmt.Sprintf("drpath %s for %s", c.Target, c.VIPs)
	}
	return fmt.Sprintf("%s %s", c.Kind, c.Target)
}

// Detection is how long it takes at most until a server that fails is known to
// be down: Fall attempts, each as late as the jitter makes it, the last of them
// a timeout.
func (c Check) Detection() time.Duration {
	return time.Duration(float64(c.Interval)*(1+jitter))*time.Duration(c.Fall) + c.Timeout
}

// question is the check without what only decides how its answers count.
// Checks with the same question know the same about the server.
func (c Check) question() Check {
	c.Interval, c.Timeout, c.Fall, c.Rise, c.CountRefused = 0, 0, 0, 0, false
	return c
}

// An AddrList is a list of addresses that can be compared: in ascending order,
// with a blank between two.
type AddrList string

// list returns the addresses of the family of target.
func list(addrs []netip.Addr, target netip.Addr) AddrList {
	var texts []string
	for _, a := range slices.SortedFunc(slices.Values(addrs), netip.Addr.Compare) {
		if a.Is4() == target.Is4() {
			texts = append(texts, a.String())
		}
	}
	return AddrList(strings.Join(slices.Compact(texts), " "))
}

// addrs returns the addresses on the list.
func (l AddrList) addrs() []netip.Addr {
	var addrs []netip.Addr
	for text := range strings.FieldsSeq(string(l)) {
		if a, err := netip.ParseAddr(text); err == nil {
			addrs = append(addrs, a)
		}
	}
	return addrs
}
