package kube

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/portico-lb/portico/l7/route"
)

// Names are what Services of type ExternalName stand for. Where they lead is for
// whoever can write a Service to say, past every rule of the network that keeps
// him from there: none is served but those of Allow.
type Names struct {
	// Allow are canonical names, or "*." before a domain for all names below it.
	Allow []string
	// Answers are those of DNS, by canonical name. One that is missing has not
	// been asked for yet.
	Answers map[string]Answer
}

// An Answer is what DNS says of a name.
type Answer struct {
	Addrs []netip.Addr
	// Err is why there is none, or not more.
	Err string
}

func (n Names) allows(name string) bool {
	return slices.ContainsFunc(n.Allow, func(allowed string) bool {
		domain, below := strings.CutPrefix(allowed, "*")
		return name == allowed || below && strings.HasSuffix(name, domain) && name != domain[1:]
	})
}

// externalName returns the canonical name that a Service stands for, "" where it
// is none.
func externalName(s *corev1.Service) string {
	if s == nil || s.Spec.Type != corev1.ServiceTypeExternalName {
		return ""
	}
	name, err := route.CanonicalHost(nil, []byte(s.Spec.ExternalName))
	if _, address := netip.ParseAddr(string(name)); err != nil || address == nil {
		return ""
	}
	return string(name)
}

// external returns the endpoints of one of s's backends: the Service need not
// list its port.
func (s *service) external(b route.Backend, names Names, found *candidates) []route.Endpoint {
	name := externalName(s.object)
	switch answer, asked := names.Answers[name]; {
	case name == "":
		s.problem("spec.externalName", "%q is no DNS name, its routes answer 503: correct it", s.object.Spec.ExternalName)
		return nil
	case !names.allows(name):
		s.problem("spec.externalName", "%s is not in l7.kubernetes.allow_external_names, its routes answer 503: add it there, or use a Service with endpoints", name)
		return nil
	case !asked:
		return nil
	case answer.Err != "":
		s.problem("spec.externalName", "%s", answer.Err)
	}
	port, listed := servicePort(s.object, b.Port)
	number := uint64(port.Port)
	if !listed {
		var err error
		if number, err = strconv.ParseUint(b.Port, 10, 16); err != nil || number == 0 {
			s.problem("spec.ports", "no TCP port is %s, which is asked for, what leads there answers 503: add the port, or correct the Ingress or the middleware that names it", b.Port)
			return nil
		}
	}
	protocol := s.protocol(port, b)
	for _, a := range names.Answers[name].Addrs {
		found.put(0, candidate{Endpoint: route.Endpoint{Addr: netip.AddrPortFrom(a, uint16(number)), Protocol: protocol}})
	}
	return found.best(s.object.Spec.IPFamilies)
}

// SetNames has the next Update go by n.
func (x *EndpointIndex) SetNames(n Names) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.names = n
	for _, s := range x.services {
		if s.object != nil && s.object.Spec.Type == corev1.ServiceTypeExternalName {
			x.outdate(s)
		}
	}
}

// ExternalNames returns the names that DNS is to be asked for, in order: those
// that are allowed and that backends lead to.
func (x *EndpointIndex) ExternalNames() []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.names.Allow) == 0 {
		return nil
	}
	var out []string
	for _, s := range x.services {
		if name := externalName(s.object); len(s.uses) > 0 && name != "" && x.names.allows(name) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
