package l7_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portico-lb/portico/l7/backend"
	"github.com/portico-lb/portico/l7/route"
)

// policyOf parses what stands in [l7.backend].
func policyOf(t *testing.T, in string) (backend.Policy, string) {
	c, faults := parse(t, "[backend]\n"+in)
	return c.Backend, faults
}

func TestParseBackend(t *testing.T) {
	for _, tc := range []struct {
		in     string
		change func(*backend.Policy)
	}{
		{"", func(*backend.Policy) {}},
		{"protocol = 'h2c'", func(p *backend.Policy) { p.Protocol = route.H2C }},
		{"send_proxy = 'v2'", func(p *backend.Policy) { p.SendProxy = 2 }},
		{"protocol = 'http'", func(p *backend.Policy) { p.Protocol = route.HTTP }},
		{"balance = 'least_requests'", func(p *backend.Policy) { p.Balance.Strategy = backend.LeastRequests }},
		{"balance = 'hash'\nhash_bound = 0.0", func(p *backend.Policy) {
			p.Balance = backend.Balance{Strategy: backend.Hash}
		}},
		{"balance = 'hash'\nhash_key = 'uri'", func(p *backend.Policy) {
			p.Balance.Strategy, p.Balance.Key = backend.Hash, backend.URI
		}},
		{"balance = 'hash'\nhash_key = 'cookie:user'", func(p *backend.Policy) {
			p.Balance.Strategy, p.Balance.Key, p.Balance.Name = backend.Hash, backend.Cookie, "user"
		}},
		{"slow_start = '30s'", func(p *backend.Policy) { p.SlowStart = 30 * time.Second }},
		{"tls = { server_name = 'a.example', insecure_skip_verify = true }", func(p *backend.Policy) {
			p.TLS = backend.TLS{ServerName: "a.example", Insecure: true}
		}},
		{"timeouts = { dial = '1s', response = '2s', request = '3s', idle = '4s' }", func(p *backend.Policy) {
			p.Timeouts = backend.Timeouts{Dial: time.Second, Response: 2 * time.Second, Whole: 3 * time.Second, Idle: 4 * time.Second}
		}},
		{"retries = { attempts = 1, share = 0, floor = 0.0 }", func(p *backend.Policy) { p.Retries = backend.Retries{Attempts: 1} }},
		{"ejection = { failures = 0, base = '1m', panic = 1.0 }", func(p *backend.Policy) {
			p.Ejection = backend.Ejection{Base: time.Minute, Most: time.Minute, Panic: 1}
		}},
		{"breaker = { share = 0.5, requests = 7, open = '8s' }", func(p *backend.Policy) {
			p.Breaker = backend.Breaker{Share: 0.5, Requests: 7, Open: 8 * time.Second}
		}},
		{"limit = { requests = 10, queue = 0, wait = '1s' }", func(p *backend.Policy) {
			p.Limit = backend.Limit{Requests: 10, Wait: time.Second}
		}},
		{"sticky = { cookie = 'edge', max_age = '1h', same_site = 'None', secret_file = '/secret' }", func(p *backend.Policy) {
			p.Sticky = backend.Sticky{Cookie: "edge", MaxAge: time.Hour, SameSite: "None", Secret: "0123456789abcdef"}
		}},
	} {
		got, problems := policyOf(t, tc.in)
		want := backend.Default()
		want.Sticky.SameSite = "Lax"
		tc.change(&want)
		if d := cmp.Diff(want, got); d != "" || problems != "" {
			t.Errorf("%s: %s(-want +got)\n%s", tc.in, problems, d)
		}
	}
}

func TestParseBackendProblems(t *testing.T) {
	for in, want := range map[string]string{
		"send_proxy = 'v3'":                         `l7.backend.send_proxy: "v3" is not allowed: want one of v1, v2`,
		"send_proxy = 'v1'\nprotocol = 'h2'":        `l7.backend.send_proxy: stands beside a protocol of HTTP/2, whose connections clients share: leave out one of them`,
		"protocol = 'spdy'":                         `l7.backend.protocol: "spdy" is not allowed: want one of http, https, h2c, h2`,
		"balance = 'random'":                        `l7.backend.balance: "random" is not allowed: want one of round_robin, least_requests, hash`,
		"hash_key = 'uri'":                          `l7.backend.hash_key: stands without balance = "hash": add that, or leave it out`,
		"balance = 'hash'\nhash_key = 'header'":     `l7.backend.hash_key: "header" is no key: allowed are source, uri, header:NAME, cookie:NAME`,
		"balance = 'hash'\nhash_key = 'header:a b'": `l7.backend.hash_key: "header:a b" is no key: allowed are source, uri, header:NAME, cookie:NAME`,
		"balance = 'hash'\nhash_key = 'uri:x'":      `l7.backend.hash_key: "uri:x" is no key: allowed are source, uri, header:NAME, cookie:NAME`,
		"balance = 'hash'\nhash_key = 'port'":       `l7.backend.hash_key: "port" is no key: allowed are source, uri, header:NAME, cookie:NAME`,
		"hash_bound = 0.5":                          `l7.backend.hash_bound: 0.5 is below the mean, which not all can be: want 1 or more, or 0 for none`,
		"timeouts = { dial = '0s' }":                `l7.backend.timeouts.dial: "0s" is no duration for this: allowed are 10ms to 1m0s`,
		"retries = { attempts = 0 }":                `l7.backend.retries.attempts: 0 is out of range: allowed are 1 to 100`,
		"retries = { share = 2.0 }":                 `l7.backend.retries.share: 2 is out of range: allowed are 0 to 1`,
		"tls = { ca_file = '/text' }":               `l7.backend.tls.ca_file: holds no certificate: want PEM`,
		"tls = { ca_file = '/none' }":               `l7.backend.tls.ca_file: open /none: file does not exist`,
		"sticky = { cookie = 'a;b' }":               `l7.backend.sticky.cookie: "a;b" is no name of a cookie: want up to 64 letters, digits, - and _`,
		"sticky = { same_site = 'lax' }":            `l7.backend.sticky.same_site: "lax" is not allowed: want one of Lax, Strict, None`,
		"sticky = { secret_file = '/short' }":       `l7.backend.sticky.secret_file: holds 5 bytes, which can be guessed: want 16 or more, from openssl rand`,
		"tls = { ca_file = '/text', insecure_skip_verify = true }": "l7.backend.tls.ca_file: stands beside insecure_skip_verify, which believes everybody: leave out one of them\n" +
			"l7.backend.tls.ca_file: holds no certificate: want PEM",
	} {
		if _, got := policyOf(t, in); got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", fmt.Sprintf("%q", in), got, want)
		}
	}
}
