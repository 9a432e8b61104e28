package certs

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"time"
)

// TicketPeriod is how long one key seals session tickets. A ticket is opened
// in the period it was made in and in the one after, and by an edge whose
// clock is behind also in the one before.
const TicketPeriod = 12 * time.Hour

// Tickets seal TLS session tickets (RFC 5077; RFC 8446, section 4.6.1) with
// keys that every edge derives by itself, so that a session begun at one edge
// is resumed at any other, and after a restart.
//
// The keys come from a secret that the edges share, or, without one, from the
// private key of the certificate that is shown, which they share as well.
// Whoever steals a certificate's key could then open tickets recorded before.
// In TLS 1.3 such a ticket reveals no traffic, because a resumption exchanges
// keys anew; in TLS 1.2 it holds the session's keys, so that there the derived
// key is one of this process alone.
type Tickets struct {
	store *Store
	own   []byte // random
	now   func() time.Time

	mu     sync.Mutex
	secret []byte // nil for the certificates' keys
	period uint64
	seals  map[string]*tls.Config // by secret, of the period
}

// NewTickets returns Tickets for the certificates of s that share no secret
// yet.
func NewTickets(s *Store, now func() time.Time) *Tickets {
	own := make([]byte, 32)
	rand.Read(own) // never fails
	return &Tickets{store: s, own: own, now: now}
}

// Share makes secret, of 32 bytes at least, what the keys come from; nil stands
// for the certificates' keys again.
func (t *Tickets) Share(secret []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.secret = secret
}

// Bind makes c issue and accept tickets of t. scope is what a ticket is good
// for beside its server name: one that was issued in another scope, where
// other clients are let in perhaps, is not accepted.
func (t *Tickets) Bind(c *tls.Config, scope string) {
	label := func(cs tls.ConnectionState) []byte { return []byte(scope + "\x00" + canonical(cs.ServerName)) }
	c.WrapSession = func(cs tls.ConnectionState, ss *tls.SessionState) ([]byte, error) {
		seal, err := t.seal(cs)
		if err != nil {
			return nil, err
		}
		ss.Extra = append(ss.Extra, label(cs))
		return seal.EncryptTicket(cs, ss)
	}
	c.UnwrapSession = func(identity []byte, cs tls.ConnectionState) (*tls.SessionState, error) {
		seal, err := t.seal(cs)
		if err != nil {
			return nil, err
		}
		ss, err := seal.DecryptTicket(identity, cs)
		if ss == nil || err != nil || !slices.ContainsFunc(ss.Extra, func(e []byte) bool { return slices.Equal(e, label(cs)) }) {
			return nil, err
		}
		ss.Extra = nil // a renewed ticket gets its own
		return ss, nil
	}
}

// seal returns what holds the keys for a connection; crypto/tls does the
// sealing.
func (t *Tickets) seal(cs tls.ConnectionState) (*tls.Config, error) {
	period := uint64(t.now().Unix()) / uint64(TicketPeriod/time.Second)
	t.mu.Lock()
	defer t.mu.Unlock()
	secret, err := t.secretFor(cs)
	if err != nil {
		return nil, err
	}
	if t.seals == nil || t.period != period {
		t.period, t.seals = period, make(map[string]*tls.Config)
	}
	c := t.seals[string(secret)]
	if c == nil {
		c = &tls.Config{}
		var keys [][32]byte
		for _, p := range []uint64{period, period - 1, period + 1} { // the first one seals
			key, err := derive(secret, "portico session ticket", binary.BigEndian.AppendUint64(nil, p))
			if err != nil {
				return nil, err
			}
			keys = append(keys, [32]byte(key))
		}
		c.SetSessionTicketKeys(keys)
		t.seals[string(secret)] = c
	}
	return c, nil
}

// secretFor returns what the keys for a connection are derived from.
func (t *Tickets) secretFor(cs tls.ConnectionState) ([]byte, error) {
	if t.secret != nil {
		return t.secret, nil
	}
	if cs.Version != tls.VersionTLS13 {
		return t.own, nil
	}
	seed, err := t.store.seed(cs.ServerName)
	if seed == nil {
		seed = t.own
	}
	return seed, err
}

// seedOf derives a certificate's seed from its key; nil where the key cannot
// be had.
func seedOf(c *tls.Certificate) []byte {
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		return nil
	}
	seed, err := derive(der, "portico session ticket seed", nil)
	if err != nil {
		return nil
	}
	return seed
}

func derive(secret []byte, purpose string, salt []byte) ([]byte, error) {
	key, err := hkdf.Key(sha256.New, secret, salt, purpose, 32)
	if err != nil {
		return nil, fmt.Errorf("derive the key of session tickets: %w", err)
	}
	return key, nil
}
