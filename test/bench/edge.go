package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/portico-lb/portico/test/lab"
)

// An edge is a segment with directors of one program, each of which answers
// HTTP itself, and a client.
type edge struct {
	t         lab.T
	program   program
	advert    time.Duration
	lan       *lab.Network
	client    *lab.Node
	directors []*director
	victim    *director // who owned the address when the scene began
	claims    []int     // see pause
	down      *director // whom the scene before took out of service
}

func newEdge(t lab.T, l *lab.Lab, p program, advert time.Duration, nodes int) *edge {
	e := &edge{t: t, program: p, advert: advert, lan: l.Network(p.name), client: l.Node("client of " + p.name)}
	e.client.Attach(e.lan, "eth0", "192.0.2.200/24")
	for i := range nodes {
		d := newDirector(t, l, e.lan, p, i+1, 100, advert)
		d.Serve(":80", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, d.Name()) }))
		e.directors = append(e.directors, d)
	}
	return e
}

// begin starts the directors, the first as the owner.
func (e *edge) begin() {
	for _, d := range e.directors {
		d.start()
		e.settle()
	}
}

func (e *edge) end() {
	for _, d := range e.directors {
		d.stop()
	}
}

// owner says who has the address and is not down: nil unless it is one.
func (e *edge) owner() (owner *director) {
	for _, d := range e.directors {
		switch {
		case d == e.down || !d.owns():
		case owner != nil:
			return nil
		default:
			owner = d
		}
	}
	return owner
}

// settle waits until the same node has owned the address for a while. The
// rest are Backups as soon as they run.
func (e *edge) settle() {
	var last *director
	var since time.Time
	lab.Eventually(e.t, 20*time.Second, e.program.name+": one owner", func() error {
		if now := e.owner(); now != last || now == nil {
			last, since = now, time.Now()
		}
		if last == nil || time.Since(since) < 500*time.Millisecond {
			return fmt.Errorf("owner %v since %v", last != nil, since)
		}
		return nil
	})
	e.victim = last
}

// halfway waits until half an interval has passed since the owner's last
// advert: how soon the next would have come decides how soon it is missed. The
// owner is who sent it: on a busy machine it may just have changed.
func (e *edge) halfway() {
	c := e.client.Capture("eth0", "vrrp")
	lab.Eventually(e.t, 10*time.Second, e.program.name+": advert", func() error {
		lines := c.Lines()
		for _, d := range e.directors {
			if len(lines) > 0 && strings.Contains(lines[len(lines)-1], d.address+" >") {
				e.victim = d
				return nil
			}
		}
		return errors.New("none heard")
	})
	time.Sleep(e.advert / 2)
	c.Stop()
}

// fate says who has the address after a scene.
func (e *edge) fate() string {
	n := 0
	for _, d := range e.directors {
		if d.owns() {
			n++
		}
	}
	switch {
	case n == 0:
		return "none"
	case n > 1:
		return fmt.Sprintf("%d nodes", n)
	case e.victim.owns():
		return "same"
	}
	return "other"
}

// side runs do for all edges at the same time.
func side(t lab.T, edges []*edge, do func(int, *edge)) {
	var wg sync.WaitGroup
	for i, e := range edges {
		wg.Go(func() { do(i, e) })
	}
	wg.Wait()
	if t.Failed() {
		runtime.Goexit()
	}
}
