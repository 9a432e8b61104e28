package vip

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/portico-lb/portico/vip/track"
	"github.com/portico-lb/portico/vip/vrrp"
)

// Section is one [[vip]] table of the configuration file: a group of
// addresses that move together.
type Section struct {
	Name      string      `toml:"name"`
	Addresses []string    `toml:"addresses"`
	Interface string      `toml:"interface"`
	Owner     string      `toml:"owner"`
	VRRP      VRRPSection `toml:"vrrp"`
	BGP       BGPSection  `toml:"bgp"`
}

// VRRPSection is [vip.vrrp].
type VRRPSection struct {
	Version        *int     `toml:"version"`
	RouterID       *int     `toml:"router_id"`
	Priority       *int     `toml:"priority"`
	AdvertInterval string   `toml:"advert_interval"`
	Preempt        bool     `toml:"preempt"`
	PreemptDelay   string   `toml:"preempt_delay"`
	Peers          []string `toml:"peers"`
	Password       string   `toml:"password"`
	PasswordFile   string   `toml:"password_file"`
	SyncGroup      string   `toml:"sync_group"`
	UnicastTTL     *int     `toml:"unicast_ttl"`
	UnicastMinTTL  *int     `toml:"unicast_min_ttl"`
	V3Checksum     string   `toml:"v3_checksum"`
	HMACKeyFile    string   `toml:"hmac_key_file"`
	HMACKeyID      *int     `toml:"hmac_key_id"`
	HMACMode       string   `toml:"hmac_mode"`
	HMACWindow     string   `toml:"hmac_window"`

	// Track nil is the default, and empty is nothing.
	Track []track.Section `toml:"track"`
}

// Config is what a Manager keeps.
type Config struct {
	Groups []Group
	// Ready is where the node's proxy answers GET /ready; invalid: nowhere.
	Ready netip.AddrPort
}

// Group is a set of virtual addresses that move together.
type Group struct {
	Name      string         // unique
	Addresses []netip.Prefix // at least one; each with its length on the interface
	Interface string
	Owner     Owner
	VRRP      VRRP         // for Owner VRRP
	BGP       BGP          // for Owner BGP
	Track     []track.Rule // what the node's fitness to own the group depends on
}

// Owner says who decides which node has a group.
type Owner string

// The owners.
const (
	OwnerVRRP   Owner = "vrrp"
	OwnerBGP    Owner = "bgp"    // every node that is ready: routers choose
	OwnerStatic Owner = "static" // always this node
)

// VRRP is how a group takes part in VRRP. The protocol runs in the family of
// the group's first address and its adverts list the addresses of that family;
// those of the other one go along, as keepalived's virtual_ipaddress_excluded
// do. So a group of both families has one owner at any time.
type VRRP struct {
	Version        int           // 2 or 3
	RouterID       int           // 1 to 255, unique on the interface and in the family
	Priority       int           // 1 to 255
	AdvertInterval time.Duration // 2: whole seconds to 255 s; 3: hundredths, 10 ms to 40 s
	Preempt        bool
	PreemptDelay   time.Duration
	Peers          []netip.Addr // empty: multicast
	Auth           vrrp.Auth    // version 2 only
	Password       vrrp.Password
	SyncGroup      string    // groups of one name move together; "": alone
	TTL, MinTTL    int       // unicast: sent, 0 is 255; demanded, 0 goes by the peer's network
	PlainChecksum  bool      // version 3 over IPv4: send without the pseudo-header
	HMAC           vrrp.HMAC // version 3 only
	Siblings       []int     // router ids of the other groups on the interface
}

// Addrs maps each group's name to its addresses.
func (c Config) Addrs() map[string][]netip.Addr {
	m := make(map[string][]netip.Addr, len(c.Groups))
	for _, g := range c.Groups {
		m[g.Name] = g.addrs()
	}
	return m
}

func (g Group) addrs() []netip.Addr {
	as := make([]netip.Addr, 0, len(g.Addresses))
	for _, p := range g.Addresses {
		as = append(as, p.Addr())
	}
	return as
}

