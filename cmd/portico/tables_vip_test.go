package main

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/portico-lb/portico/cmd/internal/daemon"
	"github.com/portico-lb/portico/vip"
	"github.com/portico-lb/portico/vip/bgp"
	"github.com/portico-lb/portico/vip/neighbor"
	"github.com/portico-lb/portico/vip/notify"
	"github.com/portico-lb/portico/vip/probe"
	"github.com/portico-lb/portico/vip/track"
	"github.com/portico-lb/portico/vip/vrrp"
)

// TestStatusOfVIP: what a person has to look at crosses the socket, is shown,
// and makes the command fail.
func TestStatusOfVIP(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	ago := func(s int) time.Time { return now.Add(-time.Duration(s) * time.Second) }
	address := netip.MustParsePrefix("192.0.2.10/32")
	sent := daemon.Node{Director: &daemon.Status{
		Started: ago(60),
		VIP: &vip.Status{
			Groups: []vip.GroupStatus{{
				Name: "edge", Interface: "eth0", Owner: vip.OwnerVRRP, Addresses: []netip.Prefix{address},
				State: vrrp.Active, Owned: true, Since: ago(5), Reason: "no Active heard",
				Priority: 100, EffectivePriority: 70, Active: netip.MustParseAddr("192.0.2.1"),
				Dropped:    map[string]uint64{"own": 9, "vrid": 7, "ttl": 3, "auth": 2},
				Mismatches: map[string]uint64{"interval": 4},
				Duplicates: []probe.Duplicate{{Address: address.Addr(), MAC: neighbor.MAC{2, 0, 0, 0, 0, 9}, Since: ago(7), Last: ago(1)}},
				Track: []track.RuleStatus{
					{Rule: "l7 weight -30", Since: ago(4), Reason: "503", Effect: "-30"},
					{Rule: "interface eth1", Up: true, Since: ago(50)},
				},
				History: []vip.Transition{{Seq: 1, At: ago(5), From: vrrp.Backup, To: vrrp.Active, Reason: "no Active heard"}},
			}},
			BGP: &bgp.Status{AS: 64512, Sessions: []bgp.Session{
				{Neighbor: netip.MustParseAddr("192.0.2.254"), AS: 64513, State: "idle", Since: ago(8), BFD: "down", LastError: "connection refused"},
			}},
		},
		Notify: []notify.TargetStatus{{Name: "mail", Kind: "smtp", Sent: 1, Failed: 2, LastError: "421 busy"}},
	}}
	text, err := json.Marshal(sent)
	if err != nil {
		t.Fatal(err)
	}
	var got daemon.Node
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	printStatus(&out, got, now)
	for _, want := range []string{
		"70 (of 100)",
		"! edge: 192.0.2.10 is also claimed by 02:00:00:00:00:09 for 7s",
		"! edge: l7 weight -30: 503 for 4s: priority -30",
		"edge: adverts not accepted: 2 auth, 3 ttl, 7 vrid\n",
		"edge: adverts accepted that differ from ours: 4 interval\n",
		"192.0.2.254   64513  idle   8s     0       down",
		"! 192.0.2.254: connection refused",
		"! notify mail: 1 sent, 2 failed, 0 dropped, 0 waiting: 421 busy",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if healthy(got) {
		t.Error("a duplicate owner and a session that is down are healthy")
	}
	got.Director.VIP.Groups[0].Duplicates = nil
	got.Director.VIP.BGP = nil
	if !healthy(got) {
		t.Error("a lowered priority needs a person")
	}
}
