package l7

import "github.com/portico-lb/portico/l7/proxy"

// Totals are a Status in brief, to be asked for every other second.
type Totals struct {
	// Ready and Reason are the Status's.
	Ready  bool   `json:"ready"`
	Reason string `json:"reason,omitempty"`
	// Routes is how many there are.
	Routes int          `json:"routes"`
	Engine proxy.Totals `json:"engine"`
}

// Traffic returns what became of requests, by route.
func (l *L7) Traffic() []proxy.Traffic { return l.engine.Traffic() }

// Totals returns what the proxy does now.
func (l *L7) Totals() Totals {
	s := l.state.Load()
	t := Totals{Ready: true, Routes: s.rules(), Engine: l.engine.Totals()}
	if err := s.ready(); err != nil {
		t.Ready, t.Reason = false, err.Error()
	}
	return t
}
