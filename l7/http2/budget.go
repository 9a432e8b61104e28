package http2

import "time"

// A budget bounds what a client may have us do for nothing: it starts full,
// what is odd but harmless in small numbers is paid from it, and time fills it
// up again.
type budget struct {
	left, most int64
	each       time.Duration // until one more is there
	last       int64         // when left was right
}

func newBudget(most int64, each time.Duration, now int64) budget {
	return budget{left: most, most: most, each: each, last: now}
}

// spend takes n and reports whether it was there.
func (b *budget) spend(n, now int64) bool {
	if back := (now - b.last) / int64(b.each); back > 0 {
		b.earn(back)
		b.last += back * int64(b.each)
	}
	b.left -= n
	return b.left >= 0
}

// earn gives n back.
func (b *budget) earn(n int64) { b.left = min(b.left+n, b.most) }
