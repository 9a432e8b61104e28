package middleware

import (
	"fmt"
	"slices"
	"strings"

	"github.com/portico-lb/portico/l7/value"
)

// A Section is one [[l7.middleware]]: a name, and the table of one kind.
type Section struct {
	Name           string                    `toml:"name"`
	Allow          *AllowSection             `toml:"allow"`
	BasicAuth      *BasicAuthSection         `toml:"basic_auth"`
	Buffering      *BufferingSection         `toml:"buffering"`
	CircuitBreaker *CircuitBreakerSection    `toml:"circuit_breaker"`
	ClientCert     *ClientCertificateSection `toml:"client_certificate"`
	Compress       *CompressSection          `toml:"compress"`
	CORS           *CORSSection              `toml:"cors"`
	DigestAuth     *DigestAuthSection        `toml:"digest_auth"`
	Errors         *ErrorsSection            `toml:"errors"`
	ForwardAuth    *ForwardAuthSection       `toml:"forward_auth"`
	Headers        *HeadersSection           `toml:"headers"`
	InFlight       *InFlightSection          `toml:"in_flight"`
	Mirror         *MirrorSection            `toml:"mirror"`
	RateLimit      *RateLimitSection         `toml:"rate_limit"`
	Redirect       *RedirectSection          `toml:"redirect"`
	Rewrite        *RewriteSection           `toml:"rewrite"`
	Security       *SecuritySection          `toml:"security"`
}

// kinds lists all there are. Those that s does not have are nil.
func (s *Section) kinds() []kind {
	return []kind{
		kindOf("allow", s.Allow),
		kindOf("basic_auth", s.BasicAuth),
		kindOf("buffering", s.Buffering),
		kindOf("circuit_breaker", s.CircuitBreaker),
		kindOf("client_certificate", s.ClientCert),
		kindOf("compress", s.Compress),
		kindOf("cors", s.CORS),
		kindOf("digest_auth", s.DigestAuth),
		kindOf("errors", s.Errors),
		kindOf("forward_auth", s.ForwardAuth),
		kindOf("headers", s.Headers),
		kindOf("in_flight", s.InFlight),
		kindOf("mirror", s.Mirror),
		kindOf("rate_limit", s.RateLimit),
		kindOf("redirect", s.Redirect),
		kindOf("rewrite", s.Rewrite),
		kindOf("security", s.Security),
	}
}

// A kind is one of the tables that a Section may have.
type kind struct {
	name  string
	parse func(value.Parser) Step
}

func kindOf[S interface{ Parse(value.Parser) Step }](name string, s *S) kind {
	if s == nil {
		return kind{name: name}
	}
	return kind{name, (*s).Parse}
}

// Parse checks s. It returns nil where s is not of one kind.
func (s *Section) Parse(p value.Parser) Step {
	var names []string
	var found *kind
	for _, k := range s.kinds() {
		names = append(names, k.name)
		switch {
		case k.parse == nil:
		case found != nil:
			p.Bad(k.name, fmt.Sprintf("stands beside %s: a middleware is of one kind, put it in a table of its own", found.name))
			return nil
		default:
			found = &k
		}
	}
	if found == nil {
		p.Bad("", "is of no kind: want the table of one of "+strings.Join(names, ", "))
		return nil
	}
	return found.parse(p.In(found.name))
}

// Secrets returns the keys of s that hold a secret in the configuration file
// itself: a password for an endpoint, or what a user's password is guessed from.
func (s *Section) Secrets() []string {
	var keys []string
	if s.BasicAuth != nil && len(s.BasicAuth.Users) > 0 {
		keys = append(keys, "basic_auth.users")
	}
	if s.DigestAuth != nil && len(s.DigestAuth.Users) > 0 {
		keys = append(keys, "digest_auth.users")
	}
	if s.Headers != nil {
		for name, v := range s.Headers.Request.Set {
			if v != "" && secretive(name) {
				keys = append(keys, "headers.request.set."+name)
			}
		}
		for name := range s.Headers.Request.Add {
			if secretive(name) {
				keys = append(keys, "headers.request.add."+name)
			}
		}
	}
	slices.Sort(keys)
	return keys
}

// secretive reports whether a field of that name probably holds a secret.
func secretive(name string) bool {
	name = strings.ToLower(name)
	return slices.ContainsFunc([]string{"authorization", "cookie", "key", "password", "secret", "token"},
		func(word string) bool { return strings.Contains(name, word) })
}