// ipv6 reports whether the group's VRRP runs over IPv6.
func (g Group) ipv6() bool { return g.Addresses[0].Addr().Is6() }

// advertised returns the addresses that the adverts list.
func (g Group) advertised() []netip.Addr {
	as := slices.DeleteFunc(g.addrs(), func(a netip.Addr) bool { return a.Is6() != g.ipv6() })
	slices.SortStableFunc(as, func(a, b netip.Addr) int { return linkLocalFirst(a) - linkLocalFirst(b) })
	return as
}

// linkLocalFirst is the rank of an address in an advert over IPv6 (RFC 9568, section 5.2.9).
func linkLocalFirst(a netip.Addr) int {
	if a.Is6() && a.IsLinkLocalUnicast() {
		return 0
	}
	return 1
}

// sameRouter reports whether h can go on where g stands. Everything else may
// change under a running router.
func (g Group) sameRouter(h Group) bool {
	return g.Name == h.Name && g.Interface == h.Interface && g.Owner == h.Owner && g.ipv6() == h.ipv6() &&
		g.VRRP.Version == h.VRRP.Version && g.VRRP.RouterID == h.VRRP.RouterID
}

// Parse checks the sections and completes them by what l says of the node;
// readFile reads password files. Each fault is reported to bad with the key's
// path in the file; Parse goes on to find them all.
func Parse(ss []Section, l Local, readFile func(string) ([]byte, error), bad func(key, problem string)) Config {
	c := Config{Ready: l.Ready}
	for i, s := range ss {
		p := parser{key: fmt.Sprintf("vip[%d]", i), bad: bad, readFile: readFile, local: l}
		c.Groups = append(c.Groups, p.group(s))
	}
	unique(c.Groups, bad)
	siblings(c.Groups)
	elsewhere(c.Groups, bad)
	inSync(c.Groups, bad)
	agree(c.Groups, bad)
	return c
}

// unique reports what two groups must not share.
func unique(groups []Group, bad func(key, problem string)) {
	names, addrs, routers := map[string]string{}, map[netip.Addr]string{}, map[string]string{}
	for i, g := range groups {
		key := fmt.Sprintf("vip[%d]", i)
		if other, taken := names[g.Name]; taken && g.Name != "" {
			bad(key+".name", fmt.Sprintf("%q is the name of %s already: each group needs its own", g.Name, other))
		}
		names[g.Name] = key
		for j, a := range g.addrs() {
			if other, taken := addrs[a]; taken {
				bad(fmt.Sprintf("%s.addresses[%d]", key, j), fmt.Sprintf("%v belongs to %s already: an address has one place", a, other))
			}
			addrs[a] = key
		}
		if g.Owner != OwnerVRRP || len(g.Addresses) == 0 || g.VRRP.RouterID == 0 {
			continue
		}
		router := fmt.Sprintf("%d %s %v", g.VRRP.RouterID, g.Interface, g.ipv6())
		if other, taken := routers[router]; taken {
			bad(key+".vrrp.router_id", fmt.Sprintf("%d is used by %s on %s already: take another number, the same on all nodes", g.VRRP.RouterID, other, g.Interface))
		}
		routers[router] = key
	}
}

// siblings tells each group which adverts on its interface are another's.
func siblings(groups []Group) {
	for i := range groups {
		g := &groups[i]
		for _, o := range groups {
			if g.Owner == OwnerVRRP && o.Owner == OwnerVRRP && o.Interface == g.Interface && o.VRRP.RouterID != g.VRRP.RouterID {
				g.VRRP.Siblings = append(g.VRRP.Siblings, o.VRRP.RouterID)
			}
		}
	}
}

