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
		"kind": {`kind = "icmp"`, []string{`check.kind: "icmp" is not a kind of check: allowed are tcp, http`}},
		"kind of later": {`kind = "https"
			path = "/"`, []string{`check.kind: "https" is not yet available: allowed are tcp, http`}},
		"path with tcp": {`path = "/ready"`, []string{`check.path: belongs to kind = "http", this check is of kind "tcp"`}},
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
			`check.status: "700" is not a range of status codes: write one like "200-299" or "204", within 100 to 599`,
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
