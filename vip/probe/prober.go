package probe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/portico-lb/portico/vip/neighbor"
)

const (
	// A batch of questions leaves every tick.
	batch = 16
	tick  = time.Millisecond
	// retryAfter is how soon a socket that could not be opened is tried again.
	retryAfter = time.Second
)

// Prober asks and listens for the owners of virtual addresses.
type Prober struct {
	log     *slog.Logger
	bell    chan struct{} // rung by Set
	changed chan struct{}

	mu     sync.Mutex
	judge  judge
	groups []Group

	// Of Run alone.
	ears   map[place]*ear
	sender *neighbor.Sender
	fault  string // of sockets, as logged
}

// place is where a socket listens.
type place struct {
	index int
	v6    bool
}

// ear is a socket with the goroutine that listens to it.
type ear struct {
	*neighbor.Listener
	addrs []netip.Addr
	done  chan struct{}
}

// New returns a Prober that does nothing before Run.
func New(log *slog.Logger) *Prober {
	return &Prober{log: log, bell: make(chan struct{}, 1), changed: make(chan struct{}, 1), ears: map[place]*ear{}}
}

// Set replaces the groups to observe and the hardware addresses of this host,
// which are nobody else's.
func (p *Prober) Set(groups []Group, own map[neighbor.MAC]bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.groups = groups
	p.judge.set(time.Now(), groups, own)
	ring(p.bell)
}

// Changed rings when another host claimed an address that this node owns, and
// when a duplicate was found or is gone. It is for one consumer.
func (p *Prober) Changed() <-chan struct{} { return p.changed }

// Duplicates returns the hosts that claim one of the addresses beside its
// owner; on a node that does not own it, all that claim it, when there are several.
func (p *Prober) Duplicates(addrs []netip.Addr) []Duplicate {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.judge.duplicates(addrs)
}

// Contested counts the claims of others for the addresses while this node
// owned them.
func (p *Prober) Contested(addrs []netip.Addr) uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.judge.contested(addrs)
}

// Run observes until ctx ends. What it cannot do it tries again: nothing
// depends on it.
func (p *Prober) Run(ctx context.Context) {
	defer p.close()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.bell:
		case <-timer.C:
		}
		err := errors.Join(p.listen(), p.ask())
		if text := fmt.Sprint(err); err != nil && text != p.fault {
			p.log.Warn("duplicate owners not looked for everywhere", "err", err)
			p.fault = text
		} else if err == nil {
			p.fault = ""
		}

		p.mu.Lock()
		next := p.judge.next()
		p.mu.Unlock()
		if again := time.Now().Add(retryAfter); err != nil && (next.IsZero() || again.Before(next)) {
			next = again
		}
		timer.Stop()
		if !next.IsZero() {
			timer.Reset(max(time.Until(next), tick))
		}
	}
}

// listen opens, narrows and closes sockets, as the groups want it.
func (p *Prober) listen() error {
	want := map[place][]netip.Addr{}
	p.mu.Lock()
	for _, g := range p.groups {
		if g.Index == 0 || g.MAC == (neighbor.MAC{}) {
			continue
		}
		for _, ip := range g.Addrs {
			at := place{g.Index, ip.Is6()}
			want[at] = append(want[at], ip)
		}
	}
	p.mu.Unlock()

	for at, e := range p.ears {
		if want[at] == nil || e.ended() {
			e.stop()
			delete(p.ears, at)
		}
	}
	var errs []error
	for at, addrs := range want {
		e := p.ears[at]
		switch {
		case e == nil:
			l, err := neighbor.Listen(at.index, at.v6, addrs)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			e = &ear{Listener: l, addrs: addrs, done: make(chan struct{})}
			p.ears[at] = e
			go p.hear(e)
		case !slices.Equal(e.addrs, addrs):
			errs = append(errs, e.Narrow(at.v6, addrs))
			e.addrs = addrs
		}
	}
	return errors.Join(errs...)
}

// hear passes on what the socket hears until it is stopped.
func (p *Prober) hear(e *ear) {
	defer close(e.done)
	for {
		c, err := e.Receive()
		if errors.Is(err, unix.ENETDOWN) {
			continue // said once; the socket goes on when the interface does
		}
		if err != nil {
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				ring(p.bell) // for another socket
			}
			return
		}
		p.mu.Lock()
		contested, found := p.judge.hear(time.Now(), c)
		p.mu.Unlock()
		p.tell(found)
		if contested {
			ring(p.changed)
		}
	}
}

// ask sends the questions that are due.
func (p *Prober) ask() error {
	p.mu.Lock()
	subjects, found := p.judge.step(time.Now(), batch)
	var questions []question
	for _, s := range subjects {
		if s.Up && s.Index != 0 && s.MAC != (neighbor.MAC{}) && (s.ip.Is4() || s.Source.IsValid()) {
			questions = append(questions, question{s.Index, neighbor.Question(s.MAC, s.Source, s.ip)})
		}
	}
	p.mu.Unlock()
	p.tell(found)

	if p.sender == nil && len(questions) > 0 {
		s, err := neighbor.NewSender()
		if err != nil {
			return err
		}
		p.sender = s
	}
	for _, q := range questions {
		// One that the device refuses is asked again in its turn.
		_ = p.sender.Send(q.index, q.frame)
	}
	return nil
}

type question struct {
	index int
	frame []byte
}

// tell logs what was found out.
func (p *Prober) tell(found []news) {
	slices.SortFunc(found, func(a, b news) int {
		return cmp.Or(a.Address.Compare(b.Address), slices.Compare(a.MAC[:], b.MAC[:]))
	})
	for _, n := range found {
		log := p.log.With("address", n.Address, "mac", n.MAC, "interface", n.Interface)
		switch {
		case n.Gone:
			log.Info("virtual address no longer claimed by another host", "since", n.Since, "last", n.Last)
		case n.Owned:
			log.Warn("virtual address of this node claimed by another host")
		default:
			log.Warn("virtual address claimed by several hosts")
		}
	}
	if len(found) > 0 {
		ring(p.changed)
	}
}

func (p *Prober) close() {
	for _, e := range p.ears {
		e.stop()
	}
	clear(p.ears)
	if p.sender != nil {
		_ = p.sender.Close()
		p.sender = nil
	}
}

// ended reports whether the goroutine gave up by itself.
func (e *ear) ended() bool {
	select {
	case <-e.done:
		return true
	default:
		return false
	}
}

func (e *ear) stop() {
	_ = e.Interrupt()
	<-e.done
	_ = e.Close()
}

// ring rings a bell of capacity one.
func ring(bell chan struct{}) {
	select {
	case bell <- struct{}{}:
	default: // already rung
	}
}
