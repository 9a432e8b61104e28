package l4

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/portico-lb/portico/health"
)

// A Section is the [l4] table as the operator writes it.
type Section struct {
	Dataplane string           `toml:"dataplane"`
	Guard     *bool            `toml:"guard"`
	Timeouts  TimeoutsSection  `toml:"timeouts"`
	Sync      *SyncSection     `toml:"sync"`
	XDP       *XDPSection      `toml:"xdp"`
	Shield    *ShieldSection   `toml:"shield"`
	Services  []ServiceSection `toml:"service"`
}

// A TimeoutsSection is the [l4.timeouts] table.
type TimeoutsSection struct {
	TCP    string `toml:"tcp"`
	TCPFin string `toml:"tcp_fin"`
	UDP    string `toml:"udp"`
}

// A ServiceSection is one [[l4.service]] table.
type ServiceSection struct {
	Name      string   `toml:"name"`
	VIP       string   `toml:"vip"`
	Address   string   `toml:"address"`
	FWMark    int64    `toml:"fwmark"`
	Port      int      `toml:"port"`
	Protocol  string   `toml:"protocol"`
	Scheduler string   `toml:"scheduler"`
	Flags     []string `toml:"scheduler_flags"`
	OnePacket bool     `toml:"one_packet"`

	Forward        string `toml:"forward"`
	Tunnel         string `toml:"tunnel"`
	TunnelPort     *int   `toml:"tunnel_port"`
	TunnelChecksum string `toml:"tunnel_checksum"`

	Persistence string `toml:"persistence"`
	Prefix4     *int   `toml:"persistence_prefix4"`
	Prefix6     *int   `toml:"persistence_prefix6"`

	Drain     string `toml:"drain"`
	SlowStart string `toml:"slow_start"`
	Quorum    *int   `toml:"quorum"`
	AllDown   string `toml:"all_down"`
	Sorry     string `toml:"sorry"`

	Check       *health.Section `toml:"check"`
	Servers     []ServerSection `toml:"server"`
	ServersFrom *FromSection    `toml:"servers_from"`
}

// A ServerSection is one [[l4.service.server]] table.
type ServerSection struct {
	Name    string          `toml:"name"`
	Address string          `toml:"address"`
	Port    *int            `toml:"port"`
	Weight  *int            `toml:"weight"`
	Upper   int             `toml:"upper_threshold"`
	Lower   int             `toml:"lower_threshold"`
	Check   *health.Section `toml:"check"`
}

// maxWeight is the largest weight that every reader of the kernel's tables
// can tell: some libraries take the low 16 bits.
const maxWeight = 65535

// Parse returns what a Section means. vips are the addresses of each [[vip]]
// by its name; bad is told of every fault, by the key's path in the file.
func Parse(s Section, vips map[string][]netip.Addr, bad func(key, problem string)) Config {
	p := parser{vips: vips, bad: bad, names: map[string]bool{}, keys: map[Key]string{}}
	cfg := Config{XDP: p.xdp("l4.xdp", s.Dataplane, s.XDP), Guard: s.Guard == nil || *s.Guard, Timeouts: Timeouts{
		TCP:    p.timeout("l4.timeouts.tcp", s.Timeouts.TCP),
		TCPFin: p.timeout("l4.timeouts.tcp_fin", s.Timeouts.TCPFin),
		UDP:    p.timeout("l4.timeouts.udp", s.Timeouts.UDP),
	}}
	cfg.Shield = p.shield("l4.shield", cfg.XDP.Choice, s.Shield)
	for i, section := range s.Services {
		cfg.Services = append(cfg.Services, p.service(fmt.Sprintf("l4.service[%d]", i), section))
	}
	cfg.Sync = p.sync("l4.sync", s.Sync, cfg.Services)
	return cfg
}

// parser carries what is needed at every key, and what has been seen.
type parser struct {
	vips  map[string][]netip.Addr
	bad   func(key, problem string)
	names map[string]bool
	keys  map[Key]string // the name of the service that has it
}

func (p *parser) fault(key, format string, args ...any) {
	p.bad(key, fmt.Sprintf(format, args...))
}

// oneOf returns value, or def where it is empty.
func (p *parser) oneOf(key, value, def string, allowed ...string) string {
	switch {
	case value == "":
		return def
	case slices.Contains(allowed, value):
		return value
	}
	p.fault(key, "%q is unknown: allowed are %s", value, strings.Join(allowed, ", "))
	return def
}

func (p *parser) timeout(key, s string) time.Duration {
	if s == "" {
		return 0
	}
	return p.seconds(key, s, time.Second, 24*time.Hour)
}

// seconds returns a duration of whole seconds, as the kernel counts.
func (p *parser) seconds(key, s string, low, high time.Duration) time.Duration {
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		p.fault(key, `%q is not a duration: write one like "15m"`, s)
	case d < low || d > high || d%time.Second != 0:
		p.fault(key, "%s is out of range: allowed are whole seconds from %s to %s", d, short(low), short(high))
	default:
		return d
	}
	return 0
}

// short prints 24h0m0s as 24h.
func short(d time.Duration) string {
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	return text
}

func (p *parser) addrs(key string, s ServiceSection) []netip.Addr {
	known := slices.Sorted(maps.Keys(p.vips))
	switch {
	case s.VIP != "" && s.Address != "":
		p.fault(key+".address", "stands beside vip: a service takes the addresses of a [[vip]] or names one, not both")
	case s.VIP != "":
		if addrs, ok := p.vips[s.VIP]; ok {
			return addrs
		}
		p.fault(key+".vip", "no [[vip]] has the name %q: there are %q", s.VIP, known)
	case s.Address != "":
		a, err := netip.ParseAddr(s.Address)
		if err != nil {
			p.fault(key+".address", "%q is not an address", s.Address)
			return nil
		}
		for _, name := range known {
			if slices.Contains(p.vips[name], a) {
				return []netip.Addr{a}
			}
		}
		p.fault(key+".address", "%s is not an address of any [[vip]]: this node would never own it", a)
	case s.FWMark != 0 && len(known) == 1:
		return p.vips[known[0]]
	case s.FWMark != 0:
		p.fault(key+".vip", "is missing: its owner balances the marked packets, name one of %q", known)
	default:
		p.fault(key+".vip", "is missing: name the [[vip]] this service belongs to, one of %q", known)
	}
	return nil
}
