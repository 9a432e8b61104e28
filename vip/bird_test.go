package vip_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/portico-lb/portico/test/lab"
	"github.com/portico-lb/portico/vip"
	"github.com/portico-lb/portico/vip/track"
)

// Nodes are of one AS, and the router is of another.
const (
	nodeAS, routerAS = 64512, 64513

	router4, router6 = "192.0.2.254", "2001:db8::fe"
)

// bird is a router that runs the real one.
type bird struct {
	*lab.Node
	t    *testing.T
	proc *lab.Proc
}

// newBird runs bird on the network. It knows nodes 1 to n, over IPv4 or IPv6;
// more goes into each neighbor's configuration.
func newBird(t *testing.T, l *lab.Lab, lan *lab.Network, n int, v6 bool, more string) *bird {
	t.Helper()
	for _, program := range []string{"bird", "birdc"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("PORTICO_LAB") == "1" {
				t.Fatal(err)
			}
			t.Skip(err)
		}
	}
	b := &bird{Node: l.Node("router"), t: t}
	b.Attach(lan, "eth0", router4+"/24", router6+"/64")
	var conf strings.Builder
	conf.WriteString(`router id ` + router4 + `;
protocol device { scan time 1; }
protocol bfd { interface "eth0" { min rx interval 100 ms; min tx interval 100 ms; multiplier 3; }; }
protocol kernel k4 { merge paths on; ipv4 { import none; export all; }; }
protocol kernel k6 { merge paths on; ipv6 { import none; export all; }; }
protocol static offered { ipv4; route 203.0.113.0/24 blackhole; }
`)
	for i := 1; i <= n; i++ {
		local, neighbor := router4, fmt.Sprintf("192.0.2.%d", i)
		if v6 {
			local, neighbor = router6, fmt.Sprintf("2001:db8::%d", i)
		}
		fmt.Fprintf(&conf, `protocol bgp n%d {
  local %s as %d;
  neighbor %s as %d;
  graceful restart on;
  error wait time 1, 5;
  %s
  ipv4 { import all; export all; };
  ipv6 { import all; export all; };
}
`, i, local, routerAS, neighbor, nodeAS, more)
	}
	path := filepath.Join(b.Dir(), "bird.conf")
	if err := os.WriteFile(path, []byte(conf.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	b.proc = b.Start("bird", "-f", "-c", path, "-s", b.Dir()+"/ctl", "-P", b.Dir()+"/pid")
	return b
}

// ask asks bird.
func (b *bird) ask(question ...string) string {
	b.t.Helper()
	out, _ := b.Command("birdc", append([]string{"-s", b.Dir() + "/ctl"}, question...)...).CombinedOutput()
	return string(out)
}

// hops are the nodes that bird would send to for the address.
func (b *bird) hops(address string) (hops []string) {
	b.t.Helper()
	for line := range strings.Lines(b.ask("show", "route", "for", address, "all")) {
		if hop, ok := strings.CutPrefix(strings.TrimSpace(line), "BGP.next_hop: "); ok {
			hops = append(hops, strings.Fields(hop)[0])
		}
	}
	return hops
}

// waits until bird has routes to the address over n nodes, and returns how
// long that took.
func (b *bird) waits(address string, n int) time.Duration {
	b.t.Helper()
	begin := time.Now()
	lab.Eventually(b.t, 20*time.Second, fmt.Sprintf("%d routes to %s", n, address), func() error {
		if hops := b.hops(address); len(hops) != n {
			return fmt.Errorf("%v\n%s", hops, b.ask("show", "protocols"))
		}
		return nil
	})
	return time.Since(begin).Round(time.Millisecond)
}

// keeps fails the test if bird loses a route to one of the addresses meanwhile.
func (b *bird) keeps(addresses []string, n int, meanwhile func()) {
	b.t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		meanwhile()
	}()
	for {
		for _, address := range addresses {
			if hops := b.hops(address); len(hops) != n {
				b.t.Errorf("%d routes to %s, want %d: %v", len(hops), address, n, hops)
				<-done
				return
			}
		}
		select {
		case <-done:
			return
		default:
		}
	}
}

// announcedTo is a group that the router is to hear of.
func announcedTo(router string, change ...func(*vip.Section)) vip.Section {
	s := vip.Section{Name: "edge", Owner: "bgp", Addresses: []string{vip4}, BGP: vip.BGPSection{
		LocalAS: num(nodeAS), Neighbors: []vip.NeighborSection{{Address: router, AS: num(routerAS)}},
	}}
	for _, c := range change {
		c(&s)
	}
	return s
}

