package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"reflect"
	"time"
)

// An API is what a process answers operators, by path. The same one stands
// behind the unix socket and behind the TCP listener; which of the two may give
// orders is theirs to decide.
type API struct {
	log    *slog.Logger
	mux    *http.ServeMux
	routes []Route
}

// A Route is one path of an API, as the OpenAPI document shows it.
type Route struct {
	Method, Path string
	// Summary is one sentence.
	Summary string
	Kind    Kind
	// Query are the names of what may stand behind a "?".
	Query []string
	// Request and Answer are the types of the two bodies, which are JSON; nil
	// is none.
	Request, Answer reflect.Type
}

// A Kind says what a Route does.
type Kind uint8

// The kinds.
const (
	// Reads is a GET.
	Reads Kind = iota
	// Asks is a POST whose body is too much for a query, and that changes
	// nothing.
	Asks
	// Orders is a POST that changes something.
	Orders
)

// Bounds of bodies, in bytes.
const (
	maxOrder = 4096
	// maxQuestion is for all manifests of a cluster.
	maxQuestion = 256 << 20
)

// ErrUnavailable says that what was asked for is known to another process, or
// part, that does not answer.
var ErrUnavailable = errors.New("unavailable")

// NewAPI returns an API without routes.
func NewAPI(log *slog.Logger) *API { return &API{log: log, mux: http.NewServeMux()} }

// Routes returns all routes in the order of their making.
func (a *API) Routes() []Route { return a.routes }

// ServeHTTP answers a request.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.mux.ServeHTTP(w, r) }

// route returns the Route that r goes to.
func (a *API) route(r *http.Request) (Route, bool) {
	_, pattern := a.mux.Handler(r)
	for _, have := range a.routes {
		if have.pattern() == pattern {
			return have, true
		}
	}
	return Route{}, false
}

func (r Route) pattern() string { return r.Method + " " + r.Path }

func (a *API) add(r Route, h http.HandlerFunc) {
	a.routes = append(a.routes, r)
	a.mux.HandleFunc(r.pattern(), h)
}

// Handle answers GET path by h, with something else than JSON.
func (a *API) Handle(path, summary string, h http.Handler) {
	a.add(Route{Method: http.MethodGet, Path: path, Summary: summary}, h.ServeHTTP)
}

// HandleGet answers GET path with what value returns, who understands query.
func HandleGet[A any](a *API, path, summary string, value func(*http.Request) (A, error), query ...string) {
	r := Route{Method: http.MethodGet, Path: path, Summary: summary, Query: query, Answer: reflect.TypeFor[A]()}
	a.add(r, func(w http.ResponseWriter, r *http.Request) {
		v, err := value(r)
		a.answer(w, r, v, err)
	})
}

// HandleQuestion answers POST path: answer gets the body, a Q as JSON, and
// changes nothing.
func HandleQuestion[Q, A any](a *API, path, summary string, answer func(context.Context, Q) (A, error)) {
	a.add(question[Q, A](path, summary), func(w http.ResponseWriter, r *http.Request) {
		if q, ok := body[Q](w, r, maxQuestion); ok {
			v, err := answer(r.Context(), q)
			a.answer(w, r, v, err)
		}
	})
}

func question[Q, A any](path, summary string) Route {
	return Route{
		Method: http.MethodPost, Path: path, Summary: summary, Kind: Asks,
		Request: reflect.TypeFor[Q](), Answer: reflect.TypeFor[A](),
	}
}

// HandleOrder answers POST path: order gets the body, a T as JSON, and says why
// it is refused.
func HandleOrder[T any](a *API, path, summary string, order func(context.Context, T) error) {
	r := Route{Method: http.MethodPost, Path: path, Summary: summary, Kind: Orders, Request: reflect.TypeFor[T]()}
	a.add(r, func(w http.ResponseWriter, r *http.Request) {
		o, ok := body[T](w, r, maxOrder)
		if !ok {
			return
		}
		if err := order(r.Context(), o); err != nil {
			http.Error(w, err.Error(), status(err))
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
}

// ForwardGet answers GET path with what the process on socket answers, an A.
func ForwardGet[A any](a *API, path, summary, socket string) {
	r := Route{Method: http.MethodGet, Path: path, Summary: summary, Answer: reflect.TypeFor[A]()}
	a.add(r, a.forward(socket, forwardTime))
}

// ForwardQuestion has the process on socket answer POST path.
func ForwardQuestion[Q, A any](a *API, path, summary, socket string) {
	a.add(question[Q, A](path, summary), a.forward(socket, forwardTime))
}

// forwardTime is how long the process on the other socket may take: less than
// webTime, after which nobody could be told.
const forwardTime = webTime - 5*time.Second

// forward passes requests on to the process on socket, which may take so long to
// answer.
func (a *API) forward(socket string, most time.Duration) http.HandlerFunc {
	silent := fmt.Errorf("portico does not answer within %v: journalctl says why", most)
	var d net.Dialer
	p := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = "http", "portico", "portico"
			r.Out.Header.Del("Authorization") // ours to judge, nobody else's to know
		},
		Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return d.DialContext(ctx, "unix", socket)
			},
		},
		ErrorLog: slog.NewLogLogger(a.log.Handler(), slog.LevelDebug),
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			var large *http.MaxBytesError
			if errors.As(err, &large) {
				http.Error(w, large.Error(), http.StatusRequestEntityTooLarge)
				return
			}
			if errors.Is(err, context.DeadlineExceeded) {
				err = context.Cause(r.Context())
			}
			http.Error(w, unreached(socket, err).Error(), http.StatusServiceUnavailable)
		},
	}
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeoutCause(r.Context(), most, silent)
		defer cancel()
		p.ServeHTTP(w, r.WithContext(ctx))
	}
}

// body decodes r's body, of at most so many bytes, and answers where it is not
// a T.
func body[T any](w http.ResponseWriter, r *http.Request, most int64) (v T, ok bool) {
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, most))
	dec.DisallowUnknownFields()
	err := dec.Decode(&v)
	if err == nil {
		if _, more := dec.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("something follows the JSON")
		}
	}
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
	case err != nil:
		http.Error(w, "body: "+err.Error(), http.StatusBadRequest)
	}
	return v, err == nil
}

func (a *API) answer(w http.ResponseWriter, r *http.Request, v any, err error) {
	if err != nil {
		http.Error(w, err.Error(), status(err))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		a.log.Debug("answer admin request", "path", r.URL.Path, "err", err) // whoever asked went away
	}
}

// status tells of an error: either the wish cannot be fulfilled, or nobody is
// there to do so.
func status(err error) int {
	if errors.Is(err, ErrUnavailable) {
		return http.StatusServiceUnavailable
	}
	return http.StatusUnprocessableEntity
}
