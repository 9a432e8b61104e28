package doctor

import (
	"encoding/json"
	"errors"
	"io/fs"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portico-lb/portico/cmd/internal/config"
	"github.com/portico-lb/portico/cmd/internal/daemon"
	"github.com/portico-lb/portico/l7"
	"github.com/portico-lb/portico/vip"
	"github.com/portico-lb/portico/vip/vrrp"
)

// lines is what was found, a line each: the verdict and the text.
func lines(fs []Finding) string {
	var out []string
	for _, f := range fs {
		out = append(out, string(f.Verdict)+" "+f.Found)
	}
	return strings.Join(out, "\n")
}

// judged is a row of a table: what a judgement came to, and what it should.
type judged struct {
	name string
	got  []Finding
	want string
}

// compare also proves that whatever is wrong has a reason and a cure.
func compare(t *testing.T, rows []judged) {
	t.Helper()
	for _, r := range rows {
		if diff := cmp.Diff(r.want, lines(r.got)); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", r.name, diff)
		}
		for _, f := range r.got {
			if (f.Verdict == Warn || f.Verdict == Fail) && (f.Why == "" || len(f.Cure) == 0) {
				t.Errorf("%s: %q has no reason or no cure", r.name, f.Found)
			}
		}
	}
}

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func TestJudgeConfig(t *testing.T) {
	const path = "/etc/portico/portico.toml"
	director := &daemon.Status{Config: daemon.ConfigStatus{Path: path, Loaded: noon}}
	refused := &daemon.Status{Config: daemon.ConfigStatus{Path: path, Loaded: noon, Error: "bad"}, L7: &l7.Status{}}
	faults := config.Faults{{Path: path, Line: 3, Column: 1, Key: "vip[0].name", Problem: "missing"}}
	compare(t, []judged{
		{"sound", judgeConfig(path, nil, noon.Add(-time.Hour), []*daemon.Status{director}), "ok " + path + " has no faults"},
		{"faults", judgeConfig(path, faults, noon, nil), "fail " + path + ":3:1: vip[0].name: missing"},
		{"absent", judgeConfig(path, fs.ErrNotExist, time.Time{}, nil), "fail file does not exist"},
		{"changed", judgeConfig(path, nil, noon.Add(time.Minute), []*daemon.Status{director}), "warn " + path + " was changed at 2026-11-21 12:01:00, after the director read it"},
		{"refused", judgeConfig(path, nil, noon, []*daemon.Status{refused}), "fail the proxy goes on with an older configuration: bad"},
	})
}

func TestJudgeKernel(t *testing.T) {
	need := []string{"ip_vs", "ip_vs_mh"}
	set := func(names ...string) map[string]bool {
		m := map[string]bool{}
		for _, n := range names {
			m[n] = true
		}
		return m
	}
	compare(t, []judged{
		{"loaded", judgeKernel(kernelFacts{release: "6.1.0-39-amd64", table: true, loaded: set("ip_vs", "ip_vs_mh"), listed: true}, need), "ok kernel 6.1.0-39-amd64 has ip_vs, ip_vs_mh"},
		{"available", judgeKernel(kernelFacts{release: "6.1.0", table: true, available: set("ip_vs", "ip_vs_mh"), listed: true}, need), "warn module ip_vs_mh is not loaded"},
		{"lacking", judgeKernel(kernelFacts{release: "6.1.0", table: true, listed: true}, need), "fail kernel 6.1.0 has no module ip_vs_mh"},
		{"without modules", judgeKernel(kernelFacts{release: "6.18.44"}, need), "fail kernel 6.18.44 has no module ip_vs"},
		{"XDP alone", judgeKernel(kernelFacts{release: "6.1.0", listed: true, alone: true}, need), "warn kernel 6.1.0 has no module ip_vs: XDP stands alone"},
		{"XDP with IPVS", judgeKernel(kernelFacts{release: "6.1.0", table: true, listed: true, alone: true}, need), "fail kernel 6.1.0 has no module ip_vs_mh"},
		{"unlisted", judgeKernel(kernelFacts{release: "6.18.44", takes: true}, need), "warn module ip_vs is not loaded, and what the kernel has is not to be seen in /lib/modules/6.18.44"},
		{"old", judgeKernel(kernelFacts{release: "5.10.0-1", table: true, loaded: set("ip_vs_mh")}, need), "warn kernel 5.10.0-1 is older than 5.18"},
	})
}

