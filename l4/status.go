package l4

import (
	"net/netip"
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
}

// A ServiceStatus is one virtual service: a configured service has one for
// each of its addresses.
type ServiceStatus struct {
	Name      string         `json:"name"`
	VIP       string         `json:"vip,omitempty"`
	Address   netip.AddrPort `json:"address"`
	Protocol  string         `json:"protocol"`
	Scheduler string         `json:"scheduler"`
	// Owned tells whether this node owns the address, Programmed whether the
	// dataplane has the service.
	Owned      bool           `json:"owned"`
	Programmed bool           `json:"programmed"`
	Servers    []ServerStatus `json:"servers"`
}

// A ServerStatus is one server of a virtual service.
type ServerStatus struct {
	Address netip.AddrPort `json:"address"`
	// Configured is the weight in the configuration, Wanted the one that
	// health leaves of it, Weight the one in the dataplane.
	Configured int `json:"configured"`
	Wanted     int `json:"wanted"`
	Weight     int `json:"weight"`
	// Health is "up", "down" or "unknown", Since when it became so, and
	// Reason why it is not, or may soon not be, up.
	Health string    `json:"health"`
	Since  time.Time `json:"since,omitzero"`
	Reason string    `json:"reason,omitempty"`
	// Active and Inactive count connections as IPVS does: inactive is every
	// one that is not established.
	Active   int `json:"active"`
	Inactive int `json:"inactive"`
}

// Status reports what stands in the dataplane now. While a pass is under way
// it reports what the pass before it left.
func (r *Reconciler) Status() Status {
	r.mu.Lock()
	v := r.view
	r.mu.Unlock()
	if fresh, err := r.read(v); err == nil {
		v.have = fresh
	}
	st := Status{LastReconcile: v.at, Services: []ServiceStatus{}}
	if v.err != nil {
		st.LastError = v.err.Error()
	}
	h := r.opt.Health()
	for _, s := range v.cfg.Services {
		for _, key := range s.Keys() {
			st.Services = append(st.Services, v.service(s, key, h, r.opt.Owned))
		}
	}
	return st
}

// read returns what the dataplane holds, or what v has of it where reading
// would have to wait or there is nothing to read.
func (r *Reconciler) read(v view) (State, error) {
	if v.at.IsZero() || len(v.cfg.Services) == 0 {
		return v.have, nil
	}
	select {
	case r.pass <- struct{}{}:
		defer func() { <-r.pass }()
		return r.opt.Dataplane.Read()
	default:
		return v.have, nil
	}
}

func (v view) service(s Service, key Key, h *health.Snapshot, owned func(netip.Addr) bool) ServiceStatus {
	have, want := v.have.Find(key), v.want.Find(key)
	st := ServiceStatus{
		Name:       s.Name,
		VIP:        s.VIP,
		Address:    key.Addr,
		Protocol:   key.Protocol.String(),
		Scheduler:  s.Scheduler,
		Owned:      owned(key.Addr.Addr()),
		Programmed: have != nil,
	}
	for _, server := range s.servers(key.Addr.Addr()) {
		state := h.State(server.Check)
		ss := ServerStatus{
			Address:    server.Addr,
			Configured: server.Weight,
			Health:     verdict(state),
			Since:      state.Since,
			Reason:     state.Reason,
		}
		if d := want.Find(server.Addr); d != nil {
			ss.Wanted = d.Weight
		}
		if d := have.Find(server.Addr); d != nil {
			ss.Weight, ss.Active, ss.Inactive = d.Weight, d.Active, d.Inactive
		}
		st.Servers = append(st.Servers, ss)
	}
	return st
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
