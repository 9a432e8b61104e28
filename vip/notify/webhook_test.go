package notify

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// receiver starts an HTTPS server and returns a target that trusts it.
func receiver(t *testing.T, h http.HandlerFunc) Target {
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.StartTLS()
	t.Cleanup(s.Close)
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return Target{Name: "web", Kind: KindWebhook, Timeout: 10 * time.Second, Webhook: Webhook{
		URL: Secret(s.URL + "/hook/t0ken"), Headers: map[string]Secret{"Authorization": "Bearer abc"},
		Secret: "k3y", Roots: Roots{pool},
	}}
}

func TestWebhook(t *testing.T) {
	var got *http.Request
	var body []byte
	target := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		w.WriteHeader(http.StatusAccepted)
	})
	e := event("edge\r\nX-Injected: 1", 3, "Active")
	if err := Send(t.Context(), target, e); err != nil {
		t.Fatal(err)
	}
	want, _ := e.json()
	if string(body) != string(want) || got.Method != "POST" || got.URL.Path != "/hook/t0ken" {
		t.Errorf("%s %s %s", got.Method, got.URL.Path, body)
	}
	mac := hmac.New(sha256.New, []byte("k3y"))
	mac.Write(body)
	for name, want := range map[string]string{
		"Content-Type": "application/json", "Authorization": "Bearer abc", "X-Injected": "",
		"X-Portico-Delivery": e.id(), "X-Portico-Signature": "sha256=" + hex.EncodeToString(mac.Sum(nil)),
	} {
		if v := got.Header.Get(name); v != want {
			t.Errorf("%s: %q, want %q", name, v, want)
		}
	}
}

func TestWebhookAnswers(t *testing.T) {
	for status, permanent := range map[int]bool{
		302: true, 307: true, 400: true, 401: true, 404: true, 410: true,
		408: false, 425: false, 429: false, 500: false, 502: false, 503: false,
	} {
		asked := 0
		target := receiver(t, func(w http.ResponseWriter, r *http.Request) {
			asked++
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(status)
		})
		err := Send(t.Context(), target, event("edge", 1, "Active"))
		var p permanentError
		if err == nil || errors.As(err, &p) != permanent || asked != 1 {
			t.Errorf("%d: %v, permanent %v, asked %d times", status, err, !permanent, asked)
		}
	}
}

// No failure shows the URL, whose path may be a secret, nor a header.
func TestWebhookFails(t *testing.T) {
	check := func(t *testing.T, target Target, want string) {
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		before := time.Now()
		err := Send(ctx, target, event("edge", 1, "Active"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		} else if strings.Contains(err.Error(), "t0ken") || strings.Contains(err.Error(), "abc") {
			t.Errorf("it shows a secret: %v", err)
		}
		if d := time.Since(before); d > 3*time.Second {
			t.Errorf("took %v", d)
		}
	}
	t.Run("never answers", func(t *testing.T) {
		block := make(chan struct{})
		defer close(block)
		check(t, receiver(t, func(http.ResponseWriter, *http.Request) { <-block }), "not done within")
	})
	t.Run("unknown authority", func(t *testing.T) {
		target := receiver(t, func(http.ResponseWriter, *http.Request) { t.Error("reached") })
		target.Webhook.Roots = Roots{}
		check(t, target, "certificate")
	})
	t.Run("refused", func(t *testing.T) {
		target := receiver(t, nil)
		target.Webhook.URL = "http://127.0.0.1:1/hook/t0ken"
		check(t, target, "connection refused")
	})
}
