package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portico-lb/portico/cmd/internal/admin"
	"github.com/portico-lb/portico/l4"
	"github.com/portico-lb/portico/l4/shield"
	"github.com/portico-lb/portico/l4/xdp"
)

// Orders reach the director by its socket, and its refusals the operator.
func TestDenyOrders(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	file := filepath.Join(t.TempDir(), "portico.toml")
	if err := os.WriteFile(file, []byte("[admin]\nsocket = \""+socket+"\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	api := admin.NewAPI(log)
	s := admin.New(log, api, socket, false)
	var got []shield.Order
	admin.HandleOrder(api, denyPath, "", func(_ context.Context, o shield.Order) error {
		got = append(got, o)
		if o.Network == "bad" {
			return errors.New(`"bad" is no address`)
		}
		return nil
	})
	list := shield.List{Denials: []shield.Denial{{Network: netip.MustParsePrefix("192.0.2.0/24"), By: shield.ByConfiguration, Packets: 7}}}
	admin.HandleGet(api, denyPath, "", func(*http.Request) (shield.List, error) { return list, nil })
	ctx, stop := context.WithCancel(t.Context())
	ready, done := make(chan struct{}), make(chan error)
	go func() { done <- s.Run(ctx, func() { close(ready) }) }()
	<-ready
	defer func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	for _, tt := range []struct {
		args string
		code int
		want []shield.Order
		says string
	}{
		{"add 192.0.2.0/24", exitOK, []shield.Order{{Network: "192.0.2.0/24"}}, ""},
		{"add 192.0.2.0/24 2001:db8::/32 --for 1h --reason flood --force", exitOK, []shield.Order{
			{Network: "192.0.2.0/24", For: "1h0m0s", Reason: "flood", Force: true}, {Network: "2001:db8::/32", For: "1h0m0s", Reason: "flood", Force: true},
		}, ""},
		{"add bad 192.0.2.1", exitFailed, []shield.Order{{Network: "bad"}, {Network: "192.0.2.1"}}, "portico: \"bad\" is no address\n"},
		{"del 192.0.2.0/24", exitOK, []shield.Order{{Network: "192.0.2.0/24", Off: true}}, ""},
		{"add", exitUsage, nil, "portico: portico deny add takes one NETWORK or more\nRun 'portico --help' for usage.\n"},
		{"add 192.0.2.1 --for x", exitUsage, nil, "portico: invalid argument \"x\" for \"--for\" flag: time: invalid duration \"x\"\nRun 'portico --help' for usage.\n"},
		{"ad 192.0.2.1", exitUsage, nil, "portico: unknown command \"ad\", did you mean add?\nRun 'portico --help' for usage.\n"},
		{"list", exitOK, nil, "  NETWORK       DROPPED  LEFT      BY             SINCE  REASON\n  192.0.2.0/24  7        for ever  configuration  -      \n"},
	} {
		got = nil
		var out strings.Builder
		code := run(ctx, env{stdout: &out, stderr: &out, args: append([]string{"deny", "-c", file}, strings.Fields(tt.args)...)})
		if d := cmp.Diff(tt.want, got); d != "" || code != tt.code || out.String() != tt.says {
			t.Errorf("%s: exit %d, %s(-want +got):\n%s", tt.args, code, out.String(), d)
		}
	}
	list.Fault = "XDP does not run"
	var out strings.Builder
	if code := run(ctx, env{stdout: &out, stderr: &out, args: []string{"deny", "list", "-c", file}}); code != exitFailed ||
		!strings.HasPrefix(out.String(), "  ! nothing is dropped: XDP does not run\n") {
		t.Errorf("exit %d: %s", code, out.String())
	}
}

func TestPrintDenied(t *testing.T) {
	now := time.Unix(1e9, 0)
	var b strings.Builder
	printDenied(&b, shield.List{Denials: []shield.Denial{
		{Network: netip.MustParsePrefix("192.0.2.7/32"), By: shield.ByOrder, Since: now.Add(-time.Hour), Until: now.Add(90 * time.Second), Reason: "SYN flood", Packets: 12},
		{Network: netip.MustParsePrefix("2001:db8::/32"), By: shield.ByConfiguration},
	}}, now)
	want := `  NETWORK        DROPPED  LEFT      BY             SINCE     REASON
  192.0.2.7/32   12       1m30s     order          1h0m ago  SYN flood
  2001:db8::/32  0        for ever  configuration  -         
`
	if b.String() != want {
		t.Errorf("\n%s", b.String())
	}
}

func TestPrintShield(t *testing.T) {
	x := &xdp.Status{Verdicts: map[string]uint64{"drop_denied": 5, "drop_syn_rate": 6}, Events: map[string]uint64{"flow_bypassed": 7, "cookie_sent": 9, "cookie_good": 8, "cookie_bad": 1}, Cookies: &xdp.CookieStatus{Above: 100, Refusing: []string{"192.0.2.10:80"}}}
	services := &l4.Status{Services: []l4.ServiceStatus{
		{Address: netip.MustParseAddrPort("192.0.2.10:53"), Protocol: "udp", Programmed: true, Carrier: l4.Carrier{Dataplane: "ipvs"}},
		{Address: netip.MustParseAddrPort("192.0.2.10:80"), Protocol: "tcp", Programmed: true, Carrier: l4.Carrier{Dataplane: "xdp"}},
		{Address: netip.MustParseAddrPort("192.0.2.10:81"), Protocol: "tcp", Carrier: l4.Carrier{Dataplane: "ipvs"}},
	}}
	for name, tt := range map[string]struct {
		status shield.Status
		want   string
	}{
		"off":        {shield.Status{NewFlows: 100000}, ""},
		"not there":  {shield.Status{Ordered: 1, Fault: "XDP does not run"}, "  ! shield: nothing is dropped: XDP does not run\n"},
		"everything": {shield.Status{Ordered: 1, Configured: 2, SYNRate: 50, SYNBurst: 100}, "  shield: 3 networks denied, 1 by order; 5 packets dropped\n  shield: 50 connections a second and source, 100 at once; 6 SYNs dropped, 7 connections not remembered\n  shield: not before services that IPVS carries: udp 192.0.2.10:53\n"},
		"cookies":    {shield.Status{SYNCookies: 100}, "  shield: SYN cookies above 100 SYNs a second and port; 9 sent, 8 came back, 1 were false\n  ! shield: no SYN cookies for 192.0.2.10:80: the socket did not take a connection, as those of MPTCP do not; mend that and reload\n  shield: not before services that IPVS carries: udp 192.0.2.10:53\n"},
	} {
		var b strings.Builder
		if printShield(&b, tt.status, x, services); b.String() != tt.want {
			t.Errorf("%s:\n%s", name, b.String())
		}
	}
}
