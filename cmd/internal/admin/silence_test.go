package admin

import (
	"log/slog"
	"net"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestForwardSilence: of a process that is stuck it is told, while there is time
// to tell.
func TestForwardSilence(t *testing.T) {
	if forwardTime >= webTime {
		t.Errorf("after %v nobody can be told, and the other process may take %v", webTime, forwardTime)
	}
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket) // and nobody accepts
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	w := httptest.NewRecorder()
	NewAPI(slog.New(slog.DiscardHandler)).forward(socket, 10*time.Millisecond)(w, httptest.NewRequest("GET", "/api/v1/x", nil))
	if w.Code != 503 || !strings.Contains(w.Body.String(), "does not answer within 10ms") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
