package main

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/portico-lb/portico/test/lab"
)

// A scene is what happens to the owner of the address.
type scene struct {
	name string
	do   func(*edge)
	heal func(*edge) // brings the Backup back; nil: it is there, or the next scene does it
}

// scenes are played one after another. Each finds an owner and, unless the one
// before left a node down, a Backup.
var scenes = []scene{
	{"clean stop", func(e *edge) { e.victim.stop() }, func(e *edge) { e.victim.start() }},
	{"kill -9", func(e *edge) { e.victim.kill(); e.down = e.victim }, nil},
	{"  started again, other owns", func(e *edge) { e.down.start(); e.down = nil }, nil},
	{"kill -9, restart after 0.5 s", func(e *edge) { e.victim.kill(); time.Sleep(500 * time.Millisecond); e.victim.start() }, nil},
	{"link down", func(e *edge) { e.victim.LinkDown("eth0") }, func(e *edge) { e.victim.LinkUp("eth0") }},
	{"dead switch port", func(e *edge) { e.lan.Deaden(e.victim.Node); e.down = e.victim }, nil},
	{"  port works again", func(e *edge) { e.lan.Revive(e.down.Node); e.down = nil }, nil},
	{"paused 5 s (SIGSTOP)", pause, nil},
}

// pause stalls the owner's program for longer than any down interval measured,
// and counts what it claims when it goes on: the address has another owner.
func pause(e *edge) {
	e.victim.signal(syscall.SIGSTOP)
	time.Sleep(5 * time.Second)
	claims := e.client.Capture("eth0", "vrrp and src "+e.victim.address+" or arp src host "+vip+" and ether src "+e.victim.mac())
	e.victim.signal(syscall.SIGCONT)
	time.Sleep(4 * e.advert)
	e.claims = append(e.claims, len(claims.Stop()))
}

// An outcome is what the client saw of a scene.
type outcome struct {
	gap        time.Duration
	lost, sent int
	owner      string
}

// failover plays all scenes at each advert interval, portico and keepalived
// side by side.
func failover(t lab.T, o options) {
	l := lab.New(t)
	t.Logf("%s; %d directors each; a new connection every %s; median of %d rounds side by side",
		keepalivedVersion(t), o.nodes, o.every, o.rounds)
	var aims []string
	for _, advert := range o.adverts {
		edges := []*edge{newEdge(t, l, portico(o.portico), advert, o.nodes), newEdge(t, l, keepalived(t), advert, o.nodes)}
		side(t, edges, func(_ int, e *edge) { e.begin() })
		seen := make([][2][]outcome, len(scenes))
		for round := range o.rounds {
			for i, s := range scenes {
				t.Logf("adverts every %s, round %d of %d: %s", advert, round+1, o.rounds, strings.TrimSpace(s.name))
				side(t, edges, func(k int, e *edge) { seen[i][k] = append(seen[i][k], e.play(s, o.every)) })
				side(t, edges, func(_ int, e *edge) { e.recover(s) })
			}
		}
		side(t, edges, func(_ int, e *edge) { e.end() })
		aims = append(aims, show(t, advert, seen)...)
		t.Logf("adverts and ARP claims that the paused owner sent after it went on: portico %d, keepalived %d", edges[0].claims, edges[1].claims)
	}
	t.Logf("\naims for portico:\n%s", strings.Join(aims, "\n"))
}

// play sends requests while the scene happens, and for as long as a take-over
// may last.
func (e *edge) play(s scene, every time.Duration) outcome {
	// Shorter than the second after which TCP tries again.
	p := e.client.Probe(every, lab.Request{URL: "http://" + vip + "/", Timeout: 500 * time.Millisecond})
	lab.Eventually(e.t, 10*time.Second, e.program.name+": answers", func() error {
		if p.OK() < 20 {
			return fmt.Errorf("%d so far", p.OK())
		}
		return nil
	})
	e.halfway()
	s.do(e)
	time.Sleep(37*e.advert/10 + 300*time.Millisecond) // the down interval of priority 100 is 3.6 adverts
	tl := p.Stop()
	return outcome{tl.LongestGap().Length(), len(tl.Failed()), len(tl.Attempts), e.fate()}
}

// recover makes an owner and a Backup again.
func (e *edge) recover(s scene) {
	if s.heal != nil {
		s.heal(e)
	}
	e.settle()
}

// show prints the table of an advert interval, and returns how portico's aims
// were met.
func show(t lab.T, advert time.Duration, seen [][2][]outcome) (aims []string) {
	t.Logf("\nadverts every %-8s      %-32s %-32s gap ratio", advert, "portico", "keepalived")
	t.Logf("%-29s"+strings.Repeat("%7s %14s %-9s ", 2), "", "gap ms", "lost of sent", "owner", "gap ms", "lost of sent", "owner")
	for i, s := range scenes {
		p, k := middle(seen[i][0]), middle(seen[i][1])
		ratio := "" // of two gaps that nobody noticed it would say nothing
		if p.lost+k.lost > 0 {
			ratio = fmt.Sprintf("%.2f", float64(p.gap)/float64(k.gap))
		}
		t.Logf("%-29s%v %v %9s", s.name, p, k, ratio)
		switch {
		case s.name == "clean stop" || s.name == "kill -9":
			aims = append(aims, fmt.Sprintf("  adverts %s, %s: no request lost: %d", advert, s.name, p.lost))
		case advert == 10*time.Millisecond && s.name == "link down":
			aims = append(aims, fmt.Sprintf("  adverts %s, %s: gap under 60 ms: %d ms", advert, s.name, p.gap.Milliseconds()))
		}
	}
	return aims
}

// middle is the median of each figure, and every owner there was.
func middle(seen []outcome) (m outcome) {
	var gaps []time.Duration
	var lost, sent []int
	var owners []string
	for _, o := range seen {
		gaps, lost, sent, owners = append(gaps, o.gap), append(lost, o.lost), append(sent, o.sent), append(owners, o.owner)
	}
	slices.Sort(owners)
	return outcome{median(gaps), median(lost), median(sent), strings.Join(slices.Compact(owners), ",")}
}

func (o outcome) String() string {
	return fmt.Sprintf("%7d %6d of %4d %-9s", o.gap.Milliseconds(), o.lost, o.sent, o.owner)
}

func keepalivedVersion(t lab.T) string {
	out, err := exec.Command(need(t, "keepalived", "keepalived"), "--version").CombinedOutput()
	check(t, err)
	line, _, _ := strings.Cut(string(out), "\n")
	return line
}
