package vip_test

import (
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/portico-lb/portico/test/lab"
	"github.com/portico-lb/portico/vip"
)

const vip4, vip6 = "192.0.2.100", "2001:db8::100"

func num(n int) *int { return &n }

// section is a group of one address with adverts every 100 ms.
func section(priority int, change ...func(*vip.Section)) vip.Section {
	s := vip.Section{Name: "edge", Addresses: []string{vip4},
		VRRP: vip.VRRPSection{RouterID: num(51), Priority: num(priority), AdvertInterval: "100ms"}}
	for _, c := range change {
		c(&s)
	}
	return s
}

func interval(d string) func(*vip.Section) {
	return func(s *vip.Section) { s.VRRP.AdvertInterval = d }
}

// TestTakeOver follows one address through stop, kill and link loss, with a
// client who asks for it all the time.
func TestTakeOver(t *testing.T) {
	t.Parallel()
	for _, every := range []string{"1s", "100ms"} {
		t.Run(every, func(t *testing.T) {
			t.Parallel()
			l, lan, nodes := newNodes(t, 2)
			a, b := nodes[0], nodes[1]
			client := l.Node("client")
			client.Attach(lan, "eth0", "192.0.2.200/24")
			for _, n := range nodes {
				n.Serve(":80", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, n.Name()) }))
			}
			probe := func(what string, do func()) {
				p := client.Probe(10*time.Millisecond, lab.Request{URL: "http://" + vip4 + "/", Timeout: time.Second})
				before := p.OK()
				wait(t, func() bool { return p.OK() > before })
				do()
				now := p.OK()
				wait(t, func() bool { return p.OK() > now+10 })
				tl := p.Stop()
				t.Logf("adverts %s, %s: gap %v, %d of %d requests lost", every, what, tl.LongestGap().Length().Round(time.Millisecond), len(tl.Failed()), len(tl.Attempts))
			}

			a.start(section(150, interval(every)))
			a.eventually("Active", a.is("Active", vip4+"/32"))
			b.start(section(100, interval(every)))
			b.eventually("Backup", b.is("Backup", vip4+"/32"))
			probe("clean stop", func() {
				if err := a.proc.Stop(); err != nil {
					t.Errorf("stop: %v", err)
				}
				b.eventually("Active", b.is("Active", vip4+"/32"))
			})
			if a.shows("eth0", vip4+"/32") || !a.shows("lo", vip4+"/32") {
				t.Errorf("addresses after the stop:\n%s", a.Output("ip", "-o", "addr"))
			}

			a.start(section(150, interval(every)))
			a.eventually("Backup that heard the Active", func() bool { return a.group().Active == "192.0.2.2" })
			a.eventually("Backup", a.is("Backup", vip4+"/32"))
			probe("kill -9", func() {
				b.proc.Kill()
				a.eventually("Active", a.is("Active", vip4+"/32"))
			})

			b.start(section(100, interval(every)))
			b.eventually("Backup after another took over", b.is("Backup", vip4+"/32"))
			probe("link loss", func() {
				lan.Unplug(a.Node)
				b.eventually("Active", b.is("Active", vip4+"/32"))
			})
			a.eventually("Fault", a.is("Fault", vip4+"/32"))
			lan.Plug(a.Node)
			a.eventually("Backup", func() bool { return a.is("Backup", vip4+"/32")() && a.group().Active == "192.0.2.2" })
			if n := b.group().Transitions; n != 2 {
				t.Errorf("the owner's state changed %d times, want 2: Backup, Active", n)
			}
		})
	}
}

func wait(t *testing.T, ok func() bool) {
	t.Helper()
	lab.Eventually(t, 10*time.Second, "answers", func() error {
		if ok() {
			return nil
		}
		return fmt.Errorf("not yet")
	})
}
