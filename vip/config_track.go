package vip

import (
	"fmt"
	"net/netip"

	"github.com/portico-lb/portico/vip/track"
)

// Local is what groups may need to know of the node they are on.
type Local struct {
	// Interface serves groups that name none; "" is no default.
	Interface string
	// Ready is where the node's proxy answers GET /ready; the zero value when
	// it does so nowhere.
	Ready netip.AddrPort
	// Proxies says that the node's proxy takes requests: groups that do not
	// say what they track then track its readiness.
	Proxies bool
}

// notReady is the default weight of the proxy's readiness: more than the usual
// steps between nodes, and less than what makes a node refuse. So a node whose
// proxy works is preferred, and where none does one still has the address.
const notReady = -30

// track reads a list of rules. Nil means that the operator says nothing, and
// otherwise stands for it.
func (p parser) track(ss []track.Section, otherwise ...track.Section) []track.Rule {
	if ss == nil && p.local.Proxies && p.local.Ready.IsValid() {
		ss = otherwise
	}
	rules := track.Parse(ss, p.key+".track", p.bad)
	for i, r := range rules {
		if r.Kind == track.L7 && !p.local.Ready.IsValid() {
			p.fault(fmt.Sprintf("track[%d].l7", i), "the proxy tells nobody whether it is ready: give l7.ready_listen an address and port")
		}
	}
	return rules
}
