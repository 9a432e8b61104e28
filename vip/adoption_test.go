package vip_test

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/portico-lb/portico/vip"
)

// TestAdoption kills the owner and starts it again within the others' down
// interval: its addresses stay up all the time and nobody takes over.
func TestAdoption(t *testing.T) {
	t.Parallel()
	_, _, nodes := newNodes(t, 2)
	a, b := nodes[0], nodes[1]
	second := section(150, interval("1s"))
	a.start(second)
	a.eventually("Active", a.is("Active", vip4+"/32"))
	b.start(section(200, interval("1s")))
	b.eventually("Backup that heard the Active", func() bool { return b.group().Active == "192.0.2.1" })

	monitor := a.Start("ip", "-o", "monitor", "address")
	a.proc.Kill()
	a.start(second)
	if g := a.group(); !g.Owned || !g.Adopting || g.State == "Active" {
		t.Errorf("after the restart: %+v", g)
	}
	a.eventually("Active", a.is("Active", vip4+"/32"))
	if g := a.group(); g.Reason != "still held the addresses after a restart" {
		t.Errorf("Active because %q", g.Reason)
	}
	if log := monitor.Log(); strings.Contains(log, vip4) {
		t.Errorf("the address changed:\n%s", log)
	}
	if g := b.group(); g.State != "Backup" || g.Transitions != 1 {
		t.Errorf("the other node: %+v", g)
	}
}

// TestPutBack removes the address behind the Manager's back.
func TestPutBack(t *testing.T) {
	t.Parallel()
	_, _, nodes := newNodes(t, 1)
	a := nodes[0]
	a.start(section(150, func(s *vip.Section) { s.Addresses = append(s.Addresses, vip6) }))
	a.eventually("Active", a.is("Active", vip4+"/32"))
	for _, where := range []string{"lo " + vip4 + "/32", "eth0 " + vip4 + "/32", "lo " + vip6 + "/128", "eth0 " + vip6 + "/128"} {
		dev, address, _ := strings.Cut(where, " ")
		a.eventually("has "+where, func() bool { return a.shows(dev, address) })
		a.DelAddr(dev, address)
		if d := a.eventually("has "+where+" again", func() bool { return a.shows(dev, address) }); d > time.Second {
			t.Errorf("%s came back after %v", where, d)
		}
	}
	if g := a.group(); g.State != "Active" || g.Transitions != 2 {
		t.Errorf("not a quiet repair: %+v", g)
	}
}

// TestTakesOverTentative: an address that another tool put up, and that
// duplicate address detection found on the link, serves all the same.
func TestTakesOverTentative(t *testing.T) {
	t.Parallel()
	l, lan, nodes := newNodes(t, 1)
	a := nodes[0]
	other := l.Node("other")
	other.Attach(lan, "eth0", vip6+"/64")
	a.Sysctl("net.ipv6.conf.eth0.accept_dad", "1")
	a.Output("ip", "addr", "add", vip6+"/128", "dev", "eth0")
	flags := func(f string) func() bool {
		return func() bool { return strings.Contains(a.Output("ip", "-o", "addr", "show", "dev", "eth0"), f) }
	}
	a.eventually("failed", flags("dadfailed"))
	a.start(vip.Section{Name: "s", Addresses: []string{vip6}, Owner: "static"})
	a.eventually("serving", func() bool { return a.shows("eth0", vip6+"/128") && !flags("dadfailed")() && !flags("tentative")() })
}

// TestConnectionOutlivesRelease: a connection to the address on this very node
// goes on when the node stops owning it, and when it owns it again.
func TestConnectionOutlivesRelease(t *testing.T) {
	t.Parallel()
	_, _, nodes := newNodes(t, 1)
	a := nodes[0]
	a.start(section(150))
	a.eventually("Active", a.is("Active", vip4+"/32"))
	echo := a.Listen("tcp", vip4+":7")
	go func() {
		for {
			c, err := echo.Accept()
			if err != nil {
				return
			}
			_, _ = io.Copy(c, c)
			c.Close()
		}
	}()
	c, err := a.DialContext(t.Context(), "tcp", vip4+":7")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	says := func(word string) {
		t.Helper()
		_ = c.SetDeadline(time.Now().Add(2 * time.Second))
		if _, err := io.WriteString(c, word); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, make([]byte, len(word))); err != nil {
			t.Fatalf("%s: %v", word, err)
		}
	}
	says("owned")
	if err := a.proc.Stop(); err != nil {
		t.Fatal(err)
	}
	if a.shows("eth0", vip4+"/32") {
		t.Fatal("still on eth0")
	}
	says("released")
	a.start(section(150))
	a.eventually("Active", a.is("Active", vip4+"/32"))
	says("owned again")
}
