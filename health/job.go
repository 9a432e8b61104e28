package health

import (
	"container/heap"
	"time"
)

// A job is one check of a Monitor and what came of it. The Monitor's mutex
// guards it.
type job struct {
	check Check
	name  string // check.String(), made once
	key   string // in the state file
	state State
	stats Stats
	due   time.Time // when its next attempt begins
	place int       // in the queue; -1 while it is asked
}

// A queue is a heap of jobs by the time they are due.
type queue []*job

var _ heap.Interface = (*queue)(nil)

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].due.Before(q[j].due) }
func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].place, q[j].place = i, j
}

func (q *queue) Push(x any) {
	j := x.(*job)
	j.place = len(*q)
	*q = append(*q, j)
}

func (q *queue) Pop() any {
	last := len(*q) - 1
	j := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	j.place = -1
	return j
}
