package l4_test

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
	"github.com/portico-lb/portico/l4"
)

var vips = map[string][]netip.Addr{"edge": {vip4}, "both": {vip4, vip6}}

func parse(t *testing.T, text string) (l4.Config, []string) {
	t.Helper()
	var s l4.Section
	if err := toml.NewDecoder(strings.NewReader(text)).DisallowUnknownFields().Decode(&s); err != nil {
		t.Fatal(err)
	}
	var faults []string
	cfg := l4.Parse(s, vips, func(key, problem string) { faults = append(faults, key+": "+problem) })
	slices.Sort(faults)
	return cfg, faults
}

func TestParse(t *testing.T) {
	cfg, faults := parse(t, `
dataplane = "auto"
timeouts = { tcp = "10m", udp = "30s" }

[[service]]
name = "http"
vip  = "both"
port = 80
[service.check]
kind = "http"
path = "/ready"
port = 9181
[[service.server]]
address = "172.20.0.113"
[[service.server]]
address = "2001:db8::113"
port    = 80
weight  = 0
check   = { kind = "tcp", port = 22 }

[[service]]
name = "dns"
address = "192.0.2.10"
port = 53
protocol = "udp"
scheduler = "wlc"
forward = "dr"
all_down = "keep"
check = { port = 8053 }
[[service.server]]
address = "172.20.0.113"
weight = 10
`)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	check := func(kind health.Kind, target string) health.Check {
		return health.Check{
			Kind: kind, Target: netip.MustParseAddrPort(target),
			Interval: 2 * time.Second, Timeout: time.Second, Fall: 3, Rise: 2,
		}
	}
	ready := check(health.HTTP, "172.20.0.113:9181")
	ready.HTTP = health.HTTPRequest{Path: "/ready", Status: health.StatusRange{Low: 200, High: 299}}
	want := l4.Config{
		Timeouts: l4.Timeouts{TCP: 10 * time.Minute, UDP: 30 * time.Second},
		Services: []l4.Service{{
			Name: "http", VIP: "both", Addrs: []netip.Addr{vip4, vip6}, Port: 80,
			Protocol: l4.TCP, Scheduler: "mh", Flags: l4.FlagFallback | l4.FlagPort,
			Servers: []l4.Server{
				{Addr: netip.MustParseAddrPort("172.20.0.113:80"), Weight: 1, Check: ready},
				{Addr: netip.MustParseAddrPort("[2001:db8::113]:80"), Check: check(health.TCP, "[2001:db8::113]:22")},
			},
		}, {
			Name: "dns", Addrs: []netip.Addr{vip4}, Port: 53, Protocol: l4.UDP, Scheduler: "wlc",
			Servers: []l4.Server{
				{Addr: netip.MustParseAddrPort("172.20.0.113:53"), Weight: 10, Check: check(health.TCP, "172.20.0.113:8053")},
			},
		}},
	}
	if diff := cmp.Diff(want, cfg, cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := len(cfg.Checks()); got != 3 {
		t.Errorf("%d checks, want 3", got)
	}
}

func TestParseFaults(t *testing.T) {
	const (
		head    = "[[service]]\nname = \"web\"\nvip = \"edge\"\nport = 80\n"
		servers = "[[service.server]]\naddress = \"10.0.0.1\"\n"
	)
	for name, tt := range map[string]struct {
		toml string
		want []string
	}{
		"empty": {"", nil},
		"empty service": {"[[service]]\n", []string{
			`l4.service[0].name: is missing: every service needs a name`,
			`l4.service[0].port: 0 is not a port: allowed are 1 to 65535`,
			`l4.service[0].server: is missing: a service needs at least one server`,
			`l4.service[0].vip: is missing: name the [[vip]] this service belongs to, one of ["both" "edge"]`,
		}},
		"no such vip": {"[[service]]\nname = \"web\"\nvip = \"egde\"\nport = 80\n" + servers, []string{
			`l4.service[0].vip: no [[vip]] has the name "egde": there are ["both" "edge"]`,
		}},
		"address of no vip": {"[[service]]\nname = \"web\"\naddress = \"192.0.2.11\"\nport = 80\n" + servers, []string{
			`l4.service[0].address: 192.0.2.11 is not an address of any [[vip]]: this node would never own it`,
		}},
		"words": {"dataplane = \"xdp\"\n[timeouts]\ntcp = \"1.5s\"\nudp = \"x\"\n" + head +
			"protocol = \"sctp\"\nscheduler = \"sed\"\nforward = \"nat\"\nall_down = \"reject\"\n" + servers, []string{
			`l4.dataplane: "xdp" is not yet available: allowed are auto, ipvs`,
			`l4.service[0].all_down: "reject" is not yet available: allowed are keep`,
			`l4.service[0].forward: "nat" is not yet available: allowed are dr`,
			`l4.service[0].protocol: "sctp" is not yet available: allowed are tcp, udp`,
			`l4.service[0].scheduler: "sed" is not yet available: allowed are rr, wrr, lc, wlc, sh, mh`,
			`l4.timeouts.tcp: 1.5s is out of range: allowed are whole seconds from 1s to 24h`,
			`l4.timeouts.udp: "x" is not a duration: write one like "15m"`,
		}},
		"unknown scheduler": {head + "scheduler = \"maglev\"\n" + servers, []string{
			`l4.service[0].scheduler: "maglev" is unknown: allowed are rr, wrr, lc, wlc, sh, mh`,
		}},
		"servers": {head + `
[[service.server]]
[[service.server]]
address = "edge-1"
weight = 70000
[[service.server]]
address = "192.0.2.10"
[[service.server]]
address = "127.0.0.1"
[[service.server]]
address = "10.0.0.1"
port = 8080
weight = -1
check = { kind = "icmp" }
[[service.server]]
address = "::ffff:10.0.0.1"
`, []string{
			`l4.service[0].server[0].address: is missing: every server needs an address`,
			`l4.service[0].server[1].address: "edge-1" is not an address`,
			`l4.service[0].server[1].weight: 70000 is out of range: allowed are 0 to 65535`,
			`l4.service[0].server[2].address: 192.0.2.10 is the service's own address: write the server's`,
			`l4.service[0].server[3].address: 127.0.0.1 is no address of a server on this network`,
			`l4.service[0].server[4].check.kind: "icmp" is not a kind of check: allowed are tcp, http, https, tls, grpc, dns, udp, ping, exec, drpath`,
			`l4.service[0].server[4].port: 8080 differs from the service's port 80: direct routing cannot change a port, leave this key out`,
			`l4.service[0].server[4].weight: -1 is out of range: allowed are 0 to 65535`,
			`l4.service[0].server[5].address: 10.0.0.1 is an earlier server of this service`,
		}},
		"the same twice": {head + servers + head + servers, []string{
			`l4.service[1].name: "web" is the name of an earlier service`,
			`l4.service[1].port: tcp 192.0.2.10:80 belongs to service "web" already`,
		}},
		"a family without servers": {strings.Replace(head, "edge", "both", 1) + servers, []string{
			`l4.service[0].server: no server is for 2001:db8::10: add an IPv6 server, or give the service the other address by address = "..."`,
		}},
		"a server without a family": {head + servers + "[[service.server]]\naddress = \"2001:db8::1\"\n", []string{
			`l4.service[0].server[1].address: 2001:db8::1 would never be used: the service has no IPv6 address`,
		}},
		"udp unchecked": {head + "protocol = \"udp\"\n" + servers, []string{
			`l4.service[0].check: is missing: a udp port cannot be asked, name a tcp or http port that tells whether the server works`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			_, faults := parse(t, tt.toml)
			if diff := cmp.Diff(tt.want, faults); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzParseKey(f *testing.F) {
	for _, s := range []string{"tcp 192.0.2.10:80", "udp [2001:db8::1]:53", "132 10.0.0.1:1", "tcp", "300 10.0.0.1:1", "tcp [fe80::1%eth0]:1", "fwmark 7", "fwmark6 4294967295", "fwmark 0", "sctp 192.0.2.10:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		k, err := l4.ParseKey(s)
		if err != nil {
			return
		}
		if again, err := l4.ParseKey(k.String()); err != nil || again != k {
			t.Errorf("%q became %v, then %v (%v)", s, k, again, err)
		}
	})
}
