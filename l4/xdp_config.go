package l4

import (
	"fmt"
	"slices"
	"time"
)

// A Choice is which dataplane the operator wants.
type Choice string

// The choices. IPVS holds the services in each of them, where the kernel has
// it.
const (
	// Auto takes XDP on interfaces whose driver runs it, where it is sure to
	// work, and else IPVS.
	Auto Choice = "auto"
	// ByXDP takes XDP wherever the kernel lets it, and needs no ip_vs.
	ByXDP Choice = "xdp"
	// ByIPVS leaves XDP alone.
	ByIPVS Choice = "ipvs"
)

// An XDP is what the operator wants of the dataplane in front of IPVS.
type XDP struct {
	Choice Choice
	// Interfaces are those to attach to; empty are those of the virtual
	// addresses.
	Interfaces []string
	// Fence is how long XDP goes on after the director's last sign of life.
	Fence time.Duration
	// Flows is how many connections it remembers at most.
	Flows int
}

// An XDPSection is the [l4.xdp] table.
type XDPSection struct {
	Interfaces []string `toml:"interfaces"`
	Fence      string   `toml:"fence"`
	Flows      *int     `toml:"flows"`
}

// What is not said: a restart of the director takes less than the fence, and
// another node has taken over by then. The flows are some 46 MB.
const (
	usualFence = 3 * time.Second
	usualFlows = 1 << 18
)

// xdp returns what the choice and a table mean.
func (p *parser) xdp(key, choice string, s *XDPSection) XDP {
	x := XDP{Choice: Choice(p.oneOf("l4.dataplane", choice, string(Auto), string(Auto), string(ByXDP), string(ByIPVS))), Fence: usualFence, Flows: usualFlows}
	if s == nil {
		return x
	}
	for i, name := range s.Interfaces {
		if name == "" || slices.Contains(s.Interfaces[:i], name) {
			p.fault(fmt.Sprintf("%s.interfaces[%d]", key, i), "%q is no name, or stands here twice", name)
		}
	}
	x.Interfaces = s.Interfaces
	if s.Fence != "" {
		x.Fence = p.seconds(key+".fence", s.Fence, time.Second, time.Minute)
	}
	x.Flows = p.number(key+".flows", s.Flows, usualFlows, 1<<10, 1<<24)
	return x
}
