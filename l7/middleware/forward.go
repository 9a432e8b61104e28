package middleware

import (
	"time"

	"github.com/portico-lb/portico/l7/route"
)

// ForwardAuth asks a service whether a request may pass: 2xx says yes, all else
// is what the client gets. Without an answer it gets 500, as with Traefik and
// nginx: nobody passes because the service is down.
type ForwardAuth struct {
	// URL is what is asked, http or https. These variables stand for what the
	// client asked for: $host, $http_host (with the port), $scheme,
	// $request_method, $request_uri (path and query), $escaped_request_uri (the
	// same, as a value in a query).
	URL string `json:"url"`
	// Backend is the Service that URL names, where ServiceURL has found one: its
	// endpoints are asked, past its address and past DNS. The zero Backend
	// leaves URL to be looked up and connected to.
	Backend route.Backend `json:"backend,omitzero"`
	// Method is the question's; "" is GET.
	Method string `json:"method,omitempty"`
	// TrustHeader has the service get the X-Forwarded-Method and -Uri that a
	// trusted proxy before us has written, rather than what we were asked for.
	TrustHeader bool `json:"trust_header,omitempty"`
	// RequestHeaders are the names of the client's fields that the service gets;
	// none means all.
	RequestHeaders []string `json:"request_headers,omitempty"`
	// ResponseHeaders are the names of the service's fields that the endpoint
	// gets when a request passes. A client's own lines of these names never
	// come through.
	ResponseHeaders []string `json:"response_headers,omitempty"`
	// UserHeader is the service's field that names who asks, for the access
	// log; "" for none.
	UserHeader string `json:"user_header,omitempty"`
	// PassCookies has the client get the Set-Cookie lines of a passing answer
	// too, with the endpoint's response.
	PassCookies bool `json:"pass_cookies,omitempty"`
	// SignIn is where a client goes that was answered 401, by 302; "" leaves it
	// with the answer. It holds variables as URL does.
	SignIn string `json:"sign_in,omitempty"`
	// Nginx has it speak as ingress-nginx's auth-url: the service gets
	// X-Original-URL, X-Original-Method and X-Auth-Request-Redirect, and of
	// its answers 401 and 403 go to the client, without a body; all else but 2xx is 500.
	Nginx bool `json:"nginx,omitempty"`
	// Timeout is how long the service may take, 0 is DefaultAuthTimeout.
	Timeout time.Duration `json:"timeout,omitempty"`
	// MostBody is the longest body of an answer that is passed on, in bytes; 0
	// is DefaultAuthBody. A longer one is as none.
	MostBody int64 `json:"most_body,omitempty"`
	// TLS is how an https URL is connected to.
	TLS ClientTLS `json:"tls,omitzero"`
}

// What ForwardAuth takes where it is told nothing else.
const (
	DefaultAuthTimeout = 10 * time.Second
	DefaultAuthBody    = 1 << 20
)

// ClientTLS is how we are a TLS client.
type ClientTLS struct {
	// CA are certificates as PEM that the server's must come from; none are the
	// system's.
	CA []byte `json:"-"`
	// Certificate and Key are ours as PEM; none for no certificate.
	Certificate []byte `json:"-"`
	Key         []byte `json:"-"`
	// ServerName is the name that the server's certificate must have, "" the
	// URL's host.
	ServerName string `json:"server_name,omitempty"`
	// Insecure takes any certificate.
	Insecure bool `json:"insecure,omitempty"`
}

// Kind is its name in the configuration.
func (ForwardAuth) Kind() string { return "forward_auth" }

// Backends are the Services that it asks.
func (s ForwardAuth) Backends() []route.Backend { return known(s.Backend) }

// An Asker is a Step whose Middleware asks endpoints of its own, by way of
// Env.Transport: theirs are needed beside those of the routes.
type Asker interface {
	Step
	// Backends are whose endpoints it asks.
	Backends() []route.Backend
}

func known(b route.Backend) []route.Backend {
	if b == (route.Backend{}) {
		return nil
	}
	return []route.Backend{b}
}
