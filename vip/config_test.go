package vip_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/pelletier/go-toml/v2"

	"github.com/portico-lb/portico/vip"
	"github.com/portico-lb/portico/vip/vrrp"
)

// parse reads TOML strictly and returns the faults one a line.
func parse(t *testing.T, text string) (vip.Config, string) {
	t.Helper()
	var file struct {
		VIP []vip.Section `toml:"vip"`
	}
	if err := toml.NewDecoder(strings.NewReader(text)).DisallowUnknownFields().Decode(&file); err != nil {
		t.Fatal(err)
	}
	var faults strings.Builder
	readFile := func(name string) ([]byte, error) {
		switch name {
		case "/good":
			return []byte("s3cret\n"), nil
		case "/long":
			return []byte("much too long"), nil
		}
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	c := vip.Parse(file.VIP, vip.Local{Interface: "eth9"}, readFile, func(key, problem string) { fmt.Fprintf(&faults, "%s: %s\n", key, problem) })
	return c, faults.String()
}

func TestParse(t *testing.T) {
	c, faults := parse(t, `
[[vip]]
name = "edge"
addresses = ["172.20.0.119", "2001:db8::119/64"]
interface = "eth0"
owner = "vrrp"
[vip.vrrp]
version = 2
router_id = 51
priority = 110
advert_interval = "2s"
preempt = true
preempt_delay = "30s"
peers = ["172.20.0.2", "172.20.0.3"]
password_file = "/good"

[[vip]]
name = "defaults"
addresses = ["fe80::1"]
[vip.vrrp]
router_id = 51

[[vip]]
name = "static"
addresses = ["10.0.0.1/24"]
owner = "static"
`)
	if faults != "" {
		t.Fatal(faults)
	}
	ip, prefix := netip.MustParseAddr, netip.MustParsePrefix
	want := vip.Config{Groups: []vip.Group{
		{Name: "edge", Addresses: []netip.Prefix{prefix("172.20.0.119/32"), prefix("2001:db8::119/64")}, Interface: "eth0", Owner: vip.OwnerVRRP,
			VRRP: vip.VRRP{Version: 2, RouterID: 51, Priority: 110, AdvertInterval: 2 * time.Second, Preempt: true, PreemptDelay: 30 * time.Second,
				Peers: []netip.Addr{ip("172.20.0.2"), ip("172.20.0.3")}, Auth: vrrp.AuthPassword, Password: vrrp.Password([]byte("s3cret\x00\x00"))}},
		{Name: "defaults", Addresses: []netip.Prefix{prefix("fe80::1/128")}, Interface: "eth9", Owner: vip.OwnerVRRP,
			VRRP: vip.VRRP{Version: 3, RouterID: 51, Priority: 100, AdvertInterval: time.Second}},
		{Name: "static", Addresses: []netip.Prefix{prefix("10.0.0.1/24")}, Interface: "eth9", Owner: vip.OwnerStatic},
	}}
	if diff := cmp.Diff(want, c, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}, netip.AddrPort{})); diff != "" {
		t.Error(diff)
	}
	if got := c.Addrs()["edge"]; len(got) != 2 || got[1] != ip("2001:db8::119") {
		t.Errorf("addresses of edge: %v", got)
	}
}

