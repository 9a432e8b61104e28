package scenario

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/portico-lb/portico/test/lab"
)

// switched is how many connections live through a change of dataplane.
const switched = 500

// A switchboard is one director and three plain servers behind it: an emulated
// machine has no time for whole nodes that serve so many.
type switchboard struct {
	t                *testing.T
	director, client *lab.Node
	config           string
	run              *lab.Proc
	conns            []net.Conn
}

const boardConfig = `[node]
name      = "director"
interface = "eth0"
run_dir   = "%[1]s/run"

[admin]
socket = "%[1]s/director.sock"
listen = ""

[[vip]]
name      = "edge"
addresses = ["172.20.0.119"]
owner     = "static"

[l4]
dataplane = %[2]q

[[l4.service]]
name   = "echo"
vip    = "edge"
port   = 7
check  = { kind = "tcp", interval = "2s" }
server = [{ address = "172.20.0.113" }, { address = "172.20.0.114" }, { address = "172.20.0.115" }]
`

func newSwitchboard(t *testing.T) *switchboard {
	lab.NeedIPVS(t)
	l := lab.New(t)
	lan := l.Network("lan")
	b := &switchboard{t: t, director: l.Node("director"), client: l.Node("client")}
	b.director.Attach(lan, "eth0", "172.20.0.112/24")
	b.client.Attach(lan, "eth0", "172.20.0.200/24")
	for i := range 3 {
		n := l.Node(fmt.Sprintf("server-%d", i+1))
		n.Attach(lan, "eth0", fmt.Sprintf("172.20.0.%d/24", 113+i))
		n.Sysctl("net.ipv4.conf.all.arp_ignore", "1")
		n.Sysctl("net.ipv4.conf.all.arp_announce", "2")
		n.NoReversePathFilter()
		n.AddAddr("lo", "172.20.0.119/32")
		n.NoOffload("eth0")
		n.Echo(":7")
	}
	b.director.NoReversePathFilter()
	b.director.NoOffload("eth0")
	b.client.NoOffload("eth0")
	lan.TakeXDP(b.director)
	b.director.MountBPF(filepath.Join(b.director.Dir(), "run", "bpf"))
	b.config = filepath.Join(b.director.Dir(), "portico.toml")
	b.configure("ipvs")
	b.run = b.director.Start(os.Getenv("PORTICO_BIN"), "run", "--config", b.config, "--only", "vip,l4,health")
	return b
}

func (b *switchboard) configure(dataplane string) {
	text := fmt.Sprintf(boardConfig, b.director.Dir(), dataplane)
	if err := os.WriteFile(b.config, []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

func (b *switchboard) portico(args ...string) string {
	out, _ := b.director.Command(os.Getenv("PORTICO_BIN"), append(args, "--config", b.config)...).CombinedOutput()
	return string(out)
}

// shows waits until the status has a line with these words, in this order.
func (b *switchboard) shows(words ...string) {
	b.t.Helper()
	lab.Eventually(b.t, patience, strings.Join(words, " "), func() error {
		out := b.portico("status")
		for line := range strings.Lines(out) {
			if strings.Contains(strings.Join(strings.Fields(line), " "), strings.Join(words, " ")) {
				return nil
			}
		}
		return fmt.Errorf("%s", out)
	})
}

// open opens connections until there are so many.
func (b *switchboard) open(n int) {
	b.t.Helper()
	for len(b.conns) < n {
		c, err := b.client.DialContext(context.Background(), "tcp", "172.20.0.119:7")
		if err != nil {
			b.t.Fatalf("connection %d: %v", len(b.conns), err)
		}
		b.conns = append(b.conns, c)
	}
}

// use has every connection answer, and returns how many do.
func (b *switchboard) use() (alive int) {
	b.t.Helper()
	for i, c := range b.conns {
		err := c.SetDeadline(time.Now().Add(patience))
		if err == nil {
			_, err = fmt.Fprintf(c, "%04d", i)
		}
		var answer [4]byte
		if err == nil {
			_, err = io.ReadFull(c, answer[:])
		}
		if err != nil {
			b.t.Errorf("connection %d: %v", i, err)
			continue
		}
		alive++
	}
	return alive
}

// TestDataplaneIsSwitched has a running service move from IPVS to XDP and back,
// by a reload. No connection may break: not those that the table tells, nor
// those of a server that was drained meanwhile, which it would send elsewhere.
func TestDataplaneIsSwitched(t *testing.T) {
	b := newSwitchboard(t)
	defer func() {
		for _, c := range b.conns {
			c.Close()
		}
	}()
	b.shows("tcp 172.20.0.119:7 mh, dr ipvs in the kernel")
	for _, server := range []string{"113", "114", "115"} {
		b.shows("-> 172.20.0."+server+":7", "1 up")
	}
	b.open(switched)
	b.portico("drain", "172.20.0.114")
	b.shows("-> 172.20.0.114:7", "0 up")
	for _, to := range []struct{ dataplane, by string }{{"xdp", "xdp, native"}, {"ipvs", "ipvs"}} {
		b.configure(to.dataplane)
		since := mark()
		b.run.Signal(syscall.SIGHUP)
		b.shows("tcp 172.20.0.119:7 mh, dr " + to.by + " in the kernel")
		took := since()
		alive := b.use()
		figure(t, "to %s in %v: %d of %d connections live", to.by, took, alive, len(b.conns))
		if table := b.director.Output("ipvsadm", "-Ln"); strings.Count(table, "-> 172.20.0.11") != 3 {
			t.Errorf("by %s IPVS has\n%s", to.by, table)
		}
		t.Logf("%s", b.portico("status"))
		b.open(len(b.conns) + 20) // new ones, of which the drained server gets none
	}
	if log := b.run.Log(); !strings.Contains(log, `"services move to XDP"`) {
		t.Errorf("no connection was carried over:\n%s", log)
	}
}
