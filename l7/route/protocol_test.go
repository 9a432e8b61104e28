package route_test

import (
	"testing"

	"github.com/portico-lb/portico/l7/route"
)

func TestAppProtocol(t *testing.T) {
	for name, want := range map[string]string{
		"": "", "http": "http", "kubernetes.io/ws": "http", "https": "https", "kubernetes.io/wss": "https",
		"kubernetes.io/h2c": "h2c", "grpc": "h2c", "grpcs": "h2", "mqtt": "-", "HTTPS": "-",
	} {
		p, ok := route.AppProtocol(name)
		if got := p.String(); ok && got != want || ok == (want == "-") {
			t.Errorf("%q: %q %v, want %q", name, got, ok, want)
		}
	}
}
