package admin_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/portico-lb/portico/cmd/internal/admin"
	"github.com/portico-lb/portico/test/lab"
)

// TestWebSources: one source that keeps all connections it gets leaves places to
// others.
func TestWebSources(t *testing.T) {
	l := lab.New(t)
	edge := l.Node("edge")
	edge.Attach(l.Network("lan"), "eth0", "192.0.2.11/24")
	log := slog.New(slog.DiscardHandler)
	w := admin.NewWeb(log, admin.NewAPI(log), nil)
	w.Set(admin.WebConfig{Listen: ":9180"})
	run(t, func(ctx context.Context, ready func()) (err error) {
		edge.Do(func() { err = w.Run(ctx, ready) })
		return err
	})
	var conns []net.Conn
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	answered := func(host string) bool {
		lab.Eventually(t, 30*time.Second, "connect to "+host, func() error {
			c, err := edge.DialContext(t.Context(), "tcp", host+":9180")
			if err == nil {
				conns = append(conns, c)
			}
			return err
		})
		c := conns[len(conns)-1]
		fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", host)
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	}
	for i := range 64 {
		if !answered("192.0.2.11") {
			t.Fatalf("connection %d is refused", i+1)
		}
	}
	if answered("192.0.2.11") {
		t.Error("one source has more than 64 connections")
	}
	for range 65 {
		if !answered("127.0.0.1") {
			t.Fatal("loopback is refused")
		}
	}
}
