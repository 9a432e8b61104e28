package doctor

import (
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"
)

// machine makes a file system of paths and texts.
func machine(files map[string]string) fstest.MapFS {
	m := fstest.MapFS{}
	for name, text := range files {
		m[name] = &fstest.MapFile{Data: []byte(text), Mode: 0o644}
	}
	return m
}

func TestReadKernel(t *testing.T) {
	f := readKernel(machine(map[string]string{
		"proc/sys/kernel/osrelease":                  "6.1.0-39-amd64\n",
		"proc/thread-self/net/ip_vs":                 "",
		"proc/modules":                               "ip_vs_mh 16384 1 - Live 0x0\nip_vs 172032 3 ip_vs_mh, Live 0x0\n",
		"lib/modules/6.1.0-39-amd64/modules.dep":     "kernel/net/netfilter/ipvs/ip_vs_wlc.ko.xz: kernel/net/netfilter/ipvs/ip_vs.ko.xz\n",
		"lib/modules/6.1.0-39-amd64/modules.builtin": "kernel/net/netfilter/nf_tables.ko\n",
	}))
	got := []bool{f.table, f.listed, f.takes, f.loaded["ip_vs_mh"], f.loaded["nf_tables"], f.available["ip_vs_wlc"], !f.loaded["ip_vs_wlc"]}
	if slices.Contains(got, false) {
		t.Errorf("%+v", f)
	}
}

func TestSysctlFiles(t *testing.T) {
	got := sysctlFiles(machine(map[string]string{
		"usr/lib/sysctl.d/50-default.conf":       "net.ipv4.conf.all.rp_filter = 2\n-net.ipv4.conf.all.arp_announce=2\n",
		"etc/sysctl.d/50-default.conf":           "# stands for the one above\nnet.ipv4.conf.all.arp_ignore=0\n",
		"usr/local/lib/sysctl.d/55-site.conf":    "-kernel.panic=10\n-kernel.sysrq\n",
		"etc/sysctl.d/60-k8s.conf":               "net/ipv4/conf/eth0.10/arp_ignore = 1\nnet.ipv4.conf.eth0/11.arp_ignore = 2\n; a remark\n",
		"etc/sysctl.d/70-globs.conf":             "net.ipv4.conf.*.arp_ignore = 3\n-net.ipv4.conf.eth1.arp_ignore\nnet.ipv4.conf.eth[2-9].arp_ignore=4\nnet.ipv4.conf.[.arp_ignore=5\n",
		"etc/sysctl.conf":                        "net.ipv4.conf.all.arp_ignore=2\n",
		"proc/sys/net/ipv4/conf/all/arp_ignore":  "0",
		"proc/sys/net/ipv4/conf/lo/arp_ignore":   "0",
		"proc/sys/net/ipv4/conf/eth1/arp_ignore": "0",
		"proc/sys/net/ipv4/conf/eth2/arp_ignore": "0",
	}))
	const globs = "/etc/sysctl.d/70-globs.conf"
	want := map[string]fileSetting{
		"kernel/panic":                     {"/usr/local/lib/sysctl.d/55-site.conf", "kernel.panic", "10"},
		"net/ipv4/conf/all/arp_ignore":     {"/etc/sysctl.conf", "net.ipv4.conf.all.arp_ignore", "2"},
		"net/ipv4/conf/lo/arp_ignore":      {globs, "net.ipv4.conf.*.arp_ignore", "3"},
		"net/ipv4/conf/eth2/arp_ignore":    {globs, "net.ipv4.conf.eth[2-9].arp_ignore", "4"},
		"net/ipv4/conf/eth0.10/arp_ignore": {"/etc/sysctl.d/60-k8s.conf", "net/ipv4/conf/eth0.10/arp_ignore", "1"},
		"net/ipv4/conf/eth0.11/arp_ignore": {"/etc/sysctl.d/60-k8s.conf", "net.ipv4.conf.eth0/11.arp_ignore", "2"},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(fileSetting{})); diff != "" {
		t.Error(diff)
	}
}

