package l4test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portico-lb/portico/l4"
)

// DefaultTimeouts are the kernel's (net/netfilter/ipvs/ip_vs_proto_*.c).
var DefaultTimeouts = l4.Timeouts{TCP: 15 * time.Minute, TCPFin: 2 * time.Minute, UDP: 5 * time.Minute}

// A Subject is an empty dataplane under test, of a machine with an eth0.
type Subject struct {
	l4.Dataplane
	// Print returns what the dataplane holds as an operator sees it, in the
	// form of `ipvsadm -Sn`.
	Print func(t *testing.T) string
}

// foreign belongs to another tool and must survive every step.
const foreignText = `
-A -u 192.0.2.99:53 -s rr
-a -u 192.0.2.99:53 -r 10.0.0.9:53 -g -w 7
`

var (
	foreign = l4.VirtualService{
		Key:       l4.Key{Protocol: l4.UDP, Addr: netip.MustParseAddrPort("192.0.2.99:53")},
		Scheduler: "rr",
	}
	foreignDest = l4.Destination{Addr: netip.MustParseAddrPort("10.0.0.9:53"), Forward: l4.DirectRoute, Weight: 7}
)

// Suite brings one dataplane from state to state and looks at each: it must
// hold what was wanted, in the wanted order, and nothing of another tool may
// have changed.
func Suite(t *testing.T, dp Subject) {
	for _, op := range []l4.Op{
		{Kind: l4.AddService, Service: foreign},
		{Kind: l4.AddDest, Service: foreign, Dest: foreignDest},
	} {
		if err := dp.Apply(op); err != nil {
			t.Fatalf("set up: %s: %v", op, err)
		}
	}
	ours := func(k l4.Key) bool { return k != foreign.Key }
	for _, step := range steps {
		bring(t, dp, step.name, Parse(t, step.state), ours)
		want := blocks(step.state + foreignText)
		if diff := cmp.Diff(want, blocks(read(t, dp).String())); diff != "" {
			t.Errorf("%s: read back (-want +got):\n%s", step.name, diff)
		}
		// The tool prints destinations in an order of its own.
		if diff := cmp.Diff(sorted(want), sorted(blocks(dp.Print(t)))); diff != "" {
			t.Errorf("%s: printed (-want +got):\n%s", step.name, diff)
		}
	}
	thresholds(t, dp, ours)
	timeouts(t, dp)
	sysctls(t, dp)
	daemons(t, dp)
	refusals(t, dp)
}

