package notify

import (
	"crypto/x509"
	"fmt"
	"net"
	"net/mail"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/portico-lb/portico/health/command"
)

var states = []string{"Active", "Backup", "Fault", "Initialize"}

// Parse checks the sections and completes them. groups are the names of the
// VIP groups; readFile reads what the keys *_file name, and refuses a secret
// that everybody may read. Each fault is reported to bad with the key's path
// in the file; Parse goes on to find them all.
func Parse(ss []Section, groups []string, readFile func(string) ([]byte, error), bad func(key, problem string)) Config {
	var c Config
	names := map[string]string{}
	for i, s := range ss {
		key := fmt.Sprintf("notify[%d]", i)
		p := parser{key: key, bad: bad, readFile: readFile}
		t := p.target(s, groups)
		if other, taken := names[t.Name]; taken {
			p.fault("name", "%q is the name of %s already: give each its own", t.Name, other)
		}
		names[t.Name] = key
		c.Targets = append(c.Targets, t)
	}
	return c
}

// Secrets returns the keys of a section, below its own, that hold a secret in
// the configuration file itself.
func (s Section) Secrets() []string {
	var keys []string
	for name := range s.Headers {
		lower := strings.ToLower(name)
		for _, word := range []string{"authorization", "cookie", "token", "secret", "key", "password"} {
			if strings.Contains(lower, word) {
				keys = append(keys, "headers."+name)
				break
			}
		}
	}
	slices.Sort(keys)
	return keys
}

// parser reads one section and reports faults below its key.
type parser struct {
	key      string
	bad      func(key, problem string)
	readFile func(string) ([]byte, error)
}

func (p parser) fault(key, format string, args ...any) {
	p.bad(p.key+"."+key, fmt.Sprintf(format, args...))
}

func (p parser) target(s Section, groups []string) Target {
	t := Target{
		Name: s.Name, Kind: Kind(s.Kind), Groups: s.Groups, States: s.States,
		Timeout: p.timeout(s.Timeout), Retries: p.retries(s),
	}
	for i, g := range s.Groups {
		if !slices.Contains(groups, g) {
			p.fault(fmt.Sprintf("groups[%d]", i), "no [[vip]] has the name %q", g)
		}
	}
	for i, state := range s.States {
		if !slices.Contains(states, state) {
			p.fault(fmt.Sprintf("states[%d]", i), "%q is no state: allowed are %s", state, strings.Join(states, ", "))
		}
	}
	var where string
	switch t.Kind {
	case KindSMTP:
		t.SMTP = p.smtp(s)
		where = t.SMTP.Server
	case KindWebhook:
		t.Webhook = p.webhook(s)
		if u, err := url.Parse(string(t.Webhook.URL)); err == nil {
			where = u.Host // the path may be a secret
		}
	case KindExec:
		t.Exec = p.exec(s)
		if len(s.Command) > 0 {
			where = s.Command[0]
		}
	case "":
		p.fault("kind", "missing: allowed are smtp, webhook, exec")
		return t
	default:
		p.fault("kind", "%q is no kind of target: allowed are smtp, webhook, exec", s.Kind)
		return t
	}
	p.foreign(s)
	if t.Name == "" {
		t.Name = s.Kind + " " + where
	}
	return t
}

// foreign reports keys that belong to another kind.
func (p parser) foreign(s Section) {
	for _, k := range []struct {
		key   string
		set   bool
		kinds []Kind
	}{
		{"server", s.Server != "", []Kind{KindSMTP}},
		{"from", s.From != "", []Kind{KindSMTP}},
		{"to", s.To != nil, []Kind{KindSMTP}},
		{"tls", s.TLS != "", []Kind{KindSMTP}},
		{"username", s.Username != "", []Kind{KindSMTP}},
		{"password_file", s.PasswordFile != "", []Kind{KindSMTP}},
		{"url", s.URL != "", []Kind{KindWebhook}},
		{"url_file", s.URLFile != "", []Kind{KindWebhook}},
		{"headers", s.Headers != nil, []Kind{KindWebhook}},
		{"secret_file", s.SecretFile != "", []Kind{KindWebhook}},
		{"ca_file", s.CAFile != "", []Kind{KindSMTP, KindWebhook}},
		{"command", s.Command != nil, []Kind{KindExec}},
		{"user", s.User != "", []Kind{KindExec}},
		{"keepalived_args", s.KeepalivedArgs, []Kind{KindExec}},
	} {
		if k.set && !slices.Contains(k.kinds, Kind(s.Kind)) {
			p.fault(k.key, "belongs to kind = %q, this target is of kind %q", k.kinds[0], s.Kind)
		}
	}
}

