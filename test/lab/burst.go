package lab

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// A Tally is how a number of requests went.
type Tally struct {
	Sent     int
	Answered int
	By       map[string]int // answers, by who gave them
	Errors   map[string]int // requests without an answer, by the reason
}

// Burst sends the request n times from inside the node, c at a time, each over
// a new connection.
func (n *Node) Burst(count, c int, r Request) Tally {
	send := r.sender(n)
	t := Tally{Sent: count, By: map[string]int{}, Errors: map[string]int{}}
	var mu sync.Mutex // t
	var next atomic.Int64
	var wg sync.WaitGroup
	for range c {
		wg.Go(func() {
			for next.Add(1) <= int64(count) {
				server, err := send(n.lab.ctx)
				mu.Lock()
				if err != nil {
					t.Errors[reason(err)]++
				} else {
					t.Answered++
					t.By[server]++
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return t
}

// String is a line such as "300 of 300 answered: edge-1 100, edge-2 200".
func (t Tally) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d of %d answered", t.Answered, t.Sent)
	for i, m := range []map[string]int{t.By, t.Errors} {
		sep := []string{": ", "; no answer: "}[i]
		for _, key := range slices.Sorted(maps.Keys(m)) {
			fmt.Fprintf(&b, "%s%s %d", sep, key, m[key])
			sep = ", "
		}
	}
	return b.String()
}
