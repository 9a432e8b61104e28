package daemon

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/portico-lb/portico/cmd/internal/admin"
	"github.com/portico-lb/portico/cmd/internal/admin/dashboard"
	"github.com/portico-lb/portico/cmd/internal/history"
	"github.com/portico-lb/portico/l7"
)

// isProxy reports whether this process is the proxy of a node whose director is
// another one.
func (d *daemon) isProxy() bool {
	return d.l7 != nil && d.vip == nil && d.l4 == nil
}

// buildAdmin makes the API and the two doors to it. A successor takes the socket
// from the process before it.
func (d *daemon) buildAdmin(successor bool) {
	log, c := d.log.With("part", "admin"), d.config.Admin
	d.proxySocket = c.L7Socket
	socket := c.Socket
	if d.isProxy() {
		socket = c.L7Socket
	}
	a := d.api()
	d.socket = admin.New(log, a, socket, successor)
	d.web = admin.NewWeb(log, a, dashboard.Handler())
	d.setWeb()
}

// setWeb tells the TCP listener what the configuration says. The caller holds mu
// once the parts run.
func (d *daemon) setWeb() {
	c := d.config.Admin
	listen := c.Listen
	if d.isProxy() {
		listen = c.L7Listen
	}
	d.web.Set(admin.WebConfig{Listen: listen, Hosts: c.Hosts, Token: c.Token, TokenFile: c.TokenFile, Debug: c.Debug})
}

// api is what this process answers: about itself, and a director about the whole
// node.
func (d *daemon) api() *admin.API {
	a := admin.NewAPI(d.log.With("part", "admin"))
	admin.HandleGet(a, "/api/v1/status", "This process: its parts and what they do.", func(*http.Request) (Status, error) { return d.status(), nil })
	admin.HandleGet(a, "/api/v1/node", "Director and proxy of this node, and which of them does not answer.",
		func(r *http.Request) (Node, error) { return d.node(r.Context()), nil })
	admin.HandleGet(a, "/api/v1/history", "Points for charts: the last ten minutes, or those after since, a time as in RFC 3339.", d.points, "since")
	admin.HandleGet(a, "/api/v1/events", "What has changed on this node, newest first.", func(*http.Request) ([]history.Event, error) { return d.events(), nil })
	if d.l4 != nil {
		admin.HandleOrder(a, "/api/v1/drain", "Take servers out of service, or give them back.",
			func(_ context.Context, o Drain) error { return d.l4.Drain(o.Target, o.Off) })
		d.handleShield(a)
	}
	const routes, explain, diff = "Every rule that answers.", "Which rule answers a request, and why.", "What manifests would change."
	if d.l7 != nil {
		admin.HandleGet(a, "/api/v1/totals", "The proxy in brief.", func(*http.Request) (Totals, error) { return d.totals(), nil })
		admin.HandleGet(a, "/api/v1/routes", routes, func(*http.Request) ([]l7.RouteStatus, error) { return d.l7.Routes(), nil })
		admin.HandleQuestion(a, "/api/v1/explain", explain, func(_ context.Context, q l7.Question) (l7.Explanation, error) { return d.l7.Explain(q) })
		admin.HandleQuestion(a, "/api/v1/diff", diff, func(_ context.Context, p l7.Proposal) (l7.Difference, error) { return d.l7.Diff(p) })
	} else {
		socket := d.proxySocket
		admin.ForwardGet[Totals](a, "/api/v1/totals", "The proxy in brief.", socket)
		admin.ForwardGet[[]l7.RouteStatus](a, "/api/v1/routes", routes, socket)
		admin.ForwardQuestion[l7.Question, l7.Explanation](a, "/api/v1/explain", explain, socket)
		admin.ForwardQuestion[l7.Proposal, l7.Difference](a, "/api/v1/diff", diff, socket)
	}
	a.Handle("/api/v1/openapi.json", "This description of the API.", http.HandlerFunc(serveOpenAPI))
	a.Handle(metricsPath, "Samples for Prometheus.", d.metrics())
	a.Handle("/healthz", "Whether the process lives: every part answers.", http.HandlerFunc(d.serveHealthz))
	a.Handle("/ready", "Whether this node serves.", http.HandlerFunc(d.serveReady))
	return a
}

