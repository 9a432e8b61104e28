package bfd

import "time"

const (
	// slow is the least interval while a session is not Up (RFC 5880, section 6.8.3).
	slow = time.Second
	// lateness is how much later than due a look proves nothing: what the
	// neighbor sent meanwhile may be unread.
	lateness = 10 * time.Millisecond
)

// Params are a session's own.
type Params struct {
	Interval   time.Duration // between packets, in both directions; whole microseconds
	Multiplier uint8         // as many lost in a row end the session
}

// session is one end of a session (RFC 5880, section 6.8).
type session struct {
	Params
	local, remote uint32
	state         State
	diagnostic    Diagnostic
	since         time.Time // of state
	lost          time.Time // see Status
	heard         time.Time // the last packet while Up

	peer    Packet // the last received; its zero value before
	poll    bool   // until our timers are acknowledged
	final   bool   // a poll is to be answered
	sent    time.Time
	sendAt  time.Time // zero: nothing to be sent
	expires time.Time // zero: nothing is expected
	excused bool      // a late look has been forgiven
}

func newSession(p Params, local uint32, now time.Time) *session {
	return &session{Params: p, local: local, state: Down, since: now, sendAt: now}
}

// minTx is the interval that we offer to send at.
func (s *session) minTx() time.Duration {
	if s.state == Up {
		return s.Interval
	}
	return max(slow, s.Interval)
}

// move changes the state. The neighbor is to hear of it at once.
func (s *session) move(now time.Time, to State, why Diagnostic) {
	if s.state == to {
		return
	}
	before := s.minTx()
	if s.state == Up && s.peer.State != AdminDown && to != AdminDown {
		s.lost = s.heard
	}
	s.state, s.diagnostic, s.since, s.sendAt = to, why, now, now
	if s.minTx() != before {
		s.poll = true
	}
}

// receive takes a packet that is for this session (RFC 5880, section 6.8.6).
func (s *session) receive(now time.Time, p Packet) {
	rate := s.pace()
	s.peer, s.remote, s.excused = p, p.My, false
	if p.Final {
		s.poll = false
	}
	if p.Poll {
		s.final, s.sendAt = true, now
	}
	switch {
	case s.state == AdminDown:
		return
	case p.State == AdminDown:
		if s.state != Down {
			s.move(now, Down, NeighborDown)
		}
	case s.state == Down && p.State == Down:
		s.move(now, Init, NoDiagnostic)
	case s.state == Down && p.State == Init, s.state == Init && p.State >= Init:
		s.move(now, Up, NoDiagnostic)
	case s.state == Up && p.State == Down:
		s.move(now, Down, NeighborDown)
	}
	if s.state == Up {
		s.heard = now
	}
	s.expires = now.Add(s.detection())
	if after := s.pace(); after != rate {
		s.sendAt = soonest(s.sendAt, after, s.sent)
	}
}

// soonest is when to send at another pace: what is due earlier stays so.
func soonest(due time.Time, pace time.Duration, sent time.Time) time.Time {
	if pace == 0 {
		return due // the last one
	}
	if at := sent.Add(pace * 3 / 4); due.IsZero() || at.Before(due) {
		return at
	}
	return due
}

// detection is how long the neighbor may be silent (RFC 5880, section 6.8.4).
func (s *session) detection() time.Duration {
	return time.Duration(s.peer.Multiplier) * max(s.Interval, s.peer.MinTx)
}

// pace is the interval between packets before jitter; 0: the neighbor wants none.
func (s *session) pace() time.Duration {
	if s.remote != 0 && s.peer.MinRx == 0 {
		return 0
	}
	return max(s.minTx(), s.peer.MinRx)
}

// expire ends the session when the neighbor was silent for too long.
func (s *session) expire(now time.Time) {
	if s.expires.IsZero() || now.Before(s.expires) {
		return
	}
	if now.Sub(s.expires) > lateness && !s.excused {
		s.excused, s.expires = true, now.Add(lateness)
		return
	}
	s.expires, s.remote = time.Time{}, 0
	if s.state >= Init {
		s.peer.State = Down
		s.move(now, Down, Expired)
	}
	s.peer.MinRx = 0 // its needs are unknown again
}

// send returns the packet that is due, if one is. The jitter, from 0 to 1, keeps
// systems from falling in step (RFC 5880, section 6.8.7).
func (s *session) send(now time.Time, jitter float64) (p Packet, due bool) {
	if s.sendAt.IsZero() || now.Before(s.sendAt) {
		return Packet{}, false
	}
	p = Packet{Diagnostic: s.diagnostic, State: s.state, Poll: s.poll && !s.final, Final: s.final, Multiplier: s.Multiplier,
		My: s.local, Your: s.remote, MinTx: s.minTx(), MinRx: s.Interval}
	s.final, s.sent, s.sendAt = false, now, time.Time{}
	if pace := s.pace(); pace > 0 {
		most := 0.25
		if s.Multiplier == 1 {
			most = 0.15 // never later than 90 %
		}
		s.sendAt = now.Add(pace*3/4 + time.Duration(float64(pace)*most*jitter))
	}
	return p, true
}

// next is when time alone changes something.
func (s *session) next() time.Time {
	if s.sendAt.IsZero() || !s.expires.IsZero() && s.expires.Before(s.sendAt) {
		return s.expires
	}
	return s.sendAt
}
