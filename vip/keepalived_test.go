package vip_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/portico-lb/portico/test/lab"
	"github.com/portico-lb/portico/vip"
)

// keepalived runs the real one in the node with an instance like section's.
func (n *node) keepalived(priority int, more, address string) *lab.Proc {
	n.t.Helper()
	if _, err := exec.LookPath("keepalived"); err != nil {
		if os.Getenv("PORTICO_LAB") == "1" {
			n.t.Fatal("keepalived is not installed")
		}
		n.t.Skip("keepalived is not installed")
	}
	conf := fmt.Sprintf("vrrp_instance edge {\n interface eth0\n state BACKUP\n virtual_router_id 51\n priority %d\n %s\n virtual_ipaddress {\n %s\n }\n}\n", priority, more, address)
	if err := os.WriteFile(n.Dir()+"/keepalived.conf", []byte(conf), 0o600); err != nil {
		n.t.Fatal(err)
	}
	return n.Start("keepalived", "-n", "-l", "-D", "-P", "-f", n.Dir()+"/keepalived.conf", "-p", n.Dir()+"/k.pid", "-r", n.Dir()+"/v.pid")
}

// TestKeepalived shares an address with the real keepalived, taking it over in
// both directions: when the other stops, and from an Active of lower priority.
func TestKeepalived(t *testing.T) {
	t.Parallel()
	unicast := func(peer string) func(*vip.Section) {
		return func(s *vip.Section) { s.VRRP.Peers = []string{peer} }
	}
	tests := []struct {
		name, conf, address string
		change              func(*vip.Section)
	}{
		{"v2 with password", "version 2\n advert_int 1\n authentication {\n auth_type PASS\n auth_pass s3cret\n }", vip4 + "/32",
			func(s *vip.Section) {
				s.VRRP.Version, s.VRRP.AdvertInterval, s.VRRP.Password = num(2), "1s", "s3cret"
			}},
		{"v3", "version 3\n advert_int 0.2", vip4 + "/32", interval("200ms")},
		{"v3 unicast", "version 3\n advert_int 0.2\n unicast_src_ip 192.0.2.2\n unicast_peer {\n 192.0.2.1\n }", vip4 + "/32", unicast("192.0.2.2")},
		{"v3 IPv6 unicast", "version 3\n advert_int 0.2\n unicast_src_ip 2001:db8::2\n unicast_peer {\n 2001:db8::1\n }", "fe80::100/128\n " + vip6 + "/128",
			func(s *vip.Section) {
				s.Addresses, s.VRRP.Peers = []string{vip6, "fe80::100"}, []string{"2001:db8::2"}
			}},
		{"v3 IPv6 with a link-local address", "version 3\n advert_int 0.2", "fe80::100/128\n " + vip6 + "/128",
			func(s *vip.Section) { s.Addresses = []string{vip6, "fe80::100"} }},
		{"v3 IPv6", "version 3\n advert_int 0.2", vip6 + "/128", func(s *vip.Section) { s.Addresses = []string{vip6} }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, _, nodes := newNodes(t, 2)
			ours, theirs := nodes[0], nodes[1]
			address := tt.address[strings.LastIndex(tt.address, " ")+1:]
			has := func(n *node, want bool) func() bool {
				return func() bool { return n.shows("eth0", address) == want }
			}

			k := theirs.keepalived(150, tt.conf, tt.address)
			theirs.eventually("Master", has(theirs, true))
			ours.start(section(100, tt.change))
			ours.eventually("Backup that follows keepalived", func() bool { return ours.group().Active != "" })
			ours.eventually("Backup", ours.is("Backup", address))

			if err := k.Stop(); err != nil {
				t.Errorf("stop keepalived: %v", err)
			}
			took := ours.eventually("Active after keepalived stopped", ours.is("Active", address))
			t.Logf("took over %v after keepalived had stopped", took)

			k = theirs.keepalived(150, tt.conf, tt.address)
			theirs.eventually("Master by its priority", has(theirs, true))
			ours.eventually("Backup again", ours.is("Backup", address))

			// The other direction: we come with the higher priority and preempt.
			ours.configure(section(200, tt.change, func(s *vip.Section) { s.VRRP.Preempt = true }))
			ours.eventually("Active by its priority", ours.is("Active", address))
			theirs.eventually("Backup", has(theirs, false))
			if err := ours.proc.Stop(); err != nil {
				t.Errorf("stop: %v", err)
			}
			took = theirs.eventually("Master after we stopped", has(theirs, true))
			t.Logf("keepalived took over %v after we had stopped", took)
			for _, complaint := range []string{"bogus", "invalid", "mismatch", "unexpected", "error"} {
				for line := range strings.Lines(k.Log()) {
					if strings.Contains(strings.ToLower(line), complaint) {
						t.Errorf("keepalived complains: %s", line)
					}
				}
			}
			if d := ours.group().Dropped; len(d) > 0 {
				t.Errorf("dropped of keepalived: %v", d)
			}
			if m := ours.group().Mismatches; m["addresses"] > 0 {
				t.Errorf("not as we would send it: %v", m)
			}
		})
	}
}

// TestKeepalivedEqual runs both with one priority and starts them together: the
// higher address has it in the end, and keeps it.
func TestKeepalivedEqual(t *testing.T) {
	t.Parallel()
	_, _, nodes := newNodes(t, 2)
	for i, name := range []string{"keepalived has the higher address", "portico has the higher address"} {
		t.Run(name, func(t *testing.T) {
			ours, theirs := nodes[i], nodes[1-i]
			k := theirs.keepalived(100, "version 3\n advert_int 0.1", vip4+"/32")
			ours.start(section(100))
			owner, other := theirs, ours
			if i == 1 {
				owner, other = ours, theirs
			}
			one := func() bool { return owner.shows("eth0", vip4+"/32") != other.shows("eth0", vip4+"/32") }
			owner.eventually("one owner", one)
			before := ours.group().Received + ours.group().Sent
			owner.eventually("five adverts later", func() bool { return ours.group().Received+ours.group().Sent > before+5 })
			if !one() {
				t.Errorf("two owners, or none")
			}
			if n := ours.group().Transitions; n > 3 {
				t.Errorf("%d transitions", n)
			}
			if err := ours.proc.Stop(); err != nil {
				t.Error(err)
			}
			if err := k.Stop(); err != nil {
				t.Error(err)
			}
		})
	}
}