func (p parser) timeout(s string) time.Duration {
	const def = 10 * time.Second
	if s == "" {
		return def
	}
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		p.fault("timeout", `%q is not a duration: write one like "10s" or "500ms"`, s)
	case d < 100*time.Millisecond || d > 5*time.Minute:
		p.fault("timeout", "%s is out of range: allowed are 100ms to 5m", d)
	default:
		return d
	}
	return def
}

func (p parser) retries(s Section) int {
	switch {
	case s.Retries == nil && s.Kind == string(KindExec):
		return 0 // a command that failed half way does not expect a second run
	case s.Retries == nil:
		return 3
	case *s.Retries < 0 || *s.Retries > 10:
		p.fault("retries", "%d is out of range: allowed are 0 to 10", *s.Retries)
	}
	return *s.Retries
}

func (p parser) smtp(s Section) SMTP {
	m := SMTP{Server: s.Server, TLS: TLSMode(s.TLS), Username: s.Username, Roots: p.roots(s.CAFile)}
	if host, port, err := net.SplitHostPort(s.Server); err != nil || host == "" || !validPort(port) {
		p.fault("server", `%q is no mail server: write it like "mail.example.com:587"`, s.Server)
	}
	m.From = p.address("from", s.From)
	if len(s.To) == 0 {
		p.fault("to", "missing: name at least one address")
	}
	for i, to := range s.To {
		m.To = append(m.To, p.address(fmt.Sprintf("to[%d]", i), to))
	}
	switch m.TLS {
	case "":
		m.TLS = TLSStart
	case TLSStart, TLSImplicit, TLSNone:
	default:
		p.fault("tls", `%q is unknown: allowed are "starttls", "tls", "none"`, s.TLS)
	}
	switch {
	case s.Username != "" && m.TLS == TLSNone:
		p.fault("username", `the password would travel in clear: needs tls = "starttls" or "tls"`)
	case s.Username != "" && s.PasswordFile == "":
		p.fault("password_file", "missing: a username needs one")
	case s.Username == "" && s.PasswordFile != "":
		p.fault("username", "missing: a password_file needs one")
	case s.PasswordFile != "":
		m.Password = p.secret("password_file", s.PasswordFile)
	}
	return m
}

func validPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}

func (p parser) address(key, s string) string {
	a, err := mail.ParseAddress(s)
	if err != nil || a.Name != "" {
		p.fault(key, `%q is no mail address: write it like "ops@example.com"`, s)
		return ""
	}
	return a.Address
}

func (p parser) webhook(s Section) Webhook {
	w := Webhook{Roots: p.roots(s.CAFile)}
	switch {
	case (s.URL == "") == (s.URLFile == ""):
		p.fault("url", "name the receiver by one of url and url_file")
	case s.URL != "":
		w.URL = p.url("url", s.URL)
	default:
		if content := p.secret("url_file", s.URLFile); content != "" {
			w.URL = p.url("url_file", string(content))
		}
	}
	for name, value := range s.Headers {
		key := "headers." + name
		switch {
		case !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value):
			p.fault(key, "is no header field of HTTP")
		case slices.Contains([]string{"host", "content-length", "transfer-encoding", "connection", strings.ToLower(deliveryHeader), strings.ToLower(signatureHeader)}, strings.ToLower(name)):
			p.fault(key, "is set by portico itself")
		}
		if w.Headers == nil {
			w.Headers = map[string]Secret{}
		}
		w.Headers[name] = Secret(value)
	}
	if s.SecretFile != "" {
		w.Secret = p.secret("secret_file", s.SecretFile)
	}
	return w
}

// url checks the address of a receiver; a fault does not repeat it, since its
// path may be a secret.
func (p parser) url(key, s string) Secret {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		p.fault(key, `is no URL: write one like "https://example.com/hook"`)
		return ""
	case u.User != nil:
		p.fault(key, "holds a password: put it into headers = { Authorization = \"...\" }")
	}
	return Secret(s)
}

func (p parser) exec(s Section) Exec {
	if err := command.Check(s.Command); err != nil {
		p.fault("command", "%v", err)
	}
	if err := command.CheckUser(s.User); err != nil {
		p.fault("user", "%v", err)
	}
	return Exec{Command: s.Command, User: s.User, KeepalivedArgs: s.KeepalivedArgs}
}

// secret reads a file that holds one line.
func (p parser) secret(key, path string) Secret {
	data, err := p.readFile(path)
	if err != nil {
		p.fault(key, "%v", err)
		return ""
	}
	s := strings.TrimRight(string(data), "\r\n")
	if s == "" {
		p.fault(key, "%s is empty", path)
	}
	return Secret(s)
}

func (p parser) roots(path string) Roots {
	if path == "" {
		return Roots{}
	}
	data, err := p.readFile(path)
	if err != nil {
		p.fault("ca_file", "%v", err)
		return Roots{}
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		p.fault("ca_file", "%s holds no certificate in PEM", path)
	}
	return Roots{pool}
}
