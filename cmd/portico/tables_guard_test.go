package main

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/portico-lb/portico/l4/guard"
)

func TestPrintGuard(t *testing.T) {
	for _, tt := range []struct {
		status guard.Status
		want   string
	}{
		{guard.Status{}, ""},
		{guard.Status{LastError: "no nf_tables"}, "  ! no guard against packets that bounce between directors: no nf_tables\n"},
		{guard.Status{On: true, Packets: 7, Peers: []guard.Peer{
			{Address: netip.MustParseAddr("192.0.2.2"), MAC: guard.MAC{2}},
			{Address: netip.MustParseAddr("192.0.2.3"), LeftOut: "it is far"},
		}}, "  guard: 1 peers, 7 of their packets delivered here past IPVS\n  guard: without 192.0.2.3: it is far\n"},
	} {
		var b strings.Builder
		if printGuard(&b, tt.status); b.String() != tt.want {
			t.Errorf("got %q, want %q", b.String(), tt.want)
		}
	}
}
