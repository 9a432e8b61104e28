package proxy_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/portico-lb/portico/l7/proxy"
)

func TestForward(t *testing.T) {
	ep := handler(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s %s", r.Method, r.Host, r.RequestURI)
	})
	e := start(t, proxy.Options{}, proxy.Entrypoint{}, ep)
	c := client(t, nil)
	for range 3 {
		r, body := e.get(t, c, "/a?b=c")
		if r.StatusCode != 200 || body != "GET example.com /a?b=c" {
			t.Fatalf("got %d %q", r.StatusCode, body)
		}
	}
	s := e.Status()
	if s.Requests != 3 || s.Responses.Success != 3 || s.Backends[0].Endpoints[0].Idle != 1 {
		t.Errorf("status %+v", s)
	}
}
