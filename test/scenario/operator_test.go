package scenario

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/ipv4"

	"github.com/portico-lb/portico/test/edge"
	"github.com/portico-lb/portico/test/lab"
)

// TestBadFile reloads a file with faults: nothing changes, and the log says
// where they are.
func TestBadFile(t *testing.T) {
	e := start(t, edge.Options{})
	owner := e.WaitReady(patience)
	before := services(owner)
	for _, command := range []string{"check", "status"} {
		if out, err := owner.Portico(command); err != nil {
			t.Errorf("portico %s, before: %v\n%s", command, err, out)
		}
	}
	owner.WriteConfig("[node]\nname = \"edge\"\n\n[[vip]]\nname = \"edge\"\naddresses = [\"172.20.0.300\"]\nvrrp = { router_id = 256 }\nspeed = 3\n")
	owner.Director.Reload()
	owner.Proxy.Reload()
	owner.Director.WaitLog("reload refused", patience)
	for _, want := range []string{`line=6 column=`, `line=7 column=`, `line=8 column=`} {
		owner.Director.WaitLog(want, patience)
	}
	owner.Proxy.WaitLog("line=8 column=", patience) // of the others' sections only the shape is the proxy's
	for line := range strings.Lines(owner.Director.Log()) {
		if strings.Contains(line, "reload refused") {
			t.Log(line)
		}
	}
	out, err := owner.Portico("check")
	t.Logf("portico check: %v\n%s", err, out)
	if err == nil || strings.Count(out, "portico.toml:") < 3 {
		t.Errorf("check: %v, want three faults:\n%s", err, out)
	}
	if s := owner.Status(); s.Director == nil || s.Director.Config.Error == "" {
		t.Errorf("status does not tell: %+v", s)
	}
	if after := services(owner); after != before {
		t.Errorf("services before:\n%s\nafter:\n%s", before, after)
	}
	if now, err := e.Owner(); now != owner {
		t.Errorf("the owner was %s: %v", owner, err)
	}
	tally := e.Client.Burst(30, 4, e.Request())
	if tally.Answered != 30 {
		t.Errorf("with a bad file: %v", tally)
	}
	e.Reconfigure(func(*edge.Options) {})
	owner.Director.WaitLog("configuration reloaded", patience)
	figure(t, "a file with three faults: all named with line and column, nothing changed, %v", tally)
}

