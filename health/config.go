package health

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// A Section is a [check] table as the operator writes it.
type Section struct {
	Kind     string `toml:"kind"`
	Port     *int   `toml:"port"`
	Interval string `toml:"interval"`
	Timeout  string `toml:"timeout"`
	Fall     *int   `toml:"fall"`
	Rise     *int   `toml:"rise"`
	Refused  string `toml:"refused"`

	Method  string            `toml:"method"`
	Host    string            `toml:"host"`
	Path    string            `toml:"path"`
	Headers map[string]string `toml:"headers"`
	Status  string            `toml:"status"`
	Body    string            `toml:"body"`

	WeightFrom string `toml:"weight_from"`

	ServerName         string `toml:"server_name"`
	CAFile             string `toml:"ca_file"`
	InsecureSkipVerify bool   `toml:"insecure_skip_verify"`
	ExpiresWithin      string `toml:"expires_within"`

	Service string `toml:"service"`
	TLS     bool   `toml:"tls"`

	Query     string `toml:"query"`
	QueryType string `toml:"query_type"`
	RCode     string `toml:"rcode"`

	Send    string `toml:"send"`
	SendHex string `toml:"send_hex"`
	Expect  string `toml:"expect"`

	Command []string `toml:"command"`
	User    string   `toml:"user"`
}

// A Template is a Check without its server.
type Template struct {
	check Check
	port  uint16 // 0: the service's
}

// For returns the check of one server. Its port is the template's, or, where
// that names none, the service's own. vips are the service's addresses, which
// a check of the kind drpath asks the server for.
func (t Template) For(addr netip.Addr, servicePort uint16, vips ...netip.Addr) Check {
	c := t.check
	port := servicePort
	if t.port != 0 {
		port = t.port
	}
	switch c.Kind {
	case Ping:
		port = 0 // one echo is enough for all ports
	case DRPath:
		c.VIPs = list(vips, addr)
	}
	c.Target = netip.AddrPortFrom(addr, port)
	return c
}

// Kind returns the kind of the template's checks.
func (t Template) Kind() Kind { return t.check.Kind }

// Weighs reports whether the servers are asked for their weights.
func (t Template) Weighs() bool { return t.check.WeightFrom != "" }

// Parse returns what a Section means. key is the table's path in the file;
// bad is told of every fault.
func Parse(s Section, key string, bad func(key, problem string)) Template {
	p := parser{key: key, bad: bad, kind: Kind(s.Kind)}
	if s.Kind == "" {
		p.kind = TCP
	}
	if !slices.Contains(kinds, p.kind) {
		p.fault("kind", "%q is not a kind of check: allowed are %s", s.Kind, names(kinds))
		p.kind = TCP
	} else {
		p.strangers(s)
	}
	// Three failures two seconds apart tell a dead server from a busy one
	// within seven seconds.
	interval := p.duration("interval", s.Interval, 2*time.Second, 100*time.Millisecond, time.Hour)
	t := Template{check: Check{
		Kind:     p.kind,
		Interval: interval,
		// An attempt ends before the next begins.
		Timeout:      p.duration("timeout", s.Timeout, min(time.Second, interval), 10*time.Millisecond, interval),
		Fall:         p.number("fall", s.Fall, 3, 1, 100),
		Rise:         p.number("rise", s.Rise, 2, 1, 100),
		CountRefused: p.oneOf("refused", s.Refused, "down", "count") == "count",
	}}
	if s.Port != nil {
		t.port = uint16(p.number("port", s.Port, 0, 1, 65535))
	}
	t.check.WeightFrom = p.weightFrom(s)
	p.details(s, &t.check)
	return t
}

// details fills in what belongs to the check's kind.
func (p parser) details(s Section, c *Check) {
	switch c.Kind {
	case HTTP:
		c.HTTP = p.http(s)
	case HTTPS:
		c.HTTP = p.http(s)
		c.TLS = p.tls(s)
		if c.TLS.ServerName == "" {
			c.TLS.ServerName = hostName(s.Host)
		}
	case TLS:
		c.TLS = p.tls(s)
	case GRPC:
		c.GRPC = GRPCOptions{Service: s.Service, TLS: s.TLS}
		if s.TLS {
			c.TLS = p.tls(s)
		}
	case DNS:
		c.DNS = p.dns(s)
	case UDP:
		c.UDP = p.datagram(s)
	case Exec:
		c.Exec = p.program(s)
	}
}

// strangers faults keys that belong to other kinds.
func (p parser) strangers(s Section) {
	tlsKinds := []Kind{HTTPS, TLS, GRPC}
	httpKinds := []Kind{HTTP, HTTPS}
	for _, f := range []struct {
		name  string
		given bool
		kinds []Kind
	}{
		{"port", s.Port != nil, []Kind{TCP, HTTP, HTTPS, TLS, GRPC, DNS, UDP, Exec}},
		{"refused", s.Refused != "", []Kind{TCP, HTTP, HTTPS, TLS, GRPC, DNS, UDP, DRPath}},
		{"method", s.Method != "", httpKinds},
		{"host", s.Host != "", httpKinds},
		{"path", s.Path != "", httpKinds},
		{"headers", s.Headers != nil, httpKinds},
		{"status", s.Status != "", httpKinds},
		{"body", s.Body != "", httpKinds},
		{"weight_from", s.WeightFrom != "", append(httpKinds, Exec)},
		{"server_name", s.ServerName != "", tlsKinds},
		{"ca_file", s.CAFile != "", tlsKinds},
		{"insecure_skip_verify", s.InsecureSkipVerify, tlsKinds},
		{"expires_within", s.ExpiresWithin != "", []Kind{HTTPS, TLS}},
		{"service", s.Service != "", []Kind{GRPC}},
		{"tls", s.TLS, []Kind{GRPC}},
		{"query", s.Query != "", []Kind{DNS}},
		{"query_type", s.QueryType != "", []Kind{DNS}},
		{"rcode", s.RCode != "", []Kind{DNS}},
		{"send", s.Send != "", []Kind{UDP}},
		{"send_hex", s.SendHex != "", []Kind{UDP}},
		{"expect", s.Expect != "", []Kind{UDP}},
		{"command", s.Command != nil, []Kind{Exec}},
		{"user", s.User != "", []Kind{Exec}},
	} {
		if f.given && !slices.Contains(f.kinds, p.kind) {
			p.fault(f.name, "belongs to kind = %s, this check is of kind %q", quoted(f.kinds), p.kind)
		}
	}
	tlsKeys := s.ServerName != "" || s.CAFile != "" || s.InsecureSkipVerify
	if p.kind == GRPC && tlsKeys && !s.TLS {
		p.fault("tls", "is missing: server_name, ca_file and insecure_skip_verify mean something with tls = true alone")
	}
}

func names(kinds []Kind) string {
	var s []string
	for _, k := range kinds {
		s = append(s, string(k))
	}
	return strings.Join(s, ", ")
}

func quoted(kinds []Kind) string {
	s := make([]string, len(kinds))
	for i, k := range kinds {
		s[i] = fmt.Sprintf("%q", k)
	}
	if n := len(s); n > 1 {
		return strings.Join(s[:n-1], ", ") + " or " + s[n-1]
	}
	return s[0]
}
