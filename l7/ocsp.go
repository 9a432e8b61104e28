package l7

import (
	"context"

	"github.com/portico-lb/portico/l7/certs"
)

// applyOCSP begins or ends the stapling of OCSP responses.
func (r *runner) applyOCSP(ctx context.Context, on bool) {
	if on == (r.stapling != nil) {
		return
	}
	if !on {
		r.stopOCSP()
		return
	}
	ctx, r.stapling = context.WithCancel(context.WithoutCancel(ctx)) // ended by stopOCSP
	stapler := certs.NewStapler(r.l.certs, certs.ResponderClient(), r.l.log)
	r.group.Go(func() { stapler.Run(ctx) })
}

func (r *runner) stopOCSP() {
	if r.stapling != nil {
		r.stapling()
		r.stapling = nil
	}
}