// TestMalformedAdverts throws rubbish at the VRRP group.
func TestMalformedAdverts(t *testing.T) {
	e := start(t, edge.Options{})
	owner := e.WaitReady(patience)
	base := map[*edge.Node]int{}
	for _, n := range e.Nodes {
		g, err := n.Status().Group()
		if err != nil {
			t.Fatal(err)
		}
		base[n] = g.DroppedAll()
	}
	vrrp := ipv4.NewPacketConn(e.Client.ListenPacket("ip4:112", "0.0.0.0"))
	defer vrrp.Close()
	var err error
	e.Client.Do(func() {
		ifi, ierr := net.InterfaceByName("eth0")
		if err = ierr; err == nil {
			err = errors.Join(vrrp.SetMulticastInterface(ifi), vrrp.SetMulticastTTL(255))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	vip := netip.MustParseAddr(e.VIP()).As4()
	whole := append([]byte{0x31, 51, 200, 1, 0, 20, 0xde, 0xad}, vip[:]...) // priority 200, wrong checksum
	packets := [][]byte{{}, {0x31}, whole[:8], whole, make([]byte, 1400)}
	for _, p := range packets {
		if _, err := vrrp.WriteTo(p, nil, &net.IPAddr{IP: net.IPv4(224, 0, 0, 18)}); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range e.Nodes {
		lab.Eventually(t, patience, n.Name()+" counts", func() error {
			g, err := n.Status().Group()
			if err != nil {
				return err
			}
			if got := g.DroppedAll() - base[n]; got < len(packets) {
				return fmt.Errorf("%d of %d: %v", got, len(packets), g.Dropped)
			}
			t.Logf("%s: %v", n, g.Dropped)
			return nil
		})
	}
	if now, err := e.Owner(); now != owner {
		t.Errorf("the owner was %s: %v", owner, err)
	}
	figure(t, "%d malformed adverts: counted on all nodes, owner unchanged", len(packets))
}

// foreign is a service that somebody else has in the kernel.
const foreign = "198.51.100.1:99"

// TestOthersMeddle has another tool remove what is ours, which comes back, and
// keep what is its own, which stays through take-over, stop and flush.
func TestOthersMeddle(t *testing.T) {
	e := start(t, edge.Options{})
	for _, n := range e.Nodes {
		n.Output("ipvsadm", "-A", "-t", foreign, "-s", "wrr")
		n.Output("ipvsadm", "-a", "-t", foreign, "-r", "172.20.0.10", "-g", "-w", "7")
	}
	owner := e.WaitReady(patience)

	since := mark()
	owner.DelAddr("eth0", e.VIP()+"/32")
	lab.Eventually(t, patience, "the VIP is put back", func() error {
		if !owner.HasAddr("eth0", e.VIP()) {
			return errors.New("it is not there")
		}
		return nil
	})
	back := since()
	figure(t, "VIP removed by hand: back after %v", back)
	if back > time.Second {
		t.Errorf("the VIP came back after %v", back)
	}
	owner.DelAddr("lo", e.VIP()+"/32")
	lab.Eventually(t, patience, "the VIP is put back on lo", func() error {
		if !owner.HasAddr("lo", e.VIP()) {
			return errors.New("it is not there")
		}
		return nil
	})

	for what, args := range map[string][]string{
		"service":     {"-D", "-t", e.VIP() + ":80"},
		"destination": {"-d", "-t", e.VIP() + ":80", "-r", e.Nodes[1].Addr},
	} {
		since := mark()
		owner.Output("ipvsadm", args...)
		e.WaitReady(patience)
		back := since()
		figure(t, "%s removed by hand: back after %v", what, back)
		if back > 5*time.Second { // the kernel tells nobody: it is looked at every three
			t.Errorf("the %s came back after %v", what, back)
		}
	}

	owner.Director.Stop()
	next := e.WaitOwner(patience, e.Others(owner)...)
	for _, n := range e.Nodes {
		table := n.IPVS()
		if edge.WeightIn(table, foreign, "172.20.0.10:99") != 7 {
			t.Errorf("%s: the foreign service is not what it was:\n%s", n, table)
		}
	}
	if left := owner.IPVS(); strings.Contains(left, e.VIP()) {
		t.Errorf("%s stopped clean and keeps services without the VIP:\n%s", owner, left)
	}
	next.Director.Kill()
	out, err := next.Portico("flush")
	table := next.IPVS()
	if err != nil || strings.Contains(table, e.VIP()) || edge.WeightIn(table, foreign, "172.20.0.10:99") != 7 {
		t.Errorf("flush: %v\n%s\n%s", err, out, table)
	}
	if next.HasAddr("eth0", e.VIP()) || next.HasAddr("lo", e.VIP()) {
		t.Errorf("flush left the VIP on %s", next)
	}
	figure(t, "a foreign service stayed untouched through take-over, stop and flush")
}

// TestMissingInterface names one that is not there.
func TestMissingInterface(t *testing.T) {
	lab.NeedIPVS(t)
	e := edge.New(t, lab.New(t), edge.Options{Nodes: 1})
	n := e.Nodes[0]
	n.RewriteConfig(func(text string) string { return strings.Replace(text, `"eth0"`, `"eth9"`, 1) })
	n.Director.Start()
	n.Director.WaitLog("interface eth9 does not exist: create it or name another", patience)
	figure(t, "a missing interface is named in the log, with the cure")
}
