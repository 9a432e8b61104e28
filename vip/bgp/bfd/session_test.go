package bfd

import (
	"math/rand/v2"
	"testing"
	"time"
)

var start = time.Unix(1000, 0)

const ms = time.Millisecond

// TestStates goes through the state machine's table (RFC 5880, section 6.2).
func TestStates(t *testing.T) {
	for _, tt := range []struct {
		have, hears, want State
		lost              bool
	}{
		{AdminDown, Up, AdminDown, false},
		{Down, AdminDown, Down, false}, {Down, Down, Init, false}, {Down, Init, Up, false}, {Down, Up, Down, false},
		{Init, AdminDown, Down, false}, {Init, Down, Init, false}, {Init, Init, Up, false}, {Init, Up, Up, false},
		{Up, AdminDown, Down, false}, {Up, Down, Down, true}, {Up, Init, Up, false}, {Up, Up, Up, false},
	} {
		s := newSession(Params{100 * ms, 3}, 1, start)
		s.state, s.heard = tt.have, start
		s.receive(start.Add(time.Second), Packet{State: tt.hears, Multiplier: 3, My: 2, Your: 1, MinTx: 100 * ms, MinRx: 100 * ms})
		if s.state != tt.want || s.lost.IsZero() == tt.lost {
			t.Errorf("%v hears %v: %v, lost %v", tt.have, tt.hears, s.state, s.lost)
		}
	}
}

// up is a session whose neighbor is of the given timers.
func up(p Params, peer Packet) *session {
	s := newSession(p, 1, start)
	peer.My, peer.Your, peer.State = 2, 1, Init
	s.receive(start, peer)
	return s
}

func TestTimers(t *testing.T) {
	for _, tt := range []struct {
		name         string
		own          Params
		peer         Packet
		least, most  time.Duration // between packets
		silence      time.Duration // until it is lost
		offersInDown time.Duration
	}{
		{"equal", Params{100 * ms, 3}, Packet{Multiplier: 3, MinTx: 100 * ms, MinRx: 100 * ms}, 75 * ms, 100 * ms, 300 * ms, time.Second},
		{"the neighbor takes fewer", Params{100 * ms, 3}, Packet{Multiplier: 3, MinTx: 10 * ms, MinRx: 400 * ms}, 300 * ms, 400 * ms, 300 * ms, time.Second},
		{"the neighbor sends fewer", Params{100 * ms, 3}, Packet{Multiplier: 5, MinTx: time.Second, MinRx: 10 * ms}, 75 * ms, 100 * ms, 5 * time.Second, time.Second},
		{"one is enough", Params{100 * ms, 1}, Packet{Multiplier: 1, MinTx: 100 * ms, MinRx: 100 * ms}, 75 * ms, 90 * ms, 100 * ms, time.Second},
		{"slower than slow", Params{2 * time.Second, 3}, Packet{Multiplier: 3, MinTx: 100 * ms, MinRx: 100 * ms}, 1500 * ms, 2 * time.Second, 6 * time.Second, 2 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if p, due := newSession(tt.own, 1, start).send(start, 0); !due || p.MinTx != tt.offersInDown {
				t.Errorf("offers %v while Down", p.MinTx)
			}
			for jitter, want := range map[float64]time.Duration{0: tt.least, 1: tt.most} {
				s := up(tt.own, tt.peer)
				p, due := s.send(start, jitter)
				if !due || p.State != Up || p.MinTx != tt.own.Interval || p.Poll != (tt.offersInDown != tt.own.Interval) {
					t.Errorf("sends %+v", p)
				}
				if got := s.sendAt.Sub(start); got != want {
					t.Errorf("jitter %v: sends after %v, want %v", jitter, got, want)
				}
			}
			s := up(tt.own, tt.peer)
			if s.expire(start.Add(tt.silence - 1)); s.state != Up {
				t.Error("lost too early")
			}
			if s.expire(start.Add(tt.silence)); s.state != Down || s.diagnostic != Expired || s.lost != start {
				t.Errorf("%v, %v, lost %v after silence", s.state, s.diagnostic, s.lost)
			}
		})
	}
}