// elsewhere reports peers and neighbors that are virtual addresses themselves,
// and so this very node at times.
func elsewhere(groups []Group, bad func(key, problem string)) {
	virtual := map[netip.Addr]string{}
	for _, g := range groups {
		for _, a := range g.addrs() {
			virtual[a] = g.Name
		}
	}
	report := func(key string, a netip.Addr) {
		if name, found := virtual[a]; found {
			bad(key, fmt.Sprintf("%v is an address of group %q, and moves: name the other node's own", a, name))
		}
	}
	for i, g := range groups {
		for j, a := range g.VRRP.Peers {
			report(fmt.Sprintf("vip[%d].vrrp.peers[%d]", i, j), a)
		}
		for j, n := range g.BGP.Neighbors {
			report(fmt.Sprintf("vip[%d].bgp.neighbors[%d].address", i, j), n.Address)
		}
	}
}

// parser reads one section and reports faults below its key.
type parser struct {
	key      string
	bad      func(key, problem string)
	readFile func(string) ([]byte, error)
	local    Local
}

func (p parser) fault(key, format string, args ...any) {
	p.bad(p.key+"."+key, fmt.Sprintf(format, args...))
}

func (p parser) group(s Section) Group {
	g := Group{Name: s.Name, Interface: s.Interface, Owner: Owner(s.Owner)}
	if g.Name == "" {
		p.fault("name", "missing: services refer to the group by it")
	}
	if g.Interface == "" {
		g.Interface = p.local.Interface
	}
	switch {
	case g.Interface == "":
		p.fault("interface", "missing, and there is no default: name it here or in [node]")
	case g.Interface == "lo" || len(g.Interface) > 15 || strings.ContainsAny(g.Interface, "/ \t\n") || g.Interface == "." || g.Interface == "..":
		p.fault("interface", "%q cannot serve clients: allowed is the name of a network interface other than lo, up to 15 characters", g.Interface)
	}
	g.Addresses = p.addresses(s.Addresses)

	switch g.Owner {
	case "":
		g.Owner = OwnerVRRP
	case OwnerVRRP, OwnerBGP, OwnerStatic:
	default:
		p.fault("owner", `%q is unknown: allowed are "vrrp", "bgp" and "static"`, s.Owner)
	}
	for owner, table := range map[Owner]any{OwnerVRRP: s.VRRP, OwnerBGP: s.BGP} {
		if owner != g.Owner && !reflect.ValueOf(table).IsZero() {
			p.fault(string(owner), "has no effect with owner = %q: remove it, or set owner = %q", g.Owner, owner)
		}
	}
	switch g.Owner {
	case OwnerBGP:
		p.key += ".bgp"
		g.BGP = p.bgp(s.BGP)
		g.Track = p.track(s.BGP.Track, track.Section{L7: true})
	case OwnerVRRP:
		v6 := len(g.Addresses) > 0 && g.ipv6()
		p.key += ".vrrp"
		g.VRRP = p.vrrp(s.VRRP, v6)
		weight := notReady
		g.Track = p.track(s.VRRP.Track, track.Section{L7: true, Weight: &weight})
	}
	return g
}

// maxAddresses keeps an advert with IPv6 addresses within one Ethernet frame.
const maxAddresses = 64

func (p parser) addresses(ss []string) []netip.Prefix {
	if n := len(ss); n == 0 || n > maxAddresses {
		p.fault("addresses", "%d addresses: allowed are 1 to %d", n, maxAddresses)
	}
	var ps []netip.Prefix
	for i, s := range ss {
		a, err := parsePrefix(s)
		ip := a.Addr()
		switch {
		case err != nil:
			p.fault(fmt.Sprintf("addresses[%d]", i), "%q is no address: allowed are ADDRESS and ADDRESS/LENGTH", s)
		case ip.IsUnspecified(), ip.IsLoopback(), ip.IsMulticast(), ip.Is4In6():
			p.fault(fmt.Sprintf("addresses[%d]", i), "%q cannot be a virtual address: allowed are unicast addresses", s)
		default:
			ps = append(ps, a)
		}
	}
	return ps
}

func parsePrefix(s string) (netip.Prefix, error) {
	if strings.Contains(s, "/") {
		return netip.ParsePrefix(s)
	}
	a, err := netip.ParseAddr(s)
	if err == nil && a.Zone() != "" {
		err = errors.New("zone") // PrefixFrom would drop it
	}
	return netip.PrefixFrom(a, a.BitLen()), err
}
