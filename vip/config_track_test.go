package vip_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"

	"github.com/portico-lb/portico/vip"
)

// TestParseTrack: what a group tracks by default depends on the node, and an
// empty list is no absent one.
func TestParseTrack(t *testing.T) {
	ready := netip.MustParseAddrPort("127.0.0.1:9181")
	proxy, idle, silent := vip.Local{Ready: ready, Proxies: true}, vip.Local{Ready: ready}, vip.Local{Proxies: true}
	const none = "the proxy tells nobody whether it is ready: give l7.ready_listen an address and port"
	tests := []struct {
		name  string
		track string
		local vip.Local
		want  string // the rules, or the faults
	}{
		{"default", "", proxy, "l7 weight -30"},
		{"default where nothing is proxied", "", idle, ""},
		{"default where /ready is off", "", silent, ""},
		{"turned off", "track = []", proxy, ""},
		{"own list", "track = [ { interface = 'eth1', weight = -50 }, { file = '/run/portico/off' } ]", proxy, "interface eth1 weight -50, file /run/portico/off"},
		{"l7 where nothing is proxied yet", "track = [ { l7 = true } ]", idle, "l7"},
		{"l7 where /ready is off", "track = [ { interface = 'eth1' }, { l7 = true } ]", silent, "vip[0].vrrp.track[1].l7: " + none},
		{"fault", "track = [ { interface = 'eth1', weight = 300 } ]", proxy, "vip[0].vrrp.track[0].weight: 300 is out of range: allowed are -253 to -1 and 1 to 253"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var file struct {
				VIP []vip.Section `toml:"vip"`
			}
			text := "[[vip]]\nname = 'edge'\naddresses = ['192.0.2.10']\ninterface = 'eth0'\n[vip.vrrp]\nrouter_id = 51\n" + tt.track
			if err := toml.NewDecoder(strings.NewReader(text)).DisallowUnknownFields().Decode(&file); err != nil {
				t.Fatal(err)
			}
			var got []string
			c := vip.Parse(file.VIP, tt.local, nil, func(key, problem string) { got = append(got, key+": "+problem) })
			for _, r := range c.Groups[0].Track {
				if len(got) == 0 || !strings.Contains(got[0], ": ") {
					got = append(got, fmt.Sprint(r))
				}
			}
			if got := strings.Join(got, ", "); got != tt.want || c.Ready != tt.local.Ready {
				t.Errorf("%s gives %q, want %q", tt.track, got, tt.want)
			}
		})
	}
}
