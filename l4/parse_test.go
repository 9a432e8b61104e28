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
		XDP:      l4.XDP{Choice: l4.Auto, Fence: 3 * time.Second, Flows: 1 << 18},
		Guard:    true,
		Timeouts: l4.Timeouts{TCP: 10 * time.Minute, UDP: 30 * time.Second},
		Services: []l4.Service{{
			Name: "http", VIP: "both", Addrs: []netip.Addr{vip4, vip6}, Port: 80,
			Protocol: l4.TCP, Scheduler: "mh", Flags: l4.FlagFallback | l4.FlagPort,
			Forward: l4.DirectRoute, Drain: time.Minute, Quorum: 1,
			Servers: []l4.Server{
				{Addr: netip.MustParseAddrPort("172.20.0.113:80"), Weight: 1, Check: ready},
				{Addr: netip.MustParseAddrPort("[2001:db8::113]:80"), Check: check(health.TCP, "[2001:db8::113]:22")},
			},
		}, {
			Name: "dns", Addrs: []netip.Addr{vip4}, Port: 53, Protocol: l4.UDP, Scheduler: "wlc", Forward: l4.DirectRoute, Drain: time.Minute, Quorum: 1,
			Servers: []l4.Server{
				{Addr: netip.MustParseAddrPort("172.20.0.113:53"), Weight: 10, Check: check(health.TCP, "172.20.0.113:8053")},
			},
		}},
	}
	if diff := cmp.Diff(want, cfg, cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{}, health.Template{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := len(cfg.Checks()); got != 3 {
		t.Errorf("%d checks, want 3", got)
	}
}

// What the kernel can do beside direct routing of TCP.
func TestParseServices(t *testing.T) {
	cfg, faults := parse(t, `
[[service]]
name = "nat"
vip = "edge"
port = 80
forward = "nat"
scheduler = "wlc"
slow_start = "30s"
drain = "0s"
quorum = 2
all_down = "reject"
[[service.server]]
name = "edge-1"
address = "10.0.0.1"
port = 8080
weight = 100
upper_threshold = 100
lower_threshold = 80
[[service.server]]
address = "10.0.0.1"
port = 8081

[[service]]
name = "six"
vip = "both"
port = 443
forward = "tunnel"
tunnel = "gue"
tunnel_checksum = "remote"
persistence = "5m"
persistence_prefix4 = 24
persistence_prefix6 = 128
sorry = "10.0.0.9:443"
[[service.server]]
address = "10.0.0.1"

[[service]]
name = "mark"
vip = "both"
fwmark = 7
scheduler = "sh"
scheduler_flags = ["port"]
check = { kind = "ping" }
[[service.server]]
address = "10.0.0.1"
[[service.server]]
address = "2001:db8::1"

[[service]]
name = "dns"
vip = "edge"
port = 53
protocol = "udp"
scheduler = "rr"
one_packet = true
check = { kind = "tcp" }
[[service.server]]
address = "10.0.0.1"
`)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	h := map[health.Check]health.State{}
	for _, c := range cfg.Checks() {
		h[c] = health.State{Known: true, Up: true}
	}
	want := `-A -t 192.0.2.10:80 -s wlc
-a -t 192.0.2.10:80 -r 10.0.0.1:8080 -m -w 100
-a -t 192.0.2.10:80 -r 10.0.0.1:8081 -m -w 1
-A -t 192.0.2.10:443 -s mh -p 300 -M 255.255.255.0 -b mh-fallback
-a -t 192.0.2.10:443 -r 10.0.0.1:443 -i -w 1 --tun-type gue --tun-port 6080 --tun-remcsum
-A -t [2001:db8::10]:443 -s mh -p 300 -b mh-fallback
-a -t [2001:db8::10]:443 -r 10.0.0.1:443 -i -w 1 --tun-type gue --tun-port 6080 --tun-remcsum
-A -u 192.0.2.10:53 -s rr -o
-a -u 192.0.2.10:53 -r 10.0.0.1:53 -g -w 1
-A -f 7 -s sh -b sh-port
-a -f 7 -r 10.0.0.1:0 -g -w 1
-A -f 7 -6 -s sh -b sh-port
-a -f 7 -6 -r [2001:db8::1]:0 -g -w 1
`
	got := l4.Plan(cfg, l4.Inputs{Health: health.NewSnapshot(h), Owned: everywhere, Now: time.Unix(1e9, 0)})
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if d := got.Services[0].Destinations[0]; d.Upper != 100 || d.Lower != 80 {
		t.Errorf("thresholds: got %d and %d", d.Upper, d.Lower)
	}
	sysctls := map[string]int{"expire_nodest_conn": 1, "expire_quiescent_template": 1, "sloppy_tcp": 1}
	if diff := cmp.Diff(sysctls, got.Sysctls); diff != "" {
		t.Errorf("sysctls (-want +got):\n%s", diff)
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
			`l4.service[0].server: is missing: a service needs at least one server, or servers_from`,
			`l4.service[0].vip: is missing: name the [[vip]] this service belongs to, one of ["both" "edge"]`,
		}},
		"no such vip": {"[[service]]\nname = \"web\"\nvip = \"egde\"\nport = 80\n" + servers, []string{
			`l4.service[0].vip: no [[vip]] has the name "egde": there are ["both" "edge"]`,
		}},
		"address of no vip": {"[[service]]\nname = \"web\"\naddress = \"192.0.2.11\"\nport = 80\n" + servers, []string{
			`l4.service[0].address: 192.0.2.11 is not an address of any [[vip]]: this node would never own it`,
		}},
		"words": {"dataplane = \"xpd\"\n[timeouts]\ntcp = \"1.5s\"\nudp = \"x\"\n" + head +
			"protocol = \"icmp\"\nscheduler = \"maglev\"\nforward = \"ipip\"\nall_down = \"panic\"\n" + servers, []string{
			`l4.dataplane: "xpd" is unknown: allowed are auto, xdp, ipvs`,
			`l4.service[0].all_down: "panic" is unknown: allowed are keep, reject, sorry`,
			`l4.service[0].forward: "ipip" is unknown: allowed are dr, tunnel, nat`,
			`l4.service[0].protocol: "icmp" is unknown: allowed are tcp, udp, sctp`,
			`l4.service[0].scheduler: "maglev" is unknown: allowed are mh, rr, wrr, lc, wlc, lblc, lblcr, sh, dh, fo, ovf, sed, nq`,
			`l4.timeouts.tcp: 1.5s is out of range: allowed are whole seconds from 1s to 24h`,
			`l4.timeouts.udp: "x" is not a duration: write one like "15m"`,
		}},
		"xdp": {"dataplane = \"xdp\"\n[xdp]\ninterfaces = [\"eth0\", \"\", \"eth0\"]\nfence = \"2m\"\nflows = 10\n", []string{
			`l4.xdp.fence: 2m0s is out of range: allowed are whole seconds from 1s to 1m`,
			`l4.xdp.flows: 10 is out of range: allowed are 1024 to 16777216`,
			`l4.xdp.interfaces[1]: "" is no name, or stands here twice`,
			`l4.xdp.interfaces[2]: "eth0" is no name, or stands here twice`,
		}},
		"shield": {"[shield]\ndeny = [\"192.0.2.1/24\", \"x\", \"0.0.0.0/0\", \"192.0.2.0/24\", \"::ffff:10.0.0.0/104\", \"::/0\", \"127.0.0.0/8\", \"fe80::1%eth0\"]\nsyn_burst = 5\nnew_flows = 1\n", []string{
			`l4.shield.deny[0]: 192.0.2.1/24 has bits beyond its length: write 192.0.2.0/24`,
			`l4.shield.deny[1]: "x" is no address and no network: write one like "192.0.2.0/24"`,
			`l4.shield.deny[2]: 0.0.0.0/0 is everybody: stop the service, or deny the networks that attack`,
			`l4.shield.deny[3]: 192.0.2.0/24 holds 192.0.2.10, an address of the [[vip]] "both": write networks beside it`,
			`l4.shield.deny[4]: ::ffff:10.0.0.0/104 is IPv4 within IPv6: write 10.0.0.0/8`,
			`l4.shield.deny[5]: ::/0 holds all of IPv4 as well, at ::ffff:0.0.0.0/96: write 2000::/3, where the Internet's addresses are`,
			`l4.shield.deny[6]: 127.0.0.0/8 is this node itself, whose packets XDP never sees`,
			`l4.shield.deny[7]: "fe80::1%eth0" is no address and no network: write one like "192.0.2.0/24"`,
			`l4.shield.new_flows: 1 is out of range: allowed are 100 to 100000000`,
			`l4.shield.syn_burst: stands without syn_rate, which it is the reserve of`,
		}},
		"shield of IPVS": {"dataplane = \"ipvs\"\n[shield]\nsyn_rate = -1\n", []string{
			`l4.shield.syn_rate: -1 is out of range: allowed are 0 to 1000000`,
			`l4.shield: stands beside dataplane = "ipvs", which drops nobody: it is XDP that does, by dataplane = "auto" or "xdp"`,
		}},
		"a mark has no port": {strings.Replace(head, "port = 80", "fwmark = 7\nport = 80\nprotocol = \"udp\"", 1) + servers, []string{
			`l4.service[0].check: is missing: a mark has no port to ask, name one that tells whether the server works`,
			`l4.service[0].port: stands beside fwmark: the rule that sets the mark chooses the ports`,
			`l4.service[0].protocol: stands beside fwmark: the rule that sets the mark chooses the protocols`,
		}},
		"a mark without an owner": {"[[service]]\nname = \"web\"\nfwmark = 4294967296\ncheck = { kind = \"http\" }\n" + servers, []string{
			`l4.service[0].check.port: is missing: a mark has no port to ask`,
			`l4.service[0].fwmark: 4294967296 is not a firewall mark: allowed are 1 to 4294967295`,
			`l4.service[0].vip: is missing: its owner balances the marked packets, name one of ["both" "edge"]`,
		}},
		"tunnels": {head + "tunnel = \"gue\"\ntunnel_port = 1\ntunnel_checksum = \"full\"\n" + servers +
			strings.NewReplacer("web", "b", "80", "81").Replace(head) + "forward = \"tunnel\"\ntunnel_port = 7\ntunnel_checksum = \"full\"\n" + servers +
			strings.NewReplacer("web", "c", "80", "82").Replace(head) + "forward = \"tunnel\"\ntunnel = \"gue\"\ntunnel_port = 0\n" + servers + "port = 83\n", []string{
			`l4.service[0].tunnel: stands without forward = "tunnel"`,
			`l4.service[0].tunnel_checksum: stands without forward = "tunnel"`,
			`l4.service[0].tunnel_port: stands without forward = "tunnel"`,
			`l4.service[1].tunnel_checksum: "full" is not possible with this tunnel: ipip has none, gre "full", gue all`,
			`l4.service[1].tunnel_port: stands without tunnel = "gue", which alone has a port`,
			`l4.service[2].server[0].port: 83 differs from the service's port 82: only forward = "nat" can change a port, leave this key out`,
			`l4.service[2].tunnel_port: 0 is not a port: allowed are 1 to 65535`,
		}},
		"persistence": {head + "persistence = \"300s\"\npersistence_prefix4 = 33\nscheduler_flags = [\"port\", \"fall\"]\none_packet = true\n" + servers +
			strings.NewReplacer("web", "b", "80", "81").Replace(head) + "persistence_prefix6 = 64\nscheduler = \"rr\"\nscheduler_flags = []\n" + servers, []string{
			`l4.service[0].one_packet: needs protocol = "udp": tcp has connections`,
			`l4.service[0].one_packet: stands beside persistence, which keeps a client with its server`,
			`l4.service[0].persistence_prefix4: 33 is not the length of a prefix: allowed are 1 to 32`,
			`l4.service[0].scheduler_flags: "port" stands beside persistence: which server a client stays with would hang on the port of its first connection`,
			`l4.service[0].scheduler_flags[1]: "fall" is unknown: allowed are fallback, port`,
			`l4.service[1].persistence_prefix6: stands without persistence`,
			`l4.service[1].scheduler_flags: stands with scheduler "rr": only sh and mh have flags`,
		}},
		"slow starts that are none": {head + "scheduler = \"rr\"\nslow_start = \"30s\"\n" + servers +
			strings.NewReplacer("web", "b", "80", "81").Replace(head) + "scheduler = \"wlc\"\nslow_start = \"30s\"\n" + servers, []string{
			`l4.service[0].slow_start: has no effect with scheduler "rr", which does not look at weights: use wrr or wlc`,
			`l4.service[1].slow_start: has no effect on weights of 1: give the servers weight = 100`,
		}},
		"quorum and last resorts": {head + "quorum = 2\nslow_start = \"30s\"\ndrain = \"-1s\"\n" + servers +
			strings.NewReplacer("web", "b", "80", "81").Replace(head) + "all_down = \"sorry\"\n" + servers +
			strings.NewReplacer("web", "c", "80", "82").Replace(head) + "sorry = \"10.0.0.9:83\"\n" + servers +
			strings.NewReplacer("web", "d", "80", "83").Replace(head) + "sorry = \"10.0.0.1:83\"\nquorum = 1\n" + servers +
			strings.NewReplacer("web", "e", "80", "84").Replace(head) + "sorry = \"[2001:db8::9]:84\"\n" + servers +
			strings.NewReplacer("web", "f", "80", "85").Replace(head) + "sorry = \"10.0.0.9\"\n" + servers +
			strings.NewReplacer("web", "g", "80", "86").Replace(head) + "sorry = \"10.0.0.9:86\"\nall_down = \"reject\"\n" + servers, []string{
			`l4.service[0].drain: -1s is out of range: allowed are whole seconds from 0s to 24h`,
			`l4.service[0].quorum: 2 is out of range: allowed are 1 to 1, the number of servers`,
			`l4.service[0].slow_start: is not possible with mh: every step would give clients another server, use wrr or wlc`,
			`l4.service[1].sorry: is missing: write the ADDRESS:PORT that answers while too few servers are up`,
			`l4.service[2].sorry: 10.0.0.9:83 has another port than the service: only forward = "nat" can change it`,
			`l4.service[3].sorry: 10.0.0.1:83 is a server of this service`,
			`l4.service[4].sorry: 2001:db8::9 cannot answer for 192.0.2.10: give the service the other address by address = "..."`,
			`l4.service[5].sorry: "10.0.0.9" is not an address and port: write one like "192.0.2.9:80"`,
			`l4.service[6].sorry: stands beside all_down = "reject"`,
		}},
		"a quorum without effect": {head + "quorum = 2\n" + servers + "[[service.server]]\naddress = \"10.0.0.2\"\n", []string{
			`l4.service[0].quorum: 2 has no effect: say by all_down = "reject" or by sorry what is to happen below it`,
		}},
		"names of services": {strings.Replace(head, "web", "a/b", 1) + servers + strings.NewReplacer("web", "a b", "80", "81").Replace(head) + servers, []string{
			`l4.service[0].name: "a/b" has a blank or a slash in it`,
			`l4.service[1].name: "a b" has a blank or a slash in it`,
		}},
		"thresholds and names": {head + servers + "name = \"a/b\"\nupper_threshold = 5\nlower_threshold = 6\n[[service.server]]\naddress = \"10.0.0.2\"\nupper_threshold = -1\n", []string{
			`l4.service[0].server[0].lower_threshold: 6 is out of range: allowed are 0 to upper_threshold`,
			`l4.service[0].server[0].name: "a/b" has a blank or a slash in it`,
			`l4.service[0].server[1].upper_threshold: -1 is out of range: allowed are 0 to 2147483647`,
		}},
		"drpath without direct routing": {head + "forward = \"nat\"\ncheck = { kind = \"drpath\" }\n" + servers, []string{
			`l4.service[0].check.kind: "drpath" asks for the path of direct routing, which this service does not use`,
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
			`l4.service[0].server[4].port: 8080 differs from the service's port 80: only forward = "nat" can change a port, leave this key out`,
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

// TestParseGuard: the guard is there unless it is switched off.
func TestParseGuard(t *testing.T) {
	for text, want := range map[string]bool{"": true, "guard = true\n": true, "guard = false\n": false} {
		if cfg, faults := parse(t, text); cfg.Guard != want || len(faults) > 0 {
			t.Errorf("%q: %v, %v", text, cfg.Guard, faults)
		}
	}
}
