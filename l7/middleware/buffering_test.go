package middleware_test

import (
	"io"
	"testing"

	. "github.com/portico-lb/portico/l7/middleware"
)

// TestBufferingRequest checks that the narrower bound holds.
func TestBufferingRequest(t *testing.T) {
	for _, tc := range []struct {
		step      Buffering
		was, want Body
	}{
		{Buffering{}, Body{Most: 5, Whole: true}, Body{Most: 5, Whole: true}},
		{Buffering{RequestMost: 10}, Body{}, Body{Most: 10}},
		{Buffering{RequestMost: 10}, Body{Most: 5}, Body{Most: 5}},
		{Buffering{RequestMost: 3, Whole: true}, Body{Most: 5}, Body{Most: 3, Whole: true}},
		{Buffering{ResponseMost: 3, Whole: true}, Body{}, Body{Whole: true}},
	} {
		r := &Request{Body: tc.was}
		m := tc.step.New(env())
		if m.Handle(t.Context(), r); r.Body != tc.want {
			t.Errorf("%+v: %+v, want %+v", tc.step, r.Body, tc.want)
		}
		if _, bodily := m.(Bodily); bodily != (tc.step.ResponseMost > 0) {
			t.Errorf("%+v: bodily %v", tc.step, bodily)
		}
	}
}

// TestBufferingResponse checks what becomes of long responses.
func TestBufferingResponse(t *testing.T) {
	for _, tc := range []struct {
		name   string
		method string
		w      Response
		status int
		body   int  // bytes that are written
		cut    bool // not all of them come through
	}{
		{"within", "GET", Response{Status: 200, Length: 10}, 200, 10, false},
		{"beyond", "GET", Response{Status: 200, Length: 11}, 500, 0, false},
		{"ours", "GET", Response{Status: 502, Length: 11, Ours: true}, 502, 11, false},
		{"HEAD", "HEAD", Response{Status: 200, Length: 11}, 200, 0, false},
		{"turns out within", "GET", Response{Status: 200, Length: -1}, 200, 10, false},
		{"turns out beyond", "GET", Response{Status: 200, Length: -1}, 200, 11, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := &sink{}
			to := through(t, Buffering{ResponseMost: 10}.New(env()), &Request{Method: tc.method}, &tc.w, s)
			if tc.w.Status != tc.status {
				t.Fatalf("status %d, want %d", tc.w.Status, tc.status)
			}
			var err error
			for range tc.body {
				_, err = io.WriteString(to, "x")
			}
			if (err != nil) != tc.cut || !tc.cut && s.Len() != tc.body {
				t.Errorf("error %v, %d bytes", err, s.Len())
			}
		})
	}
}
