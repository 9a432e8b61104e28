package notify

import "slices"

// perGroup is how many events of one group wait for a target. Half of what a
// group's history holds: who is that late wants to know how it stands now.
const perGroup = 16

// A queue holds what a target has not been sent, the oldest first. It is
// bounded: when a group has perGroup events waiting, its oldest makes room,
// so the latest state of every group is always told.
type queue []Event

// push adds e and reports whether an older event was dropped for it.
func (q *queue) push(e Event) (dropped bool) {
	waiting, oldest := 0, -1
	for i, other := range *q {
		if other.Group != e.Group {
			continue
		}
		if waiting++; oldest < 0 {
			oldest = i
		}
	}
	if waiting >= perGroup {
		*q = slices.Delete(*q, oldest, oldest+1)
		dropped = true
	}
	*q = append(*q, e)
	return dropped
}

// pop removes the oldest event.
func (q *queue) pop() (e Event, ok bool) {
	if len(*q) == 0 {
		return Event{}, false
	}
	e = (*q)[0]
	*q = slices.Delete(*q, 0, 1)
	return e, true
}