// steps are applied one after another to the same dataplane.
var steps = []struct{ name, state string }{
	{"one service", `
-A -t 192.0.2.10:80 -s rr
-a -t 192.0.2.10:80 -r 10.0.0.1:80 -g -w 1
-a -t 192.0.2.10:80 -r 10.0.0.2:80 -g -w 1
`},
	{"a weight changes, a server comes", `
-A -t 192.0.2.10:80 -s rr
-a -t 192.0.2.10:80 -r 10.0.0.3:80 -g -w 3
-a -t 192.0.2.10:80 -r 10.0.0.1:80 -g -w 0
-a -t 192.0.2.10:80 -r 10.0.0.2:80 -g -w 1
`},
	{"another scheduler, which wants its order", `
-A -t 192.0.2.10:80 -s mh -b mh-fallback,mh-port
-a -t 192.0.2.10:80 -r 10.0.0.1:80 -g -w 0
-a -t 192.0.2.10:80 -r 10.0.0.2:80 -g -w 1
-a -t 192.0.2.10:80 -r 10.0.0.3:80 -g -w 3
`},
	{"servers come into the middle", `
-A -t 192.0.2.10:80 -s mh -b mh-fallback,mh-port
-a -t 192.0.2.10:80 -r 10.0.0.1:80 -g -w 1
-a -t 192.0.2.10:80 -r 10.0.0.2:80 -g -w 1
-a -t 192.0.2.10:80 -r 10.0.0.3:80 -g -w 1
-a -t 192.0.2.10:80 -r 10.0.0.22:80 -g -w 0
-a -t 192.0.2.10:80 -r 10.0.0.33:80 -g -w 1
`},
	{"IPv6, UDP and every scheduler", `
-A -t 192.0.2.10:80 -s mh -b mh-fallback,mh-port
-a -t 192.0.2.10:80 -r 10.0.0.3:80 -g -w 1
-A -t 192.0.2.10:81 -s wrr
-a -t 192.0.2.10:81 -r 10.0.0.1:81 -g -w 1
-A -t 192.0.2.10:82 -s lc
-a -t 192.0.2.10:82 -r 10.0.0.1:82 -g -w 1
-A -t 192.0.2.10:83 -s wlc
-a -t 192.0.2.10:83 -r 10.0.0.1:83 -g -w 65535
-A -t 192.0.2.10:84 -s sh -b sh-fallback
-a -t 192.0.2.10:84 -r 10.0.0.1:84 -g -w 1
-A -t [2001:db8::10]:80 -s mh -b mh-fallback,mh-port
-a -t [2001:db8::10]:80 -r [2001:db8::1]:80 -g -w 1
-a -t [2001:db8::10]:80 -r [2001:db8::2]:80 -g -w 0
-A -u 192.0.2.10:80 -s rr
-a -u 192.0.2.10:80 -r 10.0.0.1:80 -g -w 1
`},
	{"the other schedulers, SCTP and one-packet", `
-A -t 192.0.2.10:80 -s lblc
-a -t 192.0.2.10:80 -r 10.0.0.1:80 -g -w 1
-A -t 192.0.2.10:81 -s lblcr
-a -t 192.0.2.10:81 -r 10.0.0.1:81 -g -w 1
-A -t 192.0.2.10:82 -s dh
-a -t 192.0.2.10:82 -r 10.0.0.1:82 -g -w 1
-A -t 192.0.2.10:83 -s fo
-a -t 192.0.2.10:83 -r 10.0.0.1:83 -g -w 9
-A -t 192.0.2.10:84 -s ovf
-a -t 192.0.2.10:84 -r 10.0.0.1:84 -g -w 9
-A -t 192.0.2.10:85 -s sed
-a -t 192.0.2.10:85 -r 10.0.0.1:85 -g -w 1
-A -t 192.0.2.10:86 -s nq
-a -t 192.0.2.10:86 -r 10.0.0.1:86 -g -w 1
-A -t 192.0.2.10:87 -s sh -b sh-port
-a -t 192.0.2.10:87 -r 10.0.0.1:87 -g -w 1
-A -u 192.0.2.10:53 -s rr -o
-a -u 192.0.2.10:53 -r 10.0.0.1:53 -g -w 1
-A --sctp-service 192.0.2.10:99 -s wlc
-a --sctp-service 192.0.2.10:99 -r 10.0.0.1:99 -g -w 1
`},
	{"persistence, NAT to another port, firewall marks", `
-A -t 192.0.2.10:80 -s rr -p 300
-a -t 192.0.2.10:80 -r 10.0.0.1:8080 -m -w 1
-A -t 192.0.2.10:81 -s mh -p 60 -M 255.255.255.0 -b mh-fallback
-a -t 192.0.2.10:81 -r 10.0.0.1:81 -g -w 1
-A -t [2001:db8::10]:80 -s rr -p 60 -M 64
-a -t [2001:db8::10]:80 -r [2001:db8::1]:80 -g -w 1
-A -f 7 -s rr
-a -f 7 -r 10.0.0.1:0 -g -w 1
-A -f 7 -6 -s rr
-a -f 7 -6 -r [2001:db8::1]:0 -g -w 1
`},
	{"persistence changes, tunnels of every kind and family", `
-A -t 192.0.2.10:80 -s rr -p 60 -M 255.255.0.0
-a -t 192.0.2.10:80 -r 10.0.0.1:80 -i -w 1 --tun-type ipip
-a -t 192.0.2.10:80 -r 10.0.0.2:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-nocsum
-a -t 192.0.2.10:80 -r 10.0.0.3:80 -i -w 1 --tun-type gre --tun-csum
-a -t 192.0.2.10:80 -r 10.0.0.4:80 -i -w 1 --tun-type gue --tun-port 6081 --tun-remcsum
-a -t 192.0.2.10:80 -r [2001:db8::4]:80 -i -w 1 --tun-type ipip
-A -t 192.0.2.10:81 -s mh -b mh-fallback
-a -t 192.0.2.10:81 -r 10.0.0.1:81 -g -w 1
`},
	{"a tunnel changes its kind", `
-A -t 192.0.2.10:80 -s rr
-a -t 192.0.2.10:80 -r 10.0.0.1:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-nocsum
-a -t 192.0.2.10:80 -r 10.0.0.2:80 -i -w 1 --tun-type ipip
`},
	{"all gone", ""},
}

// bring turns the dataplane into want and checks that nothing is left to do.
func bring(t *testing.T, dp l4.Dataplane, name string, want l4.State, ours func(l4.Key) bool) {
	t.Helper()
	for _, op := range l4.Diff(read(t, dp), want, ours) {
		if err := dp.Apply(op); err != nil {
			t.Fatalf("%s: %s: %v", name, op, err)
		}
	}
	if ops := l4.Diff(read(t, dp), want, ours); len(ops) > 0 {
		t.Errorf("%s: still to do: %v", name, ops)
	}
}

