package xdp_test

import (
	"fmt"
	"net/netip"
	"os"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/portico-lb/portico/test/lab"
)

const (
	frames = 1 << 16 // of a measurement
	// liveFrames sends what a program redirects (BPF_F_TEST_XDP_LIVE_FRAMES).
	liveFrames = 1 << 1
)

// A rig is a director that a generator sends frames to. What XDP sends comes
// back to the generator's end, where a program drops it.
type rig struct {
	b              *testing.B
	source, node   *lab.Node
	index          int     // of the director's eth0
	own, sourceMAC [6]byte // of the two ends
	generator      *generator
}

func newRig(b *testing.B) *rig {
	l := lab.New(b)
	r := &rig{b: b, source: l.Node("source"), node: l.Node("director")}
	var there *os.File
	var err error
	r.source.Do(func() { there, err = os.Open("/proc/thread-self/ns/net") })
	if err != nil {
		b.Fatal(err)
	}
	defer there.Close()
	r.node.Do(func() {
		veth := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "eth0"}, PeerName: "eth0", PeerNamespace: netlink.NsFd(there.Fd())}
		if err := netlink.LinkAdd(veth); err != nil {
			b.Fatal(err)
		}
	})
	r.node.LinkUp("eth0")
	r.source.LinkUp("eth0")
	r.node.AddAddr("eth0", service.Addr().String()+"/32")
	r.node.Sysctl("net.ipv4.ip_forward", "1")
	r.node.NoReversePathFilter()

	var peer int
	r.index, r.own = ends(b, r.node)
	peer, r.sourceMAC = ends(b, r.source)
	attach(b, r.source, peer, constant(b, xdpDrop))
	r.generator = newGenerator(b, outBy(peer))
	return r
}

func ends(b *testing.B, n *lab.Node) (index int, mac [6]byte) {
	n.Do(func() {
		l, err := netlink.LinkByName("eth0")
		if err != nil {
			b.Fatal(err)
		}
		index, mac = l.Attrs().Index, [6]byte(l.Attrs().HardwareAddr)
	})
	return index, mac
}

// attach puts a program on an interface, in its driver, until the end.
func attach(b *testing.B, n *lab.Node, index int, p *ebpf.Program) {
	b.Helper()
	n.Do(func() {
		l, err := link.AttachXDP(link.XDPOptions{Program: p, Interface: index, Flags: link.XDPDriverMode})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { l.Close() })
	})
}

// send has the generator send frames of a course, and returns their time, in
// which the director deals with them: there is one processor.
func (r *rig) send(frame []byte, c course) (perFrame float64) {
	r.b.Helper()
	c.Dst, c.Src = r.own, r.sourceMAC
	r.generator.set(r.b, c)
	r.source.Do(func() {
		began := clock(unix.CLOCK_MONOTONIC)
		if _, err := r.generator.Run(&ebpf.RunOptions{Data: frame, Repeat: frames, Flags: liveFrames}); err != nil {
			r.b.Fatal(err)
		}
		perFrame = float64(clock(unix.CLOCK_MONOTONIC)-began) / frames
	})
	return perFrame
}

// left is how many frames the director's stack sent on.
func (r *rig) left() (n uint64) {
	r.node.Do(func() {
		l, err := netlink.LinkByName("servers")
		if err != nil {
			r.b.Fatal(err)
		}
		n = l.Attrs().Statistics.TxPackets
	})
	return n
}

// A job is what the director does with frames.
type job struct {
	name string
	to   string // where frames go; empty for the service
	// program is what the director has at its driver, and sent how many frames
	// left so far.
	program func(b *testing.B, r *rig) (p *ebpf.Program, sent func() uint64)
	ipvs    bool
}

// stack leaves frames to the kernel, which sends them on by an interface that
// drops them for nothing.
func stack(b *testing.B, r *rig) (*ebpf.Program, func() uint64) {
	r.node.Output("ip", "link", "add", "servers", "type", "dummy")
	r.node.LinkUp("servers")
	r.node.Output("ip", "route", "add", "10.0.0.0/8", "dev", "servers")
	return constant(b, xdpPass), r.left
}

var jobs = []job{
	{name: "plain forwarding", to: "10.0.0.1:80", program: stack},
	{name: "IPVS, mh", program: stack, ipvs: true},
	{name: "XDP", program: func(b *testing.B, r *rig) (*ebpf.Program, func() uint64) {
		d := newDirector(b, r.own, r.index, 3, 0, nil)
		return d.PorticoL4, d.sent
	}},
}

// courses: of flows that are known after the first lap, or new each.
var courses = []struct {
	name string
	course
	known bool
}{
	{"1 known flow", course{}, true},
	{"8192 known flows", course{Mask: 1<<13 - 1}, true},
	{"new flows", course{N: 1 << 20, Mask: 1<<30 - 1}, false},
}

// BenchmarkDirector sends frames through a director. ns/packet is the whole
// way: the generator, the link, the director and, with XDP, the way back.
// own-ns/packet is without what it takes to drop a frame as it comes, and so
// what the director adds.
func BenchmarkDirector(b *testing.B) {
	if os.Getenv("PORTICO_VM") == "" {
		b.Skip("figures of several interfaces need a guest that counts instructions (bin/vm -count)")
	}
	lab.NeedIPVS(b)
	onOneCPU(b)
	const dropped = "dropped at the driver"
	taken := map[string]float64{} // by the names of the figures
	for _, bare := range []struct {
		name   string
		action int32
	}{{"returned at the driver", xdpTX}, {dropped, xdpDrop}} {
		b.Run(bare.name, func(b *testing.B) {
			r := newRig(b)
			attach(b, r.node, r.index, constant(b, bare.action))
			taken[bare.name] = r.send(datagram(service), course{})
			b.ReportMetric(taken[bare.name], "ns/packet")
			b.ReportMetric(0, "ns/op") // not shown
		})
	}
	for _, c := range courses {
		for _, j := range jobs {
			name := j.name + ", " + c.name
			b.Run(name, func(b *testing.B) {
				taken[name] = j.measure(b, c.course, c.known)
				b.ReportMetric(taken[name], "ns/packet")
				b.ReportMetric(taken[name]-taken[dropped], "own-ns/packet")
				b.ReportMetric(0, "ns/op") // not shown
			})
		}
		own := func(j job) float64 { return taken[j.name+", "+c.name] - taken[dropped] }
		xdp := own(jobs[len(jobs)-1])
		b.Logf("%s: XDP is %.1f times as fast as IPVS, %.1f times as fast as plain forwarding", c.name, own(jobs[1])/xdp, own(jobs[0])/xdp)
	}
}

// measure returns the time of a packet.
func (j job) measure(b *testing.B, c course, known bool) (perFrame float64) {
	r := newRig(b)
	to := service
	if j.to != "" {
		to = netip.MustParseAddrPort(j.to)
	}
	if j.ipvs {
		r.node.Output("ipvsadm", "-A", "-u", service.String(), "-s", "mh", "-b", "mh-fallback,mh-port")
		for i := range 3 {
			r.node.Output("ipvsadm", "-a", "-u", service.String(), "-r", fmt.Sprintf("10.0.0.%d:80", i+1), "-g")
		}
	}
	p, sent := j.program(b, r)
	attach(b, r.node, r.index, p)
	if known {
		r.send(datagram(to), c)
	}
	// The link's ring overflows now and then where the kernel puts work off.
	for range rounds {
		before := sent()
		perFrame = r.send(datagram(to), c)
		if sent()-before == frames {
			return perFrame
		}
		c.N += frames
	}
	b.Errorf("of %d frames some never left", frames)
	return perFrame
}
