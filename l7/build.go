package l7

import (
	"maps"
	"slices"

	netv1 "k8s.io/api/networking/v1"

	"github.com/portico-lb/portico/l7/backend"
	"github.com/portico-lb/portico/l7/certs"
	"github.com/portico-lb/portico/l7/kube"
	"github.com/portico-lb/portico/l7/route"
)

// A build is what the last objects were turned into. One change after another
// costs what has changed; a new configuration begins with all of it again.
type build struct {
	translator *kube.Translator // nil before the first configuration
	endpoints  *kube.EndpointIndex
	// own are the rules of the configuration, by host.
	own       map[string][]route.Spec
	table     *route.Table
	conflicts []route.Conflict
	policies  map[route.Backend]backend.Policy
	// served are the Ingresses whose routes are live; those of uncertified have
	// a host without a certificate.
	served, uncertified []*netv1.Ingress
	// unreached are the problems of the backends' endpoints, problems those of
	// everything.
	unreached, problems []kube.Problem
	// certFaults are the certificates that cannot be used.
	certFaults []string
}

// takeOver replaces the source by the one that has become ready.
func (r *runner) takeOver() {
	r.source.stop()
	r.source, r.coming = r.coming, nil
	r.l.publish(func(s *state) { s.sourceErr = "" })
	r.group.Go(forgetProgram)
	r.rebuildAll()
	r.relax()
	r.group.Go(giveBack)
}

// rebuild applies what changed at the source. Endpoints come first: the common
// change, and the one that must be quick.
func (r *runner) rebuild() {
	o := r.source.Objects()
	r.l.engine.UpdateEndpoints(r.build.endpoints.Update(o))
	if change := r.build.translator.Update(o); !change.Empty() {
		r.follow(o, r.build.table, change)
	}
	r.tellState(o)
}

// rebuildAll builds routes, certificates and endpoints anew. Before the first
// source has been read, what the configuration itself says is served.
func (r *runner) rebuildAll() {
	b, o, k := &r.build, &kube.Objects{}, r.config.Kubernetes
	if r.source != nil {
		o, k = r.source.Objects(), r.source.config
	}
	options := r.config.options(k)
	b.endpoints.SetZone(r.config.Zone)
	specs, static, _ := r.config.static()
	r.l.publish(func(s *state) { s.options, s.own = options, specs })
	r.l.engine.UpdateEndpoints(b.endpoints.Update(o))
	b.translator = kube.NewTranslator(options, b.endpoints)
	change := b.translator.Update(o)
	change.Policies, change.Certificates = true, true

	b.own = route.ByHost(specs)
	for to, eps := range static {
		r.l.engine.UpdateEndpoints([]route.Endpoints{{Backend: to, Endpoints: eps}})
	}
	first := b.table.Rules() == 0 // nothing is left of what was before
	r.follow(o, (&route.Table{}).With(b.own), change)
	if !first {
		all := b.endpoints.All()
		maps.Copy(all, static)
		r.l.engine.SetEndpoints(all)
	}
	r.tellState(o)
}

// follow makes a change of base live.
func (r *runner) follow(o *kube.Objects, base *route.Table, change kube.Change) {
	b := &r.build
	for host, specs := range change.Hosts {
		if own := b.own[host]; len(own) > 0 {
			change.Hosts[host] = slices.Concat(own, specs)
		}
	}
	table := base.With(change.Hosts)
	r.l.publish(func(s *state) { s.table = table })
	if change.Certificates {
		if r.source != nil { // else nobody has said yet what is wanted
			r.acme.want(b.translator.TLS(), b.translator.CertRequests(), r.filePairs())
		}
		r.setCertificates(r.pairs())
	}
	if change.Policies {
		_, _, b.policies = r.config.static()
		maps.Copy(b.policies, b.translator.Policies())
		r.l.engine.SetPolicies(r.config.Backend, b.policies)
	}
	// A backend's endpoints stand before its first route and leave after its
	// last, so that no request falls between the two.
	left, added := table.Changed(b.table)
	gone := b.endpoints.Use(added, left)
	r.l.engine.UpdateEndpoints(b.endpoints.Update(o))
	switch {
	case table.Rules() == 0 && (r.source == nil || r.source.config.None()):
		r.l.engine.SetRoutes(nil) // nobody has said what there is
	case r.source == nil:
		r.l.engine.SetFirstRoutes(table)
	default:
		r.l.engine.SetRoutes(table)
	}
	b.endpoints.Want(nil, gone)
	b.endpoints.Update(o)
	r.l.engine.DropEndpoints(gone)
	b.table, b.conflicts = table, table.Conflicts()
	b.served = b.translator.Served()
	if change.Certificates || change.Served {
		r.findUncertified()
	}
}

