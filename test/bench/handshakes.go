package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/portico-lb/portico/test/lab"
)

// handshakes asks o.url for o.length over 64 connections at once, each with a
// full TLS 1.3 handshake and one request, and reports as wrk does, which would
// resume sessions.
func handshakes(t lab.T, o options) {
	u, err := url.Parse(o.url)
	check(t, err)
	end := time.Now().Add(o.length)
	var (
		group sync.WaitGroup
		mu    sync.Mutex
		times []time.Duration
		bad   error
	)
	for range 64 {
		group.Go(func() {
			for time.Now().Before(end) {
				begin := time.Now()
				err := handshake(u)
				mu.Lock()
				if times = append(times, time.Since(begin)); err != nil {
					bad = err
				}
				mu.Unlock()
			}
		})
	}
	group.Wait()
	if bad != nil {
		t.Fatalf("%s: %v", o.url, bad)
	}
	slices.Sort(times)
	n := len(times)
	t.Logf("50%% %dus\n99%% %dus\n%d requests in %s", times[n/2].Microseconds(), times[n*99/100].Microseconds(), n, o.length)
}

// handshake makes one connection and asks one request. All peers know the
// curve; one that costs more on one of them is left out.
func handshake(u *url.URL) error {
	c, err := tls.Dial("tcp", u.Host, &tls.Config{
		ServerName: "bench.example", InsecureSkipVerify: true, //nolint:gosec // it measures
		MinVersion: tls.VersionTLS13, CurvePreferences: []tls.CurveID{tls.X25519},
	})
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: bench.example\r\nConnection: close\r\n\r\n", u.Path); err != nil {
		return err
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %s", resp.Status)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}
