package l7_test

import (
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/portico-lb/portico/l7"
	"github.com/portico-lb/portico/l7/proxy"
)

func TestRedirectTo(t *testing.T) {
	web := l7.EntrypointSection{Name: "web", Listen: ":80", RedirectTo: "secure"}
	secure := l7.EntrypointSection{Name: "secure", Listen: ":8443", TLS: &l7.TLSSection{}}
	var faults []string
	bad := func(key, problem string) { faults = append(faults, key+" "+problem) }
	c := l7.Parse(l7.Section{Entrypoint: []l7.EntrypointSection{web, secure}}, os.ReadFile, bad)
	want := proxy.Redirect{Scheme: "https", Port: 8443}
	if diff := cmp.Diff(want, c.Entrypoints[0].Redirect); diff != "" || c.Entrypoints[1].Redirect != (proxy.Redirect{}) {
		t.Errorf("%s, %v", diff, faults)
	}
	for to, want := range map[string]string{
		"web":     "l7.entrypoint[0].redirect_to is the entrypoint itself: name another one",
		"unknown": `l7.entrypoint[0].redirect_to "unknown" is no entrypoint: name one of [[l7.entrypoint]]`,
		"other":   `l7.entrypoint[0].redirect_to "other" redirects too: name one that serves`,
	} {
		faults = nil
		web.RedirectTo = to
		l7.Parse(l7.Section{Entrypoint: []l7.EntrypointSection{web, {Name: "other", Listen: ":81", RedirectTo: "web"}}}, os.ReadFile, bad)
		if !slices.Contains(faults, want) {
			t.Errorf("%s: got %q", to, faults)
		}
	}
}
