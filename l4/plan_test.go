package l4_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portico-lb/portico/health"
	"github.com/portico-lb/portico/l4"
	"github.com/portico-lb/portico/l4/l4test"
)

var (
	vip4 = netip.MustParseAddr("192.0.2.10")
	vip6 = netip.MustParseAddr("2001:db8::10")
)

func everywhere(netip.Addr) bool { return true }

func nowhere(netip.Addr) bool { return false }

// server is one with a check of its own; "10.0.0.1*3" has weight 3.
func server(text string) l4.Server {
	host, weight, _ := strings.Cut(text, "*")
	n := 1
	fmt.Sscan(weight, &n)
	addr := netip.AddrPortFrom(netip.MustParseAddr(host), 80)
	return l4.Server{Addr: addr, Weight: n, Check: checkOf(addr)}
}

func checkOf(addr netip.AddrPort) health.Check {
	return health.Check{Kind: health.TCP, Target: addr, Interval: 2 * time.Second, Timeout: time.Second, Fall: 3, Rise: 2}
}

// service is a tcp service on port 80.
func service(scheduler string, vip netip.Addr, servers ...string) l4.Service {
	s := l4.Service{Name: "web", Addrs: []netip.Addr{vip}, Port: 80, Protocol: l4.TCP, Scheduler: scheduler, Forward: l4.DirectRoute}
	if scheduler == "mh" {
		s.Flags = l4.FlagFallback | l4.FlagPort
	}
	for _, text := range servers {
		s.Servers = append(s.Servers, server(text))
	}
	return s
}

// snapshot knows what the words say: "10.0.0.1=up 10.0.0.2=down".
func snapshot(words string) *health.Snapshot {
	states := map[health.Check]health.State{}
	for _, w := range strings.Fields(words) {
		host, verdict, _ := strings.Cut(w, "=")
		states[server(host).Check] = health.State{Known: true, Up: verdict == "up"}
	}
	return health.NewSnapshot(states)
}

