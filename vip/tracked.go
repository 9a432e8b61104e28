package vip

import "github.com/portico-lb/portico/vip/track"

// follow hands the rules of all groups to the tracker, which looks but once at
// what several of them depend on.
func (m *Manager) follow(c Config) {
	var rules []track.Rule
	for _, g := range c.Groups {
		rules = append(rules, g.Track...)
	}
	m.tracker.Set(rules, c.Ready)
}

// judge gives each router its verdict.
func (m *Manager) judge(routers []*router) {
	known := m.tracker.Snapshot()
	for _, r := range routers {
		g, _ := r.read()
		r.setVerdict(track.Judge(g.Track, known), track.Pending(g.Track, known))
	}
}