func TestPoll(t *testing.T) {
	peer := Packet{State: Up, Multiplier: 3, My: 2, Your: 1, MinTx: 100 * ms, MinRx: 100 * ms}
	s := up(Params{100 * ms, 3}, peer)
	peer.Poll = true
	s.receive(start, peer)
	if p, due := s.send(start, 0); !due || !p.Final || p.Poll {
		t.Errorf("answers a poll with %+v", p)
	}
	if p, due := s.send(start.Add(75*ms), 0); !due || !p.Poll || p.Final {
		t.Errorf("polls with %+v", p)
	}
	peer.Poll, peer.Final = false, true
	s.receive(start.Add(80*ms), peer)
	if p, due := s.send(start.Add(150*ms), 0); !due || p.Poll {
		t.Errorf("polls on with %+v", p)
	}
	peer.Final, peer.MinRx = false, 0
	s.receive(start.Add(160*ms), peer)
	s.send(start.Add(time.Second), 0)
	if !s.sendAt.IsZero() {
		t.Error("sends to one that wants none")
	}
}

// TestLateLook has the process stand still for longer than the line may.
func TestLateLook(t *testing.T) {
	peer := Packet{Multiplier: 3, MinTx: 100 * ms, MinRx: 100 * ms}
	s := up(Params{100 * ms, 3}, peer)
	if s.expire(start.Add(time.Second)); s.state != Up {
		t.Fatal("lost before what came was read")
	}
	if s.expire(start.Add(2 * time.Second)); s.state != Down {
		t.Fatal("forgiven twice")
	}
}

// TestModel joins two sessions by a line that loses packets, is cut and comes
// back, and restarts one of them.
func TestModel(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		params := Params{time.Duration(10+r.IntN(1500)) * ms, uint8(3 + r.IntN(4))}
		ends := [2]*session{newSession(params, 1, start), newSession(params, 2, start)}
		type flight struct {
			Packet
			at time.Time
			to int
		}
		var line []flight
		now, loss, cut := start, 0.0, false
		run := func(d time.Duration) {
			for until := now.Add(d); now.Before(until); now = now.Add(ms) {
				var rest []flight
				for _, f := range line {
					if f.at.After(now) {
						rest = append(rest, f)
					} else if e := ends[f.to]; f.Your == 0 || f.Your == e.local {
						e.receive(now, f.Packet)
					}
				}
				line = rest
				for i, e := range ends {
					e.expire(now)
					if p, due := e.send(now, r.Float64()); due && !cut && r.Float64() >= loss {
						line = append(line, flight{p, now.Add(time.Duration(r.IntN(5)) * ms), 1 - i})
					}
				}
			}
		}
		all := func(what string, want State) {
			t.Helper()
			if ends[0].state != want || ends[1].state != want {
				t.Fatalf("seed %d, %v: %s: %v and %v", seed, params, what, ends[0].state, ends[1].state)
			}
		}
		silence := params.Interval*time.Duration(params.Multiplier) + 10*ms
		settle := 4*max(slow, params.Interval) + silence
		run(settle)
		all("begun", Up)
		if ends[0].poll || ends[1].poll {
			t.Fatalf("seed %d: polls for ever", seed)
		}
		cut = true
		run(silence)
		all("cut", Down)
		cut = false
		run(settle)
		all("joined", Up)
		ends[1] = newSession(params, 3, now)
		run(settle)
		all("restarted", Up)
		if ends[0].lost.IsZero() || !ends[1].lost.IsZero() {
			t.Fatalf("seed %d: lost %v and %v", seed, ends[0].lost, ends[1].lost)
		}
		loss = 0.3
		run(20 * settle)
		loss = 0
		run(2 * settle)
		all("no more loss", Up)
		ends[0].move(now, AdminDown, DiagAdminDown)
		lost := ends[1].lost
		run(max(slow, params.Interval) + 10*ms)
		if ends[1].state != Down || ends[1].lost != lost {
			t.Fatalf("seed %d: left by will: %v, lost %v", seed, ends[1].state, ends[1].lost)
		}
	}
}
