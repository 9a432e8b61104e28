package kube

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestEndpointsTakeTurns(t *testing.T) {
	down := errors.New("down")
	for _, test := range []struct {
		name   string
		answer map[string]any // by host: an error or a status
		body   string
		asked  []string
		after  string // the one for the next request
	}{
		{"first answers", map[string]any{"a": 200}, "", []string{"a"}, "a"},
		{"refusal is an answer", map[string]any{"a": 403}, "", []string{"a"}, "a"},
		{"first is away", map[string]any{"a": down, "b": 200}, "", []string{"a", "b"}, "b"},
		{"first cannot", map[string]any{"a": 503}, "", []string{"a"}, "b"},
		{"all are away", map[string]any{"a": down, "b": down, "c": down}, "", []string{"a", "b", "c"}, "a"},
		{"a body is sent once", map[string]any{"a": down}, "x", []string{"a"}, "b"},
		{"we gave up", map[string]any{"a": context.Canceled}, "", []string{"a"}, "a"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var asked []string
			e := &endpoints{next: roundTripper(func(r *http.Request) (*http.Response, error) {
				if r.Host != r.URL.Host || r.URL.Path != "/api" {
					t.Errorf("asked %s for %s", r.Host, r.URL)
				}
				asked = append(asked, r.Host)
				switch a := test.answer[r.Host].(type) {
				case int:
					return &http.Response{StatusCode: a}, nil
				default:
					return nil, a.(error)
				}
			})}
			for _, host := range []string{"a", "b", "c"} {
				e.urls = append(e.urls, &url.URL{Scheme: "https", Host: host})
			}
			r, err := http.NewRequest(http.MethodGet, "https://a/api", nil)
			if test.body != "" {
				r, err = http.NewRequest(http.MethodPatch, "https://a/api", strings.NewReader(test.body))
			}
			if err != nil {
				t.Fatal(err)
			}
			response, err := e.RoundTrip(r)
			if status, ok := test.answer[test.asked[len(test.asked)-1]].(int); ok != (err == nil) || ok && response.StatusCode != status {
				t.Errorf("got %v, %v", response, err)
			}
			if !slices.Equal(asked, test.asked) {
				t.Errorf("asked %q, want %q", asked, test.asked)
			}
			if _, u := e.pick(); u.Host != test.after {
				t.Errorf("next is %s, want %s", u.Host, test.after)
			}
		})
	}
}
