// Package scenario runs the real binary on three edge nodes in a real kernel
// with IPVS, and looks at them as a client and an operator would:
//
//	PORTICO_BIN=$PWD/bin/portico go test -count=1 -v -exec "$PWD/bin/vm" ./test/scenario
//
// Each test prints what it measured, and the last lines are all figures again.
package scenario

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portico-lb/portico/test/edge"
	"github.com/portico-lb/portico/test/lab"
)

// patience is for what takes moments, on a machine that emulates another one.
// It bounds waiting and is no claim; claims have bounds of their own.
const patience = 60 * time.Second

// bench says that figures are wanted which take minutes, and that times are
// claimed.
var bench = os.Getenv("PORTICO_BENCH") != ""

var figures struct {
	sync.Mutex
	lines []string
}

// figure logs something measured and keeps it for the summary.
func figure(t *testing.T, format string, args ...any) {
	t.Helper()
	line := fmt.Sprintf(format, args...)
	t.Logf("figure: %s", line)
	first, _, _ := strings.Cut(line, "\n")
	figures.Lock()
	defer figures.Unlock()
	figures.lines = append(figures.lines, t.Name()+": "+first)
}

func TestMain(m *testing.M) {
	status := m.Run()
	fmt.Println("--- figures")
	for _, line := range figures.lines {
		fmt.Println(line)
	}
	os.Exit(status)
}

// start starts an edge and waits until its owner balances over all nodes.
func start(t *testing.T, o edge.Options) *edge.Edge {
	t.Helper()
	lab.NeedIPVS(t)
	e := edge.New(t, lab.New(t), o)
	e.Start()
	e.WaitReady(patience)
	return e
}

// answers waits until a prober has had more answers.
func answers(t *testing.T, p *lab.Prober, more int) {
	t.Helper()
	from := p.OK()
	lab.Eventually(t, patience, fmt.Sprintf("%d more answers", more), func() error {
		if got := p.OK() - from; got < more {
			return fmt.Errorf("%d so far", got)
		}
		return nil
	})
}

// none fails the test if a request was not answered.
func none(t *testing.T, what string, tl lab.Timeline) {
	t.Helper()
	if failed := tl.Failed(); len(failed) > 0 {
		t.Errorf("%s: %d of %d requests failed: %v", what, len(failed), len(tl.Attempts), tl)
	}
}

// ms is a duration as figures show it.
func ms(d time.Duration) time.Duration { return d.Round(time.Millisecond) }

// mark is a moment to measure from.
func mark() func() time.Duration {
	start := time.Now()
	return func() time.Duration { return ms(time.Since(start)) }
}
