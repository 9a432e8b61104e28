package scenario

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/portico-lb/portico/test/lab"
)

// TestFailureDetection ends servers and measures, for directors side by side,
// how long each goes on sending clients there, and how many it loses: portico,
// and keepalived twice. Both check each second. Of what else counts, keepalived
// has first its usual settings (two attempts of three seconds), and then those
// that portico has by itself (three attempts of a second). A round of each is
// enough to see that it works; what is claimed of the time needs those of
// `make bench-detect`.
func TestFailureDetection(t *testing.T) {
	f := newFarm(t, 3, 3)
	ours := f.director(0, "scheduler = \"rr\"\ncheck = { interval = \"1s\" }\n"+f.list("", f.servers...))
	usual := f.keepalived(1, "connect_timeout 3")
	alike := f.keepalived(2, "connect_timeout 1\nretry 2\ndelay_before_retry 1")
	directors := []*director{ours, usual, alike}
	for _, d := range directors {
		d.waitWeight(1, f.servers...)
	}
	victim := f.servers[1]
	for _, failure := range []struct {
		name       string
		come, back func()
		loss       string // what clients see who are sent there
		rounds     int    // of the bench
	}{
		{"its listener stops", victim.deafen, victim.listen, "connection refused", 8},
		{"it is silent", func() { f.lan.Deaden(victim.Node) }, func() { f.lan.Revive(victim.Node) }, "timeout", 6},
	} {
		if !bench {
			failure.rounds = 1
		}
		outcomes := map[*director]*outcome{}
		for _, d := range directors {
			outcomes[d] = &outcome{}
		}
		for range failure.rounds {
			f.round(directors, outcomes, victim, failure.come, failure.loss)
			failure.back()
			for _, d := range directors {
				d.waitWeight(1, f.servers...)
			}
		}
		for d, name := range map[*director]string{ours: "portico", usual: "keepalived", alike: "keepalived with portico's attempts"} {
			figure(t, "%s: %s: %v", failure.name, name, outcomes[d])
		}
		// Half of it is what is to be expected; few rounds are chance, too.
		if got, theirs := outcomes[ours], outcomes[usual]; bench && (10*got.mean() > 6*theirs.mean() || 10*got.lost > 6*theirs.lost) {
			t.Errorf("%s: %v, want half of keepalived's: %v", failure.name, got, theirs)
		}
	}
}

// An outcome is how a director took a number of failures.
type outcome struct {
	after []time.Duration // until the server was out of its table, each
	lost  int             // requests, in all
}

func (o outcome) mean() (d time.Duration) {
	for _, a := range o.after {
		d += a
	}
	return d / time.Duration(len(o.after))
}

func (o outcome) String() string {
	return fmt.Sprintf("out after %v on average %v, %d requests lost in each", ms(o.mean()), o.after, o.lost/len(o.after))
}

// round makes the victim fail under load, and waits until all directors know.
func (f *farm) round(directors []*director, outcomes map[*director]*outcome, victim *server, fail func(), loss string) {
	f.t.Helper()
	probes := map[*director]*lab.Prober{}
	for _, d := range directors {
		probes[d] = f.client.Probe(20*time.Millisecond, d.request())
		answers(f.t, probes[d], 20)
	}
	// At any moment of the second: the wait for the server's return ended with
	// somebody's check.
	<-time.After(rand.N(time.Second))
	fail()
	since := mark()
	waiting := map[*director]bool{}
	for _, d := range directors {
		waiting[d] = true
	}
	lab.Eventually(f.t, patience, victim.Name()+" out of all tables", func() error {
		for d := range waiting {
			if d.weight(victim) <= 0 {
				outcomes[d].after = append(outcomes[d].after, since())
				delete(waiting, d)
			}
		}
		if len(waiting) > 0 {
			return fmt.Errorf("%d directors still send clients there", len(waiting))
		}
		return nil
	})
	for _, d := range directors {
		answers(f.t, probes[d], 20)
		tl := probes[d].Stop()
		outcomes[d].lost += tl.Tally().Errors[loss]
	}
}

// keepalived starts a director that keepalived is in place of portico. check
// are the keys of its TCP_CHECK.
func (f *farm) keepalived(number int, check string) *director {
	f.t.Helper()
	d := f.node(number)
	d.AddAddr("eth0", d.vip+"/32")
	var b strings.Builder
	fmt.Fprintf(&b, "virtual_server %s 80 {\n delay_loop 1\n lvs_sched rr\n lvs_method DR\n protocol TCP\n", d.vip)
	for _, s := range f.servers {
		fmt.Fprintf(&b, "real_server %s 80 {\n weight 1\n TCP_CHECK {\n%s\n}\n}\n", s.addr, check)
	}
	b.WriteString("}\n")
	d.config = filepath.Join(d.Dir(), "keepalived.conf")
	if err := os.WriteFile(d.config, []byte(b.String()), 0o600); err != nil {
		f.t.Fatal(err)
	}
	d.proc = d.Start("keepalived", "-n", "-l", "-C", "-f", d.config, "-p", d.config+".pid", "-c", d.config+".check.pid")
	return d
}
