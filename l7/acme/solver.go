package acme

import (
	"context"
	"crypto/tls"
	"time"

	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"
)

// challengeLife is how long a challenge may stand: CAs ask within seconds, and
// an order takes orderMost. What an edge that vanished left behind is removed
// after it.
const challengeLife = time.Hour

// Protocol is what a CA offers by ALPN when it asks by TLS, and nobody else
// (RFC 8737, section 6.2). The connection ends with the handshake.
const Protocol = acmez.ACMETLS1Protocol

// A solver has every edge answer a challenge, by storing it.
type solver struct{ storage Storage }

var (
	_ acmez.Solver = solver{}
	_ acmez.Waiter = solver{}
)

// Present stores the challenge.
func (s solver) Present(ctx context.Context, c acme.Challenge) error {
	return s.storage.Store(ctx, challengeKey(c.Token), Item{
		hostField:    []byte(c.Identifier.Value),
		tokenField:   []byte(c.Token),
		authField:    []byte(c.KeyAuthorization),
		expiresField: []byte(time.Now().Add(challengeLife).UTC().Format(time.RFC3339)),
	})
}

// Wait gives the other edges the time to know it: they look nothing up when
// they are asked.
func (s solver) Wait(ctx context.Context, _ acme.Challenge) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(s.storage.Settle()):
		return nil
	}
}

// CleanUp removes the challenge, also where the order was broken off.
func (s solver) CleanUp(ctx context.Context, c acme.Challenge) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return s.storage.Delete(ctx, challengeKey(c.Token))
}

// A challenge is what edges answer with.
type challenge struct {
	host, keyAuth string
	expires       time.Time
	// proof is for a handshake of ALPN acme-tls/1.
	proof *tls.Certificate
}

// readChallenge makes the certificate now: a handshake must not wait for it.
func readChallenge(item Item) (challenge, error) {
	c := challenge{host: string(item[hostField]), keyAuth: string(item[authField])}
	var err error
	if c.expires, err = time.Parse(time.RFC3339, string(item[expiresField])); err != nil {
		return c, err
	}
	c.proof, err = acmez.TLSALPN01ChallengeCert(acme.Challenge{
		Identifier:       acme.Identifier{Type: "dns", Value: c.host},
		KeyAuthorization: c.keyAuth,
	})
	return c, err
}
