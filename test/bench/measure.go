package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/portico-lb/portico/test/lab"
)

// A sample is one measurement.
type sample struct {
	cpu      time.Duration
	requests int
	p50, p99 float64 // ms; 0 where the generator does not say
}

// cpuPerRequest returns microseconds.
func (s sample) cpuPerRequest() float64 {
	return float64(s.cpu.Nanoseconds()) / 1e3 / float64(s.requests)
}

// summary is the median of each figure.
func summary(v []sample) string {
	var costs, p50s, p99s []float64
	for _, s := range v {
		costs, p50s, p99s = append(costs, s.cpuPerRequest()), append(p50s, s.p50), append(p99s, s.p99)
	}
	if median(p99s) == 0 {
		return fmt.Sprintf("%.1f (%.1f mean)", median(costs), median(p50s))
	}
	return fmt.Sprintf("%.1f (%.1f/%.1f)", median(costs), median(p50s), median(p99s))
}

// measure loads p and returns what that cost p's processes. An error that a
// client saw ends the benchmark: a figure of failures is none.
func (p *proxy) measure(t lab.T, node *lab.Node, l load, length time.Duration) sample {
	t.Helper()
	before := cpuTime(t, p.proc.Pid())
	out := l.generate(t, node, p, length)
	s := sample{cpu: cpuTime(t, p.proc.Pid()) - before, requests: requestsIn(out)}
	if e := errorsLine.FindString(out); e != "" {
		t.Fatalf("%s, %s: %s", p.name, l.name, e)
	}
	if s.requests == 0 {
		t.Fatalf("%s, %s: no request was answered:\n%s", p.name, l.name, out)
	}
	s.p50, s.p99 = millis(out, p50Line), millis(out, p99Line)
	if s.p50 == 0 {
		s.p50 = millis(out, meanLine)
	}
	return s
}

// clockTick is how many units of /proc/PID/stat make a second; Linux shows 100
// to user space on every platform (proc(5)).
const clockTick = 100

// cpuTime returns the user and system time of a process and its children.
func cpuTime(t lab.T, pid int) time.Duration {
	t.Helper()
	var ticks int
	for _, p := range tree(pid) {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(p) + "/stat")
		if err != nil {
			continue // a worker that ended
		}
		// Fields are counted behind the command's name, which may hold blanks.
		f := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		utime, err1 := strconv.Atoi(f[11])
		stime, err2 := strconv.Atoi(f[12])
		if err1 != nil || err2 != nil {
			t.Fatalf("stat of %d: %s", p, stat)
		}
		ticks += utime + stime
	}
	return time.Duration(ticks) * time.Second / clockTick
}

// tree returns pid and its descendants.
func tree(pid int) []int {
	out := []int{pid}
	lists, _ := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/children")
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err != nil {
			continue
		}
		for f := range strings.FieldsSeq(string(text)) {
			if child, err := strconv.Atoi(f); err == nil {
				out = append(out, tree(child)...)
			}
		}
	}
	return out
}
