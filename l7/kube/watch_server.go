package kube

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/connrotation"
)

// A server is the API server, at one of several addresses.
type server struct {
	config      *rest.Config
	http        *http.Client
	endpoints   *endpoints // nil with a kubeconfig
	connections *connrotation.Dialer
}

func newServer(o WatchOptions) (*server, error) {
	s := &server{}
	var err error
	if o.Kubeconfig != "" {
		s.config, err = clientcmd.BuildConfigFromFlags("", o.Kubeconfig)
	} else {
		s.config, err = s.direct(o)
	}
	if err != nil {
		return nil, fmt.Errorf("l7.kubernetes: %w", err)
	}
	s.config.UserAgent = "portico"
	s.config.ContentType = runtime.ContentTypeProtobuf
	s.config.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	s.config.QPS = -1 // a handful of watches, each with a backoff of its own
	// A host that vanishes without a word is given up after 20 seconds, not
	// after the minutes of TCP's own.
	dialer := &net.Dialer{
		Timeout:         5 * time.Second,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 5 * time.Second, Count: 3},
	}
	s.connections = connrotation.NewDialer(dialer.DialContext)
	s.config.Dial = s.connections.DialContext
	if s.http, err = rest.HTTPClientFor(s.config); err != nil {
		return nil, fmt.Errorf("l7.kubernetes: %w", err)
	}
	if s.config.ExecProvider != nil {
		s.http.Transport = &paced{next: s.http.Transport}
	}
	return s, nil
}

// direct makes the configuration from endpoints, a token and a CA.
func (s *server) direct(o WatchOptions) (*rest.Config, error) {
	if len(o.Endpoints) == 0 {
		return nil, errors.New("neither kubeconfig nor endpoints are set: one says where the API server is")
	}
	s.endpoints = &endpoints{}
	for _, e := range o.Endpoints {
		u, err := url.Parse(e)
		if err == nil && u.Host == "" {
			err = errors.New("no host, want one as in https://172.16.0.36:6443")
		}
		if err != nil {
			return nil, fmt.Errorf("endpoint %q: %w", e, err)
		}
		s.endpoints.urls = append(s.endpoints.urls, u)
	}
	config := &rest.Config{
		Host:            o.Endpoints[0],
		TLSClientConfig: rest.TLSClientConfig{CAFile: o.CAFile},
	}
	if o.TokenFile != "" {
		if _, err := readToken(o.TokenFile); err != nil {
			return nil, err
		}
		config.Wrap(func(next http.RoundTripper) http.RoundTripper { return &bearer{o.TokenFile, next} })
	}
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		s.endpoints.next = next
		return s.endpoints
	})
	return config, nil
}

// A bearer shows the token that its file holds now. client-go's own remembers it
// for a minute, which is a minute without news where the one before was revoked.
type bearer struct {
	file string
	next http.RoundTripper
}

func (b *bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	token, err := readToken(b.file)
	if err != nil {
		if r.Body != nil {
			r.Body.Close()
		}
		return nil, err
	}
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+token)
	return b.next.RoundTrip(r)
}

func readToken(file string) (string, error) {
	b, err := os.ReadFile(file)
	token := strings.TrimSpace(string(b))
	if err == nil && token == "" {
		err = fmt.Errorf("%s: empty, want a token: kubectl create token portico -n portico", file)
	}
	return token, err
}

// current is the URL that is asked now.
func (s *server) current() string {
	if s.endpoints != nil {
		_, u := s.endpoints.pick()
		return u.String()
	}
	return s.config.Host
}

// all are the URLs that it has.
func (s *server) all() []string {
	if s.endpoints == nil {
		return []string{s.config.Host}
	}
	var out []string
	for _, u := range s.endpoints.urls {
		out = append(out, u.String())
	}
	return out
}

// close ends the connections. They could not be closed as idle ones: the end of
// a watch that was broken off takes a moment to get there.
func (s *server) close() { s.connections.CloseAll() }

// endpoints sends requests to the API server that answered last. They differ
// in scheme and host alone.
type endpoints struct {
	urls  []*url.URL
	turns atomic.Uint32 // how often one was given up
	next  http.RoundTripper
}

func (e *endpoints) pick() (turn uint32, u *url.URL) {
	turn = e.turns.Load()
	return turn, e.urls[int(turn)%len(e.urls)]
}

// RoundTrip asks one after another until one answers. One that answers that it
// cannot is asked no more, but its answer counts: the caller has its own pause
// before the next try.
func (e *endpoints) RoundTrip(r *http.Request) (response *http.Response, err error) {
	for range e.urls {
		turn, u := e.pick()
		to := r.Clone(r.Context())
		to.URL.Scheme, to.URL.Host, to.Host = u.Scheme, u.Host, u.Host
		response, err = e.next.RoundTrip(to)
		if err == nil && response.StatusCode < http.StatusInternalServerError {
			return response, nil
		}
		if errors.Is(err, context.Canceled) {
			return nil, err
		}
		e.turns.CompareAndSwap(turn, turn+1) // unless another request has
		if err == nil || r.Body != nil {     // a body can be sent once
			break
		}
	}
	return response, err
}
