package vip_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portico-lb/portico/test/lab"
	"github.com/portico-lb/portico/vip"
	"github.com/portico-lb/portico/vip/track"
)

// fitness is one thing that nodes track, and how it goes wrong.
type fitness struct {
	name string
	// prepare readies the node and returns its rule and how to break and mend
	// what the rule is about.
	prepare func(n *node, spare *lab.Network) (rule track.Section, breaks, mends func())
	says    string // in the status, while broken
}

func fitnesses() []fitness {
	file := func(n *node, name string) (path string, write func(text string) func()) {
		path = n.Dir() + "/" + name
		return path, func(text string) func() {
			return func() {
				if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
					n.t.Error(err)
				}
			}
		}
	}
	return []fitness{
		{"interface down", func(n *node, spare *lab.Network) (track.Section, func(), func()) {
			n.Attach(spare, "eth1")
			return track.Section{Interface: "eth1", Hold: "300ms", Weight: num(-100)}, func() { n.LinkDown("eth1") }, func() { n.LinkUp("eth1") }
		}, "down"},
		{"interface unplugged", func(n *node, spare *lab.Network) (track.Section, func(), func()) {
			n.Attach(spare, "eth1")
			return track.Section{Interface: "eth1", Hold: "300ms", Weight: num(-100)}, func() { spare.Unplug(n.Node) }, func() { spare.Plug(n.Node) }
		}, "no carrier"},
		{"file", func(n *node, _ *lab.Network) (track.Section, func(), func()) {
			path, write := file(n, "prefer")
			return track.Section{File: path, Interval: "100ms", Weight: num(2)}, write("-50\n"), write("0\n")
		}, "the number is -50"},
		{"command", func(n *node, _ *lab.Network) (track.Section, func(), func()) {
			path, write := file(n, "broken")
			rule := track.Section{Command: []string{"/bin/sh", "-c", "test ! -e " + path + " || { echo no uplink; exit 1; }"},
				Interval: "100ms", Fall: num(2), Rise: num(2), Weight: num(-100)}
			return rule, write(""), func() { os.Remove(path) }
		}, "no uplink"},
		{"readiness", func(n *node, _ *lab.Network) (track.Section, func(), func()) {
			var sick atomic.Bool
			n.Serve("127.0.0.1:9181", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if sick.Load() {
					w.WriteHeader(http.StatusServiceUnavailable)
				}
			}))
			rule := track.Section{L7: true, Interval: "100ms", Fall: num(2), Rise: num(2), Weight: num(-100)}
			return rule, func() { sick.Store(true) }, func() { sick.Store(false) }
		}, "status 503, want 200"},
	}
}

// rules is what the status says of the first group's rules.
func (n *node) rules() []track.RuleStatus {
	var s struct {
		Groups []struct{ Track []track.RuleStatus }
	}
	b, err := os.ReadFile(n.Dir() + "/status.json")
	if err != nil || json.Unmarshal(b, &s) != nil || len(s.Groups) == 0 {
		return nil
	}
	return s.Groups[0].Track
}

// tracks reports whether the first group's only rule has the effect and a
// reason that contains the text.
func (n *node) tracks(effect, reason string) func() bool {
	return func() bool {
		rs := n.rules()
		return len(rs) == 1 && !rs[0].Pending && rs[0].Effect == effect && strings.Contains(rs[0].Reason, reason)
	}
}

