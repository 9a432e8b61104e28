package bgp

import (
	"context"
	"net/netip"
	"strings"
	"time"

	"github.com/osrg/gobgp/v4/api"

	"github.com/portico-lb/portico/vip/bgp/bfd"
)

// Status is a snapshot of a Speaker.
type Status struct {
	AS        uint32     `json:"as,omitempty"`
	RouterID  netip.Addr `json:"router_id,omitzero"`
	Sessions  []Session  `json:"sessions"` // by address
	LastError string     `json:"last_error,omitempty"`
}

// Session is the session with a neighbor.
type Session struct {
	Neighbor netip.Addr `json:"neighbor"`
	AS       uint32     `json:"as"`
	// State is RFC 4271's, section 8.2.2, in lower case: idle, connect, active,
	// opensent, openconfirm, established.
	State string    `json:"state"`
	Since time.Time `json:"since"` // of being established, or of not being so
	// Announced is how many routes the neighbor has of us.
	Announced int `json:"announced"`
	// BFD is the state of the line's watch: up, init, down; empty: none.
	BFD string `json:"bfd,omitempty"`
	// LastError is why the latest session ended, or why there may be none.
	LastError string `json:"last_error,omitempty"`
}

// Up reports whether the neighbor hears us.
func (s Session) Up() bool { return s.State == "established" }

// Status returns the present state.
func (s *Speaker) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := Status{AS: s.config.AS, RouterID: s.config.RouterID, Sessions: make([]Session, 0, len(s.sessions)), LastError: s.lastErr}
	for _, a := range sorted(s.sessions, netip.Addr.Compare) {
		st.Sessions = append(st.Sessions, s.sessions[a])
	}
	return st
}

// unheard is what there is to say of a router with which there has been no
// session for as long as unheardAfter: gobgp does not tell why.
const (
	unheard      = "no session yet: the router does not answer, does not know this node, or expects another AS or password"
	unheardAfter = 10 * time.Second
)

// look reads the sessions' states, and tells of what changed.
func (s *Speaker) look(ctx context.Context, p process, have plan) {
	if p.BgpServer == nil {
		return
	}
	s.mu.Lock()
	old := s.sessions
	s.mu.Unlock()
	lines := s.lines.Status()
	next := map[netip.Addr]Session{}
	var dead []Neighbor
	err := p.ListPeer(ctx, &api.ListPeerRequest{EnableAdvertised: true}, func(peer *api.Peer) {
		a, err := netip.ParseAddr(peer.GetConf().GetNeighborAddress())
		if err != nil {
			return
		}
		n, now := have.neighbors[a], time.Now()
		x := session(peer, n, old[a], now)
		if n.BFD != (BFD{}) {
			x.BFD = max(lines[a].State, bfd.Down).String()
			if x.cut(lines[a], now) {
				dead = append(dead, n)
			}
		}
		next[a] = x
	})
	if err != nil {
		return // ctx ended
	}
	for _, n := range dead {
		if err := p.renew(ctx, n, have.restart); err != nil {
			s.fault(err)
			delete(have.neighbors, n.Address) // to be joined with the next configuration,
			ring(s.inputs)                    // which is this one
		}
	}
	s.mu.Lock()
	s.sessions = next
	s.mu.Unlock()
	news := len(old) != len(next)
	for a, n := range next {
		if o := old[a]; o.Up() != n.Up() {
			s.log.Info("bgp session changed", "neighbor", a, "established", n.Up(), "reason", n.LastError)
		}
		news = news || old[a] != n
	}
	if news {
		ring(s.changed)
	}
}

// session is what gobgp says of a neighbor, beside what was known of it.
func session(p *api.Peer, n Neighbor, old Session, now time.Time) Session {
	st := p.GetState()
	s := Session{Neighbor: n.Address, AS: n.AS, Since: old.Since, LastError: old.LastError,
		State: strings.ToLower(strings.TrimPrefix(st.GetSessionState().String(), "SESSION_STATE_"))}
	if old.State == "" || old.Up() != s.Up() {
		s.Since = now
	}
	if why := st.GetDisconnectReason(); why != api.PeerState_DISCONNECT_REASON_UNSPECIFIED && !s.Up() {
		s.LastError = strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(why.String(), "DISCONNECT_REASON_")), "_", " ")
		if m := st.GetDisconnectMessage(); m != "" {
			s.LastError += ": " + m
		}
	}
	if !s.Up() && s.LastError == "" && now.Sub(s.Since) >= unheardAfter {
		s.LastError = unheard
	}
	if s.Up() && s.LastError == unheard {
		s.LastError = ""
	}
	if s.Up() {
		for _, f := range p.GetAfiSafis() {
			s.Announced += int(f.GetState().GetAdvertised())
		}
	}
	return s
}

// cut ends the session if its line was lost while it was established, and
// reports whether it did. A line that was lost before, or not heard of since,
// says nothing: a router begins to watch anew with each session.
func (s *Session) cut(line bfd.Status, now time.Time) bool {
	if !s.Up() || !line.Lost.After(s.Since) {
		return false
	}
	s.State, s.Since, s.Announced, s.LastError = "idle", now, 0, "the line was lost (bfd)"
	return true
}