// TestBird has the real bird hear of an address: when it comes, and when its
// node stops, dies, and is back.
func TestBird(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(secret, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	both := func(s *vip.Section) { s.Addresses = []string{vip4, vip6} }
	tests := []struct {
		name, router, conf string
		change             func(*vip.Section)
		// hop4 and hop6 are the next hops expected; empty: that address is not announced.
		hop4, hop6 string
	}{
		{"IPv4", router4, "", func(*vip.Section) {}, "192.0.2.1", ""},
		{"IPv6", router6, "", func(s *vip.Section) { s.Addresses = []string{vip6} }, "", "2001:db8::1"},
		{"both families over IPv4", router4, "", both, "192.0.2.1", "2001:db8::1"},
		{"both families over IPv6", router6, "", both, "192.0.2.1", "2001:db8::1"},
		{"password", router4, `password "s3cret";`, func(s *vip.Section) { s.BGP.Neighbors[0].PasswordFile = secret }, "192.0.2.1", ""},
		{"multihop", router4, "multihop 5;", func(s *vip.Section) { s.BGP.Neighbors[0].MultihopTTL = num(5) }, "192.0.2.1", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l, lan, nodes := newNodes(t, 1)
			n := nodes[0]
			b := newBird(t, l, lan, 1, tt.router == router6, tt.conf)
			heard := func(n int) (longest time.Duration) {
				for address, hop := range map[string]string{vip4: tt.hop4, vip6: tt.hop6} {
					if hop == "" {
						continue
					}
					longest = max(longest, b.waits(address, n))
					if got := b.hops(address); n > 0 && got[0] != hop {
						t.Errorf("next hop to %s is %s, want %s", address, got[0], hop)
					}
				}
				return longest
			}
			section := announcedTo(tt.router, tt.change)
			n.start(section)
			t.Logf("announced after %v", heard(1))
			n.eventually("Active", func() bool { return n.group().State == "Active" && n.group().Owned })
			for _, p := range section.Addresses {
				if n.shows("eth0", p+"/32") || n.shows("eth0", p+"/128") || !n.shows("lo", p+"/32") && !n.shows("lo", p+"/128") {
					t.Errorf("%s is not on lo alone:\n%s", p, n.Output("ip", "-o", "addr"))
				}
			}
			if out := b.ask("show", "route", "count"); tt.name == "IPv4" && !strings.Contains(out, "for 2 networks in table master4") {
				t.Errorf("routes: %s", out)
			}

			done := make(chan error, 1)
			go func() { done <- n.proc.Stop() }()
			t.Logf("withdrawn %v after the stop began", heard(0))
			if err := <-done; err != nil {
				t.Errorf("stop: %v", err)
			}

			n.start(section)
			t.Logf("announced %v after a new start", heard(1))
			b.keeps(section.Addresses, 1, func() {
				n.proc.Kill()
				n.start(section)
				n.eventually("Active", func() bool { return n.group().State == "Active" })
			})
			if strings.Contains(n.proc.Log(), "s3cret") {
				t.Error("the log shows the password")
			}
			n.proc.Signal(syscall.SIGTERM)
			heard(0)
		})
	}
}

// TestBirdSpreads has three nodes announce one address, and a router send to
// all of them until a node's line or its director is dead.
func TestBirdSpreads(t *testing.T) {
	t.Parallel()
	l, lan, nodes := newNodes(t, 3)
	b := newBird(t, l, lan, 3, false, "bfd on;")
	watched := announcedTo(router4, func(s *vip.Section) {
		s.BGP.Neighbors[0].BFD, s.BGP.Neighbors[0].BFDInterval = true, "100ms"
		s.BGP.Communities, s.BGP.MED = []string{"64512:100", "no-export"}, num(50)
	})
	for _, n := range nodes {
		n.start(watched)
	}
	all := func() {
		t.Helper()
		t.Logf("all three after %v", b.waits(vip4, 3))
		lab.Eventually(t, 10*time.Second, "equal paths in the router's kernel", func() error {
			if out := b.Output("ip", "route", "show", vip4); strings.Count(out, "nexthop") != 3 {
				return fmt.Errorf("%s", out)
			}
			return nil
		})
		lab.Eventually(t, 10*time.Second, "BFD up", func() error {
			if out := b.ask("show", "bfd", "sessions"); strings.Count(out, " Up ") != 3 {
				return fmt.Errorf("%s", out)
			}
			return nil
		})
		for _, n := range nodes {
			n.eventually("BFD up", func() bool {
				s := n.status().BGP.Sessions
				return len(s) == 1 && s[0].State == "established" && s[0].BFD == "up" && s[0].Announced == 1
			})
		}
	}
	all()
	if out := b.ask("show", "route", "for", vip4, "all"); strings.Count(out, "BGP.community: (64512,100) (65535,65281)") != 3 || strings.Count(out, "BGP.med: 50") != 3 {
		t.Errorf("attributes:\n%s", out)
	}
	gone := func(what string, do func()) {
		t.Helper()
		do()
		took := b.waits(vip4, 2)
		t.Logf("%s: gone after %v", what, took)
		if took > time.Second {
			t.Errorf("%s: gone after %v, want 1s at most", what, took)
		}
	}
	gone("link lost", func() { lan.Unplug(nodes[0].Node) })
	lan.Plug(nodes[0].Node)
	all()
	gone("director killed", func() { nodes[1].proc.Kill() })
	nodes[1].start(watched)
	all()
	nodes[1].eventually("told", func() bool { return strings.Contains(nodes[1].proc.Log(), "established=true") })
	b.ask("restart", "n2")
	lab.Eventually(t, 10*time.Second, "session that the router ended", func() error {
		if strings.Contains(nodes[1].proc.Log(), "established=false") {
			return nil
		}
		return fmt.Errorf("still there")
	})
	all()
	// Nothing more may happen to lines that are well.
	for _, n := range nodes {
		if c := strings.Count(n.proc.Log(), "established=false"); c > map[*node]int{nodes[0]: 1, nodes[1]: 1}[n] {
			t.Errorf("%s lost its session %d times:\n%s", n.Name(), c, n.proc.Log())
		}
	}
}

