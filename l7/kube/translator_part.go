package kube

import (
	"maps"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
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
	problems []Problem
	policies map[route.Backend]backend.Policy
	reads    reads
	owners   few[string, route.Origin]
	disowned map[claim]bool
}

func newEntry(in *netv1.Ingress, d Dialect) *entry {
	e := &entry{Ingress: in, tls: newTLSEntries(in)}
	add := func(host string) {
		if !slices.Contains(e.hosts, host) {
			e.hosts = append(e.hosts, host)
		}
	}
	if in.Spec.DefaultBackend != nil {
		add("")
	}
	for _, r := range in.Spec.Rules {
		if host, err := canonicalHost(r.Host); err == nil {
			add(host)
		}
	}
	if d == Nginx {
		for _, host := range nginxOtherHosts(in, e.hosts) {
			add(host)
		}
		e.certified = nginxCertified(in)
	}
	return e
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

// sortedParts returns those with the oldest Ingresses first.
func sortedParts(parts map[*part]bool) []*part {
	return slices.SortedFunc(maps.Keys(parts), func(a, b *part) int { return compareAge(a.entries[0], b.entries[0]) })
}

// A revision is a change that is being made.
type revision struct {
	*Translator
	hosts map[string][]route.Spec
	// stale are the parts to translate.
	stale map[*part]bool
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
	if p == nil || !r.parts[p] {
		return loose
	}
	delete(r.parts, p)
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
	r.policies = r.policies || len(p.policies) > 0
	r.problems = r.problems || len(p.problems) > 0
	for host := range p.owners.all() {
		_, named := r.tls.owners.get(host)
		r.certificates = r.certificates || named
	}
}

// group makes parts of entries.
func (r *revision) group(loose []*entry) {
	for _, e := range loose {
		p := &part{}
		for _, host := range e.hosts {
			other := r.byHost[host]
			if other != nil && other != p {
				p = r.join(p, other)
			}
		}
		for _, host := range e.hosts {
			if r.byHost[host] != p {
				r.byHost[host] = p
				p.hosts = append(p.hosts, host)
			}
		}
		e.part = p
		p.entries = append(p.entries, e)
		r.parts[p], r.stale[p] = true, true
	}
	for p := range r.stale {
		slices.SortFunc(p.entries, compareAge)
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
	delete(r.parts, a)
	delete(r.stale, a)
	return b
}

// translate reads the Ingresses of all parts that are stale.
func (r *revision) translate() {
	parts := slices.Collect(maps.Keys(r.stale))
	for _, p := range parts {
		r.forget(p)
	}
	// Parts have nothing in common, and at a start there are as many as hosts.
	const atOnce = 64
	hosts := make([]map[string][]route.Spec, len(parts))
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for from := 0; from < len(parts); from += atOnce {
		g.Go(func() error {
			for i := from; i < min(from+atOnce, len(parts)); i++ {
				parts[i].translate(r.Translator)
				hosts[i] = route.ByHost(parts[i].specs)
			}
			return nil
		})
	}
	_ = g.Wait() // none of them fails
	for i, p := range parts {
		r.forget(p)
		maps.Copy(r.hosts, hosts[i])
	}
}

// translate reads the Ingresses of p. It changes nothing else.
func (p *part) translate(of *Translator) {
	t := translation{opt: of.opt, of: of, dialect: newDialect(of.opt.Dialect)}
	for _, e := range p.entries {
		t.ingresses = append(t.ingresses, e.Ingress)
	}
	for _, in := range t.ingresses {
		t.ingress(in)
	}
	t.dialect.finish(&t)
	p.specs, p.problems, p.policies = t.Specs, t.Problems, t.Policies
	p.reads, p.owners, p.disowned = t.reads, t.owners, t.disowned
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
		for p := range t.parts {
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
	faulty := make(map[*part]bool)
	for p := range t.parts {
		if len(p.problems) > 0 {
			faulty[p] = true
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
	for _, p := range sortedParts(faulty) {
		tell(p.problems)
	}
	tell(t.tls.Problems)
	return out
}
