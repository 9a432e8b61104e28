package main

import (
	"strings"
	"time"

	"github.com/portico-lb/portico/test/lab"
)

// stripStep is the time that one character of a strip stands for.
const stripStep = 100 * time.Millisecond

// levels are for one answer a step up to as many as requests were sent.
var levels = []rune("▁▂▃▄▅▆▇█")

// strip draws when answers came: a character for each step, in lines of width
// characters. every is how often a request was sent.
func strip(tl lab.Timeline, every time.Duration, width int) string {
	answers := make([]int, int(tl.End/stripStep)+1)
	for _, a := range tl.Attempts {
		if a.Err == nil {
			answers[min(int(a.Ended/stripStep), len(answers)-1)]++
		}
	}
	var b strings.Builder
	for i, n := range answers {
		if i > 0 && i%width == 0 {
			b.WriteByte('\n')
		}
		b.WriteRune(level(n, int(stripStep/every)))
	}
	return b.String()
}

// level is the character for n answers where all would be of them.
func level(n, all int) rune {
	if n == 0 {
		return '·'
	}
	return levels[(min(n, all)*len(levels)-1)/all]
}
