package l7

import (
	"cmp"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/portico-lb/portico/l7/backend"
	"github.com/portico-lb/portico/l7/route"
	"github.com/portico-lb/portico/l7/value"
)

// A BackendSection is [l7.backend]: how endpoints are used.
type BackendSection struct {
	Protocol  string   `toml:"protocol"`
	SendProxy string   `toml:"send_proxy"`
	Balance   string   `toml:"balance"`
	HashKey   string   `toml:"hash_key"`
	HashBound *float64 `toml:"hash_bound"`
	SlowStart string   `toml:"slow_start"`
	TLS       struct {
		CAFile             string `toml:"ca_file"`
		ServerName         string `toml:"server_name"`
		InsecureSkipVerify bool   `toml:"insecure_skip_verify"`
	} `toml:"tls"`
	Timeouts struct {
		Dial     string `toml:"dial"`
		Response string `toml:"response"`
		Request  string `toml:"request"`
		Idle     string `toml:"idle"`
	} `toml:"timeouts"`
	Retries struct {
		Attempts *int     `toml:"attempts"`
		Share    *float64 `toml:"share"`
		Floor    *float64 `toml:"floor"`
	} `toml:"retries"`
	Ejection struct {
		Failures *int     `toml:"failures"`
		Base     string   `toml:"base"`
		Most     string   `toml:"most"`
		Panic    *float64 `toml:"panic"`
	} `toml:"ejection"`
	Breaker struct {
		Share    *float64 `toml:"share"`
		Requests *int     `toml:"requests"`
		Open     string   `toml:"open"`
	} `toml:"breaker"`
	Limit struct {
		Requests *int   `toml:"requests"`
		Queue    *int   `toml:"queue"`
		Wait     string `toml:"wait"`
	} `toml:"limit"`
	Sticky StickySection `toml:"sticky"`
}

// A StickySection has clients stay with their endpoints.
type StickySection struct {
	Cookie     string `toml:"cookie"`
	MaxAge     string `toml:"max_age"`
	SameSite   string `toml:"same_site"`
	SecretFile string `toml:"secret_file"`
}

// parseBackend checks s. What it leaves out is as in out.
func parseBackend(s BackendSection, out backend.Policy, p value.Parser) backend.Policy {
	if i := p.Choice(s.Protocol, "protocol", route.Protocols[1:]); i >= 0 {
		out.Protocol = route.Protocol(i + 1)
	}
	if i := p.Choice(s.SendProxy, "send_proxy", []string{"v1", "v2"}); i >= 0 {
		out.SendProxy = i + 1
	}
	if out.SendProxy != 0 && out.Protocol.HTTP2() {
		p.Bad("send_proxy", "stands beside a protocol of HTTP/2, whose connections clients share: leave out one of them")
	}
	parseBalance(p, s, &out.Balance)
	out.SlowStart = p.Span(s.SlowStart, "slow_start", out.SlowStart, 0, time.Hour)
	parseBackendTLS(p, &s, &out.TLS)

	t := &out.Timeouts
	t.Dial = p.Span(s.Timeouts.Dial, "timeouts.dial", t.Dial, 10*time.Millisecond, time.Minute)
	t.Response = p.Span(s.Timeouts.Response, "timeouts.response", t.Response, 100*time.Millisecond, 24*time.Hour)
	t.Whole = p.Span(s.Timeouts.Request, "timeouts.request", t.Whole, 0, 24*time.Hour)
	t.Idle = p.Span(s.Timeouts.Idle, "timeouts.idle", t.Idle, time.Second, time.Hour)

	r := &out.Retries
	r.Attempts = value.Number(p, s.Retries.Attempts, "retries.attempts", r.Attempts, 1, 100)
	r.Share = value.Number(p, s.Retries.Share, "retries.share", r.Share, 0, 1)
	r.Floor = value.Number(p, s.Retries.Floor, "retries.floor", r.Floor, 0, 1e6)

	e := &out.Ejection
	e.Failures = value.Number(p, s.Ejection.Failures, "ejection.failures", e.Failures, 0, 1e6)
	e.Base = p.Span(s.Ejection.Base, "ejection.base", e.Base, 10*time.Millisecond, time.Hour)
	e.Most = max(e.Base, p.Span(s.Ejection.Most, "ejection.most", e.Most, 10*time.Millisecond, time.Hour))
	e.Panic = value.Number(p, s.Ejection.Panic, "ejection.panic", e.Panic, 0, 1)

	b := &out.Breaker
	b.Share = value.Number(p, s.Breaker.Share, "breaker.share", b.Share, 0, 1)
	b.Requests = value.Number(p, s.Breaker.Requests, "breaker.requests", b.Requests, 1, 1e6)
	b.Open = p.Span(s.Breaker.Open, "breaker.open", b.Open, 10*time.Millisecond, time.Hour)

	l := &out.Limit
	l.Requests = value.Number(p, s.Limit.Requests, "limit.requests", l.Requests, 0, 1e6)
	l.Queue = value.Number(p, s.Limit.Queue, "limit.queue", l.Queue, 0, 1e6)
	l.Wait = p.Span(s.Limit.Wait, "limit.wait", l.Wait, 0, time.Hour)

	if s.Sticky != (StickySection{}) || out.Sticky == (backend.Sticky{}) {
		out.Sticky = parseSticky(p, s.Sticky)
	}
	return out
}

