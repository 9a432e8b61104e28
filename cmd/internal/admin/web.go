package admin

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/netutil"
)

// A WebConfig says where the TCP listener is, and whom it trusts.
type WebConfig struct {
	// Listen is an address and a port; empty is off.
	Listen string
	// Hosts are the names that it is asked by, beside localhost and addresses.
	Hosts []string
	// Token is what orders have to bear, TokenFile the file it was read from.
	// Without one there are no orders.
	Token, TokenFile string
	// Debug opens /debug: profiles and variables of the process.
	Debug bool
}

// A WebStatus tells of the TCP listener.
type WebStatus struct {
	// Listen is the configured address, empty where the listener is off.
	Listen string `json:"listen,omitempty"`
	// Orders tells whether a token is set, without which it gives answers only.
	Orders bool `json:"orders"`
	// LastError is why it does not listen.
	LastError string `json:"last_error,omitempty"`
}

// A Web answers on a TCP port: an API, a dashboard, and /debug. It may be
// reached by every program on the machine, a browser with any page in it among
// them, and so it trusts nobody: see guard.go.
//
// It never takes the daemon down: an address that cannot be bound is tried
// again, for what the other parts do matters more.
type Web struct {
	log       *slog.Logger
	api       *API
	dashboard http.Handler

	bell chan struct{}

	mu     sync.Mutex
	config WebConfig
	fault  string
}

// Bounds of the TCP side.
const (
	// webConns is how many connections there may be, webRequests how many
	// requests at once. A dashboard has a few of the first, Prometheus one.
	webConns, webRequests = 256, 32
	// webQuestions is how many questions at once. One brings a body and may take
	// as much time and memory as reading all routes anew, in the process that
	// serves clients.
	webQuestions = 2
	// webRate is how many requests there may be a second, behind the first
	// webBurst. A dashboard asks twice a second.
	webRate, webBurst = 50, 200
	// webBody bounds every body, in bytes: a question may bring the manifests of
	// a namespace, though not of a whole cluster, as on the socket.
	webBody = 16 << 20
	// webHead bounds a head, in bytes.
	webHead = 16 << 10
	// webTime is what a request may take in all, debugTime a profile of minutes.
	webTime, debugTime = 30 * time.Second, 5 * time.Minute
	// webIdle is how long a connection may wait for its next request: longer than
	// a dashboard's next question takes, and no longer than others can wait for
	// its place.
	webIdle = 10 * time.Second
	// rebind is when an address that was taken is tried again.
	rebind = time.Second
)

// NewWeb returns a Web that listens nowhere until it was Set and Run. What api
// does not know is the dashboard's, which may be nil.
func NewWeb(log *slog.Logger, api *API, dashboard http.Handler) *Web {
	return &Web{log: log, api: api, dashboard: dashboard, bell: make(chan struct{}, 1)}
}

// Set replaces the configuration. It may be called before and during Run.
func (w *Web) Set(c WebConfig) {
	w.mu.Lock()
	w.config = c
	w.mu.Unlock()
	select {
	case w.bell <- struct{}{}:
	default: // already rung
	}
}

func (w *Web) current() WebConfig {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.config
}

// Status returns what the listener does.
func (w *Web) Status() WebStatus {
	w.mu.Lock()
	defer w.mu.Unlock()
	return WebStatus{Listen: w.config.Listen, Orders: w.config.Token != "", LastError: w.fault}
}

// Run listens until ctx ends.
func (w *Web) Run(ctx context.Context, ready func()) error {
	ready()
	for ctx.Err() == nil {
		listen := w.current().Listen
		err := w.listen(ctx, listen)
		w.note(listen, err)
		var again <-chan time.Time
		if err != nil {
			again = time.After(rebind)
		} else if w.current().Listen != listen {
			continue
		}
		select {
		case <-ctx.Done():
		case <-w.bell:
		case <-again:
		}
	}
	return nil
}

// note logs an error once, and not again until it changes.
func (w *Web) note(listen string, err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	w.mu.Lock()
	same := text == w.fault
	w.fault = text
	w.mu.Unlock()
	if !same && err != nil {
		w.log.Warn("no dashboard and no metrics: admin.listen cannot be served, trying on", "listen", listen, "err", err)
	}
}

// listen serves address until ctx ends or another one is configured.
func (w *Web) listen(ctx context.Context, address string) error {
	if address == "" {
		return nil
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("%w: free the port, or set another admin.listen", err)
	}
	w.note(address, nil)
	w.log.Info("admin listens", "address", l.Addr().String())
	srv := &http.Server{
		Handler:           w.handler(),
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       webIdle,
		MaxHeaderBytes:    webHead,
		ErrorLog:          slog.NewLogLogger(w.log.Handler(), slog.LevelDebug),
	}
	ctx, stop := context.WithCancel(ctx)
	var follower sync.WaitGroup
	follower.Go(func() {
		for w.current().Listen == address {
			select {
			case <-ctx.Done():
				return
			case <-w.bell:
			}
		}
		stop()
	})
	defer follower.Wait()
	defer stop()
	return serve(ctx, srv, netutil.LimitListener(perSource(l, sourceConns), webConns))
}

// handler is everything that is answered, behind what keeps strangers out.
func (w *Web) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/api/", w.api)
	for _, r := range w.api.Routes() {
		if !strings.HasPrefix(r.Path, "/api/") {
			mux.Handle(r.Path, w.api) // with any method: the API says which it has
		}
	}
	mux.Handle("/debug/", debug(w.current))
	if w.dashboard != nil {
		mux.Handle("/", w.dashboard)
	} else {
		mux.HandleFunc("GET /{$}", w.index)
	}
	// The first in the list sees a request first.
	h := http.Handler(mux)
	for _, wrap := range slices.Backward([]func(http.Handler) http.Handler{
		few(webRequests, webRate, webBurst), headers, w.knownHost, bounded, w.offered(mux), sameOrigin, w.authorised, w.unhurried,
	}) {
		h = wrap(h)
	}
	return h
}

// index lists what can be asked, where there is no dashboard.
func (w *Web) index(rw http.ResponseWriter, _ *http.Request) {
	rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
	for _, r := range w.api.Routes() {
		fmt.Fprintf(rw, "%-5s %-24s %s\n", r.Method, r.Path, r.Summary)
	}
}