// thresholds are in no text of ipvsadm's.
func thresholds(t *testing.T, dp l4.Dataplane, ours func(l4.Key) bool) {
	for _, limit := range [][2]int{{100, 50}, {7, 0}, {0, 0}} {
		want := Parse(t, "-A -t 192.0.2.10:80 -s rr\n-a -t 192.0.2.10:80 -r 10.0.0.1:80 -g -w 1\n")
		d := &want.Services[0].Destinations[0]
		d.Upper, d.Lower = limit[0], limit[1]
		bring(t, dp, "thresholds", want, ours)
		have := read(t, dp)
		if got := have.Find(want.Services[0].Key).Find(d.Addr); got == nil || got.Upper != d.Upper || got.Lower != d.Lower {
			t.Errorf("thresholds %v: got %+v", limit, got)
		}
	}
	bring(t, dp, "thresholds", l4.State{}, ours)
}

func timeouts(t *testing.T, dp l4.Dataplane) {
	if got := read(t, dp).Timeouts; got != DefaultTimeouts {
		t.Errorf("timeouts at first: got %v, want %v", got, DefaultTimeouts)
	}
	none := func(l4.Key) bool { return false }
	bring(t, dp, "one timeout", l4.State{Timeouts: l4.Timeouts{UDP: 30 * time.Second}}, none)
	want := DefaultTimeouts
	want.UDP = 30 * time.Second
	if got := read(t, dp).Timeouts; got != want {
		t.Errorf("one timeout: got %v, want %v", got, want)
	}
}

func sysctls(t *testing.T, dp l4.Dataplane) {
	none := func(l4.Key) bool { return false }
	want := map[string]int{"expire_nodest_conn": 1, "sloppy_tcp": 1, "of_another_kernel": 1}
	bring(t, dp, "sysctls", l4.State{Sysctls: want}, none)
	got := read(t, dp).Sysctls
	if got["expire_nodest_conn"] != 1 || got["sloppy_tcp"] != 1 {
		t.Errorf("sysctls: got %v", got)
	}
	if _, ok := got["of_another_kernel"]; ok {
		t.Errorf("sysctls: got one that does not exist: %v", got)
	}
}

// daemons start, change their settings and their role, and end.
func daemons(t *testing.T, dp l4.Dataplane) {
	none := func(l4.Key) bool { return false }
	plain := l4.Daemon{Interface: "eth0", ID: 51, Group: netip.MustParseAddr("224.0.0.81"), Port: 8848, TTL: 1}
	other := l4.Daemon{Interface: "eth0", ID: 52, Group: netip.MustParseAddr("239.0.0.1"), Port: 8849, TTL: 9, MaxLen: 1400}
	for _, want := range []map[l4.Role]l4.Daemon{
		{l4.Master: {}, l4.Backup: plain},
		{l4.Master: plain, l4.Backup: {}},
		{l4.Master: other, l4.Backup: other},
		{l4.Master: other}, // says nothing of the backup, which stays
		{l4.Backup: {}},
		{l4.Master: {}},
	} {
		bring(t, dp, "sync daemons", l4.State{Daemons: want}, none)
	}
	if got := read(t, dp).Daemons; len(got) > 0 {
		t.Errorf("sync daemons: got %v after the last was to end", got)
	}
}

// refusals checks that what makes no sense is refused, on a dataplane that
// holds the foreign service alone.
func refusals(t *testing.T, dp l4.Dataplane) {
	other := foreignDest
	other.Addr = netip.MustParseAddrPort("10.0.0.8:53")
	stranger := foreign
	stranger.Key.Addr = netip.MustParseAddrPort("192.0.2.98:53")
	unknown := stranger
	unknown.Scheduler = "nosuch"
	six := other
	six.Addr = netip.MustParseAddrPort("[2001:db8::8]:53")
	for name, op := range map[string]l4.Op{
		"add another family without a tunnel": {Kind: l4.AddDest, Service: foreign, Dest: six},
		"add a service that stands":           {Kind: l4.AddService, Service: foreign},
		"set a service that does not":         {Kind: l4.SetService, Service: stranger},
		"add a destination that stands":       {Kind: l4.AddDest, Service: foreign, Dest: foreignDest},
		"set a destination that does not":     {Kind: l4.SetDest, Service: foreign, Dest: other},
		"add a destination without a service": {Kind: l4.AddDest, Service: stranger, Dest: other},
		"add a scheduler that does not exist": {Kind: l4.AddService, Service: unknown},
		"set a sysctl that does not exist":    {Kind: l4.SetSysctl, Sysctl: "of_another_kernel", Value: 1},
	} {
		if err := dp.Apply(op); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if diff := cmp.Diff(blocks(foreignText), blocks(read(t, dp).String())); diff != "" {
		t.Errorf("after the refusals (-want +got):\n%s", diff)
	}
}

func read(t *testing.T, dp l4.Dataplane) l4.State {
	t.Helper()
	s, err := dp.Read()
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	return s
}
