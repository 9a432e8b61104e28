package ipvs_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/portico-lb/portico/l4"
	"github.com/portico-lb/portico/l4/ipvs"
	"github.com/portico-lb/portico/l4/l4test"
	"github.com/portico-lb/portico/test/lab"
)

// A kernel is the IPVS of a lab node, used from a thread that is there.
type kernel struct {
	node *lab.Node
	dp   *ipvs.Dataplane
}

func newKernel(t *testing.T, node *lab.Node) kernel {
	k := kernel{node, ipvs.New()}
	t.Cleanup(k.dp.Close)
	return k
}

func (k kernel) Read() (s l4.State, err error) {
	k.node.Do(func() { s, err = k.dp.Read() })
	return s, err
}

func (k kernel) Apply(op l4.Op) (err error) {
	k.node.Do(func() { err = k.dp.Apply(op) })
	return err
}

// The kernel passes what the fake passes; ipvsadm is the witness.
func TestDataplane(t *testing.T) {
	lab.NeedIPVS(t)
	l := lab.New(t)
	node := l.Node("edge")
	node.Attach(l.Network("lan"), "eth0", "10.0.0.254/24") // for the sync daemons
	l4test.Suite(t, l4test.Subject{
		Dataplane: newKernel(t, node),
		Print:     func(*testing.T) string { return node.Output("ipvsadm", "-Sn") },
	})
}

// A service by firewall mark is read with the family of its clients.
func TestServicesByMark(t *testing.T) {
	lab.NeedIPVS(t)
	node := lab.New(t).Node("edge")
	node.Output("ipvsadm", "-A", "-f", "7", "-s", "rr")
	node.Output("ipvsadm", "-a", "-f", "7", "-r", "10.0.0.1", "-g")
	node.Output("ipvsadm", "-A", "-f", "8", "-6", "-s", "rr")
	s, err := newKernel(t, node).Read()
	if err != nil {
		t.Fatal(err)
	}
	v, v6 := s.Find(l4.MarkKey(7, false)), s.Find(l4.MarkKey(8, true))
	if len(s.Services) != 2 || v == nil || v6 == nil || len(v.Destinations) != 1 {
		t.Errorf("got %+v", s.Services)
	}
}

// Servers that come along with their service are there in the order in which
// they were added.
func TestServiceWithServers(t *testing.T) {
	lab.NeedIPVS(t)
	node := lab.New(t).Node("edge")
	k := newKernel(t, node)
	const text = "-A -t 192.0.2.10:80 -s rr\n-a -t 192.0.2.10:80 -r 10.0.0.1:80 -g -w 1\n-a -t 192.0.2.10:80 -r 10.0.0.2:80 -g -w 2\n"
	op := l4.Op{Kind: l4.AddService, Service: l4test.Parse(t, text).Services[0]}
	slices.Reverse(op.Service.Destinations) // the kernel puts a new one in front
	if err := k.Apply(op); err != nil {
		t.Fatal(err)
	}
	if s, err := k.Read(); err != nil || s.String() != text {
		t.Errorf("got\n%s(%v), want\n%s", s, err, text)
	}
	if err := k.Apply(op); !errors.Is(err, unix.EEXIST) {
		t.Errorf("a service that stands: %v", err)
	}
	node.Output("ipvsadm", "-C")
	op.Service.Destinations[1] = op.Service.Destinations[0]
	if err := k.Apply(op); !errors.Is(err, unix.EEXIST) || !strings.HasPrefix(err.Error(), "10.0.0.2:80: ") {
		t.Errorf("one server twice: %v", err)
	}
}

func TestGoneAlready(t *testing.T) {
	lab.NeedIPVS(t)
	node := lab.New(t).Node("edge")
	k := newKernel(t, node)
	s := l4test.Parse(t, "-A -t 192.0.2.10:80 -s rr\n-a -t 192.0.2.10:80 -r 10.0.0.1:80 -g -w 1\n")
	op := l4.Op{Kind: l4.DelService, Service: s.Services[0], Dest: s.Services[0].Destinations[0]}
	if err := k.Apply(op); err != nil {
		t.Errorf("a service that is gone: %v", err)
	}
	op.Kind = l4.DelDest
	if err := k.Apply(op); err != nil {
		t.Errorf("a server of a service that is gone: %v", err)
	}
	node.Output("ipvsadm", "-A", "-t", "192.0.2.10:80", "-s", "rr")
	if err := k.Apply(op); err != nil {
		t.Errorf("a server that is gone: %v", err)
	}
}

func TestErrorsNameTheCure(t *testing.T) {
	lab.NeedIPVS(t)
	node := lab.New(t).Node("edge")
	k := newKernel(t, node)
	svc := l4test.Parse(t, "-A -t 192.0.2.10:80 -s nosuch\n").Services[0]
	for _, tt := range []struct {
		op   l4.Op
		want string
	}{
		{
			l4.Op{Kind: l4.AddService, Service: svc},
			"scheduler nosuch is not available in this kernel: modprobe ip_vs_nosuch, or install the package that holds it (CONFIG_IP_VS_NOSUCH)",
		},
		{
			l4.Op{Kind: l4.SetSysctl, Sysctl: "nosuch", Value: 1},
			"this kernel has no net.ipv4.vs.nosuch: ",
		},
	} {
		if err := k.Apply(tt.op); err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %s", tt.op, err, tt.want)
		}
	}
}

// readOnly is set for the child of TestWithoutCapabilities.
const readOnly = "PORTICO_TEST_READ_IPVS"

func TestWithoutCapabilities(t *testing.T) {
	if os.Getenv(readOnly) != "" {
		_, err := ipvs.New().Read()
		fmt.Println("read:", err)
		return
	}
	lab.NeedIPVS(t)
	// A process of its own: the library may use any thread of this one.
	cmd := exec.Command("setpriv", "--bounding-set=-all", "--inh-caps=-all", os.Args[0], "-test.run=^TestWithoutCapabilities$")
	cmd.Env = append(os.Environ(), readOnly+"=1")
	out, err := cmd.CombinedOutput()
	const want = "operation not permitted: run as root, or with the capability CAP_NET_ADMIN"
	if err != nil || !strings.Contains(string(out), want) {
		t.Errorf("got %v, want %s in\n%s", err, want, out)
	}
}

// On a kernel without IPVS the error says what to install.
func TestOpen(t *testing.T) {
	_, family := netlink.GenlFamilyGet("IPVS")
	err := ipvs.New().Open()
	switch {
	case family == nil && err != nil:
		t.Errorf("a kernel with ip_vs: %v", err)
	case errors.Is(family, unix.ENOENT):
		const want = "ip_vs is not available in this kernel: modprobe ip_vs, or install the package that holds it (CONFIG_IP_VS)"
		if err == nil || err.Error() != want {
			t.Errorf("a kernel without ip_vs: got %v, want %s", err, want)
		}
	}
}
