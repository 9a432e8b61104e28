package xdp

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/portico-lb/portico/test/edge"
	"github.com/portico-lb/portico/test/lab"
)

// cookies are what a node has counted.
func cookies(t *testing.T, n *edge.Node) (sent, good int) {
	t.Helper()
	out, _ := n.Portico("status", "--json")
	var s struct {
		Director struct {
			XDP struct {
				Events  map[string]int
				Cookies struct{ Fault string }
			}
		}
	}
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	x := s.Director.XDP
	if x.Cookies.Fault != "" || x.Events["cookie_refused"] > 0 {
		t.Errorf("%s: %s, events %v", n, x.Cookies.Fault, x.Events)
	}
	return x.Events["cookie_sent"], x.Events["cookie_good"]
}

// flood floods the VIP with SYNs of false senders, whom the servers
// answer by the attacker. Clients connect all the while: by cookies, on the
// node that balances and on those that it sends connections to.
func flood(t *testing.T, e *edge.Edge, owner *edge.Node, attacker *lab.Node) {
	const above = 5
	held := e.Hold(10)
	limit := regexp.MustCompile(`(?m)^syn_rate = .*\n`)
	for _, n := range e.Nodes {
		n.Sysctl("net.ipv4.ip_forward", "1")
		n.Route(spoofed.String(), attackerAddr)
		n.Output("ping", "-c", "1", "-W", "5", attackerAddr) // the way there is known
		n.RewriteConfig(func(text string) string {
			text = strings.Replace(limit.ReplaceAllString(text, ""), "[l4.shield]\n", "", 1)
			return strings.Replace(text, "[[l4.service]]", fmt.Sprintf("[l4.shield]\nsyn_cookies = %d\n\n[[l4.service]]", above), 1)
		})
		n.Director.Reload()
	}
	for _, n := range e.Nodes {
		lab.Eventually(t, patience, "cookies on "+n.Name(), func() error {
			if out, _ := n.Portico("status"); !strings.Contains(out, "shield: SYN cookies above 5 SYNs a second and port; ") {
				return fmt.Errorf("%s", out)
			}
			return nil
		})
	}
	carried(t, owner, "xdp native")

	ctx, stop := context.WithCancel(t.Context())
	var attack sync.WaitGroup
	began := time.Now()
	attacker.Do(func() { attack.Go(spoof(t, ctx, e.VIP())) })
	lab.Eventually(t, patience, "a flood at each node", func() error {
		for _, n := range e.Nodes {
			if sent, _ := cookies(t, n); sent < 100 {
				return fmt.Errorf("%s sent %d cookies", n, sent)
			}
		}
		return nil
	})
	tally := e.Client.Burst(200, 4, e.Request())
	var half, good int
	for _, n := range e.Nodes {
		half += strings.Count(n.Output("ss", "-tnH", "state", "syn-recv"), "\n")
		_, came := cookies(t, n)
		good += came
	}
	took := time.Since(began)
	stop()
	attack.Wait()
	t.Logf("figure: %v; %d of them by cookies, %d half open after %v of the flood", tally, good, half, took)
	held.WaitUsed(t)
	if broken := held.Broken(); len(broken) > 0 {
		t.Errorf("broken: %v", broken)
	}
	if tally.Answered != 200 || good == 0 {
		t.Errorf("%v, %d by cookies", tally, good)
	}
	if most := len(e.Nodes) * above * (int(took.Seconds()) + 3); half > most {
		t.Errorf("%d connections wait half open, want %d at most", half, most)
	}
}

// spoofed is where the false senders are.
var spoofed = netip.MustParsePrefix("198.18.0.0/15")

// spoof returns what sends SYNs until ctx ends, a thousand or so a second, from
// the network that it was called in.
func spoof(t *testing.T, ctx context.Context, vip string) func() {
	raw, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_RAW)
	if err != nil {
		t.Fatal(err)
	}
	to := unix.SockaddrInet4{Addr: netip.MustParseAddr(vip).As4()}
	return func() {
		defer unix.Close(raw)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			for range 10 {
				if err := unix.Sendto(raw, opening(to.Addr), 0, &to); err != nil {
					t.Errorf("flood: %v", err)
					return
				}
			}
			<-tick.C
		}
	}
}

// opening is a SYN for port 80 from nobody.
func opening(vip [4]byte) []byte {
	be := binary.BigEndian
	p := make([]byte, 20+24)
	p[0], p[8], p[9] = 0x45, 64, unix.IPPROTO_TCP
	from := spoofed.Addr().As4()
	copy(p[12:], from[:2])
	be.PutUint16(p[14:], uint16(rand.Uint32()))
	copy(p[16:], vip[:])
	tcp := p[20:]
	be.PutUint16(tcp, uint16(1024+rand.IntN(60000)))
	be.PutUint16(tcp[2:], 80)
	be.PutUint32(tcp[4:], rand.Uint32())
	tcp[12], tcp[13] = 6<<4, 2
	be.PutUint16(tcp[14:], 65535)
	copy(tcp[20:], []byte{2, 4, 0x05, 0xb4})
	sum := uint32(unix.IPPROTO_TCP + len(tcp))
	for i := 12; i < len(p); i += 2 { // both addresses, and what follows
		sum += uint32(be.Uint16(p[i:]))
	}
	for sum>>16 > 0 {
		sum = sum&0xffff + sum>>16
	}
	be.PutUint16(tcp[16:], ^uint16(sum))
	return p
}
