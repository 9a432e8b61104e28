package main

import (
	"strings"
	"testing"
	"time"

	"github.com/portico-lb/portico/l7"
	"github.com/portico-lb/portico/l7/accesslog"
	"github.com/portico-lb/portico/l7/trace"
)

func TestPrintObservers(t *testing.T) {
	var out strings.Builder
	printL7(&out, l7.Status{
		Ready:     true,
		AccessLog: &accesslog.Status{File: "/l", Lines: 3, Lost: 1, Error: "write /l: no space left on device"},
		Trace:     &trace.Status{Endpoint: "http://c/v1/traces", Spans: 5, Sent: 4, Error: "refused"},
	}, time.Time{})
	for _, want := range []string{
		"access log /l: 3 lines, 1 lost\n", "! access log: write /l: no space left on device\n",
		"traces to http://c/v1/traces: 4 of 5 spans sent\n", "! traces: refused\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing:\n%s", want, out.String())
		}
	}
}
