// Package acme gets certificates from a CA that speaks ACME (RFC 8555) and
// keeps them renewed, for any number of edges behind one address.
//
// The edges share a Storage. One of them, chosen by the storage, orders;
// all of them serve what it gets, and answer the CA's challenges, which may come
// to any. What a client or a CA asks is answered from memory: whoever asks for
// tokens and names that do not exist causes no look-up and waits for nothing.
package acme

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Options are what a Manager needs.
type Options struct {
	Log     *slog.Logger
	Config  Config
	Storage Storage
}

// A Manager keeps certificates for hosts. New starts nothing; Run blocks.
type Manager struct {
	log     *slog.Logger
	config  Config
	storage Storage
	changed chan struct{}
	view    atomic.Pointer[view]
	wanted  atomic.Pointer[[]string]
	// rewanted rings when wanted has changed, work when there may be something
	// to do for the leader.
	rewanted, work chan struct{}

	reading sync.Mutex // held while the view is made anew

	mu sync.Mutex
	// leads says that this edge orders; records are its own. written is what it has written
	// and the storage's Items do not show yet, nil for what it has deleted.
	leads   bool
	records map[string]record
	written map[Key]Item
}

// A view is what Items mean; it is immutable.
type view struct {
	challenges   map[string]challenge // by token
	proofs       map[string]challenge // by host
	certificates map[string]certificate
	faults       map[string]fault
}

// A certificate is a stored one.
type certificate struct {
	Pair
	leaf *x509.Certificate
	ca   string
}

// A fault is why the last order of a host failed, and how often that was in a
// row. Whoever orders next goes by it, too.
type fault struct {
	CA       string    `json:"ca"`
	Host     string    `json:"host"`
	Text     string    `json:"text"`
	Failures int       `json:"failures"`
	At       time.Time `json:"at"`
}

// A Pair is a certificate for a host.
type Pair struct {
	Host            string
	CertPEM, KeyPEM []byte
}

// String keeps the key out of logs.
func (p Pair) String() string { return p.Host }

// New returns a Manager that wants nothing yet. It knows already what the storage
// does, so that nobody is shown a wrong certificate while a process starts.
func New(o Options) *Manager {
	m := &Manager{
		log: o.Log, config: o.Config, storage: o.Storage,
		changed: make(chan struct{}, 1), rewanted: make(chan struct{}, 1), work: make(chan struct{}, 1),
		records: map[string]record{}, written: map[Key]Item{},
	}
	m.view.Store(&view{})
	m.read()
	m.wanted.Store(&[]string{})
	return m
}

// Run follows the storage, and orders when it is this edge's turn, until ctx
// ends.
func (m *Manager) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var group sync.WaitGroup
	defer group.Wait()
	defer cancel()
	ended := make(chan error, 1)
	group.Go(func() { ended <- m.storage.Run(ctx, m.lead) })
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-ended:
			return err
		case <-m.storage.Changed():
			m.read()
			ring(m.work)
		case <-m.rewanted:
			ring(m.changed)
			ring(m.work)
		}
	}
}

// Want says which hosts shall have a certificate: all of them, each time. They
// are canonical.
func (m *Manager) Want(hosts []string) {
	hosts = slices.Clone(hosts)
	slices.Sort(hosts)
	hosts = slices.Compact(hosts)
	if slices.Equal(hosts, *m.wanted.Load()) {
		return
	}
	m.wanted.Store(&hosts)
	ring(m.rewanted)
}

// Changed rings when Pairs or Faults have changed.
func (m *Manager) Changed() <-chan struct{} { return m.changed }

// Pairs are the certificates of the hosts that are wanted, in their order, as
// far as there are any.
func (m *Manager) Pairs() []Pair {
	v := m.view.Load()
	var out []Pair
	for _, h := range *m.wanted.Load() {
		if c, ok := v.certificates[h]; ok {
			out = append(out, c.Pair)
		}
	}
	return out
}

// Faults is why hosts that are wanted could not be given a certificate, or a
// new one.
func (m *Manager) Faults() map[string]string {
	v := m.view.Load()
	out := make(map[string]string)
	for _, h := range *m.wanted.Load() {
		if f, ok := v.faults[h]; ok {
			out[h] = f.Text
		}
	}
	return out
}