// TestBirdWatches has a router end its sessions, which ends its watch over the
// line too, and has the line die under them.
func TestBirdWatches(t *testing.T) {
	t.Parallel()
	for name, router := range map[string]string{"IPv4": router4, "IPv6": router6} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, lan, nodes := newNodes(t, 1)
			n := nodes[0]
			b := newBird(t, l, lan, 1, router == router6, "bfd on;")
			n.start(announcedTo(router, func(s *vip.Section) {
				s.BGP.Neighbors[0].BFD, s.BGP.Neighbors[0].BFDInterval = true, "100ms"
			}))
			well := func(what string) {
				t.Helper()
				took := b.waits(vip4, 1)
				n.eventually("established and watched", func() bool {
					s := n.status().BGP.Sessions
					return len(s) == 1 && s[0].State == "established" && s[0].BFD == "up"
				})
				t.Logf("%s: announced after %v", what, took)
				if took > 10*time.Second {
					t.Errorf("%s: announced after %v, want 10s at most", what, took)
				}
			}
			ended := 0
			fell := func() {
				t.Helper()
				ended++
				n.eventually("end of the session", func() bool { return strings.Count(n.proc.Log(), "established=false") == ended })
			}
			well("start")
			for range 3 {
				b.ask("restart", "n1")
				fell()
				well("restart by the router")
			}
			b.ask("disable", "n1")
			fell()
			b.ask("enable", "n1")
			well("disabled and enabled")

			// A line that has not been heard of in this session cuts nothing.
			b.keeps([]string{vip4}, 1, func() { <-time.After(500 * time.Millisecond) })
			lan.Deaden(n.Node)
			begin := time.Now()
			if took := b.waits(vip4, 0); took > time.Second {
				t.Errorf("dead line: gone after %v, want 1s at most", took)
			}
			fell()
			if took := time.Since(begin); took > 2*time.Second {
				t.Errorf("dead line: noticed after %v", took)
			}
			n.eventually("a line that is shown as down", func() bool { return n.status().BGP.Sessions[0].BFD == "down" })
			if !strings.Contains(n.proc.Log(), "the line was lost (bfd)") {
				t.Errorf("dead line:\n%s", n.proc.Log())
			}
			lan.Revive(n.Node)
			well("line back")
			if c := strings.Count(n.proc.Log(), "established=false"); c != ended {
				t.Errorf("%d sessions ended, want %d:\n%s", c, ended, n.proc.Log())
			}
			n.proc.Kill()
			if took := b.waits(vip4, 0); took > time.Second {
				t.Errorf("director killed: gone after %v, want 1s at most", took)
			}
		})
	}
}

// TestBirdHearsOfFaults has a node withdraw what it cannot serve, and go on to
// serve it for what is on its way.
func TestBirdHearsOfFaults(t *testing.T) {
	t.Parallel()
	l, lan, nodes := newNodes(t, 1)
	n := nodes[0]
	b := newBird(t, l, lan, 1, false, "")
	file := filepath.Join(n.Dir(), "fault")
	set := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	set("0")
	n.start(announcedTo(router4, func(s *vip.Section) {
		s.BGP.Track = []track.Section{{File: file, Interval: "100ms"}}
	}))
	b.waits(vip4, 1)
	set("1")
	t.Logf("withdrawn after %v", b.waits(vip4, 0))
	n.eventually("still served", func() bool { return n.group().State == "Fault" && n.group().Owned })
	n.eventually("no longer served", func() bool { return !n.group().Owned })
	set("0")
	t.Logf("announced after %v", b.waits(vip4, 1))
	n.eventually("served", func() bool { return n.group().Owned && n.group().State == "Active" })
}
