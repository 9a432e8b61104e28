package vip_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/portico-lb/portico/vip"
	"github.com/portico-lb/portico/vip/vrrp"
)

// parseVRRP reads groups whose [vip.vrrp] are given, with files by name.
func parseVRRP(files map[string]string, sections ...vip.VRRPSection) (vip.Config, string) {
	var ss []vip.Section
	for i, s := range sections {
		if s.RouterID == nil {
			s.RouterID = num(i + 1)
		}
		ss = append(ss, vip.Section{Name: fmt.Sprint("g", i), Addresses: []string{fmt.Sprintf("192.0.2.%d", i+1)}, VRRP: s})
	}
	var faults []string
	c := vip.Parse(ss, vip.Local{Interface: "eth0"}, func(name string) ([]byte, error) { return []byte(files[name]), nil },
		func(key, problem string) { faults = append(faults, key+": "+problem) })
	return c, strings.Join(faults, "\n")
}

func TestParseHMAC(t *testing.T) {
	long := strings.Repeat("k", 32)
	files := map[string]string{
		"one":   long + "\n",
		"two":   "# rotated yearly\n1 hex:" + strings.Repeat("0f", 64) + "\n\n2 " + long + "\n",
		"short": "secret-and-short\n",
		"odd":   "1 hex:" + strings.Repeat("0", 65) + "\n",
		"id":    "0 " + long + "\n",
		"twice": "1 " + long + "\n1 " + long + "x\n",
	}
	tests := []struct {
		name string
		s    vip.VRRPSection
		want string // the fault, or ""
	}{
		{"one key", vip.VRRPSection{HMACKeyFile: "one"}, ""},
		{"two keys", vip.VRRPSection{HMACKeyFile: "two", HMACKeyID: num(2), HMACMode: "receive-only", HMACWindow: "10s"}, ""},
		{"short", vip.VRRPSection{HMACKeyFile: "short"}, `vip[0].vrrp.hmac_key_file: short: line 1: a key of 16 bytes: allowed are 32 to 64 bytes, or hex: and 64 to 128 digits
vip[0].vrrp.hmac_key_file: short: no usable key with id 1, which is to sign`},
		{"odd", vip.VRRPSection{HMACKeyFile: "odd"}, `vip[0].vrrp.hmac_key_file: odd: line 1: after hex: there are characters that are no digits, or an odd number
vip[0].vrrp.hmac_key_file: odd: no usable key with id 1, which is to sign`},
		{"id", vip.VRRPSection{HMACKeyFile: "id"}, `vip[0].vrrp.hmac_key_file: id: line 1: allowed are a key, or its id (1 to 255) and the key
vip[0].vrrp.hmac_key_file: id: no usable key with id 1, which is to sign`},
		{"twice", vip.VRRPSection{HMACKeyFile: "twice"}, `vip[0].vrrp.hmac_key_file: twice: line 2: a second key with id 1`},
		{"other id", vip.VRRPSection{HMACKeyFile: "two", HMACKeyID: num(3)}, `vip[0].vrrp.hmac_key_file: two: no usable key with id 3, which is to sign`},
		{"mode", vip.VRRPSection{HMACKeyFile: "one", HMACMode: "off"}, `vip[0].vrrp.hmac_mode: "off" is unknown: allowed are "enforce", "permissive" and "receive-only"`},
		{"window", vip.VRRPSection{HMACKeyFile: "one", HMACWindow: "10m"}, `vip[0].vrrp.hmac_window: "10m" is no window: allowed are 1s to 5m0s`},
		{"version 2", vip.VRRPSection{HMACKeyFile: "one", Version: num(2)}, `vip[0].vrrp.hmac_key_file: version 2 has no such authentication: use version 3`},
		{"no file", vip.VRRPSection{HMACMode: "enforce"}, `vip[0].vrrp.hmac_key_file: missing: hmac_key_id, hmac_mode and hmac_window have no effect without it`},
		{"ttl", vip.VRRPSection{UnicastTTL: num(3)}, `vip[0].vrrp.unicast_ttl: has no effect without peers: multicast never leaves the link`},
		{"checksum", vip.VRRPSection{V3Checksum: "rfc"}, `vip[0].vrrp.v3_checksum: "rfc" is unknown: allowed are "pseudo-header" and "plain"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, faults := parseVRRP(files, tt.s)
			if faults != tt.want {
				t.Errorf("got\n%s\nwant\n%s", faults, tt.want)
			}
			if s := fmt.Sprintf("%+v %s", c, faults); strings.Contains(s, "kkkk") || strings.Contains(s, "secret") {
				t.Errorf("shows the key: %s", s)
			}
		})
	}
	c, _ := parseVRRP(files, tests[1].s)
	if h := c.Groups[0].VRRP.HMAC; len(h.Keys) != 2 || h.Active != 2 || h.Mode != vrrp.HMACReceiveOnly || h.Window != 10*time.Second {
		t.Errorf("got %+v", h)
	}
	c, _ = parseVRRP(files, vip.VRRPSection{HMACKeyFile: "one", AdvertInterval: "3s"})
	if w := c.Groups[0].VRRP.HMAC.Window; w != 9*time.Second {
		t.Errorf("window %v, want three adverts", w)
	}
}

func TestParseSyncGroup(t *testing.T) {
	base := vip.VRRPSection{SyncGroup: "s"}
	with := func(change func(*vip.VRRPSection)) vip.VRRPSection { s := base; change(&s); return s }
	tests := []struct {
		name  string
		other vip.VRRPSection
		want  string
	}{
		{"good", base, ""},
		{"alone", vip.VRRPSection{}, `vip[0].vrrp.sync_group: "s" has this one member: give another group the same sync_group, or remove it`},
		{"priority", with(func(s *vip.VRRPSection) { s.Priority = num(7) }), `vip[1].vrrp.priority: 7 differs from 100 of vip[0] in sync group "s": they move together and need one priority`},
		{"preempt", with(func(s *vip.VRRPSection) { s.Preempt = true }), `vip[1].vrrp.preempt: preempt or preempt_delay differ from those of vip[0] in sync group "s": they move together`},
		{"interval", with(func(s *vip.VRRPSection) { s.AdvertInterval = "2s" }), `vip[1].vrrp.advert_interval: 2s differs from 1s of vip[0] in sync group "s": they move together`},
	}
	for _, tt := range tests {
		if _, faults := parseVRRP(nil, base, tt.other); faults != tt.want {
			t.Errorf("%s: got\n%s\nwant\n%s", tt.name, faults, tt.want)
		}
	}
}