func TestJudgeSysctl(t *testing.T) {
	eth0 := []string{"eth0"}
	good := map[string]int{"net/ipv4/conf/all/arp_ignore": 1, "net/ipv4/conf/all/arp_announce": 2, "net/core/somaxconn": 16384}
	with := func(key string, v int) map[string]int {
		m := map[string]int{key: v}
		for k, v := range good {
			if _, set := m[k]; !set {
				m[k] = v
			}
		}
		return m
	}
	own := func(m map[string]int) map[string]int {
		m["net/ipv4/conf/eth0/arp_ignore"], m["net/ipv4/conf/eth0/arp_announce"] = 0, 0
		return m
	}
	compare(t, []judged{
		{"good", judgeSysctl(sysctlFacts{interfaces: eth0, runs: true, values: own(with("net/ipv4/conf/eth0/rp_filter", 2))}), "ok settings suit direct routing on eth0"},
		{"strict", judgeSysctl(sysctlFacts{interfaces: eth0, values: with("net/ipv4/conf/eth0/rp_filter", 1)}), "warn rp_filter of eth0 is 1, strict"},
		{"strict by all", judgeSysctl(sysctlFacts{interfaces: eth0, values: map[string]int{"net/ipv4/conf/eth0/rp_filter": 0, "net/ipv4/conf/all/rp_filter": 1}}), "warn rp_filter of eth0 is 1, strict"},
		{"loose wins", judgeSysctl(sysctlFacts{interfaces: eth0, values: map[string]int{"net/ipv4/conf/eth0/rp_filter": 1, "net/ipv4/conf/all/rp_filter": 2}}), "ok settings suit direct routing on eth0"},
		{"taken back", judgeSysctl(sysctlFacts{interfaces: eth0, runs: true, values: own(with("net/ipv4/conf/all/arp_ignore", 0))}), "fail arp_ignore of eth0 is 0, though the director sets it to 1"},
		{"not yet set", judgeSysctl(sysctlFacts{interfaces: eth0, values: own(with("net/ipv4/conf/all/arp_ignore", 0))}), "ok settings suit direct routing on eth0"},
		{"a file", judgeSysctl(sysctlFacts{interfaces: eth0, files: map[string]fileSetting{"net/ipv4/conf/all/arp_announce": {"/etc/sysctl.d/k8s.conf", "net.ipv4.conf.all.arp_announce", "0"}}}), "warn /etc/sysctl.d/k8s.conf sets net.ipv4.conf.all.arp_announce to 0"},
		{"a pattern of a file", judgeSysctl(sysctlFacts{interfaces: eth0, files: map[string]fileSetting{
			"net/ipv4/conf/all/arp_ignore":  {"/etc/sysctl.d/k8s.conf", "net.ipv4.conf.*.arp_ignore", "0"},
			"net/ipv4/conf/eth0/arp_ignore": {"/etc/sysctl.d/k8s.conf", "net.ipv4.conf.*.arp_ignore", "0"},
		}}), "warn /etc/sysctl.d/k8s.conf sets net.ipv4.conf.*.arp_ignore to 0"},
		{"nat", judgeSysctl(sysctlFacts{interfaces: eth0, nat: true, values: map[string]int{"net/ipv4/ip_forward": 0}}), "fail net.ipv4.ip_forward is 0"},
		{"direct routing forwards nothing", judgeSysctl(sysctlFacts{interfaces: eth0, values: map[string]int{"net/ipv4/ip_forward": 0}}), "ok settings suit direct routing on eth0"},
		{"sloppy", judgeSysctl(sysctlFacts{interfaces: eth0, mh: true, runs: true, values: with("net/ipv4/vs/sloppy_tcp", 0)}), "warn net.ipv4.vs.sloppy_tcp is 0, though the director sets it to 1"},
		{"full", judgeSysctl(sysctlFacts{values: map[string]int{"net/netfilter/nf_conntrack_count": 900, "net/netfilter/nf_conntrack_max": 1000}}), "warn connection tracking holds 900 of 1000 entries"},
		{"cookies", judgeSysctl(sysctlFacts{interfaces: eth0, cookies: true, values: map[string]int{"net/ipv4/conf/eth0/forwarding": 0}}), "fail forwarding of eth0 is 0"},
		{"no cookie is taken", judgeSysctl(sysctlFacts{cookies: true, values: map[string]int{"net/ipv4/tcp_syncookies": 0}}), "fail net.ipv4.tcp_syncookies is 0"},
		{"no cookies", judgeSysctl(sysctlFacts{interfaces: eth0, values: map[string]int{"net/ipv4/conf/eth0/forwarding": 0, "net/ipv4/tcp_syncookies": 0}}), "ok settings suit direct routing on eth0"},
		{"backlog", judgeSysctl(sysctlFacts{values: map[string]int{"net/core/somaxconn": 128}}), "warn net.core.somaxconn is 128"},
		{"no vip", judgeSysctl(sysctlFacts{}), "ok nothing stands in the way of the proxy; no [[vip]] asks for more"},
	})
}

