package l7

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/portico-lb/portico/l7/accesslog"
	"github.com/portico-lb/portico/l7/acme"
	"github.com/portico-lb/portico/l7/backend"
	"github.com/portico-lb/portico/l7/middleware"
	"github.com/portico-lb/portico/l7/proxy"
	"github.com/portico-lb/portico/l7/trace"
	"github.com/portico-lb/portico/l7/value"
)

// A Section is [l7] as the operator writes it.
type Section struct {
	ReadyListen *string              `toml:"ready_listen"`
	StopDelay   string               `toml:"stop_delay"`
	Drain       string               `toml:"drain"`
	StateDir    string               `toml:"state_dir"`
	Entrypoint  []EntrypointSection  `toml:"entrypoint"`
	Middleware  []middleware.Section `toml:"middleware"`
	Route       []RouteSection       `toml:"route"`
	TLS         TicketSection        `toml:"tls"`
	Client      ClientSection        `toml:"client"`
	Backend     BackendSection       `toml:"backend"`
	Kubernetes  KubernetesSection    `toml:"kubernetes"`
	ACME        *acme.Section        `toml:"acme"`
	AccessLog   *accesslog.Section   `toml:"access_log"`
	Trace       *trace.Section       `toml:"trace"`
}

// An EntrypointSection is one [[l7.entrypoint]].
type EntrypointSection struct {
	Name           string      `toml:"name"`
	Listen         string      `toml:"listen"`
	TLS            *TLSSection `toml:"tls"`
	HTTP2          *bool       `toml:"http2"`
	H2C            *bool       `toml:"h2c"`
	HTTP3          bool        `toml:"http3"`
	TrustedProxies []string    `toml:"trusted_proxies"`
	ProxyProtocol  bool        `toml:"proxy_protocol"`
	RedirectTo     string      `toml:"redirect_to"`
}

// A Config is a valid [l7].
type Config struct {
	// ReadyListen is the TCP address of /ready; "" is off. Default ":9181".
	ReadyListen string
	// StopDelay is how long new connections are taken after a stop, while
	// /ready says 503 and the directors come to know: longer than the fall
	// times the interval of their check. Nobody waits where nobody asks
	// /ready. Default 8s.
	StopDelay time.Duration
	// Drain is how long in-flight requests may go on after a stop. Default 30s.
	Drain time.Duration
	// StateDir holds what should outlive a boot: what the API server said
	// last, and the key of QUIC's stateless resets. Default
	// /var/lib/portico/l7.
	StateDir    string
	Entrypoints []Entrypoint
	// Middlewares are those that routes can name.
	Middlewares map[string]middleware.Step
	// Routes are rules for backends outside of Kubernetes.
	Routes []Route
	// TicketKey is the secret that session tickets are sealed with, nil for
	// the certificates' own keys (see certs.Tickets).
	TicketKey []byte
	// OCSP has responses of certificates' issuers stapled. Default true.
	OCSP bool
	// Client is what clients may do and take.
	Client proxy.Bounds
	// Backend is how the endpoints of all backends are used.
	Backend    backend.Policy
	Kubernetes Kubernetes
	// Zone is where this node is: where a Service's endpoints say for which zones
	// they are, those for this one are used. "" is nowhere.
	Zone string
	// ACME says where certificates come from for hosts whose Ingress asks for TLS
	// and names no Secret; nil is nowhere.
	ACME *acme.Config
	// AccessLog and Trace say who is told of requests.
	AccessLog accesslog.Config
	Trace     trace.Config
}

// An Entrypoint is one listener.
type Entrypoint struct {
	Name   string
	Listen string
	// TLS is nil where the listener does not speak it.
	TLS  *TLS
	HTTP HTTP
	// Trusted lists the peers whose X-Forwarded-* fields are believed.
	Trusted []netip.Prefix
	// ProxyProtocol has their connections begin with a header of the PROXY
	// protocol.
	ProxyProtocol bool
	// Redirect leads all its clients to another entrypoint.
	Redirect proxy.Redirect
}

