package edge

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/portico-lb/portico/test/lab"
)

// ifname is the interface of every node.
const ifname = "eth0"

// A Node is one edge node.
type Node struct {
	*lab.Node
	Addr, Addr6 string
	// Config is the path of its configuration file.
	Config          string
	Director, Proxy *Process

	edge *Edge
}

func (e *Edge) addNode(l *lab.Lab, i int) *Node {
	n := &Node{
		Node:  l.Node(fmt.Sprintf("edge-%d", i+1)),
		Addr:  fmt.Sprintf(lan4, firstEdge+i),
		Addr6: fmt.Sprintf(lan6, firstEdge+i),
		edge:  e,
	}
	n.Config = filepath.Join(n.Dir(), "portico.toml")
	n.Director = &Process{node: n, parts: e.opts.Parts}
	n.Proxy = &Process{node: n, parts: "l7"}
	n.Attach(e.LAN, ifname, prefixes(firstEdge+i)...)
	n.Route(podNetwork, fmt.Sprintf(lan4, workerHost))
	n.NoReversePathFilter()
	return n
}

// String is the node's name.
func (n *Node) String() string { return n.Name() }

// WriteConfig replaces the configuration file.
func (n *Node) WriteConfig(text string) {
	n.edge.t.Helper()
	n.edge.check(os.WriteFile(n.Config, []byte(text), 0o600))
}

// RewriteConfig changes the text of the configuration file.
func (n *Node) RewriteConfig(change func(string) string) {
	n.edge.t.Helper()
	text, err := os.ReadFile(n.Config)
	n.edge.check(err)
	n.WriteConfig(change(string(text)))
}

// Portico runs a command of the binary with the node's configuration and
// returns what it wrote.
func (n *Node) Portico(args ...string) (string, error) {
	n.edge.t.Helper()
	out, err := n.Command(n.edge.opts.Binary, append(args, "--config", n.Config)...).CombinedOutput()
	return string(out), err
}

// IPVS is what ipvsadm -Ln shows.
func (n *Node) IPVS() string {
	n.edge.t.Helper()
	return n.Output("ipvsadm", "-Ln")
}

// Weight is the weight that the node's kernel gives to another node for the
// VIP's first service, and -1 where it does not know it.
func (n *Node) Weight(of *Node) int {
	n.edge.t.Helper()
	if n.edge.alone {
		return n.weightBySay(of)
	}
	return WeightIn(n.IPVS(), fmt.Sprintf("%s:%d", n.edge.opts.VIP, firstPort), fmt.Sprintf("%s:%d", of.Addr, firstPort))
}

// WeightIn finds the weight of a destination in the text of ipvsadm -Ln, and
// -1 where it does not stand there. Both are written address:port.
func WeightIn(table, service, destination string) int {
	here := false
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		switch {
		case len(f) >= 2 && (f[0] == "TCP" || f[0] == "UDP"):
			here = f[1] == service
		case here && len(f) >= 4 && f[0] == "->" && f[1] == destination:
			w, err := strconv.Atoi(f[3])
			if err != nil {
				return -1
			}
			return w
		}
	}
	return -1
}

// A Process is the director or the proxy of a node. One that was stopped can
// be started again.
type Process struct {
	*lab.Proc // the latest; nil before the first Start

	node  *Node
	parts string
}

// Start starts the process.
func (p *Process) Start() {
	p.node.edge.t.Helper()
	p.Proc = p.node.Start(p.node.edge.opts.Binary, "run", "--config", p.node.Config, "--only", p.parts)
}

// Running reports whether the process was started and has not ended.
func (p *Process) Running() bool {
	if p.Proc == nil {
		return false
	}
	select {
	case <-p.Done():
		return false
	default:
		return true
	}
}

// Reload has the process, if it runs, read its configuration again.
func (p *Process) Reload() {
	p.node.edge.t.Helper()
	if p.Running() {
		p.Signal(syscall.SIGHUP)
	}
}
