package backend

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/portico-lb/portico/l7/route"
)

// Sticky keeps a client with the endpoint that answered it first, as long as
// that is there, by a cookie.
type Sticky struct {
	// Cookie is its name, "" for none.
	Cookie string
	// MaxAge is how long a client keeps it, in whole seconds; 0 is until it
	// ends.
	MaxAge time.Duration
	// SameSite is the attribute of that name: Lax, Strict or None, "" for
	// none.
	SameSite string
	// Secret keys the cookies. Nodes that share it read each other's, also
	// those of endpoints that are no Pods. It may be empty.
	Secret string
}

// CookieMost is how long a cookie's name may be in bytes, SetCookieMost how long
// what SetCookie returns is at most.
const (
	CookieMost    = 64
	SetCookieMost = CookieMost + 100
)

// tokenSize is how much of a hash a token keeps: enough that none is guessed
// and no two are the same.
const tokenSize = 16

// token is what a cookie says of an endpoint. It tells nobody an address, for
// it comes from the Pod's UID, which is random, or is keyed with secret. Nodes
// with the same secret give the same token.
func token(e route.Endpoint, secret []byte) string {
	h := hmac.New(sha256.New, secret)
	h.Write([]byte(e.ID))
	if e.ID == "" {
		b, _ := e.Addr.MarshalBinary() // never fails
		h.Write(b)
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:tokenSize])
}

// An affinity is what a client is told to come back to an endpoint.
type affinity struct {
	token string
	// cookie is what sets the cookie, secure that for clients that came over
	// TLS.
	cookie, secure string
}

func (p *Pool) affinity(e route.Endpoint, s Sticky) *affinity {
	secret := []byte(s.Secret)
	if len(secret) == 0 && e.ID == "" {
		secret = p.local()
	}
	a := &affinity{token: token(e, secret)}
	attributes := "; Path=/; HttpOnly"
	if s.SameSite != "" {
		attributes += "; SameSite=" + s.SameSite
	}
	if s.MaxAge > 0 {
		attributes += fmt.Sprintf("; Max-Age=%d", int(s.MaxAge.Seconds()))
	}
	a.cookie = s.Cookie + "=" + a.token + attributes
	a.secure = a.cookie + "; Secure"
	return a
}

// Holds reports whether a sticky cookie's value names an endpoint of p's.
func (p *Pool) Holds(token []byte) bool {
	return len(token) > 0 && p.plan.Load().tokens[string(token)] != nil
}

// local is a secret that nobody else has, for as long as the pool lives.
func (p *Pool) local() []byte {
	if p.random == nil {
		p.random = make([]byte, sha256.Size)
		rand.Read(p.random) // never fails
	}
	return p.random
}

// SetCookie returns the Set-Cookie by which the client of c is told to come back
// to b's endpoint, "" where there is nothing to tell.
func (b *Conn) SetCookie(c *Call, secure bool) string {
	a := b.ep.affinity.Load()
	switch {
	case a == nil || a.token == string(c.Token):
		return ""
	case secure:
		return a.secure
	}
	return a.cookie
}
