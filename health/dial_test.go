package health_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/portico-lb/portico/health"
	"github.com/portico-lb/portico/test/lab"
)

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
