package importer

import (
	"fmt"
	"math/bits"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// schedulers are those of portico; of keepalived's, twos is missing.
var schedulers = []string{"rr", "wrr", "lc", "wlc", "lblc", "lblcr", "sh", "mh", "dh", "fo", "ovf", "sed", "nq"}

// A target is what a virtual server is for: an address and port, or a mark.
type target struct {
	addr netip.Addr
	port int
	mark int
	v6   bool // of a mark
	at   Origin
}

// A server is a real_server.
type server struct {
	addr         netip.Addr
	port, weight int
	upper, lower int
	check        *check
	at           Origin
}

// A serviceReader reads one virtual_server.
type serviceReader struct {
	k         *keepalived
	targets   []target
	protocol  string
	keys      []key // in their order, without the address
	scheduler string
	forward   string
	flags     []string
	flagsAt   Origin
	persist   bool
	servers   []server
	check     checkDefaults
	quorum    key
	sorry     key
	sorryAddr netip.Addr
	notes     []Note
}

// lostService are directives of virtual_server without a counterpart.
var lostService = map[string]string{
	"alpha":                   "a server is down until its first check has passed, or as it was before the restart",
	"omega":                   "a stop leaves servers as they are for the next start",
	"ha_suspend":              "a node that does not own the address has no service of it, and checks on",
	"quorum_up":               "no script runs: metrics and the journal tell",
	"quorum_down":             "no script runs: metrics and the journal tell",
	"hysteresis":              "rise of the check has a server prove itself before it counts",
	"persistence_engine":      "a client is known by its address",
	"sorry_server_inhibit":    "the sorry server gets weight only while it is needed",
	"sorry_server_lvs_method": "the sorry server is reached as the servers are",
	"smtp_alert":              "mail tells of owners; servers that fail are in the journal and the metrics",
	"inhibit_on_failure":      "a server that fails keeps its place with weight 0 always",
	"notify_up":               "no script runs: metrics and the journal tell",
	"notify_down":             "no script runs: metrics and the journal tell",
	"hashed":                  "the kernel's own",
	"log_all_failures":        "the journal has the first failure and the last",
}

func (k *keepalived) virtualServer(n node) {
	s := serviceReader{k: k, targets: k.targetsOf(n), protocol: "tcp", scheduler: "wlc", forward: "nat"}
	s.check = checkDefaults{interval: 60, timeout: 5, fall: 2}
	for _, d := range n.body {
		s.directive(d)
	}
	for _, d := range n.body {
		switch d.name() {
		case "real_server":
			s.realServer(d)
		case "sorry_server":
			s.sorryServer(d)
		}
	}
	if len(s.targets) == 0 {
		k.doc.note(nil, Wrong, n.at, "virtual_server %s is for no address that is known here", strings.Join(n.words[1:], " "))
		return
	}
	for _, t := range s.targets {
		s.write(t)
	}
}

// targetsOf reads the words behind virtual_server.
func (k *keepalived) targetsOf(n node) []target {
	if n.word(1) == "group" {
		group := k.virtual[n.word(2)]
		if group.words == nil {
			k.doc.note(nil, Wrong, n.at, "virtual_server_group %s is defined nowhere", n.word(2))
		}
		var out []target
		for _, l := range group.body {
			out = append(out, k.parseTarget(l.words, l.at)...)
		}
		return out
	}
	return k.parseTarget(n.words[min(1, len(n.words)):], n.at)
}

// parseTarget reads "ADDRESS PORT", "ADDRESS-LAST PORT" and "fwmark N".
func (k *keepalived) parseTarget(words []string, at Origin) []target {
	if len(words) < 2 {
		return nil
	}
	if words[0] == "fwmark" {
		mark, ok := number(words[1], 1, 1<<31-1)
		if !ok {
			return nil
		}
		return []target{{mark: mark, at: at, v6: slices.Contains(words, "inet6")}}
	}
	port, ok := number(words[1], 1, 65535)
	first, last, ranged := strings.Cut(words[0], "-")
	a, err := netip.ParseAddr(first)
	if err != nil || !ok {
		k.doc.note(nil, Wrong, at, "%s is no address and port", strings.Join(words, " "))
		return nil
	}
	count := 1
	if ranged {
		base, lowest := 10, a.AsSlice()
		from := int(lowest[len(lowest)-1])
		if a.Is6() {
			base, from = 16, from|int(lowest[len(lowest)-2])<<8
		}
		to, err := strconv.ParseUint(last, base, 16)
		if err != nil || int(to) < from || int(to)-from > 4096 {
			k.doc.note(nil, Wrong, at, "%s is no range of addresses", words[0])
			return nil
		}
		count = int(to) - from + 1
	}
	var out []target
	for range count {
		out = append(out, target{addr: a, port: port, at: at})
		a = a.Next()
	}
	return out
}

func (s *serviceReader) set(at Origin, name string, value any) {
	s.keys = append(s.keys, key{name: name, value: toTOML(value), at: at})
}

func (s *serviceReader) note(kind Kind, at Origin, format string, args ...any) {
	s.notes = append(s.notes, Note{at, kind, oneLine(fmt.Sprintf(format, args...))})
}

func (s *serviceReader) directive(d node) {
	switch name := d.name(); name {
	case "lb_algo", "lvs_sched":
		s.algorithm(d)
	case "lb_kind", "lvs_method":
		methods := map[string]string{"NAT": "nat", "DR": "dr", "TUN": "tunnel"}
		method, known := methods[strings.ToUpper(d.word(1))]
		if !known {
			s.note(Wrong, d.at, "%s %s does not exist: \"dr\" is put in its place", name, d.word(1))
			method = "dr"
		}
		s.forward = method
		s.set(d.at, "forward", method)
		s.tunnel(d)
	case "protocol":
		if p := strings.ToLower(d.word(1)); slices.Contains([]string{"tcp", "udp", "sctp"}, p) {
			s.protocol = p
		} else {
			s.note(Wrong, d.at, "protocol %s does not exist: TCP is put in its place", d.word(1))
		}
	case "persistence_timeout":
		seconds := 360 // when given bare
		if n, ok := number(d.word(1), 0, 31*86400); ok {
			seconds = n
		}
		if seconds > 0 {
			s.persist = true
			s.set(d.at, "persistence", duration(float64(seconds)))
		}
	case "persistence_granularity":
		s.granularity(d)
	case "ops":
		s.set(d.at, "one_packet", true)
	case "mh-port", "sh-port":
		s.flags, s.flagsAt = append(s.flags, "port"), d.at
	case "mh-fallback", "sh-fallback":
		s.flags, s.flagsAt = append(s.flags, "fallback"), d.at
	case "quorum":
		s.quorum = key{name: "quorum", value: onlyNumber(d.word(1)), at: d.at}
	case "delay_loop", "connect_timeout", "retry", "nb_get_retry", "delay_before_retry", "warmup", "virtualhost":
		s.check.directive(d)
	case "real_server", "sorry_server":
	default:
		s.lost(d)
	}
}

func (s *serviceReader) lost(d node) {
	why, known := lostService[d.name()]
	if !known {
		s.note(Wrong, d.at, "%s is no directive of a virtual_server", d.name())
		return
	}
	s.note(Lost, d.at, "%s: %s", d.name(), why)
}

func (s *serviceReader) algorithm(d node) {
	algo := strings.ToLower(d.word(1))
	switch {
	case slices.Contains(schedulers, algo):
		s.scheduler = algo
	case algo == "twos":
		s.note(Lost, d.at, "lb_algo twos: wlc is put in its place")
		s.scheduler = "wlc"
	default:
		s.note(Wrong, d.at, "%s %s does not exist in the kernel: keepalived could not program the service with it, \"mh\" is put in its place", d.name(), d.word(1))
		s.scheduler = "mh"
	}
	s.set(d.at, "scheduler", s.scheduler)
}

func (s *serviceReader) tunnel(d node) {
	if s.forward != "tunnel" || len(d.words) < 4 || d.word(2) != "type" {
		return
	}
	s.set(d.at, "tunnel", d.word(3))
	if i := slices.Index(d.words, "port"); i > 0 && i+1 < len(d.words) {
		s.set(d.at, "tunnel_port", raw(onlyNumber(d.words[i+1])))
	}
	for _, w := range d.words {
		if sum, known := map[string]string{"nocsum": "none", "csum": "full", "remcsum": "remote"}[w]; known {
			s.set(d.at, "tunnel_checksum", sum)
		}
	}
}

// granularity reads a mask of IPv4 or the length of a prefix.
func (s *serviceReader) granularity(d node) {
	if a, err := netip.ParseAddr(d.word(1)); err == nil && a.Is4() {
		b := a.As4()
		mask := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
		s.set(d.at, "persistence_prefix4", bits.LeadingZeros32(^mask))
		return
	}
	if n, ok := number(d.word(1), 1, 128); ok {
		s.set(d.at, "persistence_prefix6", n)
	}
}

func (s *serviceReader) realServer(d node) {
	a, err := netip.ParseAddr(d.word(1))
	if err != nil {
		s.note(Wrong, d.at, "real_server %s is no address", d.word(1))
		return
	}
	r := server{addr: a, weight: 1, at: d.at}
	r.port, _ = number(d.word(2), 1, 65535)
	var checks []*check
	defaults := s.check
	for _, o := range d.body {
		switch name := o.name(); name {
		case "weight":
			if w, ok := number(o.word(1), 0, 65535); ok {
				r.weight = w
			} else {
				s.note(Wrong, o.at, "weight %s is not within 0 to 65535: 1 is put in its place", o.word(1))
			}
		case "uthreshold":
			r.upper, _ = number(o.word(1), 0, 1<<31-1)
		case "lthreshold":
			r.lower, _ = number(o.word(1), 0, 1<<31-1)
		case "virtualhost", "delay_loop", "connect_timeout", "retry", "delay_before_retry", "warmup":
			defaults.directive(o)
		case "lvs_method":
			s.note(Lost, o.at, "lvs_method of a server: forward is of the service")
		default:
			if strings.HasSuffix(name, "_CHECK") || name == "HTTP_GET" || name == "SSL_GET" {
				continue
			}
			s.lost(o)
		}
	}
	for _, o := range d.body {
		if c := s.readCheck(o, defaults, r.port); c != nil {
			checks = append(checks, c)
		}
	}
	slices.SortStableFunc(checks, func(a, b *check) int { return b.strength - a.strength })
	if len(checks) > 0 {
		r.check = checks[0]
	}
	if len(checks) > 1 {
		s.note(Changed, d.at, "a server has one check here: of %d that of kind %s is taken", len(checks), checks[0].kind)
	}
	s.servers = append(s.servers, r)
}

func (s *serviceReader) sorryServer(d node) {
	a, err := netip.ParseAddr(d.word(1))
	port, ok := number(d.word(2), 1, 65535)
	if err != nil {
		s.note(Wrong, d.at, "sorry_server %s is no address", d.word(1))
		return
	}
	if !ok {
		port = 0 // the service's
	}
	s.sorry, s.sorryAddr = key{name: "sorry", value: strconv.Itoa(port), at: d.at}, a
}