func TestParseFaults(t *testing.T) {
	good := func(vrrp string) string {
		return "[[vip]]\nname = \"a\"\naddresses = [\"10.0.0.1\"]\n[vip.vrrp]\nrouter_id = 1\n" + vrrp
	}
	tests := map[string]struct{ text, want string }{
		"nothing given": {"[[vip]]", `vip[0].name: missing: services refer to the group by it
vip[0].addresses: 0 addresses: allowed are 1 to 64
vip[0].vrrp.router_id: missing: allowed are 1 to 255, the same on all nodes and no other router's on the link`},
		"addresses": {"[[vip]]\nname = \"a\"\nowner = \"static\"\naddresses = [\"x\", \"127.0.0.1\", \"10.0.0.1/33\", \"fe80::1%eth0\", \"::ffff:10.0.0.1\", \"224.0.0.18\", \"10.0.0.1\"]",
			`vip[0].addresses[0]: "x" is no address: allowed are ADDRESS and ADDRESS/LENGTH
vip[0].addresses[1]: "127.0.0.1" cannot be a virtual address: allowed are unicast addresses
vip[0].addresses[2]: "10.0.0.1/33" is no address: allowed are ADDRESS and ADDRESS/LENGTH
vip[0].addresses[3]: "fe80::1%eth0" is no address: allowed are ADDRESS and ADDRESS/LENGTH
vip[0].addresses[4]: "::ffff:10.0.0.1" cannot be a virtual address: allowed are unicast addresses
vip[0].addresses[5]: "224.0.0.18" cannot be a virtual address: allowed are unicast addresses`},
		"interface": {"[[vip]]\nname = \"a\"\nowner = \"static\"\ninterface = \"lo\"\naddresses = [\"10.0.0.1\"]",
			`vip[0].interface: "lo" cannot serve clients: allowed is the name of a network interface other than lo, up to 15 characters`},
		"table of another owner": {"[[vip]]\nname = \"a\"\nowner = \"static\"\naddresses = [\"10.0.0.1\"]\nvrrp = { router_id = 1 }",
			`vip[0].vrrp: has no effect with owner = "static": remove it, or set owner = "vrrp"`},
		"owner":             {"[[vip]]\nname = \"a\"\nowner = \"me\"\naddresses = [\"10.0.0.1\"]", `vip[0].owner: "me" is unknown: allowed are "vrrp", "bgp" and "static"`},
		"router id":         {strings.Replace(good(""), "router_id = 1", "router_id = 256", 1), `vip[0].vrrp.router_id: 256 is out of range: allowed are 1 to 255`},
		"priority":          {good("priority = 0"), `vip[0].vrrp.priority: 0 is out of range: allowed are 1 to 255`},
		"version":           {good("version = 4"), `vip[0].vrrp.version: 4 is out of range: allowed are 2 to 3`},
		"interval 3":        {good(`advert_interval = "15ms"`), `vip[0].vrrp.advert_interval: "15ms" is not possible in version 3: allowed are multiples of 10ms from 10ms to 40s`},
		"interval 2":        {good("version = 2\n" + `advert_interval = "500ms"`), `vip[0].vrrp.advert_interval: "500ms" is not possible in version 2: allowed are multiples of 1s from 1s to 4m15s`},
		"preempt_delay":     {good("preempt = true\npreempt_delay = \"-1s\""), `vip[0].vrrp.preempt_delay: "-1s" is no delay: allowed are durations from 0s to 16m40s`},
		"delay, no preempt": {good(`preempt_delay = "5s"`), `vip[0].vrrp.preempt_delay: 5s has no effect without preempt = true`},
		"peers": {good(`peers = ["10.0.0.300", "fe80::2", "224.0.0.18"]`), `vip[0].vrrp.peers[0]: "10.0.0.300" is no peer: allowed are unicast addresses without zone
vip[0].vrrp.peers[1]: fe80::2 is of another family than the group's first address
vip[0].vrrp.peers[2]: "224.0.0.18" is no peer: allowed are unicast addresses without zone`},
		"peers that are none": {good(`peers = ["10.0.0.1", "10.0.0.2", "10.0.0.2"]`), `vip[0].vrrp.peers[2]: 10.0.0.2 stands here twice
vip[0].vrrp.peers[0]: 10.0.0.1 is an address of group "a", and moves: name the other node's own`},
		"password in version 3": {good(`password = "x"`), `vip[0].vrrp.password: version 3 has no authentication: remove the password or use version 2`},
		"password too long":     {good("version = 2\n" + `password = "123456789"`), `vip[0].vrrp.password: a password of 9 bytes: allowed are 1 to 8, in clear on the wire`},
		"file too long":         {good("version = 2\n" + `password_file = "/long"`), `vip[0].vrrp.password_file: a password of 13 bytes: allowed are 1 to 8, in clear on the wire`},
		"no file":               {good("version = 2\n" + `password_file = "/none"`), `vip[0].vrrp.password_file: open /none: file does not exist`},
		"both":                  {good("version = 2\npassword = \"x\"\n" + `password_file = "/good"`), `vip[0].vrrp.password_file: password and password_file are both given: one of them is enough`},
		"IPv6 in version 2": {strings.Replace(good("version = 2"), "10.0.0.1", "fe80::1", 1),
			`vip[0].vrrp.version: 2 knows IPv4 only: the first address of the group is of IPv6, which needs version 3`},
		"twice the same": {good("") + good(""), `vip[1].name: "a" is the name of vip[0] already: each group needs its own
vip[1].addresses[0]: 10.0.0.1 belongs to vip[0] already: an address has one place
vip[1].vrrp.router_id: 1 is used by vip[0] on eth9 already: take another number, the same on all nodes`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if _, got := parse(t, tt.text); got != tt.want+"\n" {
				t.Errorf("got\n%swant\n%s", got, tt.want)
			}
		})
	}
}

// TestPasswordNotShown: no fault repeats a password.
func TestPasswordNotShown(t *testing.T) {
	s := vip.Section{VRRP: vip.VRRPSection{Password: "hunter2-hunter2", PasswordFile: "/x"}}
	vip.Parse([]vip.Section{s}, vip.Local{}, func(string) ([]byte, error) { return nil, errors.New("unreadable") }, func(key, problem string) {
		if strings.Contains(problem, "hunter2") {
			t.Errorf("%s: %s", key, problem)
		}
	})
}