func TestReadNetworkdLink(t *testing.T) {
	files := machine(map[string]string{
		"sys/class/net/eth0/ifindex":                         "2\n",
		"sys/class/net/eth1/ifindex":                         "3\n",
		"run/systemd/netif/links/2":                          "ADMIN_STATE=configured\nNETWORK_FILE=/etc/systemd/network/10-eth0.network\n",
		"run/systemd/netif/links/3":                          "ADMIN_STATE=unmanaged\n",
		"etc/systemd/network/10-eth0.network":                "[Match]\nName=eth0\n[Network]\nDHCP=yes\n",
		"usr/lib/systemd/network/10-eth0.network.d/a.conf":   "[Network]\nKeepConfiguration=dhcp\n",
		"etc/systemd/network/10-eth0.network.d/portico.conf": "[Network]\nKeepConfiguration=static\n",
	})
	got, managed := readNetworkdLink(files, "eth0")
	if want := (networkdLink{"eth0", "/etc/systemd/network/10-eth0.network", "static"}); !managed || got != want {
		t.Errorf("got %+v, %v", got, managed)
	}
	if _, managed := readNetworkdLink(files, "eth1"); managed {
		t.Error("eth1 is not managed")
	}
	delete(files, "etc/systemd/network/10-eth0.network.d/portico.conf")
	if got, _ := readNetworkdLink(files, "eth0"); got.keep != "dhcp" {
		t.Errorf("without the drop-in: %+v", got)
	}
}

func TestManagedByNM(t *testing.T) {
	got := managedByNM(machine(map[string]string{
		"sys/class/net/eth0/ifindex": "2", "sys/class/net/eth1/ifindex": "3", "sys/class/net/lo/ifindex": "1",
		"run/NetworkManager/devices/1": "[device]\nmanaged=external\n",
		"run/NetworkManager/devices/2": "[device]\nmanaged=true\nconnection-uuid=1\n",
		"run/NetworkManager/devices/3": "[device]\nmanaged=false\n",
	}), []string{"lo", "eth0", "eth1", "eth9"})
	if !slices.Equal(got, []string{"eth0"}) {
		t.Error(got)
	}
}

func TestReadKubeProxy(t *testing.T) {
	files := machine(map[string]string{
		"proc/70/comm": "kube-proxy\n", "proc/70/cmdline": "/usr/local/bin/kube-proxy\x00--config=/var/lib/kube-proxy/config.conf\x00",
		"proc/70/root/var/lib/kube-proxy/config.conf": "mode: ipvs\nipvs:\n  excludeCIDRs: [192.0.2.0/24]\n",
		"sys/class/net/kube-ipvs0/ifindex":            "9",
		"proc/self/comm":                              "doctor",
	})
	want := kubeProxyFacts{runs: true, device: true, mode: "ipvs", exclude: []string{"192.0.2.0/24"}}
	if diff := cmp.Diff(want, readKubeProxy(files), cmp.AllowUnexported(kubeProxyFacts{})); diff != "" {
		t.Error(diff)
	}
	files["proc/70/cmdline"] = &fstest.MapFile{Data: []byte("kube-proxy\x00--proxy-mode\x00ipvs\x00--ipvs-exclude-cidrs=192.0.2.10/32,2001:db8::/64\x00")}
	want.exclude = []string{"192.0.2.10/32", "2001:db8::/64"}
	if diff := cmp.Diff(want, readKubeProxy(files), cmp.AllowUnexported(kubeProxyFacts{})); diff != "" {
		t.Error(diff)
	}
}