func TestJudgeAddressKeepers(t *testing.T) {
	link := networkdLink{"eth0", "/etc/systemd/network/10-eth0.network", ""}
	kept := link
	kept.keep = "static"
	compare(t, []judged{
		{"no networkd", judgeNetworkd(networkdFacts{}), "ok systemd-networkd does not run"},
		{"drops", judgeNetworkd(networkdFacts{runs: true, links: []networkdLink{link}}), "warn systemd-networkd manages eth0 by /etc/systemd/network/10-eth0.network without KeepConfiguration"},
		{"keeps", judgeNetworkd(networkdFacts{runs: true, links: []networkdLink{kept}, foreignRoutes: true}), "ok systemd-networkd keeps what it has not made"},
		{"dhcp alone", judgeNetworkd(networkdFacts{runs: true, links: []networkdLink{{"eth0", "/a.network", "dhcp"}}}), "warn systemd-networkd manages eth0 by /a.network without KeepConfiguration"},
		{"routes", judgeNetworkd(networkdFacts{runs: true, foreignRoutes: true, podRoutes: true}), "warn systemd-networkd has ManageForeignRoutes=yes"},
		{"manager", judgeNetworkManager([]string{"eth0"}), "warn NetworkManager manages eth0"},
		{"no manager", judgeNetworkManager(nil), "ok NetworkManager leaves the interfaces alone"},
	})
}

func TestJudgeRouters(t *testing.T) {
	a, b := netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("192.0.2.99")
	g := vip.Group{Name: "edge", Interface: "eth0", Owner: vip.OwnerVRRP, Addresses: []netip.Prefix{netip.PrefixFrom(a, 32)}, VRRP: vip.VRRP{Version: 3, RouterID: 51, AdvertInterval: time.Second}}
	advert := func(change func(*heard)) []heard {
		h := heard{iface: "eth0", source: netip.MustParseAddr("192.0.2.12"), packet: vrrp.Packet{Version: 3, VRID: 51, Priority: 100, Interval: time.Second, Addrs: []netip.Addr{a}}}
		change(&h)
		return []heard{h, h}
	}
	groups := []vip.Group{g}
	const other = "192.0.2.12 on eth0 says router id 51"
	compare(t, []judged{
		{"peer", judgeRouters(groups, advert(func(*heard) {}), nil), "ok 2 adverts heard, none against ours"},
		{"clash", judgeRouters(groups, advert(func(h *heard) { h.packet.Addrs = []netip.Addr{b} }), nil), "fail " + other + " too, for [192.0.2.99]: another pair of routers"},
		{"elsewhere", judgeRouters(groups, advert(func(h *heard) { h.iface, h.packet.Addrs = "eth1", nil }), nil), "ok 2 adverts heard, none against ours"},
		{"other id", judgeRouters(groups, advert(func(h *heard) { h.packet.VRID, h.packet.Addrs = 52, nil }), nil), "ok 2 adverts heard, none against ours"},
		{"version", judgeRouters(groups, advert(func(h *heard) { h.packet.Version = 2 }), nil), "fail " + other + " in version 2, group edge speaks version 3"},
		{"more addresses", judgeRouters(groups, advert(func(h *heard) { h.packet.Addrs = []netip.Addr{a, b} }), nil), "warn " + other + " for [192.0.2.10 192.0.2.99], group edge has [192.0.2.10]"},
		{"interval", judgeRouters(groups, advert(func(h *heard) { h.packet.Interval = 2 * time.Second }), nil), "warn " + other + " every 2s, group edge every 1s"},
		{"leaving", judgeRouters(groups, advert(func(h *heard) { h.packet.Interval, h.packet.Priority = 0, 0 }), nil), "ok 2 adverts heard, none against ours"},
		{"checksum", judgeRouters(groups, advert(func(h *heard) { h.broken = true }), nil), "fail " + other + " with a checksum that is neither of the two in use"},
		{"counted", judgeRouters(groups, nil, []vip.GroupStatus{{Name: "edge", Interface: "eth0", Dropped: map[string]uint64{"hmac_clock": 7, "vrid": 100}}}), "warn group edge has dropped 7 adverts since its start: hmac_clock"},
	})
}

