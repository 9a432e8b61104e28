package kube

import (
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	netv1 "k8s.io/api/networking/v1"

	"github.com/portico-lb/portico/l7/backend"
	"github.com/portico-lb/portico/l7/route"
)

// An entry is an Ingress that is ours.
type entry struct {
	*netv1.Ingress
	// hosts are all that it may have rules for, once each.
	hosts     []string
	certified []nginxHost
	tls       []tlsEntry
	part      *part
}

// A part is Ingresses that have hosts in common, the oldest one first, and what
// they were translated to.
type part struct {
	entries  []*entry
	hosts    []string
	specs    []route.Spec
	services few[serviceName, *corev1.Service] // as in reads
	owners   few[string, route.Origin]
	*seldom
	// at is its place among the Translator's parts, -1 for none; stale says that it
	// is to be translated.
	at    int
	stale bool
}

// seldom is what few parts have; the others share one, as there are ten thousand.
type seldom struct {
	problems []Problem
	policies map[route.Backend]backend.Policy
	disowned map[claim]bool
	seldomReads
}

func (s *seldom) empty() bool {
	return len(s.problems) == 0 && len(s.policies) == 0 && len(s.disowned) == 0 &&
		len(s.secrets) == 0 && len(s.counts) == 0 && s.certified.empty() && len(s.pages) == 0
}

func newEntry(in *netv1.Ingress, d Dialect) *entry {
	e := &entry{Ingress: in, tls: newTLSEntries(in)}
	if in.Spec.DefaultBackend != nil {
		e.add("")
	}
	for i := range in.Spec.Rules {
		if host, err := canonicalHost(in.Spec.Rules[i].Host); err == nil {
			e.add(host)
		}
	}
	if d == Nginx {
		for _, host := range nginxOtherHosts(in, e.hosts) {
			e.add(host)
		}
		e.certified = nginxCertified(in)
	}
	return e
}

func (e *entry) add(host string) {
	if !slices.Contains(e.hosts, host) {
		e.hosts = append(e.hosts, host)
	}
}

// compareAge has the oldest Ingress first, and then goes by name, so that every
// edge decides alike.
func compareAge(a, b *entry) int {
	if c := a.CreationTimestamp.Compare(b.CreationTimestamp.Time); c != 0 {
		return c
	}
	if c := strings.Compare(a.Namespace, b.Namespace); c != 0 {
		return c
	}
	return strings.Compare(a.Name, b.Name)
}

// sortParts puts those with the oldest Ingresses first.
func sortParts(parts []*part) []*part {
	slices.SortFunc(parts, func(a, b *part) int { return compareAge(a.entries[0], b.entries[0]) })
	return parts
}

// enter makes p one of the parts.
func (t *Translator) enter(p *part) {
	p.at = len(t.parts)
	t.parts = append(t.parts, p)
}

// leave takes p away from the parts.
func (t *Translator) leave(p *part) {
	last := len(t.parts) - 1
	t.parts[p.at], t.parts[last].at = t.parts[last], p.at
	t.parts[last] = nil
	t.parts, p.at = t.parts[:last], -1
}

// A revision is a change that is being made.
type revision struct {
	*Translator
	hosts map[string][]route.Spec
	// stale are the parts to translate, among others that are no more.
	stale []*part
	// policies and problems say that those of a part have come or gone,
	// certificates that something has which certificates depend on.
	policies, problems, certificates bool
}

// replace takes entries away and adds Ingresses, and returns the hosts of which
// it is another thing now whether somebody has a certificate.
func (r *revision) replace(gone []*entry, come []*netv1.Ingress) (toggled map[nginxHost]bool) {
	toggled = make(map[nginxHost]bool)
	for _, e := range gone {
		delete(r.entries, e.Ingress)
		r.certify(e, -1, toggled)
	}
	var loose []*entry
	for _, e := range gone {
		loose = r.dissolve(e.part, loose)
	}
	if len(r.entries) == 0 { // they are many at a start
		n := len(come)
		r.entries, r.byHost = make(map[*netv1.Ingress]*entry, n), make(map[string]*part, n)
		r.parts, r.stale, loose = make([]*part, 0, n), make([]*part, 0, n), make([]*entry, 0, n)
	}
	for _, in := range come {
		e := newEntry(in, r.opt.Dialect)
		r.entries[in] = e
		r.certify(e, 1, toggled)
		for _, host := range e.hosts {
			loose = r.dissolve(r.byHost[host], loose)
		}
		loose = append(loose, e)
	}
	r.group(loose)
	return toggled
}

// certify counts what e has a tls for.
func (r *revision) certify(e *entry, n int, toggled map[nginxHost]bool) {
	r.certificates = r.certificates || len(e.Spec.TLS) > 0
	for _, h := range e.certified {
		if r.Translator.certified[h] += n; r.Translator.certified[h] == 0 {
			delete(r.Translator.certified, h)
		}
		toggled[h] = true
	}
}

// dissolve takes a part apart, unless that has been done, and appends to loose
// those of it that stay.
func (r *revision) dissolve(p *part, loose []*entry) []*entry {
	if p == nil || p.at < 0 {
		return loose
	}
	r.leave(p)
	r.forget(p)
	for _, host := range p.hosts {
		delete(r.byHost, host)
	}
	for _, e := range p.entries {
		if r.entries[e.Ingress] == e {
			loose = append(loose, e)
		}
	}
	return loose
}

