package addr_test

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portico-lb/portico/test/lab"
	"github.com/portico-lb/portico/vip/addr"
)

// TestKernel puts addresses up and down in the kernel, with `ip addr` as the
// witness, and finds its mark again.
func TestKernel(t *testing.T) {
	l := lab.New(t)
	n := l.Node("n1")
	n.Attach(l.Network("lan"), "eth0", "10.0.0.1/24")
	tests := []struct{ address, shown string }{
		{"10.0.0.100/32 dev lo", "inet 10.0.0.100/32 scope host proto 112 lo"},
		{"10.0.0.100/32 dev eth0", "inet 10.0.0.100/32 scope global proto 112 eth0"},
		{"2001:db8::100/128 dev lo", "inet6 2001:db8::100/128 scope global nodad deprecated proto 112"},
		{"2001:db8::100/64 dev eth0", "inet6 2001:db8::100/64 scope global nodad deprecated proto 112"},
	}
	for _, tt := range tests {
		t.Run(tt.address, func(t *testing.T) {
			f := found(t, tt.address)
			apply := func(add bool) {
				t.Helper()
				for range 2 { // again, it is no error
					var err error
					n.Do(func() { err = addr.Apply(addr.Op{Add: add, Address: f.Address}) })
					if err != nil {
						t.Fatal(err)
					}
				}
			}
			have := func() (addr.Found, bool) {
				t.Helper()
				var s addr.State
				var err error
				n.Do(func() { s, err = addr.Read() })
				if err != nil {
					t.Fatal(err)
				}
				i := slices.IndexFunc(s.Addrs, func(h addr.Found) bool { return h.Address == f.Address })
				if i < 0 {
					return addr.Found{}, false
				}
				return s.Addrs[i], true
			}
			apply(true)
			if h, ok := have(); !ok || !h.Marked {
				t.Errorf("read back: %v %+v", ok, h)
			}
			show := strings.Join(strings.Fields(n.Output("ip", "-o", "addr", "show", "dev", f.Link)), " ")
			// iproute2 before 6.3 does not print the protocol.
			if !strings.Contains(show, tt.shown) && !strings.Contains(show, strings.Replace(tt.shown, " proto 112", "", 1)) {
				t.Errorf("ip addr shows %s", show)
			}
			apply(false)
			if _, ok := have(); ok {
				t.Error("still there")
			}
		})
	}

	var err error
	n.Do(func() {
		err = addr.Apply(addr.Op{Add: true, Address: addr.Address{Link: "eth7", Prefix: netip.MustParsePrefix("10.0.0.100/32")}})
	})
	if err == nil || !strings.Contains(err.Error(), "interface eth7 does not exist: create it or name another") {
		t.Errorf("missing interface: %v", err)
	}
}

// TestWatch hears of an address and of an interface.
func TestWatch(t *testing.T) {
	l := lab.New(t)
	n := l.Node("n1")
	n.Attach(l.Network("lan"), "eth0")
	ctx, cancel := context.WithCancel(t.Context())
	changes, done := make(chan addr.Change, 100), make(chan error, 1)
	go n.Do(func() { done <- addr.Watch(ctx, func(c addr.Change) { changes <- c }) })
	hears := func(want addr.Change) {
		t.Helper()
		timeout := time.After(5 * time.Second)
		for {
			select {
			case c := <-changes:
				if c == want {
					return
				}
			case <-timeout:
				t.Fatalf("nothing heard of %+v", want)
			}
		}
	}
	hears(addr.Change{}) // it listens
	n.AddAddr("eth0", "10.0.0.1/24")
	hears(addr.Change{Addr: netip.MustParseAddr("10.0.0.1")})
	n.DelAddr("eth0", "10.0.0.1/24")
	hears(addr.Change{Addr: netip.MustParseAddr("10.0.0.1")})
	n.LinkDown("eth0")
	hears(addr.Change{Link: "eth0", Moved: true})
	n.LinkUp("eth0")
	hears(addr.Change{Link: "eth0"})
	n.Output("ip", "link", "set", "eth0", "address", "02:00:00:00:00:07")
	hears(addr.Change{Link: "eth0"})
	var s addr.State
	var err error
	n.Do(func() { s, err = addr.Read() })
	if want := [6]byte{0: 2, 5: 7}; err != nil || s.Links["eth0"].MAC != want || s.Links["lo"].MAC != ([6]byte{}) {
		t.Errorf("read %+v, %v", s.Links, err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestReadAmidChanges reads while another changes addresses, which the kernel
// calls an interrupted dump.
func TestReadAmidChanges(t *testing.T) {
	l := lab.New(t)
	n := l.Node("n1")
	n.Attach(l.Network("lan"), "eth0")
	for i := range 250 { // more than one message of a dump holds
		n.AddAddr("eth0", netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}).String()+"/32")
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				n.AddAddr("eth0", "10.0.1.1/32")
				n.DelAddr("eth0", "10.0.1.1/32")
			}
		}
	}()
	n.Do(func() {
		for range 300 {
			s, err := addr.Read()
			if err != nil || len(s.Addrs) < 250 {
				t.Errorf("%d addresses, %v", len(s.Addrs), err)
				return
			}
		}
	})
	close(stop)
	<-stopped
}
