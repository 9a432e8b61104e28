package health

import (
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
)

// A Section is a [check] table as the operator writes it.
type Section struct {
	Kind     string `toml:"kind"`
	Host     string `toml:"host"`
	Path     string `toml:"path"`
	Status   string `toml:"status"`
	Port     *int   `toml:"port"`
	Interval string `toml:"interval"`
	Timeout  string `toml:"timeout"`
	Fall     *int   `toml:"fall"`
	Rise     *int   `toml:"rise"`
}

// A Template is a Check without its server.
type Template struct {
	check Check
	port  uint16 // 0: the service's
}

// For returns the check of one server. Its port is the template's, or, where
// that names none, the service's own.
func (t Template) For(addr netip.Addr, servicePort uint16) Check {
	c := t.check
	c.Target = netip.AddrPortFrom(addr, t.port)
	if t.port == 0 {
		c.Target = netip.AddrPortFrom(addr, servicePort)
	}
	return c
}

// Parse returns what a Section means. key is the table's path in the file;
// bad is told of every fault.
func Parse(s Section, key string, bad func(key, problem string)) Template {
	p := parser{key: key, bad: bad}
	// Three failures two seconds apart tell a dead server from a busy one
	// within seven seconds.
	interval := p.duration("interval", s.Interval, 2*time.Second, 100*time.Millisecond, time.Hour)
	t := Template{check: Check{
		Interval: interval,
		// An attempt ends before the next begins.
		Timeout: p.duration("timeout", s.Timeout, min(time.Second, interval), 10*time.Millisecond, interval),
		Fall:    p.number("fall", s.Fall, 3, 1, 100),
		Rise:    p.number("rise", s.Rise, 2, 1, 100),
	}}
	if s.Port != nil {
		t.port = uint16(p.number("port", s.Port, 0, 1, 65535))
	}
	switch s.Kind {
	case "", string(TCP):
		t.check.Kind = TCP
		p.noHTTP(s)
	case string(HTTP):
		t.check.Kind = HTTP
		t.check.HTTP = p.http(s)
	case "https", "tls", "grpc", "dns", "udp", "ping", "exec", "drpath":
		p.fault("kind", "%q is not yet available: allowed are tcp, http", s.Kind)
	default:
		p.fault("kind", "%q is not a kind of check: allowed are tcp, http", s.Kind)
	}
	return t
}

// parser carries what every field of a Section needs.
type parser struct {
	key string
	bad func(key, problem string)
}

func (p parser) fault(field, format string, args ...any) {
	p.bad(p.key+"."+field, fmt.Sprintf(format, args...))
}

func (p parser) duration(field, s string, def, low, high time.Duration) time.Duration {
	if s == "" {
		return def
	}
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		p.fault(field, `%q is not a duration: write one like "2s" or "500ms"`, s)
	case d < low || d > high:
		p.fault(field, "%s is out of range: allowed are %s to %s", d, low, high)
	default:
		return d
	}
	return def
}

func (p parser) number(field string, n *int, def, low, high int) int {
	if n == nil {
		return def
	}
	if *n < low || *n > high {
		p.fault(field, "%d is out of range: allowed are %d to %d", *n, low, high)
		return def
	}
	return *n
}

func (p parser) noHTTP(s Section) {
	for _, f := range []struct{ name, value string }{{"host", s.Host}, {"path", s.Path}, {"status", s.Status}} {
		if f.value != "" {
			p.fault(f.name, `belongs to kind = "http", this check is of kind "tcp"`)
		}
	}
}

func (p parser) http(s Section) HTTPRequest {
	r := HTTPRequest{Host: s.Host, Path: "/", Status: StatusRange{200, 299}}
	if s.Path != "" {
		r.Path = s.Path
		if _, err := url.ParseRequestURI(s.Path); err != nil || s.Path[0] != '/' {
			p.fault("path", `%q is not a path: write one that starts with "/"`, s.Path)
		}
	}
	if !httpguts.ValidHostHeader(s.Host) || strings.ContainsAny(s.Host, "/@?#") {
		p.fault("host", "%q is not a host name", s.Host)
	}
	if s.Status != "" {
		var ok bool
		if r.Status, ok = parseStatus(s.Status); !ok {
			p.fault("status", `%q is not a range of status codes: write one like "200-299" or "204", within 100 to 599`, s.Status)
		}
	}
	return r
}

func parseStatus(s string) (r StatusRange, ok bool) {
	low, high, isRange := strings.Cut(s, "-")
	if !isRange {
		high = low
	}
	var err1, err2 error
	r.Low, err1 = strconv.Atoi(low)
	r.High, err2 = strconv.Atoi(high)
	return r, err1 == nil && err2 == nil && 100 <= r.Low && r.Low <= r.High && r.High <= 599
}
