package l7

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/portico-lb/portico/l7/acme"
	"github.com/portico-lb/portico/l7/certs"
	"github.com/portico-lb/portico/l7/kube"
)

// A registrar is the acme.Manager that runs, and what it was made from.
type registrar struct {
	*acme.Manager
	config     *acme.Config
	kubernetes Kubernetes
	cancel     context.CancelFunc
	// requested are the hosts that it can have certificates for.
	requested []kube.CertRequest
	// before are the certificates of the one that it takes the place of: they
	// serve hosts that it has none for yet.
	before []acme.Pair
}

// applyACME makes c's [l7.acme] live.
func (r *runner) applyACME(ctx context.Context, c Config) {
	old := r.acme
	if old != nil && reflect.DeepEqual(old.config, c.ACME) && reflect.DeepEqual(old.kubernetes, c.Kubernetes) {
		return
	}
	var before []acme.Pair
	if old != nil {
		before = old.Pairs()
		old.cancel()
		r.acme = nil
		r.l.acme.Store(nil)
	}
	if c.ACME == nil {
		return
	}
	storage, err := r.acmeStorage(c)
	if err != nil {
		r.l.log.Error("no certificates are ordered", "err", err)
		return
	}
	m := acme.New(acme.Options{Log: r.l.log, Config: *c.ACME, Storage: storage})
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // ended by stop
	r.acme = &registrar{Manager: m, config: c.ACME, kubernetes: c.Kubernetes, cancel: cancel, before: before}
	r.l.acme.Store(m)
	r.group.Go(func() {
		if err := m.Run(ctx); err != nil {
			r.fail(fmt.Errorf("acme: %w", err))
		}
	})
}

func (r *runner) acmeStorage(c Config) (acme.Storage, error) {
	if c.ACME.Storage == acme.InFolder {
		return acme.NewFiles(c.ACME.Folder), nil
	}
	client, end, err := kube.NewClient(c.Kubernetes.watch(r.l.log))
	if err != nil {
		return nil, err
	}
	return acme.NewSecrets(acme.SecretsOptions{
		Log: r.l.log, Client: client, End: end,
		Namespace: c.ACME.Namespace,
		Identity:  r.l.node + "_" + strings.ToLower(rand.Text()[:8]), // at a restart a node has two processes
		Copy:      c.ACME.Folder,
	}), nil
}

// stop ends it; that of none is nothing.
func (g *registrar) stop() {
	if g != nil {
		g.cancel()
	}
}

// changed rings when it has something new; that of none never does.
func (g *registrar) changed() <-chan struct{} {
	if g == nil {
		return nil
	}
	return g.Changed()
}

// want asks for certificates for the hosts that name no Secret, but for those
// that one of the configuration's files names, whose owner has one for
// *.example.com perhaps and wants no other one, and for those that another
// Ingress has a Secret for.
func (g *registrar) want(tls []kube.TLS, requests []kube.CertRequest, files []certs.Pair) {
	if g == nil {
		return
	}
	named := certs.New()
	named.Set(files)
	served := map[string]bool{}
	for _, t := range tls {
		for _, h := range t.Hosts {
			served[h] = true
		}
	}
	g.requested = nil
	var hosts []string
	for _, q := range requests {
		if served[q.Host] || named.Known(strings.Replace(q.Host, "*", "any", 1)) {
			continue
		}
		g.requested = append(g.requested, q)
		if !strings.HasPrefix(q.Host, "*.") {
			hosts = append(hosts, q.Host)
		}
	}
	g.Want(hosts)
}

// pairs are the certificates that it has got.
func (g *registrar) pairs() []certs.Pair {
	if g == nil {
		return nil
	}
	have := g.Pairs()
	g.before = slices.DeleteFunc(g.before, func(old acme.Pair) bool {
		return slices.ContainsFunc(have, func(p acme.Pair) bool { return p.Host == old.Host })
	})
	var out []certs.Pair
	for _, p := range slices.Concat(have, g.before) {
		out = append(out, certs.Pair{Name: "acme/" + p.Host, Hosts: []string{p.Host}, CertPEM: p.CertPEM, KeyPEM: p.KeyPEM})
	}
	return out
}

// problems tells the Ingresses whose hosts get no certificate.
func (g *registrar) problems() []kube.Problem {
	if g == nil {
		return nil
	}
	var out []kube.Problem
	faults := g.Faults()
	for _, q := range g.requested {
		p := kube.Problem{Object: q.Origin.String(), Field: q.Field}
		if strings.HasPrefix(q.Host, "*.") {
			p.Text = fmt.Sprintf("%s gets no certificate: a CA wants a wildcard proved in DNS, and no DNS provider is configured: "+
				"name a Secret with a certificate for it, or name the hosts one by one", q.Host)
		} else if why, ok := faults[q.Host]; ok {
			p.Text = fmt.Sprintf("%s gets no certificate, or no new one: %s: let the name lead to the edges, ports 80 and 443", q.Host, why)
		} else {
			continue
		}
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b kube.Problem) int {
		return cmp.Or(strings.Compare(a.Object, b.Object), strings.Compare(a.Field, b.Field))
	})
	return out
}

// refreshCertificates applies what the CA has issued, and what it refuses.
func (r *runner) refreshCertificates() {
	r.setCertificates(r.pairs())
	r.findUncertified()
	r.report()
	if r.source != nil {
		r.tellAPI(r.source.Objects())
	}
}

// challenge answers a CA that asks by HTTP.
func (l *L7) challenge(_, token string) (string, bool) {
	m := l.acme.Load()
	if m == nil {
		return "", false
	}
	return m.KeyAuthorization(token)
}

var errNoProof = errors.New("no CA is configured that could ask")

// proof answers a CA that asks by TLS: a handshake that offers its protocol and
// no other one (RFC 8737, section 3) gets a configuration of its own, as a CA
// shows no certificate and wants no session. It is nil for all others.
func (l *L7) proof(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	if len(hello.SupportedProtos) != 1 || hello.SupportedProtos[0] != acme.Protocol {
		return nil, nil
	}
	m := l.acme.Load()
	if m == nil {
		return nil, errNoProof
	}
	c, err := m.Proof(hello.ServerName)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		Certificates:           []tls.Certificate{*c},
		NextProtos:             []string{acme.Protocol},
		SessionTicketsDisabled: true,
		MinVersion:             tls.VersionTLS12,
	}, nil
}