// Parse checks s. Every fault is told to bad with the key it stands at;
// readFile reads the certificates that the section names.
func Parse(s Section, readFile func(string) ([]byte, error), bad func(key, problem string)) Config {
	c := Config{
		ReadyListen: s.readyListen(),
		StopDelay:   parseWait(s.StopDelay, "l7.stop_delay", 8*time.Second, bad),
		Drain:       parseWait(s.Drain, "l7.drain", 30*time.Second, bad),
		StateDir:    cmp.Or(s.StateDir, "/var/lib/portico/l7"),
		TicketKey:   parseTicketKey(s.TLS, readFile, bad),
		OCSP:        s.TLS.OCSP == nil || *s.TLS.OCSP,
		Client:      parseClient(s.Client, bad),
		Backend:     parseBackend(s.Backend, backend.Default(), value.Parser{ReadFile: readFile, Bad: bad}.In("l7.backend")),
		Middlewares: parseMiddlewares(s.Middleware, s.Route, value.Parser{ReadFile: readFile, Bad: bad}.In("l7")),
		Kubernetes:  s.Kubernetes.Parse(bad),
	}
	c.AccessLog, c.Trace = parseObservers(s, value.Parser{ReadFile: readFile, Bad: bad}.In("l7"))
	c.ACME = parseACME(s.ACME, c.Kubernetes, c.StateDir, readFile, bad)
	if c.ReadyListen != "" {
		checkListen(c.ReadyListen, "l7.ready_listen", bad)
	}
	for i, e := range s.Entrypoint {
		key := fmt.Sprintf("l7.entrypoint[%d]", i)
		if slices.ContainsFunc(c.Entrypoints, func(o Entrypoint) bool { return o.Name == e.Name && e.Name != "" }) {
			bad(key+".name", fmt.Sprintf("%q is taken by another entrypoint: names must differ", e.Name))
		}
		if taker := c.taker(e.Listen); taker != "" {
			bad(key+".listen", fmt.Sprintf("%q is taken by %s: addresses must differ", e.Listen, taker))
		}
		c.Entrypoints = append(c.Entrypoints, parseEntrypoint(e, key, readFile, bad))
	}
	c.parseRedirects(s.Entrypoint, bad)
	for i, name := range c.Kubernetes.DefaultEntrypoints {
		if !c.has(name) {
			bad(fmt.Sprintf("l7.kubernetes.default_entrypoints[%d]", i), fmt.Sprintf("%q is no entrypoint: name one of [[l7.entrypoint]]", name))
		}
	}
	c.parseRoutes(s.Route, value.Parser{ReadFile: readFile, Bad: bad}.In("l7"))
	return c
}

func (s Section) readyListen() string {
	if s.ReadyListen == nil {
		return ":9181"
	}
	return *s.ReadyListen
}

// ReadyAddr is where this node itself can ask for /ready; the zero value where
// nothing answers it.
func (s Section) ReadyAddr() netip.AddrPort {
	host, service, err := net.SplitHostPort(s.readyListen())
	if err != nil {
		return netip.AddrPort{}
	}
	port, err := net.LookupPort("tcp", service)
	if err != nil || port == 0 {
		return netip.AddrPort{}
	}
	ip, err := netip.ParseAddr(host)
	switch {
	case host == "", ip == netip.IPv4Unspecified():
		ip = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	case err != nil:
		return netip.AddrPort{}
	case ip.IsUnspecified():
		ip = netip.IPv6Loopback()
	}
	return netip.AddrPortFrom(ip, uint16(port))
}

// parseWait parses how long a stop may wait for something.
func parseWait(s, key string, otherwise time.Duration, bad func(key, problem string)) time.Duration {
	if s == "" {
		return otherwise
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 || d > time.Hour {
		bad(key, fmt.Sprintf("%q is no time to wait: allowed are durations from 0s to 1h", s))
	}
	return d
}

// taker names what listens on the address already, or returns "".
func (c Config) taker(listen string) string {
	if listen == "" {
		return ""
	}
	if listen == c.ReadyListen {
		return "l7.ready_listen"
	}
	for _, e := range c.Entrypoints {
		if e.Listen == listen {
			return fmt.Sprintf("entrypoint %q", e.Name)
		}
	}
	return ""
}

func parseEntrypoint(s EntrypointSection, key string, readFile func(string) ([]byte, error), bad func(key, problem string)) Entrypoint {
	e := Entrypoint{Name: s.Name, Listen: s.Listen, ProxyProtocol: s.ProxyProtocol}
	if s.Name == "" {
		bad(key+".name", "missing: an entrypoint needs a name, such as \"http\"")
	}
	if s.Listen == "" {
		bad(key+".listen", "missing: an entrypoint needs an address, such as \":80\"")
	} else {
		checkListen(s.Listen, key+".listen", bad)
	}
	e.Trusted = value.Parser{Bad: bad}.In(key).Prefixes(s.TrustedProxies, "trusted_proxies")
	if s.ProxyProtocol && len(s.TrustedProxies) == 0 {
		bad(key+".proxy_protocol", "nobody may speak it: it needs trusted_proxies, whose connections begin with it")
	}
	if s.TLS != nil {
		e.TLS = parseTLS(*s.TLS, key+".tls", readFile, bad)
	}
	e.HTTP = parseHTTP(s, key, bad)
	return e
}

func checkListen(listen, key string, bad func(key, problem string)) {
	host, port, err := net.SplitHostPort(listen)
	if err == nil && host != "" {
		_, err = netip.ParseAddr(host)
	}
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	if err != nil || port == "" {
		bad(key, fmt.Sprintf("%q is no TCP address: want ADDRESS:PORT or :PORT", listen))
	}
}
