package l4

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/portico-lb/portico/health"
)

// A Status is what a Reconciler did and found.
type Status struct {
	// LastReconcile is when the latest pass ended, and LastError why it did
	// not come to its end; empty when it did.
	LastReconcile time.Time       `json:"last_reconcile"`
	LastError     string          `json:"last_error,omitempty"`
	Services      []ServiceStatus `json:"services"`
	// Drains are the operator's, in order of their targets.
	Drains []DrainStatus `json:"drains,omitempty"`
	// DrainOrders are the latest since this director started, oldest first.
	DrainOrders []DrainOrder `json:"drain_orders,omitempty"`
	// Sync is there where sync daemons are configured.
	Sync *SyncStatus `json:"sync,omitempty"`
}

// forwards and tunnels are the configuration's words.
var (
	forwards = map[Forward]string{DirectRoute: "dr", Tunnel: "tunnel", Masquerade: "nat"}
	tunnels  = map[EncapType]string{IPIP: "ipip", GUE: "gue", GRE: "gre"}
)

// A DrainStatus is one target that an operator took out of service.
type DrainStatus struct {
	Target string    `json:"target"`
	Since  time.Time `json:"since"`
	// Programmed is how many servers in this node's dataplane the target
	// means, Serving how many of them still have a weight, and Connections
	// what they have left: established ones, clients that are bound, and with
	// UDP every entry.
	Programmed  int `json:"programmed"`
	Serving     int `json:"serving"`
	Connections int `json:"connections"`
}

// A DrainOrder took a target out of service, or gave it back.
type DrainOrder struct {
	// Seq counts this director's orders from 1.
	Seq     uint64    `json:"seq"`
	At      time.Time `json:"at"`
	Target  string    `json:"target"`
	Drained bool      `json:"drained"`
}

// A ServiceStatus is one virtual service: a configured service has one for
// each of its addresses, and one that is configured no more while it drains.
type ServiceStatus struct {
	// Name is empty where the configuration has it no more.
	Name string `json:"name"`
	VIP  string `json:"vip,omitempty"`
	// Address is what clients connect to. A service by mark has the mark, and
	// an address that tells its family alone.
	Address   netip.AddrPort `json:"address"`
	Mark      uint32         `json:"fwmark,omitempty"`
	Protocol  string         `json:"protocol"`
	Scheduler string         `json:"scheduler"`
	// Forward is "dr", "tunnel" or "nat", as in the configuration, and Tunnel
	// the kind of a tunnel.
	Forward string `json:"forward"`
	Tunnel  string `json:"tunnel,omitempty"`
	// Persistence is how many seconds a client stays with its server, 0 for
	// not at all.
	Persistence int `json:"persistence,omitempty"`
	// Owned tells whether this node owns the address, Programmed whether the
	// dataplane has the service.
	Owned      bool `json:"owned"`
	Programmed bool `json:"programmed"`
	// Carrier is what carries its packets here; empty where nothing does.
	Carrier
	Servers []ServerStatus `json:"servers"`
	Stats   Stats          `json:"stats"`
}

// A ServerStatus is one server of a virtual service.
type ServerStatus struct {
	Address netip.AddrPort `json:"address"`
	Name    string         `json:"name,omitempty"`
	// Selector is the node selector that the server was made by; empty where
	// it is configured by itself.
	Selector string `json:"node_selector,omitempty"`
	// Configured is the weight in the configuration, Wanted the one that
	// health leaves of it, Weight the one in the dataplane.
	Configured int `json:"configured"`
	Wanted     int `json:"wanted"`
	Weight     int `json:"weight"`
	// Percent of the configured weight is what the server wants, by its own
	// word; nil where it is not asked or not up.
	Percent *int `json:"percent,omitempty"`
	// Health is "up", "down", "unknown", or for servers beside the configured
	// ones "draining" or "sorry"; Since when it became so, and
	// Reason why it is not, or may soon not be, up.
	Health string    `json:"health"`
	Since  time.Time `json:"since,omitzero"`
	Reason string    `json:"reason,omitempty"`
	// Active and Inactive count connections as IPVS does: inactive is every
	// one that is not established.
	Active   int `json:"active"`
	Inactive int `json:"inactive"`
	// Persistent counts clients that are bound to the server.
	Persistent int   `json:"persistent"`
	Stats      Stats `json:"stats"`
	// Drained is when an operator took the server out of service. Until is
	// when one that left the configuration, or a sorry server that is needed
	// no more, goes with whatever connections it has.
	Drained time.Time `json:"drained,omitzero"`
	Until   time.Time `json:"draining_until,omitzero"`
	// Sorry marks the server that answers because too few others are up.
	Sorry bool `json:"sorry,omitempty"`
}

// Status reports what stands in the dataplane now. It waits for a pass under
// way, but not long, and then reports what the latest one found.
func (r *Reconciler) Status() Status {
	r.mu.Lock()
	v, drains, orders := r.view, r.drains, r.orders
	r.mu.Unlock()
	if fresh, err := r.fresh(v); err == nil {
		v.have = fresh
	}
	st := Status{LastReconcile: v.at, Services: []ServiceStatus{}, DrainOrders: orders}
	if v.err != nil {
		st.LastError = v.err.Error()
	}
	st.Sync = v.sync()
	h := r.opt.Health()
	have, want := v.have.byKey(), v.want.byKey()
	for _, s := range v.cfg.Services {
		for _, key := range s.Keys() {
			service := v.service(s, key, programmed{have[key], want[key]}, h, r.opt.Owned, drains)
			st.Services = append(st.Services, r.carried(key, service))
		}
	}
	for _, key := range byCompare(v.removed) {
		s, p := v.removed[key], programmed{have[key], want[key]}
		if p.have != nil {
			s.Scheduler, s.Persistence = p.have.Scheduler, p.have.Persistence
			for _, d := range p.have.Destinations {
				s.Forward, s.Encap = d.Forward, d.Encap
			}
		}
		if left := v.service(s, key, p, h, r.opt.Owned, drains); len(left.Servers) > 0 {
			st.Services = append(st.Services, r.carried(key, left))
		}
	}
	for _, target := range slices.Sorted(maps.Keys(drains)) {
		st.Drains = append(st.Drains, v.drain(target, drains[target], have))
	}
	return st
}

