package edge

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"time"
)

// A Status is what the two processes of a node say, as far as tests look at
// it. One that does not answer is nil.
type Status struct {
	Director *struct {
		Config struct{ Error string }
		VIP    struct{ Groups []Group }
		L4     struct {
			LastError string `json:"last_error"`
			Services  []Service
		}
	}
	Proxy *struct {
		Config struct{ Error string }
		L7     struct {
			Ready                       bool
			Reason                      string
			Routes, Backends, Endpoints int
			Source                      *struct {
				Synced   bool
				Error    string
				Restored time.Time
			}
			Writer *struct {
				Elected   bool
				Published int
				Error     string
			}
		}
	}
	Missing []string
}

// A Group is a group of virtual addresses.
type Group struct {
	Name, State, Reason string
	Owned, Adopting     bool
	Dropped             map[string]int
	LastError           string `json:"last_error"`
}

// A Service is a virtual service.
type Service struct {
	Name              string
	Address           netip.AddrPort
	Owned, Programmed bool
	Dataplane         string
	Mode              string `json:"dataplane_mode"`
	Reason            string `json:"dataplane_reason"`
	Servers           []struct {
		Address        netip.AddrPort
		Wanted, Weight int
		Active         int
		Health, Reason string
	}
}

// Status asks both processes on their sockets, as the status command does. A
// process that does not answer is in Missing.
func (n *Node) Status() Status {
	n.edge.t.Helper()
	var s Status
	for socket, into := range map[string]any{directorSocket: &s.Director, proxySocket: &s.Proxy} {
		if err := ask(filepath.Join(n.Dir(), socket), into); err != nil {
			s.Missing = append(s.Missing, err.Error())
		}
	}
	return s
}

// ask decodes the answer of a process into the pointer that into points to.
func ask(socket string, into any) error {
	client := http.Client{
		Timeout: 10 * time.Second,
		Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "unix", socket)
			},
		},
	}
	resp, err := client.Get("http://portico/api/v1/status")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return json.NewDecoder(resp.Body).Decode(into)
}

// Group is what the director says of its group.
func (s Status) Group() (Group, error) {
	if s.Director == nil || len(s.Director.VIP.Groups) == 0 {
		return Group{}, fmt.Errorf("no director: %v", s.Missing)
	}
	return s.Director.VIP.Groups[0], nil
}

// DroppedAll is how many VRRP packets the group did not accept.
func (g Group) DroppedAll() (n int) {
	for _, c := range g.Dropped {
		n += c
	}
	return n
}
