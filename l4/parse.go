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
	Timeouts  TimeoutsSection  `toml:"timeouts"`
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
	Name      string          `toml:"name"`
	VIP       string          `toml:"vip"`
	Address   string          `toml:"address"`
	Port      int             `toml:"port"`
	Protocol  string          `toml:"protocol"`
	Scheduler string          `toml:"scheduler"`
	Forward   string          `toml:"forward"`
	AllDown   string          `toml:"all_down"`
	Check     *health.Section `toml:"check"`
	Servers   []ServerSection `toml:"server"`
}

// A ServerSection is one [[l4.service.server]] table.
type ServerSection struct {
	Address string          `toml:"address"`
	Port    *int            `toml:"port"`
	Weight  *int            `toml:"weight"`
	Check   *health.Section `toml:"check"`
}

// maxWeight is the largest weight that can be read back from the kernel
// (moby/ipvs takes the low 16 bits).
const maxWeight = 65535

// Parse returns what a Section means. vips are the addresses of each [[vip]]
// by its name; bad is told of every fault, by the key's path in the file.
func Parse(s Section, vips map[string][]netip.Addr, bad func(key, problem string)) Config {
	p := parser{vips: vips, bad: bad, names: map[string]bool{}, keys: map[Key]string{}}
	p.oneOf("l4.dataplane", s.Dataplane, "auto", []string{"auto", "ipvs"}, []string{"xdp"})
	cfg := Config{Timeouts: Timeouts{
		TCP:    p.timeout("l4.timeouts.tcp", s.Timeouts.TCP),
		TCPFin: p.timeout("l4.timeouts.tcp_fin", s.Timeouts.TCPFin),
		UDP:    p.timeout("l4.timeouts.udp", s.Timeouts.UDP),
	}}
	for i, section := range s.Services {
		cfg.Services = append(cfg.Services, p.service(fmt.Sprintf("l4.service[%d]", i), section))
	}
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
func (p *parser) oneOf(key, value, def string, allowed, later []string) string {
	if value == "" {
		return def
	}
	list := strings.Join(allowed, ", ")
	switch {
	case slices.Contains(later, value):
		p.fault(key, "%q is not yet available: allowed are %s", value, list)
	case !slices.Contains(allowed, value):
		p.fault(key, "%q is unknown: allowed are %s", value, list)
	default:
		return value
	}
	return def
}

func (p *parser) timeout(key, s string) time.Duration {
	if s == "" {
		return 0
	}
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		p.fault(key, `%q is not a duration: write one like "15m"`, s)
	case d < time.Second || d > 24*time.Hour || d%time.Second != 0:
		p.fault(key, "%s is out of range: allowed are whole seconds from 1s to 24h", d)
	default:
		return d
	}
	return 0
}

func (p *parser) service(key string, s ServiceSection) Service {
	svc := Service{Name: s.Name, VIP: s.VIP}
	switch {
	case s.Name == "":
		p.fault(key+".name", "is missing: every service needs a name")
	case p.names[s.Name]:
		p.fault(key+".name", "%q is the name of an earlier service", s.Name)
	}
	p.names[s.Name] = true

	svc.Addrs = p.addrs(key, s)
	if s.Port < 1 || s.Port > 65535 {
		p.fault(key+".port", "%d is not a port: allowed are 1 to 65535", s.Port)
	} else {
		svc.Port = uint16(s.Port)
	}
	svc.Protocol = map[string]Protocol{"tcp": TCP, "udp": UDP}[p.oneOf(key+".protocol", s.Protocol, "tcp", []string{"tcp", "udp"}, []string{"sctp"})]
	svc.Scheduler = p.oneOf(key+".scheduler", s.Scheduler, "mh", []string{"rr", "wrr", "lc", "wlc", "sh", "mh"},
		[]string{"lblc", "lblcr", "dh", "fo", "ovf", "sed", "nq"})
	svc.Flags = flags(svc.Scheduler)
	p.oneOf(key+".forward", s.Forward, "dr", []string{"dr"}, []string{"tunnel", "nat"})
	p.oneOf(key+".all_down", s.AllDown, "keep", []string{"keep"}, []string{"reject", "sorry"})

	for _, k := range svc.Keys() {
		if other, ok := p.keys[k]; ok && svc.Port != 0 {
			p.fault(key+".port", "%s belongs to service %q already", k, other)
		}
		p.keys[k] = s.Name
	}
	p.servers(key, s, &svc)
	return svc
}

// flags returns the flags under which a scheduler does what its users expect.
func flags(scheduler string) uint32 {
	switch scheduler {
	case "mh":
		// With the port, so that the many clients behind one NAT address are
		// spread. With fallback: a server at weight 0 keeps its rows, and
		// the clients that hit them would be refused.
		return FlagFallback | FlagPort
	case "sh":
		// Without the port: whoever chooses sh wants a client to stay with
		// its server. Fallback for the same reason as above.
		return FlagFallback
	}
	return 0
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
	default:
		p.fault(key+".vip", "is missing: name the [[vip]] this service belongs to, one of %q", known)
	}
	return nil
}
