// Package certs chooses the certificate that a TLS client is shown.
package certs

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A Pair is a certificate chain with its key.
type Pair struct {
	// Name is the identity of the pair: a Secret, or a file. Pairs of one Name
	// may stand for several lists of Hosts.
	Name string
	// Hosts are the lower-case names served with it, "*." standing for one
	// label; none means the DNS names in the certificate.
	Hosts           []string
	CertPEM, KeyPEM []byte
	// Default says that clients which ask for no name, or for one that nobody
	// has, are shown this pair. The first such pair wins.
	Default bool
}

// String returns the name: the key must not get into a log.
func (p Pair) String() string { return p.Name }

// MarshalText keeps the key out of what is encoded as JSON.
func (p Pair) MarshalText() ([]byte, error) { return []byte(p.Name), nil }

// A Certificate describes a Pair that is served.
type Certificate struct {
	Name string `json:"name"`
	// Hosts are those that this pair is shown for; other pairs may have taken
	// some of its names.
	Hosts    []string  `json:"hosts"`
	Default  bool      `json:"default,omitempty"`
	NotAfter time.Time `json:"not_after"`
	// Stapled is until when a response of OCSP is shown with it.
	Stapled time.Time `json:"ocsp_until,omitzero"`
	// Err is why the pair last given is not used; the one before it is.
	Err string `json:"error,omitempty"`
}

// A Store holds the certificates. Its methods may be called from any
// goroutine.
type Store struct {
	table atomic.Pointer[table]
	// fallback is made once, when the first client needs it.
	fallback func() (*entry, error)
	// changed rings when table has changed, for one Stapler.
	changed chan struct{}

	mu sync.Mutex
	// good holds the last good pair of each name that was in the last Set.
	good map[string]keyPair
}

// A keyPair is a Pair that was parsed.
type keyPair struct {
	certPEM, keyPEM []byte
	certificate     *entry
}

// An entry is a certificate with what session tickets are sealed with where
// the edges share nothing else.
type entry struct {
	tls.Certificate
	seed   []byte
	staple atomic.Pointer[staple]
}

// table is what a handshake looks at; it is immutable.
type table struct {
	names     map[string]*entry
	wildcards map[string]*entry // by name without "*."
	byDefault *entry            // nil for the fallback
	status    []Certificate
	entries   []*entry // those of status
}

// New returns a Store that shows a self-signed certificate until Set.
func New() *Store {
	s := &Store{fallback: sync.OnceValues(selfSigned), changed: make(chan struct{}, 1)}
	s.table.Store(&table{})
	return s
}

// Set replaces all pairs. A broken one is an error each time it is given; in
// its stead the last good one of its Name is served, if there was one. Where
// two pairs claim a host the one that stands first has it.
func (s *Store) Set(pairs []Pair) []error {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := &table{
		names:     make(map[string]*entry),
		wildcards: make(map[string]*entry),
	}
	good := make(map[string]keyPair, len(pairs))
	var errs []error
	for _, p := range pairs {
		k, ok := good[p.Name]
		if !ok {
			k, ok = s.good[p.Name]
		}
		var fault error
		if !ok || !bytes.Equal(k.certPEM, p.CertPEM) || !bytes.Equal(k.keyPEM, p.KeyPEM) {
			c, err := tls.X509KeyPair(p.CertPEM, p.KeyPEM)
			switch {
			case err == nil:
				k = keyPair{p.CertPEM, p.KeyPEM, &entry{Certificate: c, seed: seedOf(&c)}}
			case ok:
				fault = fmt.Errorf("certificate %s: %w: correct it, the one before stays in use", p.Name, err)
			default:
				fault = fmt.Errorf("certificate %s: %w: correct it, its hosts get the default certificate", p.Name, err)
			}
		}
		if fault != nil {
			errs = append(errs, fault)
		}
		if k.certificate != nil {
			good[p.Name] = k
			t.add(p, k.certificate, fault)
		}
	}
	s.good = good
	s.table.Store(t)
	select {
	case s.changed <- struct{}{}:
	default: // already rung
	}
	return errs
}

// add gives the hosts of p that nobody has yet to c.
func (t *table) add(p Pair, c *entry, fault error) {
	status := Certificate{Name: p.Name, NotAfter: c.Leaf.NotAfter}
	if fault != nil {
		status.Err = fault.Error()
	}
	if p.Default && t.byDefault == nil {
		t.byDefault, status.Default = c, true
	}
	hosts := p.Hosts
	if len(hosts) == 0 {
		hosts = c.Leaf.DNSNames
	}
	for _, h := range hosts {
		h = canonical(h)
		m, name := t.names, h
		if rest, ok := strings.CutPrefix(h, "*."); ok {
			m, name = t.wildcards, rest
		}
		if m[name] == nil {
			m[name] = c
			status.Hosts = append(status.Hosts, h)
		}
	}
	t.status, t.entries = append(t.status, status), append(t.entries, c)
}

// GetCertificate is for tls.Config: the certificate of the name the client
// asks for, else that of the wildcard for it, else the default.
func (s *Store) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	e, err := s.shown(hello.ServerName)
	if err != nil {
		return nil, err
	}
	return e.with(time.Now()), nil
}

// Known reports whether a certificate names name, exactly or by wildcard.
func (s *Store) Known(name string) bool { return s.table.Load().named(name) != nil }

// shown returns what a client is shown that asks for name.
func (s *Store) shown(name string) (*entry, error) {
	t := s.table.Load()
	if e := t.named(name); e != nil {
		return e, nil
	}
	if t.byDefault != nil {
		return t.byDefault, nil
	}
	return s.fallback()
}

func (s *Store) seed(name string) ([]byte, error) {
	e, err := s.shown(name)
	if err != nil {
		return nil, err
	}
	return e.seed, nil
}

func (t *table) named(name string) *entry {
	name = canonical(name)
	if e := t.names[name]; e != nil {
		return e
	}
	if _, parent, ok := strings.Cut(name, "."); ok {
		return t.wildcards[parent]
	}
	return nil
}

// Status describes the pairs in the order of the last Set, without those that
// never were any good.
func (s *Store) Status() []Certificate {
	t, now := s.table.Load(), time.Now()
	out := slices.Clone(t.status)
	for i, e := range t.entries {
		if st := e.staple.Load(); st != nil && now.Before(st.until) {
			out[i].Stapled = st.until
		}
	}
	return out
}

// withResponder returns the entries that OCSP can be asked about, with their
// names.
func (s *Store) withResponder() map[*entry]string {
	t := s.table.Load()
	out := make(map[*entry]string)
	for i, e := range t.entries {
		if e.responder() {
			out[e] = t.status[i].Name
		}
	}
	return out
}

// canonical lower-cases a name and cuts off the dot of a fully qualified one,
// so that both forms get the same certificate.
func canonical(name string) string {
	return strings.TrimSuffix(strings.ToLower(name), ".")
}
