package daemon

import (
	"time"

	"github.com/portico-lb/portico/cmd/internal/admin"
	"github.com/portico-lb/portico/health"
	"github.com/portico-lb/portico/l4"
	"github.com/portico-lb/portico/l4/guard"
	"github.com/portico-lb/portico/l4/nodes"
	"github.com/portico-lb/portico/l4/shield"
	"github.com/portico-lb/portico/l4/xdp"
	"github.com/portico-lb/portico/l7"
	"github.com/portico-lb/portico/l7/podroutes"
	"github.com/portico-lb/portico/vip"
	"github.com/portico-lb/portico/vip/notify"
)

// A Status is one process as /api/v1/status shows it. A part that does not
// run in it is nil.
type Status struct {
	Version string       `json:"version"`
	Node    string       `json:"node"`
	Started time.Time    `json:"started"`
	Config  ConfigStatus `json:"config"`
	// Admin is the TCP listener.
	Admin admin.WebStatus `json:"admin"`
	VIP   *vip.Status     `json:"vip,omitempty"`
	// Notify is a target each, of the process that runs vip.
	Notify []notify.TargetStatus `json:"notify,omitempty"`
	Health *health.Status        `json:"health,omitempty"`
	L4     *l4.Status            `json:"l4,omitempty"`
	Guard  *guard.Status         `json:"guard,omitempty"`
	XDP    *xdp.Status           `json:"xdp,omitempty"`
	// Shield is what XDP is to drop; what it has dropped is in XDP's verdicts.
	Shield *shield.Status `json:"shield,omitempty"`
	// Nodes is nil where no service follows the Nodes of a cluster.
	Nodes *nodes.Status `json:"nodes,omitempty"`
	// PodRoutes is nil where the configuration asks for none.
	PodRoutes *podroutes.Status `json:"pod_routes,omitempty"`
	L7        *l7.Status        `json:"l7,omitempty"`
}

// A ConfigStatus describes the configuration that runs.
type ConfigStatus struct {
	Path   string    `json:"path"`
	Loaded time.Time `json:"loaded"`
	// Hash is the first digits of the SHA-256 of the file that runs.
	Hash string `json:"hash"`
	// Error is why a later file was refused, Failed when that was.
	Error  string    `json:"error,omitempty"`
	Failed time.Time `json:"failed,omitzero"`
}

func (d *daemon) status() Status {
	d.mu.Lock()
	s := Status{Version: Version, Node: d.config.Node.Name, Started: d.started, Config: d.loaded, Admin: d.web.Status()}
	d.mu.Unlock()
	if d.vip != nil {
		v := d.vip.Status()
		s.VIP = &v
		s.Notify = d.teller.Status()
	}
	if d.health != nil {
		v := d.health.Status()
		s.Health = &v
	}
	if d.l4 != nil {
		v := d.l4.Status()
		s.L4 = &v
		g := d.guard.Status()
		s.Guard = &g
		x := d.xdp.Status()
		s.XDP = &x
		sh := d.shield.Status()
		s.Shield = &sh
		s.Nodes = d.nodes.Status()
		s.PodRoutes = d.podRoutes.Status()
	}
	if d.l7 != nil {
		v := d.l7.Status()
		s.L7 = &v
	}
	return s
}
