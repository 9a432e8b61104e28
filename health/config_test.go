package health_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/pelletier/go-toml/v2"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/portico-lb/portico/health"
)

var compareAddrs = cmpopts.EquateComparable(netip.AddrPort{})

func parse(t *testing.T, text string) (health.Template, []string) {
	t.Helper()
	var s health.Section
	if err := toml.NewDecoder(strings.NewReader(text)).DisallowUnknownFields().Decode(&s); err != nil {
		t.Fatal(err)
	}
	var faults []string
	tmpl := health.Parse(s, "check", func(key, problem string) { faults = append(faults, key+": "+problem) })
	return tmpl, faults
}

func TestParse(t *testing.T) {
	addr := netip.MustParseAddr("10.0.0.3")
	for name, tt := range map[string]struct {
		toml string
		want health.Check
	}{
		"empty": {``, health.Check{
			Kind: health.TCP, Target: netip.MustParseAddrPort("10.0.0.3:80"),
			Interval: 2 * time.Second, Timeout: time.Second, Fall: 3, Rise: 2,
		}},
		"http": {`kind = "http"`, health.Check{
			Kind: health.HTTP, Target: netip.MustParseAddrPort("10.0.0.3:80"),
			HTTP:     health.HTTPRequest{Path: "/", Status: health.StatusRange{Low: 200, High: 299}},
			Interval: 2 * time.Second, Timeout: time.Second, Fall: 3, Rise: 2,
		}},
		"all": {`
			kind = "http"
			host = "www.example.com"
			path = "/ready?full"
			status = "204"
			port = 9181
			interval = "500ms"
			timeout = "250ms"
			fall = 1
			rise = 5`, health.Check{
			Kind: health.HTTP, Target: netip.MustParseAddrPort("10.0.0.3:9181"),
			HTTP:     health.HTTPRequest{Host: "www.example.com", Path: "/ready?full", Status: health.StatusRange{Low: 204, High: 204}},
			Interval: 500 * time.Millisecond, Timeout: 250 * time.Millisecond, Fall: 1, Rise: 5,
		}},
		"short interval": {`interval = "300ms"`, health.Check{
			Kind: health.TCP, Target: netip.MustParseAddrPort("10.0.0.3:80"),
			Interval: 300 * time.Millisecond, Timeout: 300 * time.Millisecond, Fall: 3, Rise: 2,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			tmpl, faults := parse(t, tt.toml)
			if len(faults) > 0 {
				t.Fatal(faults)
			}
			if diff := cmp.Diff(tt.want, tmpl.For(addr, 80), compareAddrs); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseFaults(t *testing.T) {
	for name, tt := range map[string]struct {
		toml string
		want []string
	}{
		"kind":          {`kind = "icmp"`, []string{`check.kind: "icmp" is not a kind of check: allowed are tcp, http, https, tls, grpc, dns, udp, ping, exec, drpath`}},
		"path with tcp": {`path = "/ready"`, []string{`check.path: belongs to kind = "http" or "https", this check is of kind "tcp"`}},
		"timeout":       {`timeout = "3s"`, []string{`check.timeout: 3s is out of range: allowed are 10ms to 2s`}},
		"all at once": {`
			kind = "http"
			host = "a b"
			path = "ready"
			status = "700"
			port = 0
			interval = "2"
			timeout = "0s"
			fall = 0
			rise = 101`, []string{
			`check.fall: 0 is out of range: allowed are 1 to 100`,
			`check.host: "a b" is not a host name`,
			`check.interval: "2" is not a duration: write one like "2s" or "500ms"`,
			`check.path: "ready" is not a path: write one that starts with "/"`,
			`check.port: 0 is out of range: allowed are 1 to 65535`,
			`check.rise: 101 is out of range: allowed are 1 to 100`,
			`check.status: "700" is not a range of status codes: write one like "200-299", "204" or "200-299,401", within 100 to 599`,
			`check.timeout: 0s is out of range: allowed are 10ms to 2s`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			_, faults := parse(t, tt.toml)
			slices.Sort(faults)
			if diff := cmp.Diff(tt.want, faults); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseKinds(t *testing.T) {
	timing := health.Check{Target: netip.MustParseAddrPort("10.0.0.3:80"), Interval: 2 * time.Second, Timeout: time.Second, Fall: 3, Rise: 2}
	ok := health.StatusRange{Low: 200, High: 299}
	for name, tt := range map[string]struct {
		toml string
		want func(c *health.Check)
	}{
		"https": {`kind = "https"
			host = "www.example.com:8443"
			ca_file = "/etc/ca.pem"
			method = "GET"
			status = "200-299, 301,401-403"
			body = "^ok"
			headers = { "X-B" = "2", "X-A" = "1" }`, func(c *health.Check) {
			c.Kind = health.HTTPS
			c.HTTP = health.HTTPRequest{Host: "www.example.com:8443", Path: "/", Header: "X-A: 1\nX-B: 2\n", Status: ok, Statuses: " 301,401-403", Body: "^ok"}
			c.TLS = health.TLSOptions{ServerName: "www.example.com", CAFile: "/etc/ca.pem"}
		}},
		"https by address": {`kind = "https"
			host = "10.0.0.3"
			insecure_skip_verify = true
			refused = "count"`, func(c *health.Check) {
			c.Kind = health.HTTPS
			c.HTTP = health.HTTPRequest{Host: "10.0.0.3", Path: "/", Status: ok}
			c.TLS = health.TLSOptions{SkipVerify: true}
			c.CountRefused = true
		}},
		"tls": {`kind = "tls"
			server_name = "db.example.com"
			expires_within = "72h"`, func(c *health.Check) {
			c.Kind = health.TLS
			c.TLS = health.TLSOptions{ServerName: "db.example.com", ExpiresWithin: 72 * time.Hour}
		}},
		"grpc": {`kind = "grpc"
			service = "shop.Cart"
			tls = true
			server_name = "cart"`, func(c *health.Check) {
			c.Kind = health.GRPC
			c.GRPC = health.GRPCOptions{Service: "shop.Cart", TLS: true}
			c.TLS = health.TLSOptions{ServerName: "cart"}
		}},
		"dns": {`kind = "dns"`, func(c *health.Check) {
			c.Kind = health.DNS
			c.DNS = health.DNSQuery{Name: ".", Type: dnsmessage.TypeSOA}
		}},
		"dns of a name": {`kind = "dns"
			query = "www.example.com"
			rcode = "NXDOMAIN"`, func(c *health.Check) {
			c.Kind = health.DNS
			c.DNS = health.DNSQuery{Name: "www.example.com.", Type: dnsmessage.TypeA, RCode: dnsmessage.RCodeNameError}
		}},
		"udp": {`kind = "udp"
			send_hex = "de ad 00"
			expect = "^pong"`, func(c *health.Check) {
			c.Kind = health.UDP
			c.UDP = health.Datagram{Send: "\xde\xad\x00", Expect: "^pong"}
		}},
		"ping": {`kind = "ping"`, func(c *health.Check) {
			c.Kind, c.Target = health.Ping, netip.MustParseAddrPort("10.0.0.3:0")
		}},
		"exec": {`kind = "exec"
			command = ["/bin/true", "", "a b"]
			user = "nobody"`, func(c *health.Check) {
			c.Kind = health.Exec
			c.Exec = health.Program{Args: "/bin/true\x00\x00a b\x00", User: "nobody"}
		}},
		"weight of a header": {`kind = "http"
			weight_from = "header:x-weight"`, func(c *health.Check) {
			c.Kind = health.HTTP
			c.HTTP = health.HTTPRequest{Path: "/", Status: ok}
			c.WeightFrom = "header:X-Weight"
		}},
		"weight of a program": {`kind = "exec"
			command = ["/bin/echo", "50%"]
			weight_from = "output"`, func(c *health.Check) {
			c.Kind = health.Exec
			c.Exec = health.Program{Args: "/bin/echo\x0050%\x00"}
			c.WeightFrom = "output"
		}},
		"drpath": {`kind = "drpath"`, func(c *health.Check) {
			c.Kind, c.VIPs = health.DRPath, "192.0.2.9 192.0.2.10"
		}},
	} {
		t.Run(name, func(t *testing.T) {
			tmpl, faults := parse(t, tt.toml)
			if len(faults) > 0 {
				t.Fatal(faults)
			}
			want := timing
			tt.want(&want)
			got := tmpl.For(netip.MustParseAddr("10.0.0.3"), 80,
				netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("192.0.2.9"))
			if diff := cmp.Diff(want, got, compareAddrs); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseKindFaults(t *testing.T) {
	for toml, want := range map[string]string{
		`weight_from = "body"`: `check.weight_from: belongs to kind = "http", "https" or "exec", this check is of kind "tcp"`,
		`kind = "https"
weight_from = "output"`: `check.weight_from: "output" is unknown: allowed are "body", and "header:" with the name of a field`,
		`kind = "http"
weight_from = "header:"`: `check.weight_from: "header:" is unknown: allowed are "body", and "header:" with the name of a field`,
		`kind = "http"
method = "HEAD"
weight_from = "body"`: `check.weight_from: cannot be: an answer to HEAD has no body`,
		`kind = "exec"
command = ["/bin/true"]
weight_from = "body"`: `check.weight_from: "body" is unknown: a program says its weight on its output, write "output"`,
		`kind = "drpath"
port = 81`: `check.port: belongs to kind = "tcp", "http", "https", "tls", "grpc", "dns", "udp" or "exec", this check is of kind "drpath"`,
		`kind = "grpc"
ca_file = "/ca"`: `check.tls: is missing: server_name, ca_file and insecure_skip_verify mean something with tls = true alone`,
		`kind = "https"
ca_file = "/ca"
insecure_skip_verify = true`: `check.insecure_skip_verify: stands beside ca_file: a certificate is verified or it is not`,
		`kind = "tls"
ca_file = "ca.pem"`: `check.ca_file: "ca.pem" is not an absolute path`,
		`kind = "tls"
server_name = "a:1"`: `check.server_name: "a:1" is not a host name`,
		`kind = "http"
body = "("`: "check.body: \"(\" is not a regular expression: error parsing regexp: missing closing ): `(`",
		`kind = "http"
method = "HEAD"
body = "x"`: `check.body: cannot be: an answer to HEAD has none`,
		`kind = "http"
method = "TRACE"`: `check.method: "TRACE" is unknown: allowed are GET, HEAD, OPTIONS, POST`,
		`kind = "http"
headers = { "Authorization" = "Bearer top\nsecret" }`: `check.headers: the value of "Authorization" has a character that no header may have`,
		`kind = "http"
headers = { "host" = "a" }`: `check.headers: "Host" has a key of its own: host = "..."`,
		`kind = "http"
headers = { "content-length" = "5" }`: `check.headers: "content-length" is set by the check itself`,
		`kind = "http"
headers = { "a b" = "a" }`: `check.headers: "a b" is not the name of a header`,
		`kind = "http"
status = "200,"`: `check.status: "200," is not a range of status codes: write one like "200-299", "204" or "200-299,401", within 100 to 599`,
		`kind = "dns"
query = "a..b"`: `check.query: "a..b" is not a domain name`,
		`kind = "dns"
query_type = "a"`: `check.query_type: "a" is unknown: allowed are A, AAAA, CNAME, MX, NS, PTR, SOA, SRV, TXT`,
		`kind = "dns"
rcode = "OK"`: `check.rcode: "OK" is unknown: allowed are FORMERR, NOERROR, NOTIMP, NXDOMAIN, REFUSED, SERVFAIL`,
		`kind = "udp"
send = "a"
send_hex = "00"`: `check.send_hex: stands beside send: a check sends one datagram`,
		`kind = "udp"
send_hex = "0"`: `check.send_hex: "0" is not hexadecimal: write bytes like "de ad 00"`,
		`kind = "exec"`: `check.command: missing: name a program and its arguments, ["/usr/local/bin/program", "argument"]`,
		`kind = "exec"
command = ["check"]`: `check.command: "check" is no absolute path: name the program by one; there is no shell and no PATH`,
		`refused = "up"`: `check.refused: "up" is unknown: allowed are down, count`,
		`kind = "ping"
refused = "down"`: `check.refused: belongs to kind = "tcp", "http", "https", "tls", "grpc", "dns", "udp" or "drpath", this check is of kind "ping"`,
	} {
		_, faults := parse(t, toml)
		if diff := cmp.Diff([]string{want}, faults); diff != "" {
			t.Errorf("%s:\n%s", toml, diff)
		}
	}
}

// Whatever is accepted must make a check that can be asked.
func FuzzParse(f *testing.F) {
	f.Add("http", "www.example.com", "/ready?a=b", "200-299", "2s", "1s")
	f.Add("http", "[::1]:80", "/%zz", "299-200", "1ns", "-1s")
	f.Add("tcp", "", "", "", "1h", "1m")
	f.Fuzz(func(t *testing.T, kind, host, path, status, interval, timeout string) {
		faults := 0
		s := health.Section{Kind: kind, Host: host, Path: path, Status: status, Interval: interval, Timeout: timeout}
		tmpl := health.Parse(s, "check", func(string, string) { faults++ })
		if faults > 0 {
			return
		}
		c := tmpl.For(netip.MustParseAddr("127.0.0.1"), 80)
		if c.Timeout <= 0 || c.Timeout > c.Interval || c.Fall < 1 || c.Rise < 1 {
			t.Errorf("%+v became %+v", s, c)
		}
		if r := c.HTTP.Status; c.Kind == health.HTTP && (r.Low < 100 || r.Low > r.High || r.High > 599) {
			t.Errorf("status %q became %v", status, r)
		}
		if strings.ContainsAny(c.HTTP.Host+c.HTTP.Path, "\r\n ") {
			t.Errorf("host %q and path %q would break the request", c.HTTP.Host, c.HTTP.Path)
		}
	})
}