func TestPlanWeights(t *testing.T) {
	const (
		allUp = "10.0.0.1=up 10.0.0.2=up 10.0.0.3=up"
		have  = `
-A -t 192.0.2.10:80 -s rr
-a -t 192.0.2.10:80 -r 10.0.0.1:80 -g -w 1
-a -t 192.0.2.10:80 -r 10.0.0.2:80 -g -w 0
`
	)
	for name, tt := range map[string]struct {
		servers []string
		health  string
		have    string
		want    string // the weight of each server, in order
	}{
		"all up":                       {[]string{"10.0.0.1", "10.0.0.2*5", "10.0.0.3"}, allUp, "", "1 5 1"},
		"one down":                     {[]string{"10.0.0.1", "10.0.0.2*5", "10.0.0.3"}, "10.0.0.1=up 10.0.0.2=down 10.0.0.3=up", "", "1 0 1"},
		"configured with 0":            {[]string{"10.0.0.1", "10.0.0.2*0", "10.0.0.3"}, allUp, "", "1 0 1"},
		"in any order":                 {[]string{"10.0.0.3*3", "10.0.0.1*1", "10.0.0.2*2"}, allUp, "", "1 2 3"},
		"nothing known":                {[]string{"10.0.0.1", "10.0.0.2"}, "", "", "0 0"},
		"one known":                    {[]string{"10.0.0.1", "10.0.0.2"}, "10.0.0.2=up", "", "0 1"},
		"adopted":                      {[]string{"10.0.0.1", "10.0.0.2", "10.0.0.3"}, "", have, "1 0 0"},
		"adopted, one answered":        {[]string{"10.0.0.1", "10.0.0.2", "10.0.0.3"}, "10.0.0.2=up", have, "1 1 0"},
		"adopted, weight reconfigured": {[]string{"10.0.0.1*9", "10.0.0.2"}, "", have, "9 0"},
		"adopted, taken out since":     {[]string{"10.0.0.1*0", "10.0.0.2"}, "10.0.0.2=up", have, "0 1"},
		"all down, whoever served":     {[]string{"10.0.0.1*4", "10.0.0.2*5"}, "10.0.0.1=down 10.0.0.2=down", have, "4 5"},
		"all down, nobody served":      {[]string{"10.0.0.1*4", "10.0.0.2*5"}, "10.0.0.1=down 10.0.0.2=down", "", "4 5"},
		"the rest down, one to come":   {[]string{"10.0.0.1*4", "10.0.0.2*5", "10.0.0.3"}, "10.0.0.1=down 10.0.0.2=down", have, "4 0 0"},
		"down or not known":            {[]string{"10.0.0.1", "10.0.0.2"}, "10.0.0.1=down", "", "0 0"},
		"the only one up has weight 0": {[]string{"10.0.0.1*0", "10.0.0.2"}, "10.0.0.1=up 10.0.0.2=down", "", "0 1"},
		"all configured with 0":        {[]string{"10.0.0.1*0", "10.0.0.2*0"}, "10.0.0.1=up 10.0.0.2=up", have, "0 0"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := l4.Config{Services: []l4.Service{service("rr", vip4, tt.servers...)}}
			got := l4.Plan(cfg, l4.Inputs{Health: snapshot(tt.health), Owned: everywhere, Have: l4test.Parse(t, tt.have)})
			var weights []string
			for _, d := range got.Services[0].Destinations {
				weights = append(weights, fmt.Sprint(d.Weight))
			}
			if got := strings.Join(weights, " "); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestPlanServices(t *testing.T) {
	both := service("mh", vip4, "10.0.0.2", "10.0.0.1", "2001:db8::2", "2001:db8::1")
	both.Addrs = append(both.Addrs, vip6)
	cfg := l4.Config{Services: []l4.Service{both}}
	h := snapshot("10.0.0.1=up 10.0.0.2=up 2001:db8::1=up 2001:db8::2=down")

	const v4 = `-A -t 192.0.2.10:80 -s mh -b mh-fallback,mh-port
-a -t 192.0.2.10:80 -r 10.0.0.1:80 -g -w 1
-a -t 192.0.2.10:80 -r 10.0.0.2:80 -g -w 1
`
	const v6 = `-A -t [2001:db8::10]:80 -s mh -b mh-fallback,mh-port
-a -t [2001:db8::10]:80 -r [2001:db8::1]:80 -g -w 1
-a -t [2001:db8::10]:80 -r [2001:db8::2]:80 -g -w 0
`
	for name, tt := range map[string]struct {
		owned func(netip.Addr) bool
		want  string
	}{
		"owner of both":  {everywhere, v4 + v6},
		"owner of one":   {func(a netip.Addr) bool { return a == vip6 }, v6},
		"owner of none":  {nowhere, ""},
		"of another one": {func(a netip.Addr) bool { return a == netip.MustParseAddr("192.0.2.11") }, ""},
	} {
		got := l4.Plan(cfg, l4.Inputs{Health: h, Owned: tt.owned})
		if diff := cmp.Diff(tt.want, got.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestPlanSysctls(t *testing.T) {
	udp := service("mh", vip4, "10.0.0.1")
	udp.Protocol = l4.UDP
	for name, tt := range map[string]struct {
		services []l4.Service
		want     map[string]int
	}{
		"nothing configured": {nil, nil},
		"rr":                 {[]l4.Service{service("rr", vip4, "10.0.0.1")}, map[string]int{"expire_nodest_conn": 1}},
		"mh":                 {[]l4.Service{service("mh", vip4, "10.0.0.1")}, map[string]int{"expire_nodest_conn": 1, "sloppy_tcp": 1}},
		"mh over udp":        {[]l4.Service{udp}, map[string]int{"expire_nodest_conn": 1}},
	} {
		// A Backup has them as well, ready for the first packet.
		got := l4.Plan(l4.Config{Services: tt.services}, l4.Inputs{Health: snapshot(""), Owned: nowhere}).Sysctls
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
