package l4_test

import (
	"testing"
	"time"

	"github.com/portico-lb/portico/l4"
)

// A server that left the configuration is still called by its name, over as
// many passes and reloads as it drains.
func TestStatusNamesWhoDrains(t *testing.T) {
	n := newNode(t)
	s := service("mh", vip4, "10.0.0.1", "10.0.0.2")
	s.Drain = time.Hour
	s.Servers[1].Name = "edge-2"
	n.configure(s)
	n.learn("10.0.0.1=up 10.0.0.2=up")
	n.sync(t)
	n.kernel.Count(key(80), server("10.0.0.2").Addr, 1, 0)
	s.Servers = s.Servers[:1]
	for range 3 {
		n.configure(s)
		n.sync(t)
		n.sync(t)
		if r := n.Status().Services[0].Servers[1]; r.Health != "draining" || r.Name != "edge-2" {
			t.Errorf("%+v", r)
		}
	}
}

func TestStatusTellsTheWay(t *testing.T) {
	for want, set := range map[string]func(*l4.Service){
		"nat ":        func(s *l4.Service) { s.Forward = l4.Masquerade },
		"tunnel gre":  func(s *l4.Service) { s.Forward, s.Encap.Type = l4.Tunnel, l4.GRE },
		"tunnel ipip": func(s *l4.Service) { s.Forward = l4.Tunnel },
	} {
		n := newNode(t)
		s := service("rr", vip4, "10.0.0.1")
		set(&s)
		s.Persistence, s.Flags = 5*time.Minute, l4.FlagPersistent
		n.configure(s)
		n.sync(t)
		st := n.Status().Services[0]
		if got := st.Forward + " " + st.Tunnel; got != want || st.Persistence != 300 {
			t.Errorf("%q, %d s, want %q, 300 s", got, st.Persistence, want)
		}
	}
}