// A Drain is an order to /api/v1/drain: to take servers out of service, or
// with Off to give them back.
type Drain struct {
	Target string `json:"target"`
	Off    bool   `json:"off,omitempty"`
}

// A Node is what the processes of a node say, by process. One that runs all
// parts is the director.
type Node struct {
	Director *Status `json:"director,omitempty"`
	Proxy    *Status `json:"proxy,omitempty"`
	// Missing says which process does not answer, and why.
	Missing []string `json:"missing,omitempty"`
}

// proxyTime is how long the proxy may take to answer the director, which has
// others who wait for it.
const proxyTime = 2 * time.Second

// node asks the proxy, where that is another process.
func (d *daemon) node(ctx context.Context) Node {
	s := d.status()
	if d.isProxy() {
		return Node{Proxy: &s}
	}
	n := Node{Director: &s}
	if d.l7 != nil {
		return n
	}
	p := new(Status)
	err := d.askProxy(ctx, "/api/v1/status", p)
	switch {
	case err == nil:
		n.Proxy = p
	case d.proxies():
		n.Missing = append(n.Missing, err.Error())
	}
	return n
}

// askProxy asks the proxy for path and decodes the answer into v.
func (d *daemon) askProxy(ctx context.Context, path string, v any) error {
	ctx, cancel := context.WithTimeout(ctx, proxyTime)
	defer cancel()
	return admin.Get(ctx, d.proxySocket, path, v)
}

// Totals are the proxy's process in brief.
type Totals struct {
	Config ConfigStatus `json:"config"`
	L7     l7.Totals    `json:"l7"`
}

func (d *daemon) totals() Totals {
	d.mu.Lock()
	defer d.mu.Unlock()
	return Totals{d.loaded, d.l7.Totals()}
}

// serveHealthz answers 200 while every part answers; one that is stuck keeps
// whoever asks waiting, to whom that says the same.
func (d *daemon) serveHealthz(w http.ResponseWriter, _ *http.Request) {
	d.status()
	fmt.Fprintln(w, "ok")
}

// serveReady answers 200 where nothing keeps this node from serving, and else
// what does, a line each.
func (d *daemon) serveReady(w http.ResponseWriter, r *http.Request) {
	if err := d.ready(r.Context()); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ready")
}

// ready returns what keeps this node from serving. A file that was refused does
// not: the one before it serves.
func (d *daemon) ready(ctx context.Context) error {
	var errs []error
	if d.l4 != nil {
		s := d.l4.Status()
		switch {
		case s.LastError != "":
			errs = append(errs, fmt.Errorf("l4: %s", s.LastError))
		case s.LastReconcile.IsZero():
			errs = append(errs, errors.New("l4: the dataplane was not reconciled yet"))
		}
	}
	if d.vip != nil {
		if s := d.vip.Status(); s.LastError != "" {
			errs = append(errs, fmt.Errorf("vip: %s", s.LastError))
		}
	}
	t := Totals{}
	switch {
	case d.l7 != nil:
		t = d.totals()
	case !d.proxies():
		return errors.Join(errs...)
	default:
		if err := d.askProxy(ctx, "/api/v1/totals", &t); err != nil {
			return errors.Join(append(errs, fmt.Errorf("proxy: %w", err))...)
		}
	}
	if !t.L7.Ready {
		errs = append(errs, fmt.Errorf("proxy: %s", t.L7.Reason))
	}
	return errors.Join(errs...)
}

// proxies reports whether this node should have a proxy.
func (d *daemon) proxies() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.config.Proxies
}
