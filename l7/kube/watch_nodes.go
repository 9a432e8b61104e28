package kube

import (
	"time"

	corev1 "k8s.io/api/core/v1"
)

// A NodeWatcher follows those Nodes of a cluster that have certain labels.
type NodeWatcher struct {
	reader

	nodes map[string]*kind[*corev1.Node] // by selector; the reader's mu guards them
}

// NewNodeWatcher returns one for the label selectors. Of o, only what says how
// to reach the API server counts. It reads the files that o names and connects
// to nothing.
func NewNodeWatcher(o WatchOptions, selectors []string) (*NodeWatcher, error) {
	w := &NodeWatcher{nodes: map[string]*kind[*corev1.Node]{}}
	client, err := w.prepare(o)
	if err != nil {
		return nil, err
	}
	for _, s := range selectors {
		k := &kind[*corev1.Node]{}
		w.nodes[s] = k
		follow(&w.reader, k, query{client: client.CoreV1().RESTClient(), resource: "nodes", labels: s}, keepNode)
	}
	return w, nil
}

// Nodes returns the Nodes that one of the selectors selects, in no particular
// order, and whether all have been read once. They are immutable.
func (w *NodeWatcher) Nodes(selector string) (nodes []*corev1.Node, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	k := w.nodes[selector]
	if k == nil {
		return nil, false
	}
	select {
	case <-w.synced:
		return k.all(), true
	default:
		return nil, false
	}
}

// Status tells where the Nodes are read, and why they cannot be read now and
// since when.
func (w *NodeWatcher) Status() (from, problem string, since time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	from = w.server.current()
	if r := w.failing(); r != nil {
		return from, r.err, r.since
	}
	return from, "", time.Time{}
}

// keepNode takes away what can be the larger part: the names of the images that
// a Node holds.
func keepNode(n *corev1.Node) bool {
	n.Status.Images = nil
	return true
}
