package health

import (
	"encoding/hex"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/net/http/httpguts"

	"github.com/portico-lb/portico/health/command"
)

// parser carries what every field of a Section needs.
type parser struct {
	key  string
	bad  func(key, problem string)
	kind Kind
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

// oneOf faults a word that is not allowed.
func (p parser) oneOf(field, s string, allowed ...string) string {
	if s != "" && !slices.Contains(allowed, s) {
		p.fault(field, "%q is unknown: allowed are %s", s, strings.Join(allowed, ", "))
	}
	return s
}

// pattern faults what is no regular expression.
func (p parser) pattern(field, s string) string {
	if _, err := regexp.Compile(s); err != nil {
		p.fault(field, "%q is not a regular expression: %v", s, err)
		return ""
	}
	return s
}

func (p parser) http(s Section) HTTPRequest {
	r := HTTPRequest{
		Method: p.oneOf("method", s.Method, "GET", "HEAD", "OPTIONS", "POST"),
		Host:   s.Host,
		Path:   "/",
		Header: p.headers(s.Headers),
		Status: StatusRange{200, 299},
		Body:   p.pattern("body", s.Body),
	}
	if r.Method == http.MethodGet {
		r.Method = "" // the same, and so the same check
	}
	if s.Path != "" {
		u, err := url.ParseRequestURI(s.Path)
		if err != nil || s.Path[0] != '/' {
			p.fault("path", `%q is not a path: write one that starts with "/"`, s.Path)
		} else {
			r.Path = u.RequestURI() // a blank in it as %20
		}
	}
	if !httpguts.ValidHostHeader(s.Host) || strings.ContainsAny(s.Host, "/@?#") {
		p.fault("host", "%q is not a host name", s.Host)
	}
	if s.Body != "" && s.Method == http.MethodHead {
		p.fault("body", "cannot be: an answer to HEAD has none")
	}
	if s.Status == "" {
		return r
	}
	ranges, ok := parseStatuses(s.Status)
	if !ok || len(ranges) == 0 {
		p.fault("status", `%q is not a range of status codes: write one like "200-299", "204" or "200-299,401", within 100 to 599`, s.Status)
		return r
	}
	r.Status = ranges[0]
	_, r.Statuses, _ = strings.Cut(s.Status, ",")
	return r
}

// ownHeaders are those that every request has, or that would change its
// framing.
var ownHeaders = []string{"Connection", "Content-Length", "Transfer-Encoding", "User-Agent"}

// headers returns the fields in the one order that makes equal checks equal.
func (p parser) headers(fields map[string]string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		value := fields[name]
		switch {
		case !httpguts.ValidHeaderFieldName(name):
			p.fault("headers", "%q is not the name of a header", name)
		case !httpguts.ValidHeaderFieldValue(value):
			// The value may be a secret.
			p.fault("headers", "the value of %q has a character that no header may have", name)
		case strings.EqualFold(name, "Host"):
			p.fault("headers", `"Host" has a key of its own: host = "..."`)
		case slices.Contains(ownHeaders, http.CanonicalHeaderKey(name)):
			p.fault("headers", "%q is set by the check itself", name)
		default:
			fmt.Fprintf(&b, "%s: %s\n", name, value)
		}
	}
	return b.String()
}

// parseStatuses reads ranges like "200-299,401".
func parseStatuses(s string) (ranges []StatusRange, ok bool) {
	if s == "" {
		return nil, true
	}
	for one := range strings.SplitSeq(s, ",") {
		low, high, isRange := strings.Cut(strings.TrimSpace(one), "-")
		if !isRange {
			high = low
		}
		l, err1 := strconv.Atoi(low)
		h, err2 := strconv.Atoi(high)
		if err1 != nil || err2 != nil || l < 100 || l > h || h > 599 {
			return nil, false
		}
		ranges = append(ranges, StatusRange{l, h})
	}
	return ranges, true
}

func (p parser) tls(s Section) TLSOptions {
	o := TLSOptions{ServerName: s.ServerName, CAFile: s.CAFile, SkipVerify: s.InsecureSkipVerify}
	if s.ServerName != "" && (!httpguts.ValidHostHeader(s.ServerName) || strings.ContainsAny(s.ServerName, ":/@?#")) {
		p.fault("server_name", "%q is not a host name", s.ServerName)
	}
	if s.CAFile != "" && s.InsecureSkipVerify {
		p.fault("insecure_skip_verify", "stands beside ca_file: a certificate is verified or it is not")
	}
	if s.CAFile != "" && !path.IsAbs(s.CAFile) {
		p.fault("ca_file", "%q is not an absolute path", s.CAFile)
	}
	o.ExpiresWithin = p.duration("expires_within", s.ExpiresWithin, 0, time.Minute, 10*365*24*time.Hour)
	return o
}

// hostName returns the name in a Host header that SNI may carry, "" where
// there is none: an address is no name (RFC 6066, section 3).
func hostName(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if net.ParseIP(strings.Trim(host, "[]")) != nil {
		return ""
	}
	return host
}

func (p parser) dns(s Section) DNSQuery {
	// Every server knows the root's SOA, or says that it does not answer for
	// it; an operator who cares names a zone of theirs.
	q := DNSQuery{Name: ".", Type: dnsmessage.TypeSOA}
	if s.Query != "" {
		q.Name = strings.TrimSuffix(s.Query, ".") + "."
		if _, err := q.pack(0); err != nil {
			p.fault("query", "%q is not a domain name", s.Query)
		}
		q.Type = dnsmessage.TypeA
	}
	if s.QueryType != "" {
		i := slices.IndexFunc(dnsTypes, func(t dnsmessage.Type) bool { return typeName(t) == s.QueryType })
		if i < 0 {
			p.fault("query_type", "%q is unknown: allowed are %s", s.QueryType, typeNames())
		} else {
			q.Type = dnsTypes[i]
		}
	}
	if s.RCode != "" {
		code, ok := dnsCodes[s.RCode]
		if !ok {
			p.fault("rcode", "%q is unknown: allowed are %s", s.RCode, strings.Join(slices.Sorted(maps.Keys(dnsCodes)), ", "))
		}
		q.RCode = code
	}
	return q
}

func typeNames() string {
	var s []string
	for _, t := range dnsTypes {
		s = append(s, typeName(t))
	}
	return strings.Join(s, ", ")
}

func (p parser) datagram(s Section) Datagram {
	d := Datagram{Send: s.Send, Expect: p.pattern("expect", s.Expect)}
	if s.Send != "" && s.SendHex != "" {
		p.fault("send_hex", "stands beside send: a check sends one datagram")
	}
	if s.SendHex != "" {
		b, err := hex.DecodeString(strings.ReplaceAll(s.SendHex, " ", ""))
		if err != nil {
			p.fault("send_hex", `%q is not hexadecimal: write bytes like "de ad 00"`, s.SendHex)
		}
		d.Send = string(b)
	}
	// What is longer would not fit into one frame everywhere.
	if len(d.Send) > 1200 {
		p.fault("send", "has %d bytes: allowed are 1200", len(d.Send))
	}
	return d
}

func (p parser) program(s Section) Program {
	if err := command.Check(s.Command); err != nil {
		p.fault("command", "%v", err)
		return Program{}
	}
	if err := command.CheckUser(s.User); err != nil {
		p.fault("user", "%v", err)
	}
	return Program{Args: joinArgs(s.Command), User: s.User}
}