func TestJudgeNeighbours(t *testing.T) {
	vips := []netip.Addr{netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("2001:db8::10")}
	compare(t, []judged{
		{"alone", judgeRivals(rivalFacts{}), "ok neither keepalived nor another program of its kind runs or is enabled"},
		{"keepalived", judgeRivals(rivalFacts{runs: map[string]int{"keepalived": 812}, enabled: map[string]bool{"keepalived": true}}), "warn keepalived runs (process 812)"},
		{"at boot", judgeRivals(rivalFacts{enabled: map[string]bool{"ipvsadm": true}}), "warn ipvsadm.service is enabled"},
		{"no kube-proxy", judgeKubeProxy(kubeProxyFacts{}, vips), "ok kube-proxy does not run here"},
		{"iptables", judgeKubeProxy(kubeProxyFacts{runs: true, mode: "iptables"}, vips), "ok kube-proxy does not use IPVS"},
		{"ipvs", judgeKubeProxy(kubeProxyFacts{runs: true, mode: "ipvs", exclude: []string{"192.0.2.0/24"}}, vips), "fail kube-proxy uses IPVS, and its excludeCIDRs lack 2001:db8::10/128"},
		{"excluded", judgeKubeProxy(kubeProxyFacts{runs: true, mode: "ipvs", exclude: []string{"192.0.2.10/32", "2001:db8::/64"}}, vips), "ok kube-proxy uses IPVS and excludes the virtual addresses"},
		{"by its device", judgeKubeProxy(kubeProxyFacts{runs: true, device: true}, vips[:1]), "fail kube-proxy uses IPVS, and its excludeCIDRs lack 192.0.2.10/32"},
		{"unread", judgeKubeProxy(kubeProxyFacts{runs: true, device: true, unread: "its configuration may not be read: run this as root"}, vips), "skipped kube-proxy uses IPVS, and its configuration may not be read: run this as root"},
		{"left", judgeKubeProxy(kubeProxyFacts{device: true}, vips), "warn kube-ipvs0 is there, though no kube-proxy is to be seen"},
	})
}

func TestJudgePorts(t *testing.T) {
	want := []wantedPort{{"tcp", ":80", "l7.entrypoint http", false}}
	runs := []wantedPort{{"tcp", ":80", "l7.entrypoint http", true}}
	const name = "TCP port 80 (l7.entrypoint http)"
	compare(t, []judged{
		{"free", judgePorts(want, nil), "ok " + name + " is free"},
		{"ours", judgePorts(runs, []listener{{network: "tcp", port: 80, holder: holder{program: "portico", pid: 3}}}), "ok " + name + " is portico's"},
		{"unseen", judgePorts(runs, []listener{{network: "tcp", port: 80}}), "ok " + name + " is portico's"},
		{"lost", judgePorts(runs, nil), "fail " + name + " is not listened on, though portico runs"},
		{"nginx", judgePorts(want, []listener{{network: "tcp", port: 80, holder: holder{program: "nginx", pid: 812}}}), "fail " + name + " is held by nginx (process 812)"},
		{"somebody", judgePorts(want, []listener{{network: "tcp", port: 80}}), "warn " + name + " is taken, by whom is not to be seen: only root may, and not of multipath TCP"},
		{"systemd keeps it", judgePorts(want, []listener{{network: "tcp", port: 80, holder: holder{program: "systemd", pid: 1}}}), "ok " + name + " is kept by systemd"},
		{"udp is another", judgePorts(want, []listener{{network: "udp", port: 80, holder: holder{program: "x", pid: 1}}}), "ok " + name + " is free"},
	})
}

