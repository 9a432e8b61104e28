package bgp

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/osrg/gobgp/v4/api"

	"github.com/portico-lb/portico/vip/bgp/bfd"
)

func neighbor(a string, change ...func(*Neighbor)) Neighbor {
	n := Neighbor{Address: netip.MustParseAddr(a), AS: 1, Hops: 1}
	for _, c := range change {
		c(&n)
	}
	return n
}

func route(p string, announced bool, to ...Neighbor) Route {
	r := Route{Prefix: netip.MustParsePrefix(p), Announced: announced}
	for _, n := range to {
		r.To = append(r.To, n.Address)
	}
	return r
}

func (c changes) String() string {
	var s []string
	for _, p := range c.withdraw {
		s = append(s, fmt.Sprintf("withdraw %v", p))
	}
	for _, a := range c.leave {
		s = append(s, fmt.Sprintf("leave %v", a))
	}
	if c.exports {
		s = append(s, "exports")
	}
	for _, r := range c.announce {
		s = append(s, fmt.Sprintf("announce %v", r.Prefix))
	}
	for _, n := range c.join {
		s = append(s, fmt.Sprintf("join %v", n.Address))
	}
	return strings.Join(s, ", ")
}

// TestDiff goes from one Config to the next.
func TestDiff(t *testing.T) {
	a, b := neighbor("10.0.0.1"), neighbor("10.0.0.2")
	med := func(r Route) Route { r.MED = 5; return r }
	have := plan{}
	for _, s := range []struct {
		name string
		next Config
		want string
	}{
		{"start", Config{Neighbors: []Neighbor{b, a}, Routes: []Route{route("192.0.2.2/32", true, a), route("192.0.2.1/32", true, a, b), route("192.0.2.3/32", false, b)}},
			"exports, announce 192.0.2.1/32, announce 192.0.2.2/32, join 10.0.0.1, join 10.0.0.2"},
		{"the same", Config{Neighbors: []Neighbor{a, b}, Routes: []Route{route("192.0.2.3/32", false, b), route("192.0.2.1/32", true, b, a), route("192.0.2.2/32", true, a)}}, ""},
		{"one withdrawn, one announced", Config{Neighbors: []Neighbor{a, b}, Routes: []Route{route("192.0.2.1/32", false, a, b), route("192.0.2.2/32", true, a), route("192.0.2.3/32", true, b)}},
			"withdraw 192.0.2.1/32, announce 192.0.2.3/32"},
		{"an attribute", Config{Neighbors: []Neighbor{a, b}, Routes: []Route{route("192.0.2.1/32", false, a, b), med(route("192.0.2.2/32", true, a)), route("192.0.2.3/32", true, b)}},
			"announce 192.0.2.2/32"},
		{"a neighbor changes", Config{Neighbors: []Neighbor{a, neighbor("10.0.0.2", func(n *Neighbor) { n.Password = "x" })}, Routes: []Route{route("192.0.2.1/32", false, a, b), med(route("192.0.2.2/32", true, a)), route("192.0.2.3/32", true, b)}},
			"leave 10.0.0.2, join 10.0.0.2"},
		{"one goes", Config{Neighbors: []Neighbor{a}, Routes: []Route{med(route("192.0.2.2/32", true, a))}},
			"withdraw 192.0.2.3/32, leave 10.0.0.2, exports"},
	} {
		next := newPlan(s.next)
		if got := diff(have, next).String(); got != s.want {
			t.Errorf("%s: %q, want %q", s.name, got, s.want)
		}
		have = next
	}
	if got, want := diff(have, have.withdrawn()).String(), "withdraw 192.0.2.2/32"; got != want {
		t.Errorf("end: %q, want %q", got, want)
	}
}

// TestSession reads what gobgp says of a neighbor.
func TestSession(t *testing.T) {
	start := time.Unix(1000, 0)
	n := neighbor("10.0.0.1")
	says := func(s api.PeerState_SessionState, why api.PeerState_DisconnectReason, message string) *api.Peer {
		return &api.Peer{State: &api.PeerState{SessionState: s, DisconnectReason: why, DisconnectMessage: message}}
	}
	const none = api.PeerState_DISCONNECT_REASON_UNSPECIFIED
	var s Session
	for _, step := range []struct {
		after int // seconds
		says  *api.Peer
		want  string
	}{
		{0, says(api.PeerState_SESSION_STATE_IDLE, none, ""), "idle since 0: "},
		{9, says(api.PeerState_SESSION_STATE_ACTIVE, none, ""), "active since 0: "},
		{10, says(api.PeerState_SESSION_STATE_ACTIVE, none, ""), "active since 0: " + unheard},
		{11, says(api.PeerState_SESSION_STATE_ESTABLISHED, none, ""), "established since 11: "},
		{20, says(api.PeerState_SESSION_STATE_IDLE, api.PeerState_DISCONNECT_REASON_NOTIFICATION_RECEIVED, "cease"), "idle since 20: notification received: cease"},
		{40, says(api.PeerState_SESSION_STATE_ACTIVE, none, ""), "active since 20: notification received: cease"},
		{50, says(api.PeerState_SESSION_STATE_ESTABLISHED, none, ""), "established since 50: notification received: cease"},
	} {
		s = session(step.says, n, s, start.Add(time.Duration(step.after)*time.Second))
		if got := fmt.Sprintf("%s since %v: %s", s.State, s.Since.Sub(start).Seconds(), s.LastError); got != step.want {
			t.Errorf("after %d s: %q, want %q", step.after, got, step.want)
		}
	}
}

// TestCut has lines be lost before, during and after sessions.
func TestCut(t *testing.T) {
	start := time.Unix(1000, 0)
	for _, tt := range []struct {
		name, state string
		since       time.Time
		lost        time.Time
		want        bool
	}{
		{"never lost", "established", start, time.Time{}, false},
		{"heard in this session, and lost", "established", start, start.Add(1), true},
		{"not heard since the session began", "established", start, start, false},
		{"ended already", "active", start, start.Add(1), false},
		{"being begun", "openconfirm", start, start.Add(1), false},
	} {
		now := start.Add(time.Minute)
		s := Session{State: tt.state, Since: tt.since, Announced: 1}
		if got := s.cut(bfd.Status{State: bfd.Down, Lost: tt.lost}, now); got != tt.want || got && (s.Up() || s.Since != now || s.LastError == "") {
			t.Errorf("%s: %v, %+v", tt.name, got, s)
		}
		if s.cut(bfd.Status{Lost: tt.lost}, now) {
			t.Errorf("%s: cut again", tt.name)
		}
	}
}

func TestSecret(t *testing.T) {
	n := neighbor("10.0.0.1", func(n *Neighbor) { n.Password = "s3cret" })
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if text := fmt.Sprintf(format, n); strings.Contains(text, "s3cret") {
			t.Errorf("%s: %s", format, text)
		}
	}
	if Secret("").String() != "" {
		t.Error("no password looks like one")
	}
}
