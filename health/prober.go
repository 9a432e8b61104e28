package health

import (
	"bufio"
	"context"
	"fmt"
	"net/netip"
	"sync"

	"github.com/portico-lb/portico/health/drpath"
)

// A Prober makes attempts. It holds what attempts share: sockets, opened when
// the first of them needs one, and buffers.
type Prober struct {
	paths   *drpath.Prober
	readers sync.Pool // of *bufio.Reader
}

// NewProber returns a Prober. Close ends its use.
func NewProber() *Prober {
	return &Prober{paths: drpath.New(), readers: sync.Pool{New: func() any { return bufio.NewReader(nil) }}}
}

// Close frees what the attempts shared. None may be under way.
func (p *Prober) Close() error { return p.paths.Close() }

// Probe makes one attempt and says why it failed, or what it brought. The
// attempt ends when c.Timeout has passed or ctx ends, whichever is first.
func (p *Prober) Probe(ctx context.Context, c Check) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	said, err := p.ask(ctx, c)
	if err != nil || c.WeightFrom == "" {
		return Answer{Percent: whole}, err
	}
	return percentage(c.WeightFrom, said), nil
}

// ask asks the server, and returns what it said at c.WeightFrom.
func (p *Prober) ask(ctx context.Context, c Check) (said string, err error) {
	switch c.Kind {
	case TCP:
		return "", probeTCP(ctx, c)
	case HTTP:
		return p.probeHTTP(ctx, c)
	case HTTPS:
		return p.probeHTTPS(ctx, c)
	case TLS:
		return "", probeTLS(ctx, c)
	case GRPC:
		return "", probeGRPC(ctx, c)
	case DNS:
		return "", probeDNS(ctx, c)
	case UDP:
		return "", probeUDP(ctx, c)
	case Ping:
		return "", probePing(ctx, c)
	case Exec:
		return probeExec(ctx, c)
	case DRPath:
		return "", p.probePaths(ctx, c)
	}
	return "", fmt.Errorf("check kind %q is unknown", c.Kind)
}

// probePaths asks the server for each virtual address in turn.
func (p *Prober) probePaths(ctx context.Context, c Check) error {
	vips := c.VIPs.addrs()
	if len(vips) == 0 {
		return fmt.Errorf("the service has no virtual address that %s could be asked for", c.Target.Addr())
	}
	for _, vip := range vips {
		if err := p.paths.Probe(ctx, netip.AddrPortFrom(vip, c.Target.Port()), c.Target.Addr()); err != nil {
			return err
		}
	}
	return nil
}

// Probe makes one attempt with a Prober of its own, and says why it failed.
func Probe(ctx context.Context, c Check) error {
	p := NewProber()
	defer func() { _ = p.Close() }()
	_, err := p.Probe(ctx, c)
	return err
}