func TestReadListeners(t *testing.T) {
	const head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
	files := machine(map[string]string{
		"proc/thread-self/net/tcp": head +
			"   0: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0 0 10 0\n" +
			"   1: 0100007F:23DC 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4712 1 0 100 0 0 10 0\n" +
			"   2: 0A0200C0:0050 0B0200C0:9000 01 00000000:00000000 00:00000000 00000000     0        0 4713 1 0 100 0 0 10 0\n",
		"proc/thread-self/net/udp6": head +
			"   0: 00000000000000000000000000000000:01BB 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4714 2 0 0\n",
		"proc/812/comm": "nginx\n", "proc/812/cmdline": "nginx\x00", "proc/812/cgroup": "0::/system.slice/nginx.service\n",
	})
	files["proc/812/fd/6"] = &fstest.MapFile{Mode: os.ModeSymlink | 0o777, Data: []byte("socket:[4711]")}
	want := []listener{
		{"tcp", 80, false, "4711", holder{"nginx", 812, "nginx.service"}},
		{"udp", 443, false, "4714", holder{}},
		{"tcp", 9180, true, "4712", holder{}},
	}
	if diff := cmp.Diff(want, readListeners(files), cmp.AllowUnexported(listener{}, holder{})); diff != "" {
		t.Error(diff)
	}
}

// TestStop: only what runs as a unit of the system is stopped as one.
func TestStop(t *testing.T) {
	const ps, kill = "ps -o pid,ppid,user,args -p 7", "kill 7"
	for cgroup, want := range map[string][]string{
		"0::/system.slice/nginx.service":                                 {"systemctl disable --now nginx.service"},
		"0::/system.slice/system-getty.slice/getty@tty1.service":         {"systemctl disable --now getty@tty1.service"},
		"12:pids:/a.service\n1:name=systemd:/system.slice/b.service\n":   {"systemctl disable --now b.service"},
		"0::/user.slice/user-0.slice/session-3.scope":                    {ps, kill},
		"0::/user.slice/user-1.slice/user@1.service/app.slice/w.service": {ps, kill},
		"0::/system.slice/docker-abc.scope":                              {ps, kill},
		"0::/":                                                           {ps, kill},
		"":                                                               {ps, kill},
	} {
		files := machine(map[string]string{"proc/7/cgroup": cgroup})
		if diff := cmp.Diff(want, holder{"python3", 7, unitOf(files, 7)}.stop()); diff != "" {
			t.Errorf("%s: %s", cgroup, diff)
		}
	}
}

