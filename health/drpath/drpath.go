// Package drpath asks a server of direct routing whether it would take a
// client's connection.
//
// Direct routing hands a client's packet on with its destination, the virtual
// address, unchanged. A connection to the server's own address says nothing of
// that: it passes as well where the virtual address is missing on lo, where
// the service listens on the server's own address alone, and where the server
// answers ARP for the virtual address and draws clients past the director.
//
// So a SYN is sent as direct routing would send it, in a frame to the server's
// MAC address, and the answer has to come from the virtual address and from
// that MAC address. It is closed by a reset.
package drpath

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// grace is how long an ARP answer may come after the SYN's. The question goes
// out first and the kernel answers both as they come; two receive queues may
// swap them.
const grace = 10 * time.Millisecond

// A Prober makes attempts. Those on one interface share a packet socket, opened
// when the first of them needs it.
type Prober struct {
	mu    sync.Mutex
	wires map[int]*wire          // by the index of the interface
	hosts map[[2]netip.Addr]host // by virtual address and server
}

// New returns a Prober. Close ends its use.
func New() *Prober {
	return &Prober{wires: map[int]*wire{}, hosts: map[[2]netip.Addr]host{}}
}

// Close closes the sockets. No attempt may be under way.
func (p *Prober) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, w := range p.wires {
		errs = append(errs, w.close())
	}
	clear(p.wires)
	return errors.Join(errs...)
}

// refusedError is a reset in answer to a SYN.
type refusedError struct {
	vip    netip.AddrPort
	server netip.Addr
}

func (e refusedError) Error() string {
	return fmt.Sprintf("refused: nothing listens on %s of %s", e.vip, e.server)
}

// Is makes the error one kind of a refused connection.
func (e refusedError) Is(target error) bool { return target == syscall.ECONNREFUSED }

// Probe asks the server for the virtual address. The error says what is wrong
// there, in words for the operator; a deadline of ctx counts as no answer.
func (p *Prober) Probe(ctx context.Context, vip netip.AddrPort, server netip.Addr) error {
	h, err := p.host(ctx, vip.Addr(), server)
	if err != nil {
		return err
	}
	if h.here {
		return probeHere(vip, server)
	}
	err = p.shake(ctx, h, vip, server)
	if err != nil {
		p.forget(vip.Addr(), server) // its MAC address may have changed
	}
	return err
}

// shake sends the SYN, with a question for the virtual address's MAC address
// before it, and waits for the answers.
func (p *Prober) shake(ctx context.Context, h host, vip netip.AddrPort, server netip.Addr) error {
	f, err := h.wire.open(claimed{vip.Addr(), h.mac})
	if err != nil {
		return err
	}
	defer h.wire.drop(f)
	a := attempt{host: h, vip: vip, server: server, flow: f, isn: rand.Uint32()}
	if err := a.send(); err != nil {
		return err
	}
	again := time.NewTicker(patience(ctx))
	defer again.Stop()
	var enough <-chan time.Time
	for {
		select {
		case e := <-f.events:
			done, err := a.hear(e)
			if errors.Is(err, errOwner) {
				return connect(ctx, netip.AddrPortFrom(server, vip.Port()))
			}
			if err != nil {
				return err
			}
			if done {
				enough = time.After(grace)
			}
		case <-enough:
			return nil
		case <-again.C:
			if enough == nil {
				if err := a.send(); err != nil {
					return err
				}
			}
		case <-ctx.Done():
			if enough != nil {
				return nil
			}
			return ended(ctx, "no answer: does %s stand on lo of %s?", vip.Addr(), server)
		}
	}
}

// patience is how long to wait before sending again: a third of what is left.
func patience(ctx context.Context) time.Duration {
	end, ok := ctx.Deadline()
	if !ok {
		return time.Second
	}
	return max(10*time.Millisecond, time.Until(end)/3)
}

// ended is the error of an attempt whose context ended.
func ended(ctx context.Context, format string, args ...any) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf(format, args...)
	}
	return ctx.Err()
}

// An attempt is one SYN and what is known about its answer.
type attempt struct {
	host
	vip    netip.AddrPort
	server netip.Addr
	flow   *flow
	isn    uint32
}

func (a *attempt) from() netip.AddrPort { return netip.AddrPortFrom(a.src, a.flow.port) }

func (a *attempt) send() error {
	ask := whoHas(a.own, a.mac, a.src, a.vip.Addr(), true)
	syn := segment{src: a.from(), dst: a.vip, seq: a.isn, flags: flagSYN}.frame(a.own, a.mac)
	for _, frame := range [][]byte{ask, syn} {
		if err := a.wire.send(frame); err != nil {
			return err
		}
	}
	return nil
}

// hear looks at one answer. It reports whether it is the wanted one.
func (a *attempt) hear(e event) (bool, error) {
	switch {
	case e.kind == claim && e.mac == a.mac && e.addr == a.vip.Addr():
		return false, a.leak()
	case e.kind == claim, e.src != a.vip, e.dst != a.from(), e.ack != a.isn+1:
		return false, nil
	}
	if e.kind == synAck {
		// The kernel knows nothing of this connection. It answers by a reset of
		// its own where the virtual address is not on this node; where it is, it
		// drops the packet as a martian. Either way a reset by the server's MAC
		// address has to tell the server.
		rst := segment{src: a.from(), dst: a.vip, seq: a.isn + 1, flags: flagRST}.frame(a.own, e.mac)
		if err := a.wire.send(rst); err != nil {
			return false, err
		}
	}
	switch {
	case e.mac != a.mac:
		return false, fmt.Errorf("answered by %s in its place: %s does not stand on lo of %s, which passes the packets on", e.mac, a.vip.Addr(), a.server)
	case e.kind == reset:
		return false, refusedError{a.vip, a.server}
	}
	return true, nil
}

// errOwner says that the server owns the virtual address at present.
var errOwner = errors.New("owns the address")

// connect asks the owner of the virtual address, seen from another node. What
// it is sent for that address it balances, so that any server may answer, this
// node included. That the address is there, ARP has told.
func connect(ctx context.Context, server netip.AddrPort) error {
	conn, err := new(net.Dialer).DialTCP(ctx, "tcp", netip.AddrPort{}, server)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return refusedError{server, server.Addr()}
	case ctx.Err() != nil:
		return ended(ctx, "no answer from %s", server)
	case err != nil:
		return fmt.Errorf("connect %s: %w", server, err)
	}
	_ = conn.SetLinger(0) // as all checks: no TIME-WAIT
	return conn.Close()
}

// leak is the error of a server that answers ARP for the virtual address. The
// node that owns the address has to answer, so that only an owner can tell.
func (a *attempt) leak() error {
	owned, err := ownedHere(a.vip.Addr())
	if err != nil {
		return err
	}
	if !owned {
		return errOwner
	}
	if a.vip.Addr().Is4() {
		return fmt.Errorf("%s (%s) answers ARP for %s: set arp_ignore=1 and arp_announce=2 there", a.server, a.mac, a.vip.Addr())
	}
	return fmt.Errorf("%s (%s) answers neighbor solicitations for %s: the address belongs on lo there, as /128", a.server, a.mac, a.vip.Addr())
}
