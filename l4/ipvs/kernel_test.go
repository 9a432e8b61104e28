package ipvs

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/portico-lb/portico/l4"
	"github.com/portico-lb/portico/test/lab"
)

// open returns a connection to the IPVS of a node.
func open(t *testing.T, node *lab.Node) *conn {
	var c *conn
	var err error
	node.Do(func() { c, err = dial() })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.close() })
	return c
}

// program adds a service with its servers in one go.
func (c *conn) program(s service, dests ...destination) error {
	cmds := []command{{cmdNewService, about(s.encode, nil)}}
	for _, x := range dests {
		cmds = append(cmds, command{cmdNewDest, about(s.key, x.encode)})
	}
	answers, err := c.do(cmds...)
	return errors.Join(append(answers, err)...)
}

func at(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// What the kernel can, as ipvsadm words it: a service a row, with its servers.
var kernelCases = []struct {
	name  string
	svc   service
	dests []destination
	want  string
}{
	{
		"tcp, mh", service{protocol: 6, addr: at("192.0.2.1:80"), scheduler: "mh", flags: 0x18, prefix: 32},
		[]destination{{addr: at("10.0.0.1:80"), forward: 3, weight: 5}},
		"-A -t 192.0.2.1:80 -s mh -b mh-fallback,mh-port\n-a -t 192.0.2.1:80 -r 10.0.0.1:80 -g -w 5\n",
	},
	{
		"udp, sh, one packet", service{protocol: 17, addr: at("192.0.2.1:53"), scheduler: "sh", flags: 0x1c, prefix: 32},
		[]destination{{addr: at("10.0.0.1:53"), forward: 3, weight: 1}},
		"-A -u 192.0.2.1:53 -s sh -o -b sh-fallback,sh-port\n-a -u 192.0.2.1:53 -r 10.0.0.1:53 -g -w 1\n",
	},
	{
		"sctp, nat, thresholds", service{protocol: 132, addr: at("192.0.2.1:3868"), scheduler: "wlc", prefix: 32},
		[]destination{{addr: at("10.0.0.1:3869"), forward: 0, weight: 1, upper: 1000, lower: 800}},
		"-A --sctp-service 192.0.2.1:3868 -s wlc\n-a --sctp-service 192.0.2.1:3868 -r 10.0.0.1:3869 -m -w 1\n",
	},
	{
		"persistence by network", service{protocol: 6, addr: at("192.0.2.1:443"), scheduler: "rr", flags: 1, timeout: 300, prefix: 24},
		[]destination{{addr: at("10.0.0.1:443"), forward: 3, weight: 0}},
		"-A -t 192.0.2.1:443 -s rr -p 300 -M 255.255.255.0\n-a -t 192.0.2.1:443 -r 10.0.0.1:443 -g -w 0\n",
	},
	{
		"IPv6, persistence by network", service{protocol: 6, addr: at("[2001:db8::1]:443"), scheduler: "rr", flags: 1, timeout: 60, prefix: 64},
		[]destination{{addr: at("[2001:db8:1::1]:443"), forward: 3, weight: 1}},
		"-A -t [2001:db8::1]:443 -s rr -p 60 -M 64\n-a -t [2001:db8::1]:443 -r [2001:db8:1::1]:443 -g -w 1\n",
	},
	{
		"by mark", service{mark: 7, scheduler: "wrr", prefix: 32},
		[]destination{{addr: at("10.0.0.1:0"), forward: 3, weight: 2}},
		"-A -f 7 -s wrr\n-a -f 7 -r 10.0.0.1:0 -g -w 2\n",
	},
	{
		"by mark, IPv6", service{family: unix.AF_INET6, mark: 8, scheduler: "wrr", prefix: 128},
		[]destination{{addr: at("[2001:db8:1::1]:0"), forward: 3, weight: 2}},
		"-A -f 8 -6 -s wrr\n-a -f 8 -6 -r [2001:db8:1::1]:0 -g -w 2\n",
	},
	{
		"tunnels", service{protocol: 6, addr: at("192.0.2.2:80"), scheduler: "rr", prefix: 32},
		[]destination{
			{addr: at("10.0.0.1:80"), forward: 2, weight: 1},
			{addr: at("10.0.0.2:80"), forward: 2, weight: 1, tunType: 1, tunPort: 6080},
			{addr: at("10.0.0.3:80"), forward: 2, weight: 1, tunType: 1, tunPort: 6080, tunFlags: 2},
			{addr: at("10.0.0.4:80"), forward: 2, weight: 1, tunType: 2, tunFlags: 1},
		},
		"-A -t 192.0.2.2:80 -s rr\n-a -t 192.0.2.2:80 -r 10.0.0.1:80 -i -w 1 --tun-type ipip\n" +
			"-a -t 192.0.2.2:80 -r 10.0.0.2:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-nocsum\n" +
			"-a -t 192.0.2.2:80 -r 10.0.0.3:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-remcsum\n" +
			"-a -t 192.0.2.2:80 -r 10.0.0.4:80 -i -w 1 --tun-type gre --tun-csum\n",
	},
	{
		"IPv4 over IPv6", service{protocol: 6, addr: at("192.0.2.3:80"), scheduler: "rr", prefix: 32},
		[]destination{{addr: at("[2001:db8:1::1]:80"), forward: 2, weight: 1}},
		"-A -t 192.0.2.3:80 -s rr\n-a -t 192.0.2.3:80 -r [2001:db8:1::1]:80 -i -w 1 --tun-type ipip\n",
	},
	{
		"IPv6 over IPv4", service{protocol: 6, addr: at("[2001:db8::3]:80"), scheduler: "rr", prefix: 128},
		[]destination{{addr: at("10.0.0.1:80"), forward: 2, weight: 1}},
		"-A -t [2001:db8::3]:80 -s rr\n-a -t [2001:db8::3]:80 -r 10.0.0.1:80 -i -w 1 --tun-type ipip\n",
	},
}

// Everything a service and a server can be reaches the kernel as it was
// meant, with ipvsadm for a witness, and comes back as it was sent.
func TestKernelTakesAndTells(t *testing.T) {
	lab.NeedIPVS(t)
	for _, tt := range kernelCases {
		t.Run(tt.name, func(t *testing.T) {
			node := lab.New(t).Node("edge")
			c := open(t, node)
			if tt.svc.family == 0 {
				tt.svc.family = unix.AF_INET
				if tt.svc.mark == 0 {
					tt.svc.family = familyOf(tt.svc.addr.Addr())
				}
			}
			if err := c.program(tt.svc, tt.dests...); err != nil {
				t.Fatal(err)
			}
			if got := words(node.Output("ipvsadm", "-Sn")); !slices.Equal(got, words(tt.want)) {
				t.Errorf("ipvsadm -Sn has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(words(tt.want), "\n"))
			}
			services, err := c.services()
			if err != nil || len(services) != 1 {
				t.Fatalf("%d services (%v)", len(services), err)
			}
			if services[0].flags &^= flagHashed; services[0] != tt.svc {
				t.Errorf("read back %+v, want %+v", services[0], tt.svc)
			}
			dests, err := c.destinations(tt.svc)
			slices.Reverse(dests) // the kernel puts a new one in front
			if err != nil || !slices.Equal(dests, tt.dests) {
				t.Errorf("read back %+v (%v), want %+v", dests, err, tt.dests)
			}
			for _, x := range tt.dests {
				if answers, err := c.do(command{cmdDelDest, about(tt.svc.key, x.key)}); err != nil || answers[0] != nil {
					t.Errorf("delete %v: %v, %v", x.addr, answers, err)
				}
			}
		})
	}
}

// words returns the lines of text sorted, with the options of each sorted.
func words(text string) (lines []string) {
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) > 0 {
			lines = append(lines, strings.Join(f, " "))
		}
	}
	slices.Sort(lines)
	return lines
}

