package importer

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// checkDefaults are what checks of a virtual server share; times in seconds.
type checkDefaults struct {
	interval, timeout float64
	fall              int
	// retried says that the source says how often, rather than keepalived.
	retried bool
	host    string
}

func (c *checkDefaults) directive(d node) {
	seconds, err := strconv.ParseFloat(d.word(1), 64)
	known := err == nil && seconds > 0 && seconds <= 3600
	switch d.name() {
	case "delay_loop":
		if known {
			c.interval = seconds
		}
	case "connect_timeout", "misc_timeout":
		if known {
			c.timeout = seconds
		}
	case "retry", "nb_get_retry":
		if n, ok := number(d.word(1), 0, 99); ok {
			c.fall, c.retried = n+1, true
		}
	case "virtualhost":
		c.host = d.word(1)
	}
}

// A check is one of a server on its way into a table.
type check struct {
	kind     string
	strength int // which of several says most
	keys     []key
	port     int // 0: the service's
	at       Origin
	defaults checkDefaults
	notes    []Note
}

func (c *check) set(at Origin, name string, value any) {
	c.keys = append(c.keys, key{name: name, value: toTOML(value), at: at})
}

func (c *check) note(kind Kind, at Origin, format string, args ...any) {
	c.notes = append(c.notes, Note{at, kind, oneLine(fmt.Sprintf(format, args...))})
}

// text tells checks apart.
func (c *check) text() string {
	d := c.defaults
	d.retried = false // it says who said, not what
	parts := []string{c.kind, fmt.Sprint(c.port, d)}
	for _, k := range c.keys {
		parts = append(parts, k.name+k.value)
	}
	return strings.Join(parts, "\n")
}

func (c *check) write(doc *document, t *table, servicePort int) {
	for _, n := range c.notes {
		doc.note(t, n.Kind, n.At, "%s", n.Text)
	}
	c.notes = nil
	t.set(c.at, "kind", c.kind)
	if c.port != 0 && c.port != servicePort && c.kind != "ping" && c.kind != "exec" {
		t.set(c.at, "port", c.port)
	}
	for _, k := range c.keys {
		t.set(k.at, k.name, raw(k.value))
	}
	interval, timeout := c.defaults.interval, c.defaults.timeout
	if timeout > interval {
		doc.note(t, Changed, c.at, "an attempt ends before the next begins: timeout %s is as long as the interval here", duration(interval))
		timeout = interval
	}
	t.set(c.at, "interval", duration(interval))
	t.set(c.at, "timeout", duration(timeout))
	t.set(c.at, "fall", c.defaults.fall)
	t.set(c.at, "rise", 1)
}

// readCheck reads a checker of a real_server; nil where there is no
// counterpart.
func (s *serviceReader) readCheck(d node, defaults checkDefaults, port int) *check {
	c := &check{at: d.at, defaults: defaults, port: port}
	kinds := map[string]struct {
		kind     string
		strength int
		fall     int
	}{
		"TCP_CHECK": {"tcp", 2, 2}, "HTTP_GET": {"http", 5, 2}, "SSL_GET": {"https", 5, 2}, "SMTP_CHECK": {"tcp", 2, 2},
		"DNS_CHECK": {"dns", 4, 4}, "MISC_CHECK": {"exec", 6, 1}, "UDP_CHECK": {"udp", 3, 2}, "PING_CHECK": {"ping", 1, 2},
	}
	k, known := kinds[d.name()]
	if !known {
		if strings.HasSuffix(d.name(), "_CHECK") {
			s.note(Lost, d.at, "%s: kind = \"exec\" runs a command", d.name())
		}
		return nil
	}
	c.kind, c.strength = k.kind, k.strength
	if !defaults.retried {
		c.defaults.fall = k.fall
	}
	for _, o := range d.body {
		c.option(s, d.name(), o)
	}
	switch d.name() {
	case "HTTP_GET", "SSL_GET":
		c.http(d)
	case "SMTP_CHECK":
		if c.port == 0 {
			c.port = 25
		}
		c.note(Changed, d.at, "SMTP_CHECK spoke SMTP: a connection is enough here")
	case "MISC_CHECK":
		if !slices.ContainsFunc(c.keys, func(k key) bool { return k.name == "command" }) {
			s.note(Wrong, d.at, "MISC_CHECK without misc_path")
			return nil
		}
	}
	return c
}