// findUncertified looks for what waits for a certificate, where anybody is told.
func (r *runner) findUncertified() {
	if r.source != nil && r.source.publisher != nil {
		r.build.uncertified = r.build.translator.Uncertified(r.l.certs.Known)
	}
}

// tellState tells everybody what is served now.
func (r *runner) tellState(o *kube.Objects) {
	r.l.publish(func(s *state) {
		s.endpoints = r.build.endpoints
		s.conflicts = r.build.conflicts
	})
	if r.source == nil {
		return
	}
	r.source.keep(o, r.build.backends())
	r.build.unreached = r.build.endpoints.Problems()
	r.wantNames()
	r.report()
	r.l.publish(func(s *state) {
		if r.source.config.None() {
			s.configured = s.rules() > 0
		} else {
			s.configured = s.configured || s.rules() > len(r.config.Routes)
		}
		s.source = r.source.Source
		s.publisher = r.source.publisher
	})
	r.tellAPI(o)
}

// backends returns what lists the backends whose endpoints are needed now, at
// any later time.
func (b *build) backends() func() []route.Backend {
	table := b.table
	return func() []route.Backend {
		return slices.DeleteFunc(table.Backends(), func(b route.Backend) bool { return b.Namespace == route.StaticNamespace })
	}
}

// report logs the problems that were not there before, once each.
func (r *runner) report() {
	problems := slices.Concat(r.build.translator.Problems(), r.build.unreached, r.acme.problems())
	known := make(map[kube.Problem]bool, len(r.build.problems))
	for _, p := range r.build.problems {
		known[p] = true
	}
	for _, p := range problems {
		if !known[p] {
			r.l.log.Warn("object has a problem", "object", p.Object, "field", p.Field, "problem", p.Text)
		}
	}
	r.build.problems = problems
	r.l.publish(func(s *state) { s.problems = problems })
}

// setCertificates logs what is wrong with a pair once, not at each rebuild.
func (r *runner) setCertificates(pairs []certs.Pair) {
	var faults []string
	for _, err := range r.l.certs.Set(pairs) {
		faults = append(faults, err.Error())
		if !slices.Contains(r.build.certFaults, err.Error()) {
			r.l.log.Warn("certificate not usable", "err", err)
		}
	}
	r.build.certFaults = faults
	r.l.publish(func(s *state) { s.certFaults = faults })
}

// pairs returns all certificates: those of the configuration, of Secrets, and of
// the CA. Where two name a host the first has it.
func (r *runner) pairs() []certs.Pair {
	out := r.filePairs()
	for _, t := range r.build.translator.TLS() {
		out = append(out, certs.Pair{Name: t.Secret, Hosts: t.Hosts, CertPEM: t.Cert, KeyPEM: t.Key})
	}
	return append(out, r.acme.pairs()...)
}

// filePairs returns the certificates that the configuration names. The first of
// all is the default.
func (r *runner) filePairs() []certs.Pair {
	var out []certs.Pair
	for _, e := range r.config.Entrypoints {
		if e.TLS != nil {
			out = append(out, e.TLS.Certificates...)
		}
	}
	return out
}
