package admin_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/portico-lb/portico/cmd/internal/admin"
)

// TestForward: what another process knows is asked there, its refusals are
// passed on, and its death is told.
func TestForward(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	socket := filepath.Join(t.TempDir(), "s")
	back := admin.NewAPI(log)
	admin.HandleQuestion(back, "/ask", "", func(_ context.Context, o order) (order, error) {
		if o.Target == "bad" {
			return o, errors.New("bad is bad")
		}
		return order{"<" + o.Target + ">"}, nil
	})
	admin.HandleGet(back, "/x", "", func(r *http.Request) (string, error) { return r.Header.Get("Authorization"), nil })
	front := admin.NewAPI(log)
	admin.ForwardQuestion[order, order](front, "/ask", "", socket)
	admin.ForwardGet[string](front, "/x", "", socket)
	ask := func(method, path, body string) (int, string) {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer secret")
		front.ServeHTTP(w, r)
		return w.Code, strings.TrimSpace(w.Body.String())
	}
	if code, text := ask("GET", "/x", ""); code != 503 || !strings.Contains(text, "is not running") || !strings.Contains(text, socket) {
		t.Errorf("without the process: %d %s", code, text)
	}
	run(t, admin.New(log, back, socket, false).Run)
	for code := 503; code == 503; {
		code, _ = ask("GET", "/x", "")
	}
	if code, text := ask("GET", "/x", ""); code != 200 || text != `""` {
		t.Errorf("%d %s: the token is for us alone", code, text)
	}
	if code, text := ask("POST", "/ask", `{"target":"a"}`); code != 200 || text != `{"target":"\u003ca\u003e"}` {
		t.Errorf("%d %s", code, text)
	}
	if code, text := ask("POST", "/ask", `{"target":"bad"}`); code != 422 || text != "bad is bad" {
		t.Errorf("a refusal: %d %s", code, text)
	}
	w := httptest.NewRecorder()
	r := httptest.NewRequest("POST", "/ask", strings.NewReader(`{"target":"abcdefgh"}`))
	r.Body = http.MaxBytesReader(w, r.Body, 5)
	if front.ServeHTTP(w, r); w.Code != 413 {
		t.Errorf("a body that is too long: %d %s", w.Code, w.Body)
	}
	var got order
	if err := admin.Ask(t.Context(), socket, "/ask", order{"b"}, &got); err != nil || got.Target != "<b>" {
		t.Errorf("%+v, %v", got, err)
	}
	if err := admin.Ask(t.Context(), socket, "/ask", order{"bad"}, &got); err == nil || err.Error() != "bad is bad" {
		t.Errorf("the client is told %v", err)
	}
}
