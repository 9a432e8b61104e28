package vip

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/portico-lb/portico/vip/bgp"
	"github.com/portico-lb/portico/vip/probe"
	"github.com/portico-lb/portico/vip/track"
	"github.com/portico-lb/portico/vip/vrrp"
)

// Status is a snapshot of a Manager.
type Status struct {
	Groups []GroupStatus `json:"groups"`
	// BGP is what the groups with owner bgp share; nil where there are none.
	BGP *bgp.Status `json:"bgp,omitempty"`
	// LastError is what kept the kernel from its wanted state in the latest
	// attempt; empty when nothing did.
	LastError string `json:"last_error,omitempty"`
}

// GroupStatus is a snapshot of one group.
type GroupStatus struct {
	Name      string         `json:"name"`
	Interface string         `json:"interface"`
	Owner     Owner          `json:"owner"`
	Addresses []netip.Prefix `json:"addresses"`
	State     vrrp.State     `json:"state"`
	// Owned says that this node serves the addresses: it is Active, or it
	// adopts what it held before a restart and nobody else has claimed.
	Owned    bool      `json:"owned"`
	Adopting bool      `json:"adopting,omitempty"`
	Since    time.Time `json:"since"`  // of State
	Reason   string    `json:"reason"` // of State
	Priority int       `json:"priority,omitempty"`
	// EffectivePriority is Priority with what tracking adds.
	EffectivePriority int    `json:"effective_priority,omitempty"`
	SyncGroup         string `json:"sync_group,omitempty"`
	// Active is the router that rules, as far as this node has heard.
	Active         netip.Addr `json:"active,omitzero"`
	ActivePriority int        `json:"active_priority,omitempty"`
	Transitions    uint64     `json:"transitions"`
	// Causes counts them by what they led to, and why.
	Causes []Cause `json:"causes,omitempty"`
	// History are the latest transitions, oldest first.
	History  []Transition `json:"history,omitempty"`
	Sent     uint64       `json:"adverts_sent"`
	Received uint64       `json:"adverts_received"`
	// Dropped counts what was received and not accepted, by reason.
	Dropped map[string]uint64 `json:"dropped,omitempty"`
	// Mismatches counts adverts that were accepted though they differ from what
	// this node would send: "interval", "addresses".
	Mismatches map[string]uint64 `json:"mismatches,omitempty"`
	// Duplicates are hosts that claim an address beside its owner. Where this
	// node does not own it, they are all that claim it, the owner too.
	Duplicates []probe.Duplicate `json:"duplicates,omitempty"`
	LastError  string            `json:"last_error,omitempty"`
	// Track is what the group depends on here, in the order of the configuration.
	Track []track.RuleStatus `json:"track,omitempty"`
}

// Status returns the present state of all groups, in the order of the configuration.
func (m *Manager) Status() Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := Status{Groups: make([]GroupStatus, 0, len(m.routers)), LastError: m.lastError}
	known := m.tracker.Snapshot()
	for _, r := range m.routers {
		g := r.snapshot()
		cfg, _ := r.read()
		g.Track = track.Show(cfg.Track, known)
		g.Duplicates = m.prober.Duplicates(cfg.addrs())
		g.LastError = cmp.Or(g.LastError, m.announcer.Fault(g.Name))
		s.Groups = append(s.Groups, g)
	}
	if slices.ContainsFunc(s.Groups, func(g GroupStatus) bool { return g.Owner == OwnerBGP }) {
		b := m.speech.speaker.Status()
		s.BGP = &b
	}
	return s
}

// Owns reports whether this node serves the address now.
func (m *Manager) Owns(ip netip.Addr) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.routers {
		if r.owns(ip) {
			return true
		}
	}
	return false
}

// Changed rings after the state of a group or the set of groups changed. It
// is for one consumer, who reads Status or asks Owns.
func (m *Manager) Changed() <-chan struct{} { return m.changed }

// ring rings a bell of capacity one.
func ring(bell chan struct{}) {
	select {
	case bell <- struct{}{}:
	default: // already rung
	}
}
