package xdp

import (
	"errors"
	"time"

	"github.com/cilium/ebpf"

	"github.com/portico-lb/portico/bpf"
	"github.com/portico-lb/portico/l4"
)

const (
	// countEvery is how often the flows are counted at most: it takes a tenth
	// of a second where there are very many.
	countEvery = 5 * time.Second
	// batch is how many flows one system call reads.
	batch = 4096
	// udpIdle is how long the program remembers a flow of UDP (bpf/tunables.h).
	udpIdle = 30 * time.Second
)

// A census is how many connections each backend has, by id.
type census struct {
	at    time.Time
	flows map[uint32]int
}

// Count adds to what have counts what XDP has carried. Connections are counted
// for servers at weight 0 alone, whose end somebody waits for: the program sees
// no connection end, and counts each for as long as IPVS would that saw none.
func (p *Plane) Count(have *l4.State) {
	p.work.Lock()
	defer p.work.Unlock()
	k := p.life.open
	if k == nil {
		return
	}
	waited := false
	for i := range have.Services {
		v := &have.Services[i]
		s, carried := p.last.Services[v.Key]
		if !carried {
			continue
		}
		add(&v.Stats, k.ServiceCounters, s.ID)
		for j := range v.Destinations {
			d := &v.Destinations[j]
			if id := p.last.ids[server{s.ID, d.Addr}]; id != 0 {
				add(&d.Stats, k.BackendCounters, id)
				waited = waited || d.Weight == 0
			}
		}
	}
	if waited {
		p.counted = k.count(p.counted, p.last, have.Timeouts.TCP)
		p.connections(have)
	}
}

// connections takes in what was counted of servers at weight 0. IPVS may know
// the same ones, from before or because they pass, so it is no sum.
func (p *Plane) connections(have *l4.State) {
	for i := range have.Services {
		v := &have.Services[i]
		s := p.last.Services[v.Key]
		for j := range v.Destinations {
			if d := &v.Destinations[j]; d.Weight == 0 {
				d.Active = max(d.Active, p.counted.flows[p.last.ids[server{s.ID, d.Addr}]])
			}
		}
	}
}

func add(s *l4.Stats, m *ebpf.Map, id uint32) {
	c, err := sum(m, id)
	if err != nil {
		return // what is not counted is counted the next time
	}
	s.Connections += c.Flows
	s.PacketsIn += c.Packets
	s.BytesIn += c.Bytes
}

// count counts the flows of each backend, unless latest is young enough.
func (k *kernel) count(latest census, p plan, tcp time.Duration) census {
	now, err := monotonic()
	if err != nil || time.Since(latest.at) < countEvery {
		return latest
	}
	idle := map[uint32]time.Duration{}
	for key, s := range p.Services {
		if idle[s.ID] = tcp; key.Protocol == l4.UDP {
			idle[s.ID] = udpIdle
		}
	}
	c := census{at: time.Now(), flows: map[uint32]int{}}
	count := func(f bpf.L4Flow) {
		id, ok := fromFlow(f, p.Backends)
		age := time.Duration(uint32(now/uint64(seenUnit))-f.Seen) * seenUnit
		if ok && age < idle[p.Backends[id].Service] {
			c.flows[id]++
		}
	}
	if errors.Join(eachFlow[bpf.L4Flow4Key](k.Flows4, count), eachFlow[bpf.L4Flow6Key](k.Flows6, count)) != nil {
		return latest
	}
	return c
}

// eachFlow calls f with every entry of a map of flows.
func eachFlow[K any](m *ebpf.Map, f func(bpf.L4Flow)) error {
	keys, flows := make([]K, batch), make([]bpf.L4Flow, batch)
	var cursor ebpf.MapBatchCursor
	for {
		n, err := m.BatchLookup(&cursor, keys, flows, nil)
		for _, one := range flows[:n] {
			f(one)
		}
		switch {
		case errors.Is(err, ebpf.ErrKeyNotExist):
			return nil
		case err != nil:
			return err
		}
	}
}
