package xdp

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/portico-lb/portico/bpf"
	"github.com/portico-lb/portico/l4"
	"github.com/portico-lb/portico/l4/xdp/mh"
)

// connections is what IPVS knows of connections.
const connections = "/proc/net/ip_vs_conn"

// A Connection is one of IPVS's.
type Connection struct {
	Service l4.Key
	Client  netip.AddrPort
	Server  netip.AddrPort
}

// ParseConnection reads a line of ip_vs_conn (net/netfilter/ipvs/ip_vs_conn.c,
// ip_vs_conn_seq_show); ok is false for its header, and for what is neither TCP
// nor UDP.
func ParseConnection(line string) (c Connection, ok bool) {
	f := strings.Fields(line)
	if len(f) < 7 {
		return c, false
	}
	switch f[0] {
	case "TCP":
		c.Service.Protocol = l4.TCP
	case "UDP":
		c.Service.Protocol = l4.UDP
	default:
		return c, false
	}
	for i, to := range []*netip.AddrPort{&c.Client, &c.Service.Addr, &c.Server} {
		if *to, ok = parseEnd(f[1+2*i], f[2+2*i]); !ok {
			return Connection{}, false
		}
	}
	return c, true
}

// parseEnd reads an address, eight hexadecimal digits or the eight words of
// IPv6, and a port of four digits.
func parseEnd(addr, port string) (netip.AddrPort, bool) {
	n, err := strconv.ParseUint(port, 16, 16)
	if err != nil || len(port) != 4 {
		return netip.AddrPort{}, false
	}
	if len(addr) != 8 {
		a, err := netip.ParseAddr(addr)
		return netip.AddrPortFrom(a, uint16(n)), err == nil && a.Is6() && a.Zone() == ""
	}
	b, err := hex.DecodeString(addr)
	if err != nil {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b)), uint16(n)), true
}

// seed tells the program of connections that IPVS carries for services that are
// now the program's, as far as the table would send them elsewhere: their
// server takes no new ones any more. before is what was wanted until now; a
// service that was not has no connections here that matter, and a take-over
// does not wait until they have been read.
func (p *Plane) seed(before l4.State, have Holding, want plan) error {
	moved := map[l4.Key]bool{}
	for k := range want.Services {
		_, carried := have.Services[k]
		if !carried && (!p.told || before.Find(k) != nil) {
			moved[k] = true
		}
	}
	if len(moved) == 0 {
		return nil
	}
	f, err := os.Open(connections)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("connections of IPVS: %w", err)
	}
	defer f.Close()
	n, err := p.life.open.seed(f, want, moved)
	if err != nil {
		return fmt.Errorf("connections of IPVS: %w", err)
	}
	p.opt.Log.Info("services move to XDP", "services", len(moved), "connections", n)
	return nil
}

// seed writes the flows that a table does not tell, and returns how many.
func (k *kernel) seed(r io.Reader, p plan, moved map[l4.Key]bool) (n int, err error) {
	now, err := monotonic()
	if err != nil {
		return 0, err
	}
	choices := map[l4.Key]choice{}
	for key := range moved {
		choices[key] = p.choice(key)
	}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		c, ok := ParseConnection(lines.Text())
		if !ok || !moved[c.Service] {
			continue
		}
		s := p.Services[c.Service]
		id := p.ids[server{s.ID, c.Server}]
		if id == 0 || choices[c.Service].of(c.Client) == id {
			continue
		}
		if err := k.putFlow(c.Client, s.ID, toFlow(id, p.Backends[id], now)); err != nil {
			return n, err
		}
		n++
	}
	return n, lines.Err()
}

// putFlow writes a client's connection to a service.
func (k *kernel) putFlow(client netip.AddrPort, service uint32, f bpf.L4Flow) error {
	a := address(client.Addr())
	if client.Addr().Is4() {
		return k.Flows4.Put(bpf.L4Flow4Key{Client: a.Word[3], Port: port(client.Port()), Service: uint16(service)}, f)
	}
	return k.Flows6.Put(bpf.L4Flow6Key{Client: a, Port: port(client.Port()), Service: uint16(service)}, f)
}

// A choice is how a service chooses.
type choice struct {
	dests []mh.Dest
	ids   []uint32
	table []uint16
	flags uint32
}

func (p plan) choice(k l4.Key) choice {
	s := p.Services[k]
	c := choice{flags: s.Flags}
	for _, pl := range p.places[s.ID] {
		c.dests = append(c.dests, mh.Dest{Addr: pl.server, Weight: p.Backends[pl.id].Weight, LastWeight: pl.base})
		c.ids = append(c.ids, pl.id)
	}
	c.table = mh.Table(c.dests, p.rows)
	return c
}

// of returns the id of the backend that a client gets, 0 for none.
func (c choice) of(client netip.AddrPort) uint32 {
	port := client.Port()
	if c.flags&l4.FlagPort == 0 {
		port = 0
	}
	i, ok := mh.Pick(c.table, c.dests, client.Addr(), port, c.flags&l4.FlagFallback != 0)
	if !ok {
		return 0
	}
	return c.ids[i]
}
