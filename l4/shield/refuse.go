package shield

import (
	"fmt"
	"net/netip"
)

// A Friend is an address that no order denies by mistake.
type Friend struct {
	Addr netip.Addr
	// What says who that is: "a VRRP peer".
	What string
}

// refuse returns why a network is better not denied, nil where nothing speaks
// against it.
func refuse(n netip.Prefix, friends []Friend) error {
	const meant = "or give --force if that is what you want"
	switch {
	case n.Bits() == 0:
		return fmt.Errorf("%s is everybody: deny the networks that attack, %s", n, meant)
	case n.Addr().IsLoopback():
		return fmt.Errorf("%s is this node itself, whose packets to itself are never dropped: deny the networks that attack, %s", n, meant)
	}
	for _, f := range friends {
		if n.Contains(f.Addr) {
			return fmt.Errorf("%s holds %s, %s: deny smaller networks beside it, %s", n, f.Addr, f.What, meant)
		}
	}
	return nil
}
