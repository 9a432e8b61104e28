package l7

import (
	"maps"
	"slices"

	netv1 "k8s.io/api/networking/v1"

	"github.com/portico-lb/portico/l7/certs"
	"github.com/portico-lb/portico/l7/kube"
	"github.com/portico-lb/portico/l7/route"
)

// A build is what the last objects were turned into.
type build struct {
	gen       kube.Generations
	result    kube.Result
	conflicts []route.Conflict
	backends  []route.Backend
	// served are the Ingresses whose routes and certificates are live.
	served    []*netv1.Ingress
	endpoints *kube.EndpointIndex
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
	r.rebuildAll()
	r.group.Go(giveBack)
}

// rebuild applies what changed at the source.
func (r *runner) rebuild() {
	o := r.source.Objects()
	if !r.build.outdated(o) {
		if r.setEndpoints(o); !r.build.miscounted() {
			return
		}
	}
	r.rebuildAll()
}

// rebuildAll builds routes, certificates and endpoints anew.
func (r *runner) rebuildAll() {
	if r.source == nil {
		r.setCertificates(r.pairs())
		return
	}
	o, options := r.source.Objects(), r.config.options(r.source.config)
	result := kube.Routes(o, options)
	specs, static, policies := r.config.static()
	specs = append(specs, result.Specs...)
	maps.Copy(policies, result.Policies)
	table, conflicts := route.NewTable(specs)
	r.l.publish(func(s *state) { s.table, s.routes, s.options = table, specs, options })
	r.build.result, r.build.conflicts = result, conflicts
	r.acme.want(result, r.filePairs())
	r.setCertificates(r.pairs())

	// A backend's endpoints stand before its first route and leave after its
	// last, so that no request falls between the two.
	r.build.backends = wanted(table, r.config.Backend, policies)
	r.l.engine.SetPolicies(r.config.Backend, policies)
	r.build.endpoints.Want(r.build.backends)
	r.l.engine.UpdateEndpoints(static)
	r.l.engine.UpdateEndpoints(r.build.endpoints.Update(o))
	if r.source.config.None() && len(specs) == 0 {
		r.l.engine.SetRoutes(nil) // nobody has said what there is
	} else {
		r.l.engine.SetRoutes(table)
	}
	all := r.build.endpoints.All()
	maps.Copy(all, static)
	r.l.engine.SetEndpoints(all)
	r.build.served = kube.Served(o, r.config.options(r.source.config))
	r.setEndpoints(o)
}

// setEndpoints applies the endpoints alone: the common change, and the one
// that must be quick.
func (r *runner) setEndpoints(o *kube.Objects) {
	r.l.engine.UpdateEndpoints(r.build.endpoints.Update(o))
	r.build.gen = o.Gen
	r.source.keep(o, r.build.backends)
	r.build.unreached = r.build.endpoints.Problems()
	r.wantNames()
	r.report()
	r.l.publish(func(s *state) {
		if r.source.config.None() {
			s.configured = len(s.routes) > 0
		} else {
			s.configured = s.configured || len(r.build.result.Specs) > 0
		}
		s.source = r.source.Source
		s.endpoints = r.build.endpoints
		s.conflicts = r.build.conflicts
		s.publisher = r.source.publisher
	})
	r.tellAPI(o)
}

// report logs the problems that were not there before, once each.
func (r *runner) report() {
	problems := slices.Concat(r.build.result.Problems, r.build.unreached, r.acme.problems())
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
	for _, t := range r.build.result.TLS {
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
