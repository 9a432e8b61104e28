package middleware

import (
	"context"
	"encoding/base64"
	"net/http"
	"strings"
)

// BasicAuth lets those pass that know a user's password (RFC 7617).
type BasicAuth struct {
	// Users are the hash of a password by name, as Htpasswd reads them. Nobody
	// passes where there are none.
	Users map[string]string `json:"-"`
	// Realm is what the client shows to its user; "" is "portico".
	Realm string `json:"realm,omitempty"`
	// RemoveHeader keeps the Authorization field from the endpoint.
	RemoveHeader bool `json:"remove_header,omitempty"`
	// UserHeader is the field that tells the endpoint who asks, "" for none.
	UserHeader string `json:"user_header,omitempty"`
}

// Kind is its name in the configuration.
func (BasicAuth) Kind() string { return "basic_auth" }

// New returns the middleware.
func (s BasicAuth) New(Env) Middleware {
	return &basicAuth{step: s, verifier: newVerifier(s.Users), challenge: "Basic realm=" + quoted(realm(s.Realm)) + `, charset="UTF-8"`}
}

type basicAuth struct {
	step      BasicAuth
	verifier  *verifier
	challenge string
}

// Handle answers 401 to whom the verifier does not know.
func (m *basicAuth) Handle(ctx context.Context, r *Request) *Answer {
	lines := r.Header.Values("Authorization")
	if len(lines) != 1 {
		// Two are a question of which the endpoint would take.
		return m.refuse()
	}
	user, password, ok := basicCredentials(lines[0])
	if !ok {
		return m.refuse()
	}
	switch ok, err := m.verifier.verify(ctx, user, password); {
	case err != nil:
		return &Answer{Status: http.StatusServiceUnavailable, Reason: "too many passwords are to be looked at"}
	case !ok:
		return m.refuse()
	}
	authenticated(r, user, m.step.UserHeader, m.step.RemoveHeader)
	return nil
}

func (m *basicAuth) refuse() *Answer {
	return &Answer{
		Status: http.StatusUnauthorized,
		Header: Header{{"WWW-Authenticate", m.challenge}},
		Reason: "a name and a password are needed",
	}
}

// basicCredentials reads an Authorization field.
func basicCredentials(value string) (user, password string, ok bool) {
	scheme, token, _ := strings.Cut(value, " ")
	if !strings.EqualFold(scheme, "Basic") {
		return "", "", false
	}
	b, err := base64.StdEncoding.DecodeString(strings.TrimLeft(token, " "))
	if err != nil {
		return "", "", false
	}
	return strings.Cut(string(b), ":")
}

// authenticated notes who asks, and tells the endpoint.
func authenticated(r *Request, user, header string, remove bool) {
	r.User = user
	if remove {
		r.Header.Del("Authorization")
	}
	if header != "" {
		r.Header.delAliases(header)
		r.Header.Add(header, user)
	}
}

// delAliases removes the lines of a name, and of those that an endpoint may
// take for it: where names become variables, as in CGI, a dash and an underscore
// are the same. A client must not be able to say what is ours to say.
func (h *Header) delAliases(name string) {
	kept := (*h)[:0]
	for _, f := range *h {
		if !aliases(f.Name, name) {
			kept = append(kept, f)
		}
	}
	clear((*h)[len(kept):])
	*h = kept
}

// aliases reports whether two field names become one variable.
func aliases(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if inVariable(a[i]) != inVariable(b[i]) {
			return false
		}
	}
	return true
}

// inVariable is the byte of a variable's name that stands for c of a field's, as
// the widest of those rules has it: all that is no letter and no digit is one.
func inVariable(c byte) byte {
	switch {
	case 'A' <= c && c <= 'Z':
		return c + 'a' - 'A'
	case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		return c
	}
	return '_'
}

func realm(s string) string {
	if s == "" {
		return "portico"
	}
	return s
}

// quoted writes a quoted-string (RFC 9110, section 5.6.4); what no field may
// hold is left out.
func quoted(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c >= ' ' && c != 0x7f || c == '\t':
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