func TestNamedFiles(t *testing.T) {
	got := namedFiles([]byte(`
[l7.kubernetes]
kubeconfig = "/etc/portico/kubeconfig"
manifests = "/etc/portico/manifests"
[[l7.entrypoint]]
name = "https"
tls.certificates = [ { cert_file = "/tls.crt", key_file = "/tls.key" } ]
[[vip]]
vrrp.password_file = "/secret"
vrrp.hmac_key_file = ""
`))
	want := []NamedFile{{"l7.kubernetes.kubeconfig", "/etc/portico/kubeconfig"}, {"vip.vrrp.password_file", "/secret"}, {"l7.entrypoint.tls.certificates.cert_file", "/tls.crt"}, {"l7.entrypoint.tls.certificates.key_file", "/tls.key"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// locked is a file system with one file that may not be read.
type locked struct{ fstest.MapFS }

func (l locked) Open(name string) (fs.File, error) {
	if name == "etc/portico/token" {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}
	return l.MapFS.Open(name)
}

// TestUnseen: what this user may not see is said, and is no failure.
func TestUnseen(t *testing.T) {
	n := &Node{Files: locked{machine(nil)}, Named: []NamedFile{{"l7.kubernetes.token_file", "/etc/portico/token"}, {"l7.kubernetes.ca_file", "/absent"}}}
	n.Config.L7.Kubernetes.Endpoints = []string{"https://192.0.2.1:6443"}
	compare(t, []judged{
		{"api", checkAPI(t.Context(), n), "skipped /etc/portico/token is not to be read by this user: run this as root"},
		{"pods", checkPods(t.Context(), n), "skipped /etc/portico/token is not to be read by this user, and no proxy runs that would know of endpoints"},
		{"certificates", checkCertificates(t.Context(), n), "ok no certificate and no token is to be seen\nskipped /etc/portico/token and perhaps others are not to be read by this user: run this as root"},
	})
}

// TestRights: what is asked for is what the shipped manifests grant.
func TestRights(t *testing.T) {
	granted := map[string]bool{}
	for _, file := range []string{"rbac.yaml", "acme.yaml"} {
		text, err := os.ReadFile(filepath.Join("../../../packaging/kubernetes", file))
		if err != nil {
			t.Fatal(err)
		}
		for doc := range strings.SplitSeq(string(text), "\n---\n") {
			var role rbacv1.ClusterRole
			if err := yaml.Unmarshal([]byte(doc), &role); err != nil {
				t.Fatal(err)
			}
			for _, r := range role.Rules {
				for _, resource := range r.Resources {
					for _, verb := range r.Verbs {
						granted[strings.Join([]string{file, role.Kind, r.APIGroups[0], resource, verb}, " ")] = true
					}
				}
			}
		}
	}
	asked := map[string]bool{}
	for _, r := range Rights {
		kind := "ClusterRole"
		if r.In == Own || r.In == Acme {
			kind = "Role"
		}
		resource := r.Resource
		if r.Subresource != "" {
			resource += "/" + r.Subresource
		}
		for _, verb := range r.Verbs {
			asked[strings.Join([]string{r.File, kind, r.Group, resource, verb}, " ")] = true
		}
	}
	if diff := cmp.Diff(granted, asked); diff != "" {
		t.Errorf("packaging/kubernetes (-), Rights (+):\n%s", diff)
	}
}

func TestCredentials(t *testing.T) {
	// {"exp":1795262400,"iat":1763726400}
	const token = "e30.eyJleHAiOjE3OTUyNjI0MDAsImlhdCI6MTc2MzcyNjQwMH0.c2ln"
	c, isToken := fromToken("/token", token+"\n")
	if !isToken || c.end.Unix() != 1795262400 || c.begin.Unix() != 1763726400 {
		t.Errorf("%+v, %v", c, isToken)
	}
	for _, other := range []string{"", "a.b.c", "opaque", "e30.e30.x"} {
		if _, isToken := fromToken("/token", other); isToken {
			t.Errorf("%q is a token", other)
		}
	}
	if got := fromKubeconfig("/k", []byte("users:\n- user: {token: "+token+"}\n")); len(got) != 1 || !got[0].token {
		t.Errorf("%+v", got)
	}
	if got := fromKubeconfig("/k", []byte("\ttoken: secret")); len(got) != 1 || strings.Contains(got[0].err, "secret") {
		t.Errorf("%+v", got)
	}
}

func TestParseHeard(t *testing.T) {
	p := []byte{
		0x45, 0xc0, 0, 32, 0, 1, 0, 0, 255, 112, 0, 0, 192, 0, 2, 12, 224, 0, 0, 18, // IPv4
		0x31, 51, 100, 1, 0, 100, 0, 0, 192, 0, 2, 10, // VRRP
	}
	h, isAdvert := parseHeard(p)
	if !isAdvert || !h.broken || h.source != netip.MustParseAddr("192.0.2.12") || h.packet.VRID != 51 {
		t.Errorf("%+v, %v", h, isAdvert)
	}
	if _, isAdvert := parseHeard(p[:21]); isAdvert {
		t.Error("a packet cut short")
	}
}

func FuzzParseHeard(f *testing.F) {
	f.Add([]byte{0x45, 0xc0, 0, 32, 0, 1, 0, 0, 255, 112, 0, 0, 192, 0, 2, 12, 224, 0, 0, 18, 0x31, 51, 100, 1, 0, 100, 0, 0, 192, 0, 2, 10})
	f.Add(append([]byte{0x60, 0, 0, 0, 0, 8, 112, 255}, make([]byte, 40)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, ok := parseHeard(b); ok && !h.source.IsValid() {
			t.Errorf("%x comes from nobody", b)
		}
	})
}
