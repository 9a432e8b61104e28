package vip

import (
	"cmp"
	"context"

	"github.com/portico-lb/portico/vip/track"
	"github.com/portico-lb/portico/vip/vrrp"
)

func (r *router) verdicts() (track.Verdict, *syncGroup) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.verdict, r.sync
}

// obey makes the machine what tracking and the sync group ask for.
func (s *speaker) obey(ctx context.Context) {
	v, sync := s.verdicts()
	var active bool
	var epoch uint64
	if sync != nil {
		v = sync.verdict(s.router, v)
		active, epoch = sync.order()
	}
	s.hindered = v.Fault
	switch down := s.m.State() == vrrp.Fault || s.m.Leaving(); {
	case v.Fault != "" && !down:
		s.step(ctx, vrrp.Leave{Fault: true})
	case v.Fault == "" && down:
		s.step(ctx, vrrp.Start{})
	}
	if sync == nil || !s.obeys(epoch) {
		return
	}
	if active {
		s.step(ctx, vrrp.Promote{})
	} else {
		s.step(ctx, vrrp.Yield{})
	}
	s.tell()
}

// obeys notes that the order of the epoch is carried out, and reports whether it is news.
func (s *speaker) obeys(epoch uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	news := s.obeyed != epoch
	s.obeyed = epoch
	return news
}

// tell the sync group what became of the machine.
func (s *speaker) tell() {
	s.mu.Lock()
	sync, me := s.sync, member{state: s.m.State(), ready: s.m.Ready(), own: s.verdict, obeyed: s.obeyed}
	s.mu.Unlock()
	if sync == nil {
		return
	}
	me.own.Fault = cmp.Or(me.own.Fault, s.unable)
	sync.tell(s.router, me)
}