func (v view) drain(target string, since time.Time, have map[Key]*VirtualService) DrainStatus {
	st := DrainStatus{Target: target, Since: since}
	for _, s := range v.cfg.Services {
		for _, key := range s.Keys() {
			for _, server := range s.servers(key.Addr.Addr()) {
				d := have[key].Find(server.Addr)
				if d == nil || !means(target, s, server) {
					continue
				}
				st.Programmed++
				st.Connections += s.busy(*d)
				if d.Weight > 0 {
					st.Serving++
				}
			}
		}
	}
	return st
}

// carried fills in who carries a service that is programmed.
func (r *Reconciler) carried(k Key, v ServiceStatus) ServiceStatus {
	switch {
	case !v.Programmed:
	case r.opt.Accelerator == nil:
		v.Carrier = Carrier{Dataplane: string(ByIPVS)}
	default:
		v.Carrier = r.opt.Accelerator.Carrier(k)
	}
	return v
}

// fresh returns what the dataplane holds, or what v has of it where reading
// would have to wait or there is nothing to read.
func (r *Reconciler) fresh(v view) (State, error) {
	if v.at.IsZero() || len(v.cfg.Services) == 0 && len(v.leaving) == 0 {
		return v.have, nil
	}
	select {
	case r.pass <- struct{}{}:
		defer func() { <-r.pass }()
		return r.read()
	case <-time.After(time.Second):
		return v.have, nil
	}
}

// A programmed service is one as it stands and as it is wanted, nil where it
// is not.
type programmed struct{ have, want *VirtualService }

func (v view) service(s Service, key Key, p programmed, h *health.Snapshot, owned func(netip.Addr) bool, drains Drains) ServiceStatus {
	st := ServiceStatus{
		Name:        s.Name,
		VIP:         s.VIP,
		Address:     key.Addr,
		Mark:        key.Mark,
		Protocol:    key.Protocol.String(),
		Scheduler:   s.Scheduler,
		Forward:     forwards[s.Forward],
		Persistence: int(s.Persistence.Seconds()),
		Owned:       s.owned(key, owned),
		Programmed:  p.have != nil,
	}
	if s.Forward == Tunnel {
		st.Tunnel = tunnels[s.Encap.Type]
	}
	if p.have != nil {
		st.Stats = p.have.Stats
	}
	for _, server := range s.servers(key.Addr.Addr()) {
		state := h.State(server.Check)
		ss := ServerStatus{
			Address:    server.Addr,
			Name:       server.Name,
			Selector:   server.Selector,
			Configured: server.Weight,
			Health:     verdict(state),
			Since:      state.Since,
			Reason:     state.Reason,
			Drained:    drains.since(s, server),
		}
		if d := p.want.Find(server.Addr); d != nil {
			ss.Wanted = d.Weight
		}
		ss.count(p.have.Find(server.Addr))
		if state.Up && server.weighs() {
			ss.Percent = &state.Percent
		}
		st.Servers = append(st.Servers, ss)
	}
	return v.others(st, s, key, p)
}

// others adds the servers that stand beside the configured ones: the sorry
// server, and those that drain.
func (v view) others(st ServiceStatus, s Service, key Key, p programmed) ServiceStatus {
	if d := p.want.Find(s.Sorry); s.AllDown == Sorry && d != nil && d.Weight > 0 {
		ss := ServerStatus{Address: s.Sorry, Sorry: true, Wanted: d.Weight, Health: "sorry"}
		ss.count(p.have.Find(s.Sorry))
		st.Servers = append(st.Servers, ss)
	}
	left := p.have.draining(v.leaving)
	slices.SortFunc(left, func(a, b Destination) int { return a.Addr.Compare(b.Addr) })
	for _, d := range left {
		k := ServerKey{key, d.Addr}
		ss := ServerStatus{Address: d.Addr, Name: v.names[k], Health: "draining", Until: v.leaving[k]}
		ss.count(p.have.Find(d.Addr))
		st.Servers = append(st.Servers, ss)
	}
	return st
}

// left returns the names of those that leave: from the configuration they left,
// which v was made by, or as v had them.
func (v view) left(leaving map[ServerKey]time.Time) map[ServerKey]string {
	if len(leaving) == 0 {
		return nil
	}
	names := map[ServerKey]string{}
	for k := range leaving {
		if name := v.names[k]; name != "" {
			names[k] = name
		}
	}
	for _, s := range v.cfg.Services {
		for _, key := range s.Keys() {
			for _, server := range s.servers(key.Addr.Addr()) {
				k := ServerKey{key, server.Addr}
				if _, leaves := leaving[k]; leaves && server.Name != "" {
					names[k] = server.Name
				}
			}
		}
	}
	return names
}

// count takes in what the dataplane counts; nil is a server it has not.
func (st *ServerStatus) count(d *Destination) {
	if d != nil {
		st.Weight, st.Active, st.Inactive, st.Persistent, st.Stats = d.Weight, d.Active, d.Inactive, d.Persistent, d.Stats
	}
}

func verdict(s health.State) string {
	switch {
	case !s.Known:
		return "unknown"
	case s.Up:
		return "up"
	}
	return "down"
}