// TestTracked: what a node tracks goes wrong, and another takes over within a
// second while the address is always answered; whether the node comes back is
// up to preempt.
func TestTracked(t *testing.T) {
	t.Parallel()
	for i, f := range fitnesses() {
		for _, preempt := range []bool{true, false} {
			if preempt && i > 1 {
				continue // it depends on the change of priority alone
			}
			t.Run(fmt.Sprintf("%s, preempt %v", f.name, preempt), func(t *testing.T) {
				t.Parallel()
				l, lan, nodes := newNodes(t, 2)
				spare := l.Network("spare")
				a, b := nodes[0], nodes[1]
				client := l.Node("client")
				client.Attach(lan, "eth0", "192.0.2.200/24")
				rule, breaks, mends := f.prepare(a, spare)
				a.start(section(150, func(s *vip.Section) { s.VRRP.Preempt, s.VRRP.Track = preempt, []track.Section{rule} }))
				a.eventually("Active", a.is("Active", vip4+"/32"))
				b.start(section(100, func(s *vip.Section) { s.VRRP.Preempt = preempt }))
				b.eventually("Backup that heard the Active", func() bool { return b.group().Active == "192.0.2.1" })
				for _, n := range nodes {
					n.Serve(":80", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, n.Name()) }))
				}
				p := client.Probe(10*time.Millisecond, lab.Request{URL: "http://" + vip4 + "/", Timeout: time.Second})
				wait(t, func() bool { return p.OK() > 5 })

				breaks()
				a.eventually("sees it", a.tracks("-100", f.says))
				if d := b.eventually("Active", b.is("Active", vip4+"/32")); d > time.Second {
					t.Errorf("took over after %v", d)
				}
				a.eventually("Backup", a.is("Backup", vip4+"/32"))

				mends()
				a.eventually("sees it mended", a.tracks("", ""))
				if preempt {
					a.eventually("Active again", a.is("Active", vip4+"/32"))
					b.eventually("Backup again", b.is("Backup", vip4+"/32"))
				} else {
					heard := a.group().Received
					a.eventually("hears the Active on", func() bool { return a.group().Received > heard+10 })
					if !b.is("Active", vip4+"/32")() || !a.is("Backup", vip4+"/32")() {
						t.Errorf("without preempt the address moved back: %+v, %+v", a.group(), b.group())
					}
				}
				ok := p.OK()
				wait(t, func() bool { return p.OK() > ok+10 })
				// A connection that was being opened may meet both nodes: without the
				// services of layer 4 the later one resets it.
				tl := p.Stop()
				t.Logf("gap %v, %d of %d requests lost", tl.LongestGap().Length().Round(time.Millisecond), len(tl.Failed()), len(tl.Attempts))
				if gap := tl.LongestGap().Length(); gap > 500*time.Millisecond {
					t.Errorf("nobody answered for %v", gap)
				}
			})
		}
	}
}

// TestAllFaulty: a rule without weight is a fault. Where all nodes have one
// nobody owns the address, and the first that recovers takes it.
func TestAllFaulty(t *testing.T) {
	t.Parallel()
	_, _, nodes := newNodes(t, 3)
	off := func(n *node, text string) {
		if err := os.WriteFile(n.Dir()+"/off", []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for i, n := range nodes {
		off(n, "0")
		n.start(section(150-i*20, func(s *vip.Section) {
			s.VRRP.Preempt = true // a stall of the computer is not to decide who is next
			s.VRRP.Track = []track.Section{{File: n.Dir() + "/off", Interval: "100ms"}}
		}))
		if i == 0 {
			n.eventually("Active", n.is("Active", vip4+"/32"))
		}
	}
	nodes[2].eventually("Backup that heard the Active", func() bool { return nodes[2].group().Active == "192.0.2.1" })
	off(nodes[0], "1")
	nodes[1].eventually("Active", nodes[1].is("Active", vip4+"/32"))
	nodes[0].eventually("faulty", nodes[0].is("Fault", vip4+"/32"))
	for _, n := range nodes[1:] {
		off(n, "1")
	}
	for _, n := range nodes {
		n.eventually("faulty", n.is("Fault", vip4+"/32"))
		if g := n.group(); g.Owned || !strings.Contains(g.Reason+g.LastError, "/off: the number is 1") {
			t.Errorf("%s: %+v", n.Name(), g)
		}
	}
	off(nodes[2], "0")
	nodes[2].eventually("Active", nodes[2].is("Active", vip4+"/32"))
}

// TestFaultyFromTheStart: a node takes nothing over before it knows that it is
// fit, though the answer is late; nor does it wait for one that never comes.
func TestFaultyFromTheStart(t *testing.T) {
	t.Parallel()
	_, _, nodes := newNodes(t, 2)
	a, b := nodes[0], nodes[1]
	monitor := a.Start("ip", "-o", "monitor", "address", "dev", "eth0")
	slow := func(script string) func(*vip.Section) {
		return func(s *vip.Section) {
			s.VRRP.AdvertInterval = "10ms"
			s.VRRP.Track = []track.Section{{Command: []string{"/bin/sh", "-c", script}, Interval: "2s", Timeout: "1s"}}
		}
	}
	a.start(section(150, slow("sleep 0.5; exit 1")))
	a.eventually("faulty", a.is("Fault", vip4+"/32"))
	if log := monitor.Log(); strings.Contains(log, vip4) {
		t.Errorf("took the address before it knew:\n%s", log)
	}
	b.start(section(100, slow("exec sleep 100")))
	b.eventually("faulty", b.is("Fault", vip4+"/32"))
	if r := b.rules(); len(r) != 1 || !strings.Contains(r[0].Reason, "timeout") || r[0].Effect != "fault" {
		t.Errorf("%+v", r)
	}
}
