package xdp

import (
	"fmt"

	"github.com/portico-lb/portico/l4"
)

// unable says why XDP cannot carry a service, "" where it can: it does direct
// routing of TCP and UDP by the tables of mh, and keeps no record by which
// clients could be bound or connections be limited.
func unable(v l4.VirtualService) string {
	const known = l4.FlagFallback | l4.FlagPort
	switch {
	case v.Key.Mark != 0:
		return "firewall mark"
	case v.Key.Protocol != l4.TCP && v.Key.Protocol != l4.UDP:
		return "protocol " + v.Key.Protocol.String()
	case v.Scheduler != "mh":
		return "scheduler " + v.Scheduler
	case v.Persistence > 0 || v.Flags&l4.FlagPersistent != 0:
		return "persistence"
	case v.Flags&l4.FlagOnePacket != 0:
		return "one_packet"
	case v.Flags&^known != 0:
		return fmt.Sprintf("flags %#x", v.Flags&^known)
	}
	for _, d := range v.Destinations {
		switch {
		case d.Forward == l4.Tunnel:
			return "forward tunnel"
		case d.Forward == l4.Masquerade:
			return "forward nat"
		case d.Forward != l4.DirectRoute:
			return fmt.Sprintf("forward %d", d.Forward)
		case d.Upper != 0 || d.Lower != 0:
			return "thresholds"
		}
	}
	return ""
}
