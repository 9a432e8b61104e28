package scenario

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/portico-lb/portico/test/edge"
	"github.com/portico-lb/portico/test/lab"
)

// TestIPv6AndUDP runs a group of both families, and a service of datagrams
// that something else on the nodes answers, through a take-over.
func TestIPv6AndUDP(t *testing.T) {
	const port = 5300
	udp := fmt.Sprintf(`[[l4.service]]
name      = "names"
vip       = "edge"
port      = %d
protocol  = "udp"
scheduler = "rr"
check     = { kind = "http", port = 9181, path = "/ready", interval = "500ms" }
server    = [{ address = "172.20.0.113" }, { address = "172.20.0.114" }, { address = "172.20.0.115" },
             { address = "fd00:20::113" }, { address = "fd00:20::114" }, { address = "fd00:20::115" }]
`, port)
	e := start(t, edge.Options{Scheduler: "rr", IPv6: true, Services: udp})
	for _, n := range e.Nodes {
		for _, vip := range []string{e.VIP(), edge.DefaultVIP6} {
			echo(t, n, net.JoinHostPort(vip, fmt.Sprint(port)))
		}
	}
	for range 2 {
		owner := ready6(t, e)
		t.Logf("ipvsadm -Ln on %s:\n%s", owner, owner.IPVS())
		for _, vip := range []string{e.VIP(), edge.DefaultVIP6} {
			request := e.Request()
			request.URL = "http://" + net.JoinHostPort(vip, "80") + "/"
			tally := e.Client.Burst(60, 4, request)
			figure(t, "owner %s, TCP to %s: %v", owner, vip, tally)
			same(t, e, tally.Answered, tally.By)
			by := datagrams(e.Client, net.JoinHostPort(vip, fmt.Sprint(port)), 60)
			figure(t, "owner %s, UDP to %s: 60 datagrams, answered by %v", owner, vip, by)
			answered := 0
			for _, n := range by {
				answered += n
			}
			same(t, e, answered, by)
		}
		owner.Director.Stop()
		e.WaitOwner(patience, e.Others(owner)...)
		owner.Director.Start()
	}
}

// ready6 waits until the owner balances the service of IPv6 over all nodes, too.
func ready6(t *testing.T, e *edge.Edge) *edge.Node {
	t.Helper()
	owner := e.WaitReady(patience)
	lab.Eventually(t, patience, "all services on all nodes", func() error {
		table := owner.IPVS()
		if got := strings.Count(table, "->") - 1; got != 4*len(e.Nodes) {
			return fmt.Errorf("%d destinations:\n%s", got, table)
		}
		for line := range strings.Lines(table) {
			if f := strings.Fields(line); f[0] == "->" && f[1] != "RemoteAddress:Port" && f[3] != "1" {
				return errors.New(table)
			}
		}
		return nil
	})
	return owner
}

// same fails the test unless all nodes answered a third of 60.
func same(t *testing.T, e *edge.Edge, answered int, by map[string]int) {
	t.Helper()
	if answered != 60 {
		t.Errorf("%d of 60 answered", answered)
	}
	for _, n := range e.Nodes {
		if by[n.Name()] < 19 || by[n.Name()] > 21 {
			t.Errorf("%s answered %d of 60", n, by[n.Name()])
		}
	}
}

// echo answers datagrams at address with the node's name.
func echo(t *testing.T, n *edge.Node, address string) {
	t.Helper()
	conn := n.ListenPacket("udp", address)
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 1500)
		for {
			_, from, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			if _, err := conn.WriteTo([]byte(n.Name()), from); err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		conn.Close()
		<-done
	})
}

// datagrams sends count datagrams, each from a port of its own, and counts the
// answers by who gave them.
func datagrams(client *lab.Node, address string, count int) map[string]int {
	by := map[string]int{}
	for range count {
		name, err := datagram(client, address)
		if err != nil {
			name = err.Error()
		}
		by[name]++
	}
	return by
}

func datagram(client *lab.Node, address string) (string, error) {
	conn, err := client.DialContext(context.Background(), "udp", address)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return "", err
	}
	if _, err := conn.Write([]byte("who")); err != nil {
		return "", err
	}
	b := make([]byte, 100)
	n, err := conn.Read(b)
	return string(b[:n]), err
}