func TestJudgeFiles(t *testing.T) {
	proxy := account{uid: 990, gid: 980}
	const key, path = "l7.kubernetes.token_file", "/etc/portico/token"
	fact := func(mode fs.FileMode, gid int) fileFact { return fileFact{key: key, path: path, mode: mode, gid: gid} }
	judge := func(f fileFact) []Finding { return judgeFiles([]fileFact{f}, proxy, true) }
	const name = path + " (" + key + ")"
	director := fact(0o600, 0)
	director.key = "vip.vrrp.password_file"
	public := fact(0o644, 0)
	public.public = true
	locked := fact(0o640, 980)
	locked.unsearchable = "/etc/portico"
	compare(t, []judged{
		{"good", judge(fact(0o640, 980)), "ok 1 files have the right modes"},
		{"everybody", judge(fact(0o644, 980)), "fail " + name + " has mode 0644: everybody may read the secret"},
		{"certificates", judge(public), "ok 1 files have the right modes"},
		{"writable", judge(fact(0o660, 980)), "fail " + name + " has mode 0660: others than its owner may change it"},
		{"root's", judge(fact(0o640, 0)), "fail user portico-l7 may not read " + name + ": mode 0640"},
		{"the director's", judge(director), "ok 1 files have the right modes"},
		{"locked", judge(locked), "fail user portico-l7 may not enter /etc/portico, where " + name + " is"},
		{"absent", judge(fileFact{key: key, path: path, err: fs.ErrNotExist}), "fail " + name + " does not exist"},
		{"unseen", judge(fileFact{key: key, path: path, err: fs.ErrPermission}), "skipped 1 of 1 files are not to be seen by this user: run this as root"},
	})
}