func parseBalance(p value.Parser, s BackendSection, b *backend.Balance) {
	if i := p.Choice(s.Balance, "balance", []string{"round_robin", "least_requests", "hash"}); i >= 0 {
		b.Strategy = backend.Strategy(i)
	}
	b.Bound = value.Number(p, s.HashBound, "hash_bound", b.Bound, 0, 1000)
	if b.Bound > 0 && b.Bound < 1 {
		p.Bad("hash_bound", fmt.Sprintf("%v is below the mean, which not all can be: want 1 or more, or 0 for none", b.Bound))
	}
	if s.HashKey == "" {
		return
	}
	kind, name, named := strings.Cut(s.HashKey, ":")
	b.Key, b.Name = backend.Key(max(0, slices.Index(hashKeys, kind))), name
	switch byName := kind == "header" || kind == "cookie"; {
	case !slices.Contains(hashKeys, kind) || byName != named || named && !value.Token(name):
		p.Bad("hash_key", fmt.Sprintf("%q is no key: allowed are source, uri, header:NAME, cookie:NAME", s.HashKey))
	case b.Strategy != backend.Hash:
		p.Bad("hash_key", "stands without balance = \"hash\": add that, or leave it out")
	}
}

// hashKeys are the names of the keys, in their order.
var hashKeys = []string{"source", "uri", "header", "cookie"}

func parseBackendTLS(p value.Parser, s *BackendSection, t *backend.TLS) {
	t.ServerName, t.Insecure = cmp.Or(s.TLS.ServerName, t.ServerName), s.TLS.InsecureSkipVerify || t.Insecure && s.TLS.CAFile == ""
	if s.TLS.CAFile == "" {
		return
	}
	if t.Insecure {
		p.Bad("tls.ca_file", "stands beside insecure_skip_verify, which believes everybody: leave out one of them")
	}
	pem, err := p.ReadFile(s.TLS.CAFile)
	if err != nil {
		p.Bad("tls.ca_file", err.Error())
	} else if !x509.NewCertPool().AppendCertsFromPEM(pem) {
		p.Bad("tls.ca_file", "holds no certificate: want PEM")
	}
	t.CA = string(pem)
}

func parseSticky(p value.Parser, s StickySection) backend.Sticky {
	out := backend.Sticky{Cookie: s.Cookie}
	out.MaxAge = p.Span(s.MaxAge, "sticky.max_age", 0, 0, 10*365*24*time.Hour)
	sites := []string{"Lax", "Strict", "None"}
	out.SameSite = sites[max(0, p.Choice(s.SameSite, "sticky.same_site", sites))]
	if out.Cookie != "" && (!value.Token(out.Cookie) || len(out.Cookie) > backend.CookieMost) {
		p.Bad("sticky.cookie", fmt.Sprintf("%q is no name of a cookie: want up to %d letters, digits, - and _", out.Cookie, backend.CookieMost))
	}
	if s.SecretFile != "" {
		secret, err := p.ReadFile(s.SecretFile)
		if err != nil {
			p.Bad("sticky.secret_file", err.Error())
		} else if len(secret) < secretLeast {
			p.Bad("sticky.secret_file", fmt.Sprintf("holds %d bytes, which can be guessed: want %d or more, from openssl rand", len(secret), secretLeast))
		}
		out.Secret = string(secret)
	}
	return out
}

// secretLeast is what a secret needs that nobody guesses.
const secretLeast = 16
