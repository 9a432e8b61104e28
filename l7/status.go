package l7

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/portico-lb/portico/l7/accesslog"
	"github.com/portico-lb/portico/l7/acme"
	"github.com/portico-lb/portico/l7/certs"
	"github.com/portico-lb/portico/l7/kube"
	"github.com/portico-lb/portico/l7/proxy"
	"github.com/portico-lb/portico/l7/route"
	"github.com/portico-lb/portico/l7/trace"
)

// state is what Run last published; a value is never changed.
type state struct {
	// configured says that there has been at least one route: a source that is
	// read but empty is a fault of this node more often than the operator's
	// wish, and one node without routes must not be sent connections.
	configured, stopping bool
	sourceErr            string
	source               kube.Source
	// options are how the source's objects were read, table what came of them.
	options    kube.Options
	table      *route.Table
	own        []route.Spec        // of the configuration: the same in every dialect
	endpoints  *kube.EndpointIndex // nil before the first
	publisher  *kube.Publisher     // nil where nothing is written
	conflicts  []route.Conflict
	problems   []kube.Problem
	certFaults []string
}

// publish replaces the state by a copy that change has been applied to. Only
// Run's goroutine calls it.
func (l *L7) publish(change func(*state)) {
	s := *l.state.Load()
	change(&s)
	l.state.Store(&s)
}

// A Status describes the proxy.
type Status struct {
	// Ready is what /ready says: connections may be sent here.
	Ready bool `json:"ready"`
	// Reason is why not.
	Reason string `json:"reason,omitempty"`
	// Source is where the routes come from; nil while there is none.
	Source    *kube.SourceStatus `json:"source,omitempty"`
	Routes    int                `json:"routes"`
	Backends  int                `json:"backends"`
	Endpoints int                `json:"endpoints"`
	Conflicts []route.Conflict   `json:"conflicts,omitempty"`
	Problems  []kube.Problem     `json:"problems,omitempty"`
	// Writer is who writes to the API server, nil where nobody does.
	Writer       *kube.PublisherStatus `json:"writer,omitempty"`
	Certificates []certs.Certificate   `json:"certificates,omitempty"`
	// CertificateFaults are the certificates that cannot be used, and why.
	CertificateFaults []string `json:"certificate_faults,omitempty"`
	// ACME is what the CA is asked for; nil where none is configured.
	ACME *acme.Status `json:"acme,omitempty"`
	// AccessLog and Trace are nil where they are off.
	AccessLog *accesslog.Status `json:"access_log,omitempty"`
	Trace     *trace.Status     `json:"trace,omitempty"`

	Engine proxy.Status `json:"engine"`
}

// Status returns what the proxy does now.
func (l *L7) Status() Status {
	s := l.state.Load()
	out := Status{
		Routes:            s.rules(),
		Conflicts:         s.conflicts,
		Problems:          s.problems,
		CertificateFaults: s.certFaults,
		Certificates:      l.certs.Status(),
		Engine:            l.engine.Status(),
	}
	if s.endpoints != nil {
		out.Backends, out.Endpoints = s.endpoints.Count()
	}
	for _, r := range l.next.Load().Routes {
		out.Backends++
		out.Endpoints += len(r.Endpoints)
	}
	if m := l.acme.Load(); m != nil {
		status := m.Status()
		out.ACME = &status
	}
	if log := l.accessLog.Load(); log != nil {
		status := log.Status()
		out.AccessLog = &status
	}
	if tracer := l.tracer.Load(); tracer != nil {
		status := tracer.Status()
		out.Trace = &status
	}
	if s.publisher != nil {
		writer := s.publisher.Status()
		out.Writer = &writer
	}
	if s.source != nil {
		source := s.source.Status()
		out.Source = &source
	}
	if err := s.ready(); err != nil {
		out.Reason = err.Error()
	} else {
		out.Ready = true
	}
	return out
}

// objects are those of the source, nil before they have been read.
func (s *state) objects() *kube.Objects {
	if s.source == nil {
		return nil
	}
	return s.source.Objects()
}

// rules is how many there are.
func (s *state) rules() int {
	if s.table == nil {
		return 0
	}
	return s.table.Rules()
}

// ready returns why connections should not be sent here.
func (s *state) ready() error {
	switch {
	case s.stopping:
		return errors.New("stopping")
	case s.configured:
		return nil
	case s.sourceErr != "":
		return errors.New(s.sourceErr)
	case s.source == kube.Source(kube.Nothing{}):
		return errors.New("no source of routes: set l7.kubernetes.manifests, kubeconfig or endpoints, or add [[l7.route]]")
	case s.source != nil && s.source.Status().Synced:
		return fmt.Errorf("no routes: %s holds no Ingress of our class", s.source.Status().From)
	}
	return errors.New("no configuration has been read yet")
}

// asked is when somebody last asked /ready.
type asked struct{ at atomic.Pointer[time.Time] }

func (a *asked) now(t time.Time) { a.at.Store(&t) }

// recently reports whether somebody asks /ready at all: checks are never a
// minute apart where they matter.
func (a *asked) recently(now time.Time) bool {
	at := a.at.Load()
	return at != nil && now.Sub(*at) < time.Minute
}

// serveReady answers /ready: 200 only with a configuration. It is what the
// directors check before they send connections here.
func (l *L7) serveReady(ctx context.Context, listener net.Listener) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ready", func(w http.ResponseWriter, _ *http.Request) {
		l.asked.now(time.Now())
		if err := l.state.Load().ready(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ready")
	})
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute}
	stop := context.AfterFunc(ctx, func() { srv.Close() })
	defer stop()
	if err := srv.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
