package health_test

import (
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/portico-lb/portico/health"
	"github.com/portico-lb/portico/test/lab"
)

// A check leaves no socket behind in TIME-WAIT.
func TestNothingStaysBehind(t *testing.T) {
	n := lab.New(t).Node("edge-1")
	n.Do(func() {
		l, err := net.Listen("tcp", "127.0.0.1:80")
		if err != nil {
			t.Error(err)
			return
		}
		defer l.Close()
		c := health.Check{Kind: health.TCP, Target: netip.MustParseAddrPort("127.0.0.1:80"), Timeout: time.Second}
		if err := health.Probe(t.Context(), c); err != nil {
			t.Error(err)
		}
		// One line is the header, one the listener.
		table, err := os.ReadFile("/proc/thread-self/net/tcp")
		if lines := strings.Count(string(table), "\n"); err != nil || lines != 2 {
			t.Errorf("%s%v", table, err)
		}
	})
}

// Where nobody listens, the kernel may connect a socket to itself. A node has
// one port to give away here, so that it always does.
func TestNobodyIsNotItself(t *testing.T) {
	n := lab.New(t).Node("edge-1")
	n.Sysctl("net.ipv4.ip_local_port_range", "40000 40000")
	for _, addr := range []string{"127.0.0.1", "::1"} {
		c := health.Check{Kind: health.TCP, Target: netip.AddrPortFrom(netip.MustParseAddr(addr), 40000), Timeout: time.Second}
		var err error
		n.Do(func() { err = health.Probe(t.Context(), c) })
		if err == nil || !strings.HasSuffix(err.Error(), "connection refused") {
			t.Errorf("%s: %v", addr, err)
		}
	}
}
