package edge

import (
	"encoding/json"
	"fmt"
	"net/netip"
)

// A Status is the part of `portico status --json` that tests look at.
type Status struct {
	Director *struct {
		Config struct{ Error string }
		VIP    struct {
			Groups []struct {
				Name, State, Reason string
				Owned               bool
				Dropped             map[string]int
				LastError           string `json:"last_error"`
			}
		}
		L4 struct {
			LastError string `json:"last_error"`
			Services  []struct {
				Name              string
				Owned, Programmed bool
				Servers           []struct {
					Address        netip.AddrPort
					Wanted, Weight int
					Health, Reason string
				}
			}
		}
	}
	Proxy *struct {
		L7 struct {
			Ready                       bool
			Reason                      string
			Routes, Backends, Endpoints int
			Source                      *struct {
				Synced bool
				Err    string `json:"error"`
			}
		}
	}
	Missing []string
}

// Status asks both processes, as an operator would.
func (n *Node) Status() (Status, error) {
	n.edge.t.Helper()
	var s Status
	// It exits 1 when something needs a person; what it says is as good.
	out, runErr := n.Command(n.edge.opts.Binary, "status", "--json", "--config", n.Config).Output()
	if err := json.Unmarshal(out, &s); err != nil {
		return s, fmt.Errorf("status of %s: %w (%v)", n, err, runErr)
	}
	return s, nil
}

// Dropped is how many VRRP packets the director did not accept.
func (s Status) Dropped() (n int) {
	if s.Director == nil {
		return 0
	}
	for _, g := range s.Director.VIP.Groups {
		for _, c := range g.Dropped {
			n += c
		}
	}
	return n
}