// KeyAuthorization answers a CA that asks for a token by HTTP.
func (m *Manager) KeyAuthorization(token string) (string, bool) {
	c, ok := m.view.Load().challenges[token]
	return c.keyAuth, ok
}

// errNoChallenge ends the handshake of a stranger.
var errNoChallenge = errors.New("no challenge of ACME is open for the name that the client asks for")

// Proof answers a CA that asks for host by TLS (RFC 8737).
func (m *Manager) Proof(host string) (*tls.Certificate, error) {
	c, ok := m.view.Load().proofs[host]
	if !ok {
		return nil, errNoChallenge
	}
	return c.proof, nil
}

// read brings the view up to date.
func (m *Manager) read() {
	m.reading.Lock()
	defer m.reading.Unlock()
	old := m.view.Load()
	v := &view{
		challenges: map[string]challenge{}, proofs: map[string]challenge{},
		certificates: map[string]certificate{}, faults: map[string]fault{},
	}
	for key, item := range m.items() {
		switch key.Kind {
		case ChallengeKind:
			m.addChallenge(v, old, key, item)
		case CertificateKind:
			m.addCertificate(v, old, key, item)
		case FaultKind:
			m.addFault(v, key, item)
		}
	}
	m.view.Store(v)
	if !maps.Equal(v.faults, old.faults) ||
		!maps.EqualFunc(v.certificates, old.certificates, func(a, b certificate) bool { return a.leaf == b.leaf }) {
		ring(m.changed)
	}
}

// items is what the storage shows, and what it will show in a moment.
func (m *Manager) items() Items {
	items := m.storage.Items()
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.written) == 0 {
		return items
	}
	if items = maps.Clone(items); items == nil {
		items = Items{}
	}
	for key, item := range m.written {
		switch shown, ok := items[key]; {
		case ok == (item != nil) && item.equal(shown):
			delete(m.written, key)
		case item == nil:
			delete(items, key)
		default:
			items[key] = item
		}
	}
	return items
}

// same says that c is that of item.
func (c certificate) same(item Item) bool {
	return c.leaf != nil && bytes.Equal(c.CertPEM, item[certField]) && bytes.Equal(c.KeyPEM, item[keyField]) && c.ca == string(item[caField])
}

func (c certificate) held() held { return held{c.leaf.NotBefore, c.leaf.NotAfter, c.ca} }

func (c certificate) since() time.Time {
	if c.leaf == nil {
		return time.Time{}
	}
	return c.leaf.NotBefore
}

func (m *Manager) addChallenge(v, old *view, key Key, item Item) {
	token := string(item[tokenField])
	c, ok := old.challenges[token]
	if !ok || c.keyAuth != string(item[authField]) {
		var err error
		if c, err = readChallenge(item); err != nil {
			m.log.Warn("stored challenge is none", "challenge", key.Name, "err", err)
			return
		}
	}
	v.challenges[token] = c
	if c.expires.After(v.proofs[c.host].expires) {
		v.proofs[c.host] = c
	}
}

func (m *Manager) addCertificate(v, old *view, key Key, item Item) {
	host := string(item[hostField])
	c, err := readCertificate(item, old.certificates[host])
	if err == nil && key != hostKey(CertificateKind, host) {
		err = fmt.Errorf("it is of %q", host)
	}
	if err != nil {
		m.log.Warn("stored certificate is none: it is ordered anew", "certificate", key.Name, "err", err)
		return
	}
	v.certificates[host] = c
}

func (m *Manager) addFault(v *view, key Key, item Item) {
	var f fault
	if err := json.Unmarshal(item[faultField], &f); err != nil {
		m.log.Warn("stored fault is none", "fault", key.Name, "err", err)
		return
	}
	if f.CA == m.config.CA { // another one may think otherwise
		v.faults[f.Host] = f
	}
}

// readCertificate parses an item unless it is that of old.
func readCertificate(item Item, old certificate) (certificate, error) {
	if old.same(item) {
		return old, nil
	}
	pair, err := tls.X509KeyPair(item[certField], item[keyField])
	if err != nil {
		return certificate{}, err
	}
	host := string(item[hostField])
	if err := pair.Leaf.VerifyHostname(host); err != nil {
		return certificate{}, err
	}
	return certificate{Pair{host, item[certField], item[keyField]}, pair.Leaf, string(item[caField])}, nil
}
