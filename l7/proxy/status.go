package proxy

import (
	"cmp"
	"slices"
	"sync/atomic"

	"github.com/portico-lb/portico/l7/backend"
	"github.com/portico-lb/portico/l7/route"
)

// A Status tells what the engine does and has done since it was made.
type Status struct {
	Requests    uint64           `json:"requests"`
	Responses   Responses        `json:"responses"`
	Connections int64            `json:"connections"` // of clients, now
	Tunnels     int64            `json:"tunnels"`     // now
	Retries     uint64           `json:"retries"`
	Refused     Refused          `json:"refused"`
	Accepted    uint64           `json:"accepted"` // connections
	Backends    []backend.Status `json:"backends"`
}

// Responses counts final responses by class, whoever made them.
type Responses struct {
	Switched    uint64 `json:"1xx"` // 101: tunnels
	Success     uint64 `json:"2xx"`
	Redirection uint64 `json:"3xx"`
	ClientError uint64 `json:"4xx"`
	ServerError uint64 `json:"5xx"`
}

// Refused counts the connections that were closed without an answer.
type Refused struct {
	// ProxyHeader is those of trusted proxies that did not begin with a right
	// header of the PROXY protocol.
	ProxyHeader uint64 `json:"proxy_header"`
	// Source is those above the limit of their source.
	Source uint64 `json:"source"`
}

// shards keeps processors from writing to one cache line. More than a node
// has processors is of no use, fewer only cost speed.
const shards = 16

// counters are spread by connection.
type counters struct {
	next  atomic.Uint64 // how many connections there were
	shard [shards]shard
	meters
}

// A shard is as long as two cache lines, which processors fetch in pairs.
type shard struct {
	requests    atomic.Uint64
	classes     [6]atomic.Uint64 // by first digit of the status
	connections atomic.Int64
	tunnels     atomic.Int64
	_           [128 - 9*8]byte
}

// pick returns the shard for a new connection, and its number.
func (c *counters) pick() (*shard, int) {
	i := int(c.next.Add(1) % shards)
	return &c.shard[i], i
}

func (s *shard) responded(status int) { s.classes[min(status/100, 5)].Add(1) }

// Totals are a Status without its backends, which a node may have thousands of.
type Totals struct {
	Requests    uint64    `json:"requests"`
	Responses   Responses `json:"responses"`
	Connections int64     `json:"connections"` // of clients, now
	Tunnels     int64     `json:"tunnels"`     // now
	// Accepted counts the connections of clients, Received and Sent the bytes of
	// bodies as Traffic does.
	Accepted uint64 `json:"accepted"`
	Received uint64 `json:"received"`
	Sent     uint64 `json:"sent"`
}

// Totals returns what the engine does now.
func (p *Proxy) Totals() Totals {
	s := Totals{Accepted: p.counters.next.Load()}
	s.Received, s.Sent = p.counters.bytes()
	for i := range p.counters.shard {
		c := &p.counters.shard[i]
		s.Requests += c.requests.Load()
		s.Connections += c.connections.Load()
		s.Tunnels += c.tunnels.Load()
		s.Responses.Switched += c.classes[1].Load()
		s.Responses.Success += c.classes[2].Load()
		s.Responses.Redirection += c.classes[3].Load()
		s.Responses.ClientError += c.classes[4].Load()
		s.Responses.ServerError += c.classes[5].Load()
	}
	return s
}

// Status returns what the engine does now, backends in order.
func (p *Proxy) Status() Status {
	t := p.Totals()
	s := Status{Requests: t.Requests, Responses: t.Responses, Connections: t.Connections, Tunnels: t.Tunnels, Accepted: t.Accepted}
	s.Refused = Refused{ProxyHeader: p.refused.header.Load(), Source: p.refused.source.Load()}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, pl := range p.pools {
		b := pl.Status()
		if b.Backend == (route.Backend{}) {
			continue
		}
		s.Retries += b.Retries
		s.Backends = append(s.Backends, b)
	}
	slices.SortFunc(s.Backends, func(a, b backend.Status) int {
		return cmp.Compare(a.Backend.String(), b.Backend.String())
	})
	return s
}
