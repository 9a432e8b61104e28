package soak

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/portico-lb/portico/test/edge"
)

// hostFaults are such of a node's machine: its disk, kernel, memory and clock,
// and more clients than it likes.
func (s *soak) hostFaults() []fault {
	faults := []fault{
		{name: "disk full", come: s.fillDisk, back: s.freeDisk},
		{name: "proxy started on a full disk", come: s.fillDisk, ends: true,
			back: func(n *edge.Node) {
				n.Proxy.Signal(syscall.SIGTERM)
				n.Proxy.Wait()
				n.Proxy.Start()
				s.edge.WaitReady(s.patience)
				s.freeDisk(n)
			}},
		{name: "netlink overflow", why: changing, twoOwners: true, come: s.overflow},
		{name: "a crowd", come: func(*edge.Node) { s.crowd() }},
	}
	if !s.guest {
		return faults
	}
	var by time.Duration
	return append(faults,
		fault{name: "clock ahead",
			come: func(*edge.Node) { by = s.hours(); s.jump(by) },
			back: func(*edge.Node) { s.jump(-by) }},
		fault{name: "clock behind",
			come: func(*edge.Node) { by = s.hours(); s.jump(-by) },
			back: func(*edge.Node) { s.jump(by) }},
		fault{name: "memory short", come: func(*edge.Node) { s.eatMemory() }})
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

const filler = "filler"

func (s *soak) fillDisk(n *edge.Node) {
	f, err := os.Create(filepath.Join(n.Dir(), "l7", filler))
	if err != nil {
		s.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 1<<16)
	for err == nil {
		_, err = f.Write(block)
	}
	if !strings.Contains(err.Error(), "no space") {
		s.Fatal(err)
	}
	s.replacePods() // there is something to write down
}

func (s *soak) freeDisk(n *edge.Node) {
	if err := os.Remove(filepath.Join(n.Dir(), "l7", filler)); err != nil {
		s.Fatal(err)
	}
}

// overflow makes more news of addresses than a listener's buffer holds, while
// the director does not listen.
func (s *soak) overflow(n *edge.Node) {
	var batch strings.Builder
	batch.WriteString("link add soak type veth peer name soaked\nlink set soak up\n")
	for i := range s.addresses {
		fmt.Fprintf(&batch, "address add 10.99.%d.%d/32 dev soak\n", i/250, i%250+1)
	}
	batch.WriteString("link del soak\n")
	before := lost(n.Output("cat", "/proc/net/netlink"))
	n.Director.Signal(syscall.SIGSTOP)
	ip := n.Command("ip", "-batch", "-")
	ip.Stdin = strings.NewReader(batch.String())
	out, err := ip.CombinedOutput()
	drops := lost(n.Output("cat", "/proc/net/netlink")) - before
	n.Director.Signal(syscall.SIGCONT)
	if err != nil {
		s.Fatalf("ip -batch: %v\n%s", err, out)
	}
	if drops <= 0 {
		s.breach("netlink overflow: nothing of %d addresses was lost", s.addresses)
	}
}

// lost is how many messages the kernel could not give to the netlink sockets of
// a namespace (netlink_native_seq_show in net/netlink/af_netlink.c: sk Eth Pid
// Groups Rmem Wmem Dump Locks Drops Inode).
func lost(table string) (n int) {
	for line := range strings.Lines(table) {
		if f := strings.Fields(line); len(f) > 8 {
			drops, _ := strconv.Atoi(f[8])
			n += drops
		}
	}
	return n
}

// crowd opens connections that say nothing, and such that say it slowly, and
// leaves them there for a while. None is of a kind that portico has to keep.
func (s *soak) crowd() {
	var conns []net.Conn
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	for i := range s.idle + s.slow {
		c, err := s.edge.Client.DialContext(s.Context(), "tcp", s.edge.VIP()+":80")
		if err != nil {
			s.breach("connection %d of a crowd: %v", i, err)
			return
		}
		conns = append(conns, c)
		if i < s.slow {
			fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: %s\r\nContent-Length: 1000\r\n\r\nx", edge.Host)
		}
	}
	wait(held)
}

func (s *soak) hours() time.Duration { return time.Duration(1+s.rand.IntN(12)) * time.Hour }

// jump sets the guest's clock.
func (s *soak) jump(by time.Duration) {
	tv := unix.NsecToTimeval(time.Now().Add(by).UnixNano())
	if err := unix.Settimeofday(&tv); err != nil {
		s.Fatalf("set the clock: %v", err)
	}
}

// leftMemory is what a hog leaves to everybody else: what the programs here use
// all the time, and no more.
const leftMemory = 320 << 20

// eatMemory leaves the guest's kernel so little for a while that it throws away
// what it can read again, programs too.
func (s *soak) eatMemory() {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		s.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "MemAvailable:")
	kib, err := strconv.ParseInt(strings.Fields(rest + " -")[0], 10, 64)
	if err != nil {
		s.Fatalf("MemAvailable: %v", err)
	}
	dir := s.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, "size=100%"); err != nil {
		s.Fatal(err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	f, err := os.Create(filepath.Join(dir, "hog"))
	if err != nil {
		s.Fatal(err)
	}
	defer f.Close()
	const step = 16 << 20
	for at := int64(0); at < kib<<10-leftMemory; at += step {
		for err = unix.EINTR; err == unix.EINTR; { // by the collector
			err = unix.Fallocate(int(f.Fd()), 0, at, step)
		}
		if err != nil {
			s.Fatalf("take memory: %v", err)
		}
	}
	wait(held)
}
