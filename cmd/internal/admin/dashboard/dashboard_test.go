package dashboard_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/portico-lb/portico/cmd/internal/admin/dashboard"
)

func ask(t *testing.T, method, path, tag string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, path, nil)
	if tag != "" {
		r.Header.Set("If-None-Match", tag)
	}
	w := httptest.NewRecorder()
	dashboard.Handler().ServeHTTP(w, r)
	return w
}

func TestHandler(t *testing.T) {
	for path, kind := range map[string]string{
		"/":            "text/html; charset=utf-8",
		"/app.js":      "text/javascript; charset=utf-8",
		"/app.css":     "text/css; charset=utf-8",
		"/icon.svg":    "image/svg+xml",
		"/licenses.md": "text/plain; charset=utf-8",
	} {
		w := ask(t, http.MethodGet, path, "")
		tag := w.Header().Get("ETag")
		if w.Code != http.StatusOK || w.Header().Get("Content-Type") != kind || w.Body.Len() == 0 || tag == "" {
			t.Errorf("%s: %d, %v, %d bytes", path, w.Code, w.Header(), w.Body.Len())
		}
		if w := ask(t, http.MethodGet, path, tag); w.Code != http.StatusNotModified {
			t.Errorf("%s: %d for what the browser has", path, w.Code)
		}
		if w := ask(t, http.MethodHead, path, ""); w.Code != http.StatusOK || w.Body.Len() != 0 {
			t.Errorf("HEAD %s: %d with %d bytes", path, w.Code, w.Body.Len())
		}
	}
	for _, path := range []string{"/nosuch", "/files", "/files/index.html", "/index.html", "/app.js/"} {
		if w := ask(t, http.MethodGet, path, ""); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	if w := ask(t, http.MethodPost, "/", ""); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", w.Code)
	}
}

// TestPolicy: nothing stands in the page that the listener's policy forbids,
// and nothing is fetched from elsewhere.
func TestPolicy(t *testing.T) {
	page := ask(t, http.MethodGet, "/", "").Body.String()
	for _, forbidden := range []string{`<style`, `style="`, `onload=`, `onclick=`, `http://`, `https://`, `src="data:`} {
		if strings.Contains(page, forbidden) {
			t.Errorf("the page has %s", forbidden)
		}
	}
	if inline := regexp.MustCompile(`<script[^>]*>[^<]`).FindString(page); inline != "" {
		t.Errorf("the page has a script in itself: %s", inline)
	}
	css := ask(t, http.MethodGet, "/app.css", "").Body.String()
	if strings.Contains(css, "url(") || strings.Contains(css, "@import") {
		t.Error("the style sheet fetches something")
	}
	if strings.Contains(ask(t, http.MethodGet, "/app.js", "").Body.String(), "eval(") {
		t.Error("the script evaluates text")
	}
}
