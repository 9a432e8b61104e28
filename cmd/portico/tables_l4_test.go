package main

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portico-lb/portico/l4"
)

func TestPrintL4(t *testing.T) {
	now := time.Unix(1e9, 0)
	s := l4.Status{
		Services: []l4.ServiceStatus{
			{
				Address: netip.MustParseAddrPort("192.0.2.10:80"), Protocol: "tcp", Scheduler: "mh", Forward: "dr", Programmed: true,
				Carrier: l4.Carrier{Dataplane: "xdp", Mode: "native"},
				Stats:   l4.Stats{Connections: 12, PacketsIn: 3456, BytesIn: 10_499_999},
				Servers: []l4.ServerStatus{
					{Address: netip.MustParseAddrPort("10.0.0.1:80"), Name: "edge-1", Weight: 1, Health: "up", Since: now.Add(-time.Minute), Active: 2, Inactive: 3, Persistent: 1, Stats: l4.Stats{BytesIn: 9_999}},
					{Address: netip.MustParseAddrPort("10.0.0.2:80"), Health: "down", Since: now.Add(-time.Second), Reason: "connection refused", Drained: now},
					{Address: netip.MustParseAddrPort("10.0.0.3:80"), Health: "draining", Until: now.Add(10 * time.Second)},
				},
			},
			{Mark: 7, Address: netip.MustParseAddrPort("[::]:0"), Scheduler: "rr", Forward: "tunnel", Tunnel: "gue", Servers: []l4.ServerStatus{
				{Address: netip.MustParseAddrPort("[2001:db8::9]:0"), Health: "sorry", Wanted: 1, Sorry: true},
			}},
		},
		Drains: []l4.DrainStatus{{Target: "10.0.0.2", Since: now.Add(-2 * time.Hour), Connections: 4}},
		Sync:   &l4.SyncStatus{Interface: "eth0", ID: 51, Backup: true, BackupOnly: true},
	}
	var b strings.Builder
	printL4(&b, s, now)
	var got []string
	for line := range strings.Lines(b.String()) {
		got = append(got, strings.Join(strings.Fields(line), " "))
	}
	want := []string{
		"",
		"SERVICE SCHEDULER CARRIED BY SERVER WEIGHT HEALTH SINCE ACTIVE INACTIVE BOUND CONNS PACKETS BYTES REASON",
		"tcp 192.0.2.10:80 mh, dr xdp, native in the kernel 12 3456 10M",
		"-> edge-1 10.0.0.1:80 1 up 1m0s 2 3 1 0 0 9999",
		"-> 10.0.0.2:80 0 down 1s 0 0 0 0 0 0 connection refused; drained by command",
		"-> 10.0.0.3:80 0 draining - 0 0 0 0 0 0 goes in 10s at the latest",
		"fwmark 7, IPv6 rr, tunnel gue not owned here 0 0 0",
		"-> [2001:db8::9]:0 (1) sorry - 0 0 0 0 0 0 too few servers are up",
		"drained since 2h0m: 10.0.0.2, 4 connections left",
		"connections by multicast on eth0, id 51: backup only",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// By nat the answers pass this node and are counted.
func TestPrintL4Out(t *testing.T) {
	s := l4.Status{Services: []l4.ServiceStatus{{
		Address: netip.MustParseAddrPort("192.0.2.10:53"), Protocol: "udp", Scheduler: "wlc", Forward: "nat", Persistence: 300, Programmed: true,
		Carrier: l4.Carrier{Dataplane: "ipvs", Reason: "scheduler wlc"},
		Stats:   l4.Stats{Connections: 1, PacketsIn: 2, BytesIn: 3, PacketsOut: 4, BytesOut: 5},
		Servers: []l4.ServerStatus{
			{Address: netip.MustParseAddrPort("10.0.0.1:5353"), Weight: 1, Health: "up", Stats: l4.Stats{PacketsOut: 6, BytesOut: 70_000}},
		},
	}}}
	var b strings.Builder
	printL4(&b, s, time.Unix(1e9, 0))
	var got []string
	for line := range strings.Lines(b.String()) {
		got = append(got, strings.Join(strings.Fields(line), " "))
	}
	want := []string{
		"",
		"SERVICE SCHEDULER CARRIED BY SERVER WEIGHT HEALTH SINCE ACTIVE INACTIVE BOUND CONNS PACKETS BYTES PACKETS OUT BYTES OUT REASON",
		"udp 192.0.2.10:53 wlc, nat, persistent 5m0s ipvs in the kernel 1 2 3 4 5 scheduler wlc",
		"-> 10.0.0.1:5353 1 up - 0 0 0 0 0 0 6 70K",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestReason(t *testing.T) {
	now, none := time.Unix(1e9, 0), 0
	for name, tt := range map[string]struct {
		owned  bool
		server l4.ServerStatus
		want   string
	}{
		"up":              {true, l4.ServerStatus{Health: "up", Configured: 1, Wanted: 1}, ""},
		"down":            {true, l4.ServerStatus{Health: "down", Configured: 1, Reason: "refused"}, "refused"},
		"the last to go":  {true, l4.ServerStatus{Health: "down", Configured: 1, Wanted: 1, Reason: "refused"}, "refused; serves all the same: no server is up"},
		"below quorum":    {true, l4.ServerStatus{Health: "up", Configured: 1}, "too few servers are up"},
		"elsewhere":       {false, l4.ServerStatus{Health: "up", Configured: 1}, ""},
		"drained":         {true, l4.ServerStatus{Health: "up", Configured: 1, Drained: now}, "drained by command"},
		"out by the file": {true, l4.ServerStatus{Health: "up"}, "its weight is 0 in the file"},
		"by its own word": {true, l4.ServerStatus{Health: "up", Configured: 100, Percent: &none}, "wants 0% of its weight"},
	} {
		if got := reason(l4.ServiceStatus{Owned: tt.owned}, tt.server, now); got != tt.want {
			t.Errorf("%s: got %q, want %q", name, got, tt.want)
		}
	}
}

func TestCount(t *testing.T) {
	for n, want := range map[uint64]string{0: "0", 9_999: "9999", 10_000: "10K", 9_999_499: "9999K", 9_999_500: "10M", 1 << 63: "9223P"} {
		if got := count(n); got != want {
			t.Errorf("%d: got %s, want %s", n, got, want)
		}
	}
}
