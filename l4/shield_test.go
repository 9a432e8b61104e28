package l4_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/portico-lb/portico/l4"
)

func TestShield(t *testing.T) {
	rate, burst := 50, 7
	path := filepath.Join(t.TempDir(), "deny.txt")
	list := "# attackers\n192.0.2.0/24 ; SBL1\n\n2001:db8::/32\n203.0.113.7 # one\n10.0.0.300\n"
	if err := os.WriteFile(path, []byte(list), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		section *l4.ShieldSection
		want    l4.Shield
		fault   string
	}{
		"none":  {nil, l4.Shield{}, ""},
		"empty": {&l4.ShieldSection{}, l4.Shield{NewFlows: 100000}, ""},
		"rate":  {&l4.ShieldSection{SYNRate: &rate}, l4.Shield{SYNRate: 50, SYNBurst: 50, NewFlows: 100000}, ""},
		"burst": {&l4.ShieldSection{SYNRate: &rate, SYNBurst: &burst}, l4.Shield{SYNRate: 50, SYNBurst: 7, NewFlows: 100000}, ""},
		"a list twice": {&l4.ShieldSection{Deny: []string{"203.0.113.7", "198.51.100.0/24", "203.0.113.7/32"}}, l4.Shield{NewFlows: 100000,
			Deny: networks("198.51.100.0/24", "203.0.113.7/32")}, ""},
		"a file": {&l4.ShieldSection{DenyFile: path, Deny: []string{"203.0.113.7"}}, l4.Shield{NewFlows: 100000,
			Deny: networks("192.0.2.0/24", "203.0.113.7/32", "2001:db8::/32")}, `l4.shield.deny_file: ` + path + `:6: "10.0.0.300" is no address`},
		"no file":    {&l4.ShieldSection{DenyFile: path + "x"}, l4.Shield{NewFlows: 100000}, "l4.shield.deny_file: stat " + path + "x: no such file"},
		"no regular": {&l4.ShieldSection{DenyFile: "/dev/zero"}, l4.Shield{NewFlows: 100000}, "l4.shield.deny_file: /dev/zero is no file"},
	} {
		var faults []string
		got := l4.Parse(l4.Section{Shield: tt.section}, nil, func(key, problem string) { faults = append(faults, key+": "+problem) }).Shield
		if d := cmp.Diff(tt.want, got, cmpopts.EquateEmpty(), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
		if text := strings.Join(faults, "\n"); !strings.HasPrefix(text, tt.fault) || (text == "") != (tt.fault == "") {
			t.Errorf("%s: faults %s", name, text)
		}
	}
}

func networks(list ...string) (all []netip.Prefix) {
	for _, s := range list {
		all = append(all, netip.MustParsePrefix(s))
	}
	return all
}

// FuzzNetwork: what is taken is written as it was meant, and never stands for
// all of IPv4 besides.
func FuzzNetwork(f *testing.F) {
	for _, s := range []string{"192.0.2.0/24", "192.0.2.1", "::/0", "2001:db8::/32", "::ffff:1.2.3.4/120", "10.0.0.1/8", "fe80::%1/64", "::/96"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := l4.ParseNetwork(s)
		if err != nil {
			return
		}
		if p.Addr().Is6() && p.Contains(netip.MustParseAddr("::ffff:192.0.2.1")) {
			t.Errorf("%q is %v, which holds IPv4", s, p)
		}
		if again, err := l4.ParseNetwork(p.String()); err != nil || again != p {
			t.Errorf("%q is %v, which is %v, %v", s, p, again, err)
		}
	})
}
