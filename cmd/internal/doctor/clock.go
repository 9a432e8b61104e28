package doctor

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// clockFacts are what the kernel knows of its clock (adjtimex(2)).
type clockFacts struct {
	synchronised bool
	// most is how far it may be off.
	most time.Duration
	// hmac says that a group signs its adverts with the time.
	hmac bool
}

// checkClock: the clock is kept by a server of time.
func checkClock(_ context.Context, n *Node) []Finding {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	if err != nil {
		return skip("ask the kernel for its clock: " + err.Error())
	}
	f := clockFacts{synchronised: state != unix.TIME_ERROR && t.Status&unix.STA_UNSYNC == 0, most: time.Duration(t.Maxerror) * time.Microsecond}
	for _, g := range n.Config.VIP.Groups {
		f.hmac = f.hmac || len(g.VRRP.HMAC.Keys) > 0
	}
	return judgeClock(f)
}

func judgeClock(f clockFacts) []Finding {
	const found = "no server keeps this clock right"
	cure := []string{"timedatectl set-ntp true", "timedatectl timesync-status"}
	switch {
	case f.synchronised:
		return ok(fmt.Sprintf("the clock is kept right, within %v", f.most.Round(time.Millisecond)))
	case f.hmac:
		return []Finding{fail(found, "adverts with hmac carry the time, and nodes whose clocks drift apart do not hear each other", cure...)}
	}
	return []Finding{warn(found, "certificates and tokens are judged by it, and logs of several nodes do not fit together", cure...)}
}
