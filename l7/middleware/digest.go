package middleware

import (
	"context"
	"crypto/md5" //nolint:gosec // RFC 7616, section 6.1: what old clients know
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"net/http"
	"strings"

	"github.com/portico-lb/portico/l7/route"
)

// DigestAuth lets those pass that prove to know a user's password without
// sending it (RFC 7616), with MD5 or SHA-256 and qop=auth. What was proved is
// good for one request: one that comes again is asked for another proof.
type DigestAuth struct {
	// Users are the H(name:realm:password) by name, as Htdigest reads them: 32
	// hexadecimal digits of MD5 or 64 of SHA-256, all of the same kind. Nobody
	// passes where there are none.
	Users map[string]string `json:"-"`
	// Realm is that of the hashes.
	Realm string `json:"realm"`
	// RemoveHeader keeps the Authorization field from the endpoint.
	RemoveHeader bool `json:"remove_header,omitempty"`
	// UserHeader is the field that tells the endpoint who asks, "" for none.
	UserHeader string `json:"user_header,omitempty"`
}

// Kind is its name in the configuration.
func (DigestAuth) Kind() string { return "digest_auth" }

// New returns the middleware.
func (s DigestAuth) New(Env) Middleware {
	m := &digestAuth{step: s, nonces: newNonces(), algorithm: "MD5", sum: md5.New, stranger: strings.Repeat("0", 2*md5.Size)}
	for _, h := range s.Users {
		if len(h) == 2*sha256.Size {
			m.algorithm, m.sum, m.stranger = "SHA-256", sha256.New, strings.Repeat("0", 2*sha256.Size)
		}
	}
	return m
}

// Htdigest reads lines of "name:realm:hash" as Apache's htdigest writes them;
// empty ones and those that begin with "#" are skipped. All lines have the same
// realm, which it returns too, and the same kind of hash. An error names the
// line and never what stands in it.
func Htdigest(text []byte) (users map[string]string, realm string, err error) {
	users = map[string]string{}
	size := 0
	err = eachLine(text, func(line string) error {
		f := strings.Split(line, ":")
		if len(f) != 3 || f[0] == "" {
			return errors.New("want name:realm:hash")
		}
		f[2] = strings.ToLower(f[2])
		if b, err := hex.DecodeString(f[2]); err != nil || len(b) != md5.Size && len(b) != sha256.Size {
			return errors.New("the hash is no MD5 and no SHA-256 in hexadecimal digits")
		}
		if len(users) > 0 && (f[1] != realm || len(f[2]) != size) {
			return errors.New("the realm or the kind of hash differs from that of the lines before")
		}
		if _, twice := users[f[0]]; twice {
			return errors.New("the name has a line before")
		}
		users[f[0]], realm, size = f[2], f[1], len(f[2])
		return nil
	})
	if err != nil {
		return nil, "", err
	}
	return users, realm, nil
}

type digestAuth struct {
	step      DigestAuth
	nonces    *nonces
	algorithm string
	sum       func() hash.Hash
	stranger  string // the hash of whom nobody knows, to take as long
}

// Handle answers 401 to whom has proved nothing.
func (m *digestAuth) Handle(_ context.Context, r *Request) *Answer {
	lines := r.Header.Values("Authorization")
	if len(lines) != 1 {
		return m.challenge(r, false)
	}
	c, ok := parseDigest(lines[0])
	if !ok || c.realm != m.step.Realm || c.qop != "auth" || !m.speaks(c.algorithm) || !asksFor(c.uri, r) || !m.proved(c, r.Method) {
		return m.challenge(r, false)
	}
	if !m.nonces.use(c.nonce, c.count, r.Begun) {
		return m.challenge(r, true)
	}
	authenticated(r, c.user, m.step.UserHeader, m.step.RemoveHeader)
	return nil
}

// speaks reports whether a client's algorithm is ours; none is MD5 (RFC 7616,
// section 3.4).
func (m *digestAuth) speaks(algorithm string) bool {
	return strings.EqualFold(algorithm, m.algorithm) || algorithm == "" && m.algorithm == "MD5"
}

// proved reports whether c's response is one that knows its user's hash (RFC
// 7616, section 3.4.1).
func (m *digestAuth) proved(c digestCredentials, method string) bool {
	secret, known := m.step.Users[c.user]
	if !known {
		secret = m.stranger
	}
	want := m.hash(secret, c.nonce, c.nc, c.cnonce, c.qop, m.hash(method, c.uri))
	return equal(want, strings.ToLower(c.response)) && known
}

func (m *digestAuth) hash(parts ...string) string {
	h := m.sum()
	h.Write([]byte(strings.Join(parts, ":")))
	return hex.EncodeToString(h.Sum(nil))
}

// challenge asks for a proof. Stale says that the one at hand was right but for
// its nonce, so that the client need not ask its user again.
func (m *digestAuth) challenge(r *Request, stale bool) *Answer {
	value := "Digest realm=" + quoted(m.step.Realm) + `, nonce="` + m.nonces.issue(r.Begun) + `", algorithm=` + m.algorithm + `, qop="auth", charset=UTF-8`
	if stale {
		value += ", stale=true"
	}
	return &Answer{
		Status: http.StatusUnauthorized,
		Header: Header{{"WWW-Authenticate", value}},
		Reason: "a proof of a password is needed",
	}
}

// asksFor reports whether uri, as a client has written it, is what r asks for:
// a proof is for nothing else (RFC 7616, section 3.4.6).
func asksFor(uri string, r *Request) bool {
	path, query, has := strings.Cut(uri, "?")
	if has {
		query = "?" + query
	}
	askedPath, askedQuery := r.Asked()
	if query != askedQuery && query+askedQuery != "?" {
		return false
	}
	if path == askedPath {
		return true
	}
	canonical, err := route.CanonicalPath(nil, []byte(path))
	return err == nil && string(canonical) == askedPath
}