func TestSchedulers(t *testing.T) {
	lab.NeedIPVS(t)
	node := lab.New(t).Node("edge")
	c := open(t, node)
	for i, name := range strings.Fields("rr wrr lc wlc lblc lblcr sh mh dh fo ovf sed nq") {
		s := service{family: unix.AF_INET, protocol: 6, addr: netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), uint16(i+1)), scheduler: name, prefix: 32}
		if err := c.program(s); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if out := node.Output("ipvsadm", "-Sn"); !strings.Contains(out, fmt.Sprintf("-t 192.0.2.1:%d -s %s\n", i+1, name)) {
			t.Errorf("%s is not in\n%s", name, out)
		}
	}
}

// Of several commands in one message one may be refused; the others stand,
// and each has its own answer.
func TestOneRefusalAmongMany(t *testing.T) {
	lab.NeedIPVS(t)
	node := lab.New(t).Node("edge")
	c := open(t, node)
	s := service{family: unix.AF_INET, protocol: 6, addr: at("192.0.2.1:80"), scheduler: "rr", prefix: 32}
	x, y := destination{addr: at("10.0.0.1:80"), forward: 3, weight: 1}, destination{addr: at("10.0.0.2:80"), forward: 3, weight: 1}
	add := func(x destination) command { return command{cmdNewDest, about(s.key, x.encode)} }
	for range 50 { // a stale answer would be taken for a later one's
		answers, err := c.do(command{cmdNewService, about(s.encode, nil)}, add(x), add(x), add(y))
		if want := []error{nil, nil, unix.EEXIST, nil}; err != nil || !slices.Equal(answers, want) {
			t.Fatalf("%v (%v), want %v", answers, err, want)
		}
		node.Output("ipvsadm", "-C")
	}
}

