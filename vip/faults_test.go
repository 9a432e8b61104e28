package vip_test

import (
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/portico-lb/portico/test/lab"
)

// TestStalled stops the owner's process for longer than the others wait: it
// finds that it was succeeded, and neither speaks against its successor nor
// announces what it had planned to.
func TestStalled(t *testing.T) {
	t.Parallel()
	l, lan, nodes := newNodes(t, 2)
	a, b := nodes[0], nodes[1]
	client := l.Node("client")
	client.Attach(lan, "eth0", "192.0.2.200/24")
	a.start(section(150, interval("500ms")))
	a.eventually("Active", a.is("Active", vip4+"/32"))
	b.start(section(100, interval("500ms")))
	b.eventually("Backup that follows", func() bool { return b.group().Active == "192.0.2.1" })
	claims := client.Capture("eth0", "arp[6:2] == 2 and ether broadcast or vrrp")
	from := func(n *node, text string) (count int) {
		for _, line := range claims.Lines() {
			if strings.HasPrefix(line, mac(n.Node, "eth0")) && strings.Contains(line, text) {
				count++
			}
		}
		return count
	}
	a.proc.Signal(syscall.SIGSTOP)
	b.eventually("Active", b.is("Active", vip4+"/32"))
	b.eventually("second burst, with that of the other overdue", func() bool { return from(b, vip4+" is-at") >= 10 })
	before := from(a, "")
	a.proc.Signal(syscall.SIGCONT)
	a.eventually("Backup", a.is("Backup", vip4+"/32"))
	if g := a.group(); g.Active != "192.0.2.2" || g.Reason != "another took over in the meantime" {
		t.Errorf("the stalled node: %+v", g)
	}
	if g := b.group(); g.State != "Active" || g.Transitions != 2 {
		t.Errorf("its successor: %+v", g)
	}
	if after := from(a, ""); after != before {
		t.Errorf("the stalled node sent %d packets:\n%s", after-before, strings.Join(claims.Lines(), "\n"))
	}
}

// TestBadInput counts what strangers send and is moved by none of it.
func TestBadInput(t *testing.T) {
	t.Parallel()
	l, lan, nodes := newNodes(t, 1)
	a := nodes[0]
	a.start(section(150))
	a.eventually("Active", a.is("Active", vip4+"/32"))
	stranger := l.Node("stranger")
	stranger.Attach(lan, "eth0", "192.0.2.66/24")
	send := func(ttl int, b []byte) {
		t.Helper()
		var err error
		stranger.Do(func() {
			var c net.PacketConn
			if c, err = net.ListenPacket("ip4:112", "192.0.2.66"); err != nil {
				return
			}
			defer c.Close()
			raw, _ := c.(*net.IPConn).SyscallConn()
			_ = raw.Control(func(fd uintptr) {
				_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, syscall.IP_MULTICAST_TTL, ttl)
			})
			_, err = c.WriteTo(b, &net.IPAddr{IP: net.IPv4(224, 0, 0, 18)})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	stranger.Route("224.0.0.0/4", "192.0.2.1")
	send(255, []byte{0x31, 51, 255})
	send(255, []byte{0x31, 51, 255, 9, 0, 100, 0, 0, 1, 2, 3, 4})
	send(255, []byte{0x31, 51, 255, 1, 0, 100, 0, 0, 1, 2, 3, 4})
	send(255, []byte{0x91, 51, 255, 1, 0, 100, 0, 0, 1, 2, 3, 4})
	send(255, []byte{0x31, 77, 255, 1, 0, 100, 0, 0, 1, 2, 3, 4})
	send(1, []byte{0x31, 51, 255, 1, 0, 100, 0, 0, 1, 2, 3, 4})
	want := map[string]int{"length": 2, "checksum": 1, "version": 1, "vrid": 1, "ttl": 1}
	a.eventually("counted", func() bool { return fmt.Sprint(a.group().Dropped) == fmt.Sprint(want) })
	if g := a.group(); g.State != "Active" || g.Received != 0 {
		t.Errorf("moved by it: %+v", g)
	}
}

// TestMissing: what is missing is named with its cure, and taken when it comes.
func TestMissing(t *testing.T) {
	t.Parallel()
	l := lab.New(t)
	lan := l.Network("lan")
	a := &node{Node: l.Node("n1"), t: t}
	a.start(section(150))
	a.eventually("told", func() bool {
		return a.group().LastError == "interface eth0 does not exist: create it or name another"
	})
	if !a.shows("lo", vip4+"/32") {
		t.Error("the address is not on lo")
	}
	a.Attach(lan, "eth0")
	a.eventually("told of the address", func() bool {
		return a.group().LastError == "interface eth0 has no IPv4 address of its own: give it one to send VRRP from"
	})
	a.AddAddr("eth0", "192.0.2.1/24")
	a.eventually("Active", a.is("Active", vip4+"/32"))
	if s := a.status(); s.LastError != "" || s.Groups[0].LastError != "" {
		t.Errorf("errors stay: %+v", s)
	}
	if err := a.proc.Stop(); err != nil {
		t.Fatal(err)
	}

	for _, capability := range []string{"net_admin", "net_raw"} {
		cmd := a.Command("setpriv", "--bounding-set", "-"+capability, "--inh-caps", "-"+capability, os.Args[0])
		cmd.Env = append(os.Environ(), nodeEnv+"="+a.Dir())
		a.proc = cmd.Spawn()
		a.eventually("told of "+capability, func() bool { return strings.Contains(a.proc.Log(), "CAP_"+strings.ToUpper(capability)) })
		if err := a.proc.Stop(); capability == "net_admin" && err == nil {
			t.Error("went on without CAP_NET_ADMIN")
		}
	}
}

// TestSuspended: an Active that was stopped for long and continues is talked
// out of it by its successor, at once.
func TestSuspended(t *testing.T) {
	t.Parallel()
	_, _, nodes := newNodes(t, 2)
	a, b := nodes[0], nodes[1]
	a.start(section(100))
	a.eventually("Active", a.is("Active", vip4+"/32"))
	b.start(section(150))
	b.eventually("Backup", b.is("Backup", vip4+"/32"))
	a.proc.Signal(syscall.SIGSTOP)
	b.eventually("Active", b.is("Active", vip4+"/32"))
	a.proc.Signal(syscall.SIGCONT)
	if d := a.eventually("Backup", a.is("Backup", vip4+"/32")); d > time.Second {
		t.Errorf("two owners for %v", d)
	}
	if s := b.group().State; s != "Active" {
		t.Errorf("the successor is %s", s)
	}
}
