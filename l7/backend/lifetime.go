package backend

import "time"

const (
	// lookEvery is how often it is looked whether an endpoint has closed its
	// oldest idle connection, and how exactly therefore its age is known.
	lookEvery = int64(time.Second / 2)
	// forgetAfter is when what was learned is learned anew: the endpoint may
	// have been configured otherwise.
	forgetAfter = int64(10 * time.Minute)
)

// A lifetime is for how long an endpoint keeps idle connections open, as far as
// that can be learned from those that it closed. A request that meets the end
// of a connection on its way is the one failure that cannot be told from an
// endpoint that died over it, so no connection is used near its end.
type lifetime struct {
	last  int64 // how old the last one became that was closed
	known int64 // the lifetime, 0 where it is not known
	at    int64 // since when
}

// closed takes note that the oldest connection was found closed at an age. Two
// in a row must have become as old: single ones are closed for other reasons.
func (l *lifetime) closed(age, now int64) {
	shorter, longer := min(age, l.last), max(age, l.last)
	if longer-shorter <= lookEvery+longer/10 {
		l.known, l.at = shorter, now
	}
	l.last = age
}

// usable is how old a connection may be that is used again; most where nothing
// else is known.
func (l *lifetime) usable(most, now int64) int64 {
	if l.known == 0 {
		return most
	}
	if now-l.at > forgetAfter {
		*l = lifetime{}
		return most
	}
	// By the time it was found closed it was for up to lookEvery.
	end := max(0, l.known-lookEvery)
	return min(most, max(end/2, end-max(end/10, int64(time.Second))))
}
