package edge

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/portico-lb/portico/test/lab"
)

// Where things are on the segment. Edge node n has .112+n and ::112+n.
const (
	DefaultVIP  = "172.20.0.119"
	DefaultVIP6 = "fd00:20::119"
	// Host is the Ingress host of the default manifests.
	Host = "shop.example.test"

	lan4, lan6 = "172.20.0.%d", "fd00:20::%d"
	firstEdge  = 113
	clientHost = 200
	workerHost = 10 // has all Pods
	firstPort  = 80 // of the VIP
)

// Options say what edge to build. The zero value is three nodes with the
// product's own defaults and one Service "web" of three Pods.
type Options struct {
	Binary    string // default $PORTICO_BIN
	Parts     string // the director's parts, default vip,l4,health
	Nodes     int    // default 3
	VIP       string // default DefaultVIP
	IPv6      bool   // DefaultVIP6 beside the VIP, and services on both
	Scheduler string // default mh
	Advert    string // advertisement interval, default 1s
	Track     string // what the VIP's group depends on, in TOML; default portico's own
	Check     string // further keys of the health check, in TOML
	HTTPS     bool   // a service on port 443, too
	Services  string // further [[l4.service]] tables, in TOML
	Dataplane string // default portico's own; with another the lines are made ready for XDP

	// Manifests are YAML texts by file name, beside the Services and
	// EndpointSlices that Publish writes. Default: an Ingress of Host for web.
	Manifests map[string]string
	// Kubernetes is the body of [l7.kubernetes]. Default: the folder of Manifests.
	Kubernetes string
	// Pods is how many Pods each Service starts with. Default: three of web.
	Pods map[string]int
}

// An Edge is the nodes, their Pods and a client.
type Edge struct {
	LAN    *lab.Network
	Nodes  []*Node
	Client *lab.Node
	// Worker is the machine that all Pods run on.
	Worker *lab.Node
	// Folder holds the manifests, the same for all nodes.
	Folder string

	t    lab.T
	opts Options
	pods map[string]*Pod
	// alone says that this kernel has no IPVS beside XDP.
	alone bool
	// delayed counts the requests that wait in Pods for their "after".
	delayed atomic.Int64
}

// New builds an edge in which nothing runs but the Pods.
func New(t lab.T, l *lab.Lab, o Options) *Edge {
	t.Helper()
	o.complete()
	if _, err := os.Stat(o.Binary); err != nil {
		t.Fatalf("no binary to run: make build, and name it in PORTICO_BIN: %v", err)
	}
	e := &Edge{t: t, opts: o, LAN: l.Network("lan"), pods: map[string]*Pod{}}
	e.Worker = l.Node("worker")
	e.Worker.Attach(e.LAN, "eth0", prefixes(workerHost)...)
	e.Client = l.Node("client")
	e.Client.Attach(e.LAN, "eth0", prefixes(clientHost)...)
	for i := range o.Nodes {
		e.Nodes = append(e.Nodes, e.addNode(l, i))
	}
	if o.Dataplane != "" {
		e.takeXDP()
	}
	e.Folder = filepath.Join(e.Worker.Dir(), "manifests")
	e.check(os.Mkdir(e.Folder, 0o755))
	for name, text := range o.Manifests {
		e.WriteManifest(name, text)
	}
	for service, n := range o.Pods {
		var pods []*Pod
		for i := range n {
			pods = append(pods, e.StartPod(fmt.Sprintf("%s-%d", service, i+1)))
		}
		e.Publish(service, pods...)
	}
	e.configure()
	return e
}

func (o *Options) complete() {
	def := func(s *string, v string) {
		if *s == "" {
			*s = v
		}
	}
	def(&o.Binary, os.Getenv("PORTICO_BIN"))
	def(&o.Parts, "vip,l4,health")
	def(&o.VIP, DefaultVIP)
	def(&o.Scheduler, "mh")
	def(&o.Advert, "1s")
	if o.Nodes == 0 {
		o.Nodes = 3
	}
	if o.Manifests == nil {
		o.Manifests = map[string]string{"ingress.yaml": DefaultIngress}
	}
	if o.Pods == nil {
		o.Pods = map[string]int{"web": 3}
	}
}

