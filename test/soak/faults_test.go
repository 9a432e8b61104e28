package soak

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/portico-lb/portico/test/edge"
)

// A fault is something that goes wrong on a node, and is mended.
type fault struct {
	name       string
	come, back func(*edge.Node)
	// costs is for how long behind either step requests may fail: what it
	// takes until the others notice. With 0 none may.
	costs time.Duration
	// twoOwners says that the node may keep the address beside the next owner:
	// nobody is left there, or nobody can be heard, to take it away.
	twoOwners bool
}

const (
	// unheard is how long a node that fell silent stays a server: its checks
	// fail after three seconds, and the next owner of the address has to
	// become that first.
	unheard = 10 * time.Second
	// held is how long a fault stands.
	held = 3 * time.Second
)

func (s *soak) faults() []fault {
	nothing := func(*edge.Node) {}
	faults := []fault{
		{name: "director killed", twoOwners: true, costs: time.Second, // a connection in the instant of the change
			come: func(n *edge.Node) { n.Director.Kill(); wait(held) },
			back: func(n *edge.Node) { n.Director.Start() }},
		{name: "director stopped", costs: time.Second,
			come: func(n *edge.Node) { n.Director.Stop(); wait(held) },
			back: func(n *edge.Node) { n.Director.Start() }},
		{name: "proxy killed", costs: unheard,
			come: func(n *edge.Node) { n.Proxy.Kill() },
			back: func(n *edge.Node) { n.Proxy.Start() }},
		{name: "proxy stopped",
			come: func(n *edge.Node) { n.Proxy.Signal(syscall.SIGTERM); n.Proxy.Wait() },
			back: func(n *edge.Node) { n.Proxy.Start() }},
		{name: "both killed", costs: unheard, twoOwners: true,
			come: func(n *edge.Node) { n.Director.Kill(); n.Proxy.Kill() },
			back: func(n *edge.Node) { n.Proxy.Start(); n.Director.Start() }},
		{name: "link lost", costs: unheard, twoOwners: true,
			come: func(n *edge.Node) { s.edge.LAN.Unplug(n.Node) },
			back: func(n *edge.Node) { s.edge.LAN.Plug(n.Node) }},
		{name: "dead port", costs: unheard, twoOwners: true,
			come: func(n *edge.Node) { s.edge.LAN.Deaden(n.Node) },
			back: func(n *edge.Node) { s.edge.LAN.Revive(n.Node) }},
		{name: "director replaced in place", back: nothing,
			come: func(n *edge.Node) { n.Director.Signal(syscall.SIGUSR2); wait(held) }},
		{name: "configuration read again", back: nothing,
			come: func(n *edge.Node) { n.Director.Reload(); n.Proxy.Reload(); wait(time.Second) }},
		{name: "Pods replaced", come: func(*edge.Node) { s.replacePods() }, back: nothing},
		{name: "a broken manifest",
			come: func(*edge.Node) { s.edge.WriteManifest("broken.yaml", "kind: [Ingress\n"); wait(time.Second) },
			back: func(*edge.Node) { os.Remove(filepath.Join(s.edge.Folder, "broken.yaml")) }},
		{name: "the source of routes gone", // as an API server is
			come: func(*edge.Node) { s.move(s.edge.Folder, s.edge.Folder+".gone"); wait(held) },
			back: func(*edge.Node) { s.move(s.edge.Folder+".gone", s.edge.Folder) }},
		{name: "disk full", come: s.fillDisk, back: s.freeDisk},
		{name: "netlink overflow", come: s.overflow, back: nothing},
		{name: "a crowd", come: func(*edge.Node) { s.crowd() }, back: nothing},
	}
	if s.guest {
		faults = append(faults,
			fault{name: "clock an hour ahead", come: func(*edge.Node) { s.jump(time.Hour) }, back: func(*edge.Node) { s.jump(-time.Hour) }},
			fault{name: "memory short", come: func(*edge.Node) { s.eatMemory() }, back: nothing})
	}
	return faults
}