// lostCheck are directives of checkers without a counterpart.
var lostCheck = []string{"bindto", "bind_port", "bind_if", "fwmark", "alpha", "warmup", "delay_before_retry", "connect_ip", "helo_name", "fast_recovery", "http_protocol", "enable_sni", "log_all_failures", "max_reply_length", "min_reply_length", "icmp_reply_seconds", "retry_interval", "tls_compliant", "description"}

func (c *check) option(s *serviceReader, checker string, o node) {
	switch name := o.name(); name {
	case "connect_port":
		c.port, _ = number(o.word(1), 1, 65535)
	case "connect_timeout", "misc_timeout", "retry", "nb_get_retry", "delay_loop":
		c.defaults.directive(o)
	case "virtualhost":
		c.defaults.host = o.word(1)
	case "url":
	case "host":
		for _, h := range o.body {
			c.option(s, checker, h)
		}
	case "misc_path":
		words := o.words[min(1, len(o.words)):]
		if command := s.k.command(nil, o.at, words); command != nil {
			c.set(o.at, "command", command)
		}
	case "misc_dynamic":
		c.note(Changed, o.at, "misc_dynamic: the exit status was the weight: print a percentage and write weight_from = \"output\"")
	case "user":
		if checker == "MISC_CHECK" {
			c.set(o.at, "user", o.word(1))
		}
	case "type":
		c.set(o.at, "query_type", strings.ToUpper(o.word(1)))
	case "name":
		if o.word(1) != "." {
			c.set(o.at, "query", o.word(1))
		}
	case "payload":
		c.set(o.at, "send_hex", o.word(1))
	case "require_reply":
		if o.word(1) != "" {
			c.note(Changed, o.at, "require_reply %s: expect is a regular expression of what the answer holds", o.word(1))
			c.set(o.at, "expect", "(?s).+")
		}
	case "tls", "ssl":
		c.note(Lost, o.at, "%s of %s", name, checker)
	default:
		if slices.Contains(lostCheck, name) {
			c.note(Lost, o.at, "%s of %s", name, checker)
			return
		}
		c.note(Wrong, o.at, "%s is no directive of %s", name, checker)
	}
}

// http reads the first url of a checker: here a check asks one.
func (c *check) http(d node) {
	urls := 0
	for _, u := range d.body {
		if u.name() != "url" {
			continue
		}
		if urls++; urls > 1 {
			continue
		}
		for _, o := range u.body {
			switch name := o.name(); name {
			case "path":
				c.set(o.at, "path", o.word(1))
			case "status_code":
				c.set(o.at, "status", statusRanges(o.words[1:]))
			case "virtualhost":
				c.defaults.host = o.word(1)
			case "regex":
				if u.has("regex_no_match") {
					c.note(Lost, o.at, "regex with regex_no_match: body says what the answer must hold, not what it must not")
					continue
				}
				if _, err := regexp.Compile(o.word(1)); err != nil {
					c.note(Lost, o.at, "regex %s is none of Go's: %v", o.word(1), err)
					continue
				}
				c.set(o.at, "body", o.word(1))
			case "regex_no_match": // told with the expression
			case "digest":
				c.note(Lost, o.at, "digest: body is a regular expression of what the answer holds")
			default:
				c.note(Lost, o.at, "%s of a url", name)
			}
		}
	}
	if urls > 1 {
		c.note(Changed, d.at, "%d urls were asked: a check asks one here, the first", urls)
	}
	if c.kind == "https" {
		c.set(d.at, "insecure_skip_verify", true)
		c.note(Changed, d.at, "SSL_GET believed any certificate: name the authority as ca_file in place of insecure_skip_verify")
	}
	if c.defaults.host != "" {
		c.set(d.at, "host", c.defaults.host)
	}
}

// statusRanges writes "200 204-299" with commas.
func statusRanges(words []string) string { return strings.Join(words, ",") }
