package l4

import (
	"net/netip"
	"slices"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/portico-lb/portico/health"
)

// A From makes servers of Nodes of a Kubernetes cluster; the zero value of
// none.
type From struct {
	// Selector selects them by their labels, written as Kubernetes prints it.
	Selector string
	// Port and Weight are those of each server, Check is made for each.
	Port   uint16
	Weight int
	Check  health.Template
}

// A Node is a machine of the cluster that can be a server now. Addrs has one
// address of each family that it has.
type Node struct {
	Name  string       `json:"name"`
	Addrs []netip.Addr `json:"addresses"`
}

// Selectors returns the selectors of all services, in order and each once.
func (c Config) Selectors() []string {
	var all []string
	for _, s := range c.Services {
		if s.From.Selector != "" {
			all = append(all, s.From.Selector)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Resolve returns c with nodes, which has some by selector, as servers after
// those that are configured one by one. Nodes are in order of their names, so
// that every director makes the same of them.
func (c Config) Resolve(nodes map[string][]Node) Config {
	services := slices.Clone(c.Services)
	for i, s := range services {
		if s.From.Selector != "" {
			services[i] = s.resolve(nodes[s.From.Selector])
		}
	}
	c.Services = services
	return c
}

func (s Service) resolve(nodes []Node) Service {
	servers := s.add(nodes, func(a netip.Addr) bool {
		return slices.ContainsFunc(s.Addrs, func(vip netip.Addr) bool { return vip.Is4() == a.Is4() })
	})
	if len(servers) == 0 && s.Forward == Tunnel {
		servers = s.add(nodes, func(netip.Addr) bool { return true })
	}
	s.Servers = servers
	if s.AllDown == Keep {
		// Nobody is known for an address yet. Without a service its owner
		// answers by itself, and with an empty one it would refuse.
		s.Addrs = slices.DeleteFunc(slices.Clone(s.Addrs), func(a netip.Addr) bool { return len(s.servers(a)) == 0 })
	}
	return s
}

// add returns the servers of s and those that nodes make. One that is
// configured by itself stays as it is; what clients connect to is no server,
// though an owner's kubelet may name it among the addresses of its Node.
func (s Service) add(nodes []Node, fits func(netip.Addr) bool) []Server {
	servers := slices.Clone(s.Servers)
	for _, n := range nodes {
		for _, a := range n.Addrs {
			addr := netip.AddrPortFrom(a, s.From.Port)
			known := slices.ContainsFunc(servers, func(r Server) bool { return r.Addr == addr })
			if known || !fits(a) || addr == s.Sorry || slices.Contains(s.Addrs, a) {
				continue
			}
			servers = append(servers, Server{
				Name: n.Name, Selector: s.From.Selector, Addr: addr, Weight: s.From.Weight,
				Check: s.From.Check.For(a, s.From.Port, s.Addrs...),
			})
		}
	}
	return servers
}

// A FromSection is the servers_from table of a service as the operator writes
// it.
type FromSection struct {
	NodeSelector string `toml:"node_selector"`
	Port         int    `toml:"port"`
	Weight       *int   `toml:"weight"`
}

// from parses where servers come from that are not configured one by one.
func (p *parser) from(key string, s FromSection, svc *Service, check health.Template) From {
	f := From{Port: svc.Port, Weight: p.weight(key+".weight", s.Weight, check), Check: check}
	if s.Port != 0 {
		f.Port = p.serverPort(key+".port", &s.Port, svc)
	}
	selector, err := labels.Parse(s.NodeSelector)
	switch {
	case err != nil:
		p.fault(key+".node_selector", `%q: %v: write labels as in "edgenode=true,stage!=test"`, s.NodeSelector, err)
	case selector.Empty():
		p.fault(key+".node_selector", `is missing: write the labels of the Nodes that serve, as in "edgenode=true"`)
	default:
		f.Selector = selector.String()
	}
	return f
}