// replacePods brings up new Pods in place of the ones there, as a rolling
// update does.
func (s *soak) replacePods() {
	var pods []*edge.Pod
	for range 3 {
		s.pods++
		pods = append(pods, s.edge.StartPod(fmt.Sprintf("web-%d", s.pods)))
	}
	s.edge.Publish("web", pods...)
	wait(2 * time.Second) // as terminationGracePeriod: nodes learn of it first
	for i := range 3 {
		s.edge.Pod(fmt.Sprintf("web-%d", s.pods-5+i)).Stop()
	}
}

func (s *soak) move(from, to string) {
	if err := os.Rename(from, to); err != nil {
		s.Fatal(err)
	}
}

// smallDisk gives a node's proxy a disk of its own for state and log.
func (s *soak) smallDisk(n *edge.Node) {
	dir := filepath.Join(n.Dir(), "l7")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		s.Fatal(err)
	}
	if err := unix.Mount("none", dir, "tmpfs", 0, "size=16m,mode=755"); err != nil {
		s.Fatalf("mount a disk for %s: %v", n, err)
	}
	s.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
}

func (s *soak) fillDisk(n *edge.Node) {
	f, err := os.Create(filepath.Join(n.Dir(), "l7", "filler"))
	if err != nil {
		s.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 1<<16)
	for err == nil {
		_, err = f.Write(block)
	}
	if err != nil && !strings.Contains(err.Error(), "no space") {
		s.Fatal(err)
	}
	s.replacePods() // there is something to write down
	wait(held)
}

func (s *soak) freeDisk(n *edge.Node) {
	if err := os.Remove(filepath.Join(n.Dir(), "l7", "filler")); err != nil {
		s.Fatal(err)
	}
}

// overflow makes more news of addresses than any listener's buffer holds.
func (s *soak) overflow(n *edge.Node) {
	var batch strings.Builder
	batch.WriteString("link add soak type veth peer name soaked\nlink set soak up\n")
	for i := range 4000 {
		fmt.Fprintf(&batch, "address add 10.99.%d.%d/32 dev soak\n", i/250, i%250+1)
	}
	batch.WriteString("link del soak\n")
	ip := n.Command("ip", "-batch", "-")
	ip.Stdin = strings.NewReader(batch.String())
	if out, err := ip.CombinedOutput(); err != nil {
		s.Fatalf("ip -batch: %v\n%s", err, out)
	}
}

// crowd opens connections that say nothing, and such that say it slowly, and
// leaves them there for a while. None is of a kind that portico has to keep.
func (s *soak) crowd() {
	var conns []interface{ Close() error }
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	for i := range s.idle + s.slow {
		c, err := s.edge.Client.DialContext(s.Context(), "tcp", s.edge.VIP()+":80")
		if err != nil {
			s.Errorf("connection %d of a crowd: %v", i, err)
			return
		}
		conns = append(conns, c)
		if i < s.slow {
			fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: %s\r\nContent-Length: 1000\r\n\r\nx", edge.Host)
		}
	}
	wait(held)
}

// jump sets the guest's clock.
func (s *soak) jump(by time.Duration) {
	tv := unix.NsecToTimeval(time.Now().Add(by).UnixNano())
	if err := unix.Settimeofday(&tv); err != nil {
		s.Fatalf("set the clock: %v", err)
	}
	wait(held)
}

// eatMemory leaves the guest's kernel with little for a while.
func (s *soak) eatMemory() {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		s.Fatal(err)
	}
	eat := (info.Freeram*9/10 + info.Bufferram) * uint64(info.Unit)
	dir := s.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, fmt.Sprintf("size=%d", eat)); err != nil {
		s.Fatal(err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	// Its end is that of the disk; what counts is the memory it took.
	_ = exec.Command("dd", "if=/dev/zero", "of="+filepath.Join(dir, "eaten"), "bs=1M").Run()
	wait(held)
}

// wait lets time pass in which a fault stands.
func wait(d time.Duration) { time.Sleep(d) }