// forget notes that what p was translated to does not count any more.
func (r *revision) forget(p *part) {
	for i := range p.specs {
		r.hosts[p.specs[i].Host] = nil
	}
	r.note(p)
}

// note notes what the coming, or the going, of p changes beside its hosts.
func (r *revision) note(p *part) {
	r.policies = r.policies || len(p.policies) > 0
	r.problems = r.problems || len(p.problems) > 0
	if r.certificates || len(r.tls.owners.index) == 0 {
		return
	}
	for host := range p.owners.all() {
		_, named := r.tls.owners.get(host)
		r.certificates = r.certificates || named
	}
}

// group makes parts of entries.
func (r *revision) group(loose []*entry) {
	for _, e := range loose {
		p := &part{at: -1, seldom: r.nothing}
		for _, host := range e.hosts {
			other := r.byHost[host]
			if other != nil && other != p {
				p = r.join(p, other)
			}
		}
		if len(p.entries) == 0 {
			p.hosts = slices.Clip(e.hosts) // those of who joins are appended
		}
		for _, host := range e.hosts {
			if len(p.entries) > 0 && r.byHost[host] != p {
				p.hosts = append(p.hosts, host)
			}
			r.byHost[host] = p
		}
		e.part = p
		p.entries = append(p.entries, e)
		if p.at < 0 {
			r.enter(p)
		}
		r.outdate(p)
	}
	for _, p := range r.stale {
		slices.SortFunc(p.entries, compareAge)
	}
}

// outdate has p be translated.
func (r *revision) outdate(p *part) {
	if !p.stale {
		p.stale = true
		r.stale = append(r.stale, p)
	}
}

// join makes one part of two, and returns it.
func (r *revision) join(a, b *part) *part {
	if len(a.entries) > len(b.entries) {
		a, b = b, a
	}
	for _, e := range a.entries {
		e.part = b
	}
	for _, host := range a.hosts {
		r.byHost[host] = b
	}
	b.entries, b.hosts = append(b.entries, a.entries...), append(b.hosts, a.hosts...)
	if a.at >= 0 {
		r.leave(a)
	}
	a.entries = nil
	return b
}

// translate reads the Ingresses of all parts that are stale.
func (r *revision) translate() {
	parts := slices.DeleteFunc(r.stale, func(p *part) bool { return p.at < 0 })
	if len(r.hosts) == 0 {
		r.hosts = make(map[string][]route.Spec, len(parts))
	}
	for _, p := range parts {
		r.forget(p)
	}
	// Parts have nothing in common, and at a start there are as many as hosts.
	const atOnce = 64
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for some := range slices.Chunk(parts, atOnce) {
		g.Go(func() error {
			var t translation
			for _, p := range some {
				p.translate(r.Translator, &t)
			}
			return nil
		})
	}
	_ = g.Wait() // none of them fails
	for _, p := range parts {
		p.stale = false
		r.note(p)
		route.AddByHost(r.hosts, p.specs)
	}
}

// translate reads the Ingresses of p. It changes nothing else. Of what t was before
// it takes the room alone.
func (p *part) translate(of *Translator, t *translation) {
	if t.dialect == nil {
		t.dialect = newDialect(of.opt.Dialect)
	}
	*t = translation{opt: &of.opt, of: of, dialect: t.dialect, ingresses: t.ingresses[:0]}
	t.dialect.begin()
	for _, e := range p.entries {
		t.ingresses = append(t.ingresses, e.Ingress)
	}
	for _, in := range t.ingresses {
		t.ingress(in)
	}
	t.dialect.finish(t)
	p.specs, p.services, p.owners, p.seldom = t.Specs, t.reads.services, t.owners, of.nothing
	if s := (seldom{t.Problems, t.Policies, t.disowned, t.reads.seldomReads}); !s.empty() {
		p.seldom = new(s)
	}
}

// finish puts together what is of all parts.
func (r *revision) finish(secrets bool) Change {
	t := r.Translator
	certificates := r.certificates || secrets || t.tls.owners.index == nil
	if certificates {
		before := t.tls
		t.tls = t.readCertificates()
		certificates = !t.tls.equal(before)
		r.problems = r.problems || !slices.Equal(before.Problems, t.tls.Problems)
	}
	if r.policies {
		t.policies = nil
		for _, p := range t.parts {
			for b, policy := range p.policies {
				remember(&t.policies, b, policy)
			}
		}
	}
	if r.problems {
		t.problems = t.allProblems()
	}
	return Change{Hosts: r.hosts, Policies: r.policies, Problems: r.problems, Certificates: certificates}
}

// allProblems returns those of all parts, of those with the oldest Ingresses
// first, and of certificates. A Service that several parts name has its own once.
func (t *Translator) allProblems() []Problem {
	var faulty []*part
	for _, p := range t.parts {
		if len(p.problems) > 0 {
			faulty = append(faulty, p)
		}
	}
	var out []Problem
	told := make(map[Problem]bool)
	tell := func(problems []Problem) {
		for _, p := range problems {
			if !told[p] {
				told[p] = true
				out = append(out, p)
			}
		}
	}
	for _, p := range sortParts(faulty) {
		tell(p.problems)
	}
	tell(t.tls.Problems)
	return out
}
