package edge

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
)

// takeXDP readies all lines for XDP, and gives each node a place for what it
// pins. Without IPVS in this kernel the nodes are asked what they carry.
func (e *Edge) takeXDP() {
	for _, n := range e.Nodes {
		e.LAN.TakeXDP(n.Node)
		n.NoOffload(ifname)
		n.MountBPF(filepath.Join(n.Dir(), "run", "bpf"))
	}
	e.Client.NoOffload(ifname)
	e.Worker.NoOffload(ifname)
	_, err := os.Stat("/proc/thread-self/net/ip_vs")
	e.alone = err != nil
}

// Carries is what carries the VIP's first service on a node, as "xdp native" or
// "ipvs: scheduler rr".
func (n *Node) Carries() string {
	s, err := n.firstService()
	if err != nil {
		return err.Error()
	}
	text := strings.TrimSpace(s.Dataplane + " " + s.Mode)
	if s.Reason != "" {
		text += ": " + s.Reason
	}
	return text
}

func (n *Node) firstService() (s Service, err error) {
	var st Status // of the director alone: the proxy may be frozen
	if err := ask(filepath.Join(n.Dir(), directorSocket), &st.Director); err != nil {
		return s, fmt.Errorf("no director: %w", err)
	}
	for _, s := range st.Director.L4.Services {
		if s.Address == netip.AddrPortFrom(netip.MustParseAddr(n.edge.opts.VIP), firstPort) && s.Programmed {
			return s, nil
		}
	}
	return s, errors.New("the service does not stand")
}

// serves is nil if the node has the VIP's first service.
func (n *Node) serves() error {
	if n.edge.alone {
		_, err := n.firstService()
		return err
	}
	if table := n.IPVS(); !strings.Contains(table, fmt.Sprintf("%s:%d", n.edge.opts.VIP, firstPort)) {
		return fmt.Errorf("%s has the VIP and no service:\n%s", n, table)
	}
	return nil
}

// services is what the node has, for people.
func (n *Node) services() string {
	if !n.edge.alone {
		return n.IPVS()
	}
	text, err := json.Marshal(n.Status().Director)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// weightBySay is Weight as the director says it.
func (n *Node) weightBySay(of *Node) int {
	s, err := n.firstService()
	if err != nil {
		return -1
	}
	for _, r := range s.Servers {
		if r.Address.Addr().String() == of.Addr {
			return r.Weight
		}
	}
	return -1
}
