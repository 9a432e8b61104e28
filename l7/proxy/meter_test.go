package proxy_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/portico-lb/portico/l7/proxy"
	"github.com/portico-lb/portico/l7/route"
)

// trafficOf waits until so many requests of a route have been counted, which is
// behind the end of their responses.
func trafficOf(t *testing.T, p *proxy.Proxy, name string, most uint64) proxy.Traffic {
	t.Helper()
	for begin := time.Now(); ; time.Sleep(time.Millisecond) {
		for _, tr := range p.Traffic() {
			var all uint64
			for _, n := range tr.Codes {
				all += n
			}
			if tr.Route == name && (all >= most || time.Since(begin) > patience) {
				return tr
			}
		}
		if time.Since(begin) > patience {
			t.Fatalf("no traffic of %s in %+v", name, p.Traffic())
		}
	}
}

// TestTrafficIsCounted: requests of every kind are counted by route, class and
// size.
func TestTrafficIsCounted(t *testing.T) {
	everyWay(t, func(t *testing.T, w way) {
		addr := w.endpoint(t, func(rw http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			if r.URL.Path == "/missing" {
				rw.WriteHeader(404)
			}
			fmt.Fprint(rw, strings.Repeat("x", 1000))
		})
		v := w.visit(t, proxy.Options{}, addr)
		table, _ := route.NewTable([]route.Spec{
			{Host: "example.com", Path: "/", Backend: web, Origin: route.Origin{Kind: "Ingress", Namespace: "shop", Name: "front"}},
		})
		v.SetRoutes(table)
		v.do(v.request("GET", "/", nil))
		v.do(v.request("POST", "/missing", strings.NewReader(strings.Repeat("y", 300))))
		r := v.request("GET", "/", nil)
		r.Host = "other.example"
		_, body := v.do(r)

		got := trafficOf(t, v.Proxy, "shop/front", 2)
		if got.Codes != [6]uint64{0, 0, 1, 0, 1, 0} || got.Received != 300 || got.Sent != 2000 {
			t.Errorf("shop/front: %+v", got)
		}
		var all uint64
		for _, n := range got.Buckets {
			all += n
		}
		if all != 2 || got.Seconds <= 0 || got.Seconds > 60 {
			t.Errorf("%d durations, %v s", all, got.Seconds)
		}
		none := trafficOf(t, v.Proxy, proxy.NoRoute, 1)
		if none.Codes != [6]uint64{0, 0, 0, 0, 1, 0} || none.Sent != uint64(len(body)) {
			t.Errorf("none: %+v, want %d bytes", none, len(body))
		}
		if s := v.Totals(); s.Received != 300 || s.Sent != 2000+none.Sent || s.Accepted == 0 {
			t.Errorf("totals: %+v", s)
		}
	})
}

// TestTrafficOfNonsense: what nobody understands is counted too.
func TestTrafficOfNonsense(t *testing.T) {
	e := start(t, proxy.Options{}, proxy.Entrypoint{})
	bad, err := net.Dial("tcp", e.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer bad.Close()
	io.WriteString(bad, "nonsense\r\n\r\n")
	if got := trafficOf(t, e.Proxy, proxy.NoRoute, 1); got.Codes[4] != 1 {
		t.Errorf("nonsense: %+v", got)
	}
}

// TestTrafficIsBounded: objects beyond a number share their counts, and those
// that are gone give their place away.
func TestTrafficIsBounded(t *testing.T) {
	p := proxy.New(proxy.Options{})
	table := func(from, to int) *route.Table {
		var specs []route.Spec
		for i := from; i < to; i++ {
			specs = append(specs, route.Spec{Host: fmt.Sprintf("h%d.example", i), Path: "/", Backend: web,
				Origin: route.Origin{Namespace: "a", Name: fmt.Sprint(i)}})
		}
		table, _ := route.NewTable(specs)
		return table
	}
	p.SetRoutes(table(0, proxy.MaxMetered+10))
	if n := len(p.Traffic()); n != proxy.MaxMetered+2 {
		t.Errorf("%d objects have counts of their own, besides none and other", n)
	}
	p.SetRoutes(table(0, 3))
	if n := len(p.Traffic()); n != 3+2 {
		t.Errorf("%d have, of 3", n)
	}
}
