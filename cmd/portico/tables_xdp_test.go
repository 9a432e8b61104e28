package main

import (
	"strings"
	"testing"

	"github.com/portico-lb/portico/l4/xdp"
)

func TestPrintXDP(t *testing.T) {
	for name, tt := range map[string]struct {
		status xdp.Status
		want   string
	}{
		"off": {xdp.Status{}, ""},
		"beside IPVS": {xdp.Status{
			Layout:     "0123abcd",
			Interfaces: []xdp.InterfaceStatus{{Name: "eth0", Mode: xdp.Native}, {Name: "eth1", Reason: "it is no Ethernet"}},
			Verdicts:   map[string]uint64{"send": 5, "send_other": 1, "pass_local": 1, "pass_peer": 1, "pass_vlan": 1, "pass_no_service": 9, "drop_denied": 2},
		}, "  xdp: native on eth0\n  xdp: not on eth1: it is no Ethernet\n  xdp: 6 packets sent on, 3 left to the kernel, 2 dropped\n"},
		"refused": {xdp.Status{LastError: "no room"}, "  ! xdp: no room\n"},
	} {
		var b strings.Builder
		if printXDP(&b, tt.status); b.String() != tt.want {
			t.Errorf("%s:\n%s", name, b.String())
		}
	}
}