// A service of many servers comes whole, however many answers that takes.
func TestManyServers(t *testing.T) {
	lab.NeedIPVS(t)
	c := open(t, lab.New(t).Node("edge"))
	s := service{family: unix.AF_INET, protocol: 6, addr: at("192.0.2.1:80"), scheduler: "rr", prefix: 32}
	var want []destination
	for i := range 3000 {
		addr := netip.AddrFrom4([4]byte{10, 0, byte(i / 250), byte(i%250 + 1)})
		want = append(want, destination{addr: netip.AddrPortFrom(addr, 80), forward: 3, weight: 1})
	}
	began := time.Now()
	if err := c.program(s, want...); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d servers in %v", len(want), time.Since(began))
	got, err := c.destinations(s)
	slices.Reverse(got)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%d read back (%v), want %d", len(got), err, len(want))
	}
}

// The counters are those that `ipvsadm -Ln --stats --exact` shows.
func TestCounters(t *testing.T) {
	lab.NeedIPVS(t)
	l := lab.New(t)
	lan := l.Network("lan")
	node, client := l.Node("edge"), l.Node("client")
	node.Attach(lan, "eth0", "10.0.0.254/24", "192.0.2.1/32")
	client.Attach(lan, "eth0", "10.0.0.200/24")
	client.Route("192.0.2.1/32", "10.0.0.254")
	node.NoReversePathFilter()
	c := open(t, node)
	s := service{family: unix.AF_INET, protocol: 17, addr: at("192.0.2.1:53"), scheduler: "rr", flags: 1, timeout: 300, prefix: 32}
	if err := c.program(s, destination{addr: at("10.0.0.1:53"), forward: 3, weight: 1}); err != nil {
		t.Fatal(err)
	}
	client.Do(func() {
		conn, err := net.Dial("udp", "192.0.2.1:53")
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		for range 3 {
			_, _ = conn.Write([]byte("0123456789"))
		}
	})
	// The kernel sums its counters up every two seconds. 3 datagrams of
	// 20 + 8 + 10 bytes, one connection, and the template that binds the client.
	lab.Eventually(t, 10*time.Second, "counters", func() error {
		dests, err := c.destinations(s)
		if err != nil {
			return err
		}
		services, err := c.services()
		if err != nil {
			return err
		}
		want := l4.Stats{Connections: 1, PacketsIn: 3, BytesIn: 114}
		got := []l4.Stats{totals(services[0].stats), totals(dests[0].stats)}
		if x := dests[0]; !slices.Equal(got, []l4.Stats{want, want}) || x.active+x.inactive != 1 || x.persistent != 1 {
			return fmt.Errorf("%+v %+v", services, dests)
		}
		return nil
	})
	out := strings.Join(strings.Fields(node.Output("ipvsadm", "-Ln", "--stats", "--exact")), " ")
	if !strings.Contains(out, "192.0.2.1:53 1 3 0 114 0") || !strings.Contains(out, "10.0.0.1:53 1 3 0 114 0") {
		t.Errorf("ipvsadm has other figures: %s", out)
	}
}

// totals leaves the rates out, which fade.
func totals(s l4.Stats) l4.Stats {
	return l4.Stats{Connections: s.Connections, PacketsIn: s.PacketsIn, PacketsOut: s.PacketsOut, BytesIn: s.BytesIn, BytesOut: s.BytesOut}
}

func TestThresholds(t *testing.T) {
	lab.NeedIPVS(t)
	node := lab.New(t).Node("edge")
	s := service{family: unix.AF_INET, protocol: 6, addr: at("192.0.2.1:80"), scheduler: "rr", prefix: 32}
	if err := open(t, node).program(s, destination{addr: at("10.0.0.1:80"), forward: 3, weight: 1, upper: 1000, lower: 800}); err != nil {
		t.Fatal(err)
	}
	if out := strings.Join(strings.Fields(node.Output("ipvsadm", "-Ln", "--thresholds")), " "); !strings.Contains(out, "10.0.0.1:80 1000 800") {
		t.Error(out)
	}
}
