package l4

import (
	"cmp"
	"fmt"
	"time"
)

// Timeouts are how long an idle connection is remembered, in whole seconds.
// Zero in a wanted state leaves the dataplane's own.
type Timeouts struct{ TCP, TCPFin, UDP time.Duration }

// or returns t, with those of o where it has none.
func (t Timeouts) or(o Timeouts) Timeouts {
	return Timeouts{cmp.Or(t.TCP, o.TCP), cmp.Or(t.TCPFin, o.TCPFin), cmp.Or(t.UDP, o.UDP)}
}

// where returns those of t for which keep holds, given the same of o.
func (t Timeouts) where(o Timeouts, keep func(t, o time.Duration) bool) Timeouts {
	one := func(t, o time.Duration) time.Duration {
		if keep(t, o) {
			return t
		}
		return 0
	}
	return Timeouts{one(t.TCP, o.TCP), one(t.TCPFin, o.TCPFin), one(t.UDP, o.UDP)}
}

// replacing returns those of t that stand otherwise than set wants them.
func (t Timeouts) replacing(set Timeouts) Timeouts {
	return t.where(set, func(t, set time.Duration) bool { return set != 0 && t != set })
}

// under returns those of t for which set has another.
func (t Timeouts) under(set Timeouts) Timeouts {
	return t.where(set, func(_, set time.Duration) bool { return set != 0 })
}

// String returns "15m0s 2m0s 5m0s": the fields in order.
func (t Timeouts) String() string { return fmt.Sprint(t.TCP, " ", t.TCPFin, " ", t.UDP) }

// parseTimeouts is the inverse of Timeouts.String.
func parseTimeouts(s string) (t Timeouts, err error) {
	var text [3]string
	if _, err = fmt.Sscan(s, &text[0], &text[1], &text[2]); err != nil {
		return t, fmt.Errorf("%q are not timeouts: %w", s, err)
	}
	for i, d := range []*time.Duration{&t.TCP, &t.TCPFin, &t.UDP} {
		if *d, err = time.ParseDuration(text[i]); err != nil {
			return Timeouts{}, err
		}
	}
	return t, nil
}