func TestJudgeUnits(t *testing.T) {
	unit := func(change func(*unitFact)) []Finding {
		u := unitFact{name: "portico-l7.service", load: "loaded", file: "enabled", active: "active", stop: 90 * time.Second, proxies: true}
		change(&u)
		return judgeUnits([]unitFact{u}, 68*time.Second)
	}
	const name = "portico-l7.service"
	compare(t, []judged{
		{"good", unit(func(*unitFact) {}), "ok portico and portico-l7 are as the configuration needs them"},
		{"absent", unit(func(u *unitFact) { u.load = "not-found" }), "warn " + name + " is not installed"},
		{"masked", unit(func(u *unitFact) { u.load = "masked" }), "warn " + name + " is masked, though the configuration has work for it"},
		{"masked on purpose", unit(func(u *unitFact) { u.load, u.proxies = "masked", false }), "ok portico and portico-l7 are as the configuration needs them"},
		{"failed", unit(func(u *unitFact) { u.active = "failed" }), "fail " + name + " has failed"},
		{"down", unit(func(u *unitFact) { u.active = "inactive" }), "warn " + name + " is inactive"},
		{"not at boot", unit(func(u *unitFact) { u.file = "disabled" }), "warn " + name + " runs and is disabled"},
		{"restarts", unit(func(u *unitFact) { u.restarts, u.since = 3, "Sat 2026-11-21 12:00:00 UTC" }), "warn " + name + " was started again 3 times by systemd, last at Sat 2026-11-21 12:00:00 UTC"},
		{"changed", unit(func(u *unitFact) { u.reload = true }), "warn the file of " + name + " has changed since systemd read it"},
		{"short stop", unit(func(u *unitFact) { u.stop = 30 * time.Second }), "warn " + name + " has TimeoutStopSec=30s, and l7.stop_delay with twice l7.drain make 1m8s"},
		{"endless stop", unit(func(u *unitFact) { u.stop = 0 }), "ok portico and portico-l7 are as the configuration needs them"},
	})
	got := parseUnit(name, "LoadState=loaded\nTimeoutStopUSec=1min 30s\nNRestarts=2\nNeedDaemonReload=yes\nUnitFileState=enabled\n")
	want := unitFact{name: name, load: "loaded", file: "enabled", restarts: 2, reload: true, stop: 90 * time.Second}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestJudgeLinks(t *testing.T) {
	eth0 := linkFact{name: "eth0", kind: "device", mtu: 1500}
	judge := func(tunnel string, links ...linkFact) []Finding {
		return judgeMTU(append(links, eth0), []string{"eth0"}, tunnel)
	}
	compare(t, []judged{
		{"plain", judge(""), "ok MTUs fit, 1500 on the edge's interfaces"},
		{"flannel", judge("", linkFact{"flannel.1", "vxlan", 1450, "eth0"}), "ok MTUs fit, 1500 on the edge's interfaces"},
		{"too wide", judge("", linkFact{"flannel.1", "vxlan", 1500, "eth0"}), "warn flannel.1 (vxlan) has MTU 1500, and eth0 leaves 1450 for it"},
		{"no parent", judge("", linkFact{"tunl0", "ipip", 1500, ""}), "warn tunl0 (ipip) has MTU 1500, and the interface below leaves 1480 for it"},
		{"tunnel", judge("http"), `warn service http has forward = "tunnel" over MTU 1500`},
		{"absent", judgeMTU(nil, []string{"eth0"}, ""), "fail interface eth0 does not exist"},
		{"small", judgeMTU([]linkFact{{"eth0", "device", 576, ""}}, []string{"eth0"}, ""), "fail eth0 has MTU 576"},
		{"native", judgeXDP([]xdpFact{{name: "eth0", driver: "ice", mtu: 1500}}), "ok eth0 (ice) takes native XDP"},
		{"jumbo", judgeXDP([]xdpFact{{name: "eth0", driver: "ice", mtu: 9000}}), "ok eth0 (ice) has MTU 9000, above what native XDP takes (3498) without fragments"},
		{"generic", judgeXDP([]xdpFact{{name: "br0", driver: "bridge", mtu: 1500}}), "ok br0 (bridge) takes generic XDP only, which is little faster than IPVS"},
		{"unknown driver", judgeXDP([]xdpFact{{name: "eth0", driver: "new", mtu: 1500, told: true, features: 0x23}}), "ok eth0 (new) takes native XDP"},
		{"known driver, without the queues", judgeXDP([]xdpFact{{name: "eth0", driver: "ice", mtu: 1500, told: true}}), "ok eth0 (ice) takes generic XDP only, which is little faster than IPVS"},
		{"foreign", judgeXDP([]xdpFact{{name: "eth0", driver: "ice", mtu: 1500, attached: 42}}), "warn another program (id 42) stands in the XDP hook of eth0"},
		{"ours", judgeXDP([]xdpFact{{name: "eth0", driver: "ice", mtu: 1500, attached: 42, ours: true}}), "ok eth0 (ice) takes native XDP"},
	})
}

func TestJudgeClock(t *testing.T) {
	compare(t, []judged{
		{"kept", judgeClock(clockFacts{synchronised: true, most: 12 * time.Millisecond}), "ok the clock is kept right, within 12ms"},
		{"free", judgeClock(clockFacts{}), "warn no server keeps this clock right"},
		{"with hmac", judgeClock(clockFacts{hmac: true}), "fail no server keeps this clock right"},
	})
}

func TestJudgeCertificates(t *testing.T) {
	judge := func(c credential) []Finding { return judgeCertificates([]credential{c}, noon) }
	day := 24 * time.Hour
	year := func(left time.Duration) credential {
		return credential{name: "/tls.crt", begin: noon.Add(left - 365*day), end: noon.Add(left)}
	}
	token := credential{name: "/token", token: true, begin: noon.Add(-time.Minute), end: noon.Add(59 * time.Minute)}
	compare(t, []judged{
		{"none", judgeCertificates(nil, noon), "ok no certificate and no token is to be seen"},
		{"valid", judge(year(90 * day)), "ok 1 certificates and tokens are valid, the first ends in 90 days"},
		{"soon", judge(year(13 * day)), "warn certificate of /tls.crt ends in 13 days"},
		{"ended", judge(year(-time.Hour)), "fail certificate of /tls.crt ended at 2026-11-21 11:00:00"},
		{"to come", judge(year(365*day + time.Hour)), "fail certificate of /tls.crt begins at 2026-11-21 13:00:00"},
		{"renewed by a program", judge(token), "ok 1 certificates and tokens are valid, the first ends in 59m0s"},
		{"not renewed", judge(credential{name: "/token", token: true, begin: noon.Add(-50 * time.Minute), end: noon.Add(10 * time.Minute)}), "warn token of /token ends in 10m0s"},
		{"a Secret", judge(credential{name: "shop/tls", end: noon.Add(day)}), "warn certificate of shop/tls ends in 24h0m0s"},
		{"unusable", judge(credential{name: "shop/tls", err: "no key"}), "fail certificate of shop/tls cannot be used: no key"},
	})
}

func TestJudgeAPI(t *testing.T) {
	compare(t, []judged{
		{"all", judgeAPI(apiFacts{server: "api:6443", asked: 20}), "ok the API server api:6443 answers and allows all 20 things that are asked of it"},
		{"denied", judgeAPI(apiFacts{server: "api:6443", denied: map[string][]string{"rbac.yaml": {"list secrets in shop", "patch ingresses/status"}}}), "fail the API server api:6443 does not allow portico to list secrets in shop, patch ingresses/status"},
		{"silent", judgeAPI(apiFacts{server: "api:6443", err: errors.New("connection refused")}), "fail the API server api:6443 does not answer: connection refused"},
		{"stranger", judgeAPI(apiFacts{server: "api:6443", err: errUnknown}), "fail the API server api:6443 does not know the token or the certificate of this node"},
		{"skew", judgeAPI(apiFacts{server: "api:6443", skew: -time.Minute}), "warn the API server's clock differs from this node's by -1m0s"},
		{"no kubeconfig", judgeAPI(apiFacts{err: errors.New("stat /k: no such file")}), "fail stat /k: no such file"},
	})
}

func TestJudgePods(t *testing.T) {
	p := netip.MustParsePrefix("10.244.1.0/24")
	compare(t, []judged{
		{"routed", judgePods(podFacts{routes: []podRoute{{node: "n1", prefix: p, device: "eth0", gateway: "192.0.2.21"}}}), "ok there are routes to all 1 ranges of Pods"},
		{"none", judgePods(podFacts{routes: []podRoute{{node: "n1", prefix: p, err: errors.New("no route")}}}), "fail there is no route to the Pods of n1 (10.244.1.0/24)"},
		{"default", judgePods(podFacts{routes: []podRoute{{node: "n1", prefix: p, device: "eth0", gateway: "192.0.2.1", fallback: true}}}), "warn the Pods of n1 (10.244.1.0/24) are reached by the default route, 192.0.2.1 on eth0"},
		{"one ejected", judgePods(podFacts{ejected: []string{"a"}, asked: 4}), "warn 1 of 4 endpoints did not answer lately: a"},
		{"most ejected", judgePods(podFacts{ejected: []string{"a", "b", "c", "d"}, asked: 4}), "fail 4 of 4 endpoints did not answer lately: a, b, c, ..."},
	})
}

func TestCarries(t *testing.T) {
	var director daemon.Status
	const says = `{"xdp":{"interfaces":[{"name":"eth0","mode":"native"},{"name":"eth1","reason":"another XDP program, of id 42, is attached"}]}}`
	if err := json.Unmarshal([]byte(says), &director); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"eth0": true, "eth1": false, "eth2": false} {
		if got := carries(&director, name); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	if carries(nil, "eth0") || carries(&daemon.Status{}, "eth0") {
		t.Error("carried by nobody")
	}
}
