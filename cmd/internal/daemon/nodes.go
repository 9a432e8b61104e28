package daemon

import (
	"path/filepath"

	"github.com/portico-lb/portico/cmd/internal/config"
	"github.com/portico-lb/portico/l4"
	"github.com/portico-lb/portico/l4/nodes"
	"github.com/portico-lb/portico/l7"
	"github.com/portico-lb/portico/l7/kube"
	"github.com/portico-lb/portico/l7/podroutes"
)

// nodesFile is the file below node.state_dir that keeps which Nodes of the
// cluster served last.
const nodesFile = "nodes.json"

func (d *daemon) buildNodes(c config.Config) {
	d.nodes = nodes.New(nodes.Options{
		Log:       d.log.With("part", "nodes"),
		StateFile: filepath.Join(c.Node.StateDir, nodesFile),
		Apply:     d.applyNodes,
	})
	d.nodes.Set(d.nodesConfig(c))
}

// nodesConfig says which Nodes to follow.
func (d *daemon) nodesConfig(c config.Config) nodes.Config {
	selectors := c.L4.Selectors()
	return nodes.Config{Selectors: selectors, Connect: func() (nodes.Source, error) {
		return d.watchNodes(c.L7.Kubernetes, "nodes", selectors)
	}}
}

// watchNodes reads Nodes where routes are read.
func (d *daemon) watchNodes(k l7.Kubernetes, part string, selectors []string) (*kube.NodeWatcher, error) {
	return kube.NewNodeWatcher(kube.WatchOptions{
		Log:        d.log.With("part", part),
		Kubeconfig: k.Kubeconfig,
		Endpoints:  k.Endpoints,
		TokenFile:  k.TokenFile,
		CAFile:     k.CAFile,
	}, selectors)
}

// podRoutesFile is the file below node.state_dir that keeps whose Pods were
// routed to last.
const podRoutesFile = "pod-routes.json"

func (d *daemon) buildPodRoutes(c config.Config) {
	d.podRoutes = podroutes.New(d.log.With("part", "pod-routes"), filepath.Join(c.Node.StateDir, podRoutesFile))
	d.podRoutes.Set(d.podRoutesConfig(c))
}

func (d *daemon) podRoutesConfig(c config.Config) podroutes.Config {
	k := c.L7.Kubernetes
	return podroutes.Config{On: k.PodRoutes, Withdraw: k.Withdraw, Connect: func() (podroutes.Source, error) {
		return d.watchNodes(k, "pod-routes", []string{""})
	}}
}

func (d *daemon) applyNodes() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.setServers(d.config.L4)
}

// setServers tells health, l4 and the guard who the servers are.
func (d *daemon) setServers(c l4.Config) {
	if d.nodes != nil {
		c = c.Resolve(d.nodes.Nodes())
	}
	if d.health != nil {
		d.health.Set(c.Checks())
	}
	if d.l4 != nil {
		d.l4.Set(c)
		d.guard.Set(c)
	}
}
