package vip

import (
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/portico-lb/portico/vip/addr"
	"github.com/portico-lb/portico/vip/track"
	"github.com/portico-lb/portico/vip/vrrp"
)

// router is one group at work. Its goroutine (run) decides who owns the
// addresses and never waits for the kernel's tables or another part.
type router struct {
	log    *slog.Logger
	open   func(vrrp.Endpoint) (conn, error)
	rang   func()        // the snapshot changed in a way that others must see
	inputs chan struct{} // bell: cfg, virtual or link changed
	seed   uint32        // of chance: see vrrp.Config

	mu      sync.Mutex
	cfg     Group
	virtual []netip.Addr // the virtual addresses of all groups
	link    addr.Link
	view    view
	routed  routed
	verdict track.Verdict
	sync    *syncGroup    // nil: moves alone
	obeyed  uint64        // the latest of its orders
	spoke   time.Duration // sinceBoot at the latest advert as Active
	counts  counts
	history history
	lastErr string
}

// view is what the other parts act on.
type view struct {
	state     vrrp.State
	owned     bool
	adopting  bool
	announced bool // with owner bgp: routers are to hear of it
	since     time.Time
	reason    string
	active    netip.Addr
	activePri uint8
	effective uint8 // own priority with what tracking adds
	// acquired and disputed count the reasons to announce the addresses:
	// take-overs, and claims of others while we are Active.
	acquired, disputed uint64
}

type counts struct {
	transitions, sent, received uint64
	dropped                     [vrrp.Verdicts]uint64
	odd                         map[string]uint64 // accepted though it differs from ours, by what
	causes                      []Cause           // of transitions
}

// conn is a vrrp.Conn, or a test's network.
type conn interface {
	Source() netip.Addr
	Network() netip.Prefix
	Send(vrrp.Packet) error
	Receive() (vrrp.Datagram, error)
	Waiting() bool
	Interrupt() error
	Close() error
}

func openConn(e vrrp.Endpoint) (conn, error) {
	c, err := vrrp.Open(e)
	if err != nil {
		return nil, err // not a nil *Conn in a conn
	}
	return c, nil
}

// newRouter returns a router that has not started. holding says that the
// addresses stand on the interface already: until the router knows better they
// are taken for ours.
func newRouter(log *slog.Logger, g Group, holding bool, rang func()) *router {
	r := &router{log: log.With("group", g.Name), open: openConn, rang: rang, inputs: make(chan struct{}, 1), seed: rand.Uint32(), cfg: g}
	r.view = view{since: time.Now(), reason: "not yet started", owned: holding, adopting: holding}
	switch g.Owner {
	case OwnerBGP:
		// Services that an earlier process left are to stay until it is decided.
		r.view = view{since: time.Now(), reason: "not yet started", owned: true}
		r.routed.pending = len(g.Track) > 0
	case OwnerStatic:
		r.view = view{state: vrrp.Active, since: time.Now(), reason: "static", owned: true, acquired: 1}
	}
	return r
}

// set changes the configuration; it takes effect without disturbing timers.
func (r *router) set(g Group, virtual []netip.Addr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cfg, r.virtual = g, virtual
	ring(r.inputs)
}

// setLink tells the router what became of its interface.
func (r *router) setLink(l addr.Link) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.link != l {
		r.link = l
		ring(r.inputs)
	}
}

// setVerdict tells the router what tracking makes of its fitness. Pending says
// that tracking has no result for some of it yet.
func (r *router) setVerdict(v track.Verdict, pending bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.verdict != v || r.routed.pending != pending {
		r.verdict, r.routed.fault, r.routed.pending = v, v.Fault, pending
		ring(r.inputs)
	}
}

// setSync makes the router a member of s, or of none.
func (r *router) setSync(s *syncGroup) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sync != s {
		r.sync, r.obeyed = s, 0
		ring(r.inputs)
	}
}

func (r *router) config() (Group, []netip.Addr, addr.Link) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cfg, r.virtual, r.link
}

func (r *router) read() (Group, view) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cfg, r.view
}

func (r *router) owns(ip netip.Addr) bool {
	g, v := r.read()
	return v.owned && slices.Contains(g.addrs(), ip)
}

// publish replaces the view by what the machine says. Fault is the text for
// the state of that name.
func (r *router) publish(m *vrrp.Machine, fault string, change func(*view)) {
	r.mu.Lock()
	old := r.view
	v := &r.view
	v.state, v.adopting = m.State(), m.Adopting()
	v.owned = v.state == vrrp.Active || v.adopting
	if v.state != old.state || v.adopting != old.adopting {
		v.reason = string(m.Reason())
	}
	if v.state == vrrp.Fault && fault != "" {
		v.reason = fault
	}
	r.moved(old)
	v.active, v.activePri = m.ActiveRouter()
	v.effective = m.Effective()
	if change != nil {
		change(v)
	}
	now := *v
	r.mu.Unlock()

	if now.state != old.state || now.adopting != old.adopting {
		r.log.Info("vip state changed", "from", old.state, "to", now.state, "reason", now.reason, "adopting", now.adopting)
	}
	if old.active, old.activePri, old.effective = now.active, now.activePri, now.effective; now != old {
		r.rang()
	}
}

// moved notes a transition from the old view; under mu.
func (r *router) moved(old view) {
	v := &r.view
	if v.state == old.state {
		return
	}
	v.since = time.Now()
	r.counts.transitions++
	r.counts.moved(v.state, v.reason)
	r.history = r.history.add(Transition{At: v.since, From: old.state, To: v.state, Reason: v.reason})
}

// fault records err, and logs it when it is news. Nil clears it.
func (r *router) fault(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	r.mu.Lock()
	news := r.lastErr != text
	r.lastErr = text
	r.mu.Unlock()
	if news && err != nil {
		r.log.Error("vip group hindered", "err", err)
	}
}

func (r *router) count(add func(*counts)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	add(&r.counts)
}

func (r *router) snapshot() GroupStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := GroupStatus{
		Name: r.cfg.Name, Interface: r.cfg.Interface, Owner: r.cfg.Owner, Addresses: slices.Clone(r.cfg.Addresses),
		State: r.view.state, Owned: r.view.owned, Adopting: r.view.adopting, Since: r.view.since, Reason: r.view.reason,
		Priority: r.cfg.VRRP.Priority, Active: r.view.active, ActivePriority: int(r.view.activePri),
		Transitions: r.counts.transitions, Sent: r.counts.sent, Received: r.counts.received,
		Dropped: map[string]uint64{}, Mismatches: maps.Clone(r.counts.odd), LastError: r.lastErr,
		SyncGroup: r.cfg.VRRP.SyncGroup, History: r.history, Causes: slices.Clone(r.counts.causes),
	}
	if r.cfg.Owner == OwnerVRRP {
		s.EffectivePriority = int(r.view.effective)
	}
	for v, n := range r.counts.dropped {
		if n > 0 {
			s.Dropped[vrrp.Verdict(v).String()] = n
		}
	}
	return s
}