func prefixes(host int) []string {
	return []string{fmt.Sprintf(lan4+"/24", host), fmt.Sprintf(lan6+"/64", host)}
}

// VIP is the virtual address.
func (e *Edge) VIP() string { return e.opts.VIP }

// Request is a GET of / at the VIP for Host. Its answers are counted by edge
// node; see ByPod.
func (e *Edge) Request() lab.Request {
	return lab.Request{URL: "http://" + e.opts.VIP + "/", Host: Host, Server: ByEdge}
}

// ByEdge counts an answer for the edge node that asked the Pod.
func ByEdge(r *http.Response, _ []byte) string { return r.Header.Get("X-Edge") }

// ByPod counts an answer for the Pod that gave it.
func ByPod(r *http.Response, _ []byte) string { return r.Header.Get("X-Pod") }

// Start starts both processes of every node.
func (e *Edge) Start() {
	e.t.Helper()
	for _, n := range e.Nodes {
		n.Proxy.Start()
		n.Director.Start()
	}
}

// Reconfigure changes the options, writes all nodes' files and has every
// running process read its own again.
func (e *Edge) Reconfigure(change func(*Options)) {
	e.t.Helper()
	change(&e.opts)
	e.configure()
	for _, n := range e.Nodes {
		n.Director.Reload()
		n.Proxy.Reload()
	}
}

func (e *Edge) configure() {
	for _, n := range e.Nodes {
		n.WriteConfig(e.config(n))
	}
}

// Holders are the nodes that have the VIP on their interface, whether anything
// runs there or not.
func (e *Edge) Holders() []*Node {
	e.t.Helper()
	var holders []*Node
	for _, n := range e.Nodes {
		if n.HasAddr(ifname, e.opts.VIP) {
			holders = append(holders, n)
		}
	}
	return holders
}

// Owner is the one node that has the VIP, or an error that says who else.
func (e *Edge) Owner() (*Node, error) {
	e.t.Helper()
	holders := e.Holders()
	if len(holders) != 1 {
		return nil, fmt.Errorf("%d nodes have the VIP: %v", len(holders), holders)
	}
	return holders[0], nil
}

// WaitOwner waits until exactly one of the nodes, and none of the others, has the VIP
// and its services. Without nodes it is any.
func (e *Edge) WaitOwner(within time.Duration, nodes ...*Node) *Node {
	e.t.Helper()
	var owner *Node
	lab.Eventually(e.t, within, "one owner", func() (err error) {
		if owner, err = e.Owner(); err != nil {
			return err
		}
		if len(nodes) > 0 && !contains(nodes, owner) {
			return fmt.Errorf("the owner is %s", owner)
		}
		return owner.serves()
	})
	return owner
}

// WaitReady waits until one node owns the VIP and balances over all nodes.
func (e *Edge) WaitReady(within time.Duration) *Node {
	e.t.Helper()
	owner := e.WaitOwner(within)
	lab.Eventually(e.t, within, "all nodes in service", func() (err error) {
		if owner, err = e.Owner(); err != nil {
			return err
		}
		for _, n := range e.Nodes {
			if w := owner.Weight(n); w != 1 {
				return fmt.Errorf("%s has weight %d:\n%s", n, w, owner.services())
			}
		}
		return nil
	})
	return owner
}

// Others are the nodes without those given.
func (e *Edge) Others(not ...*Node) []*Node {
	var others []*Node
	for _, n := range e.Nodes {
		if !contains(not, n) {
			others = append(others, n)
		}
	}
	return others
}

func contains(nodes []*Node, n *Node) bool {
	for _, m := range nodes {
		if m == n {
			return true
		}
	}
	return false
}

func (e *Edge) check(err error) {
	e.t.Helper()
	if err != nil {
		e.t.Fatalf("edge: %v", err)
	}
}
