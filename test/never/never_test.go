package never

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// furnish puts Pods and routes in place, of every kind that clients ask for.
func (s *site) furnish() (polite, rude []*pod) {
	for range 3 {
		polite, rude = append(polite, s.newPod("polite")), append(rude, s.newPod("rude"))
	}
	s.publish("polite", polite...)
	s.publish("rude", rude...)
	s.publish("chat", s.newPod("chat"), s.newPod("chat"))
	s.publish("left", s.newPod("left"))
	s.publish("right", s.newPod("right"))
	var odd []*pod
	for _, t := range tempers {
		odd = append(odd, s.newOdd(t))
	}
	s.publish("odd", odd...)
	for _, host := range []string{"polite", "rude", "chat", "odd"} {
		s.manifest("ingress-"+host, ingress(host, "/", host))
	}
	s.manifest("ingress-flip", ingress("flip", "/", "left"))
	s.certify()
	return polite, rude
}

// TestChanges changes everything that a proxy depends on, all at once, under
// full load.
func TestChanges(t *testing.T) {
	s := newSite(t)
	polite, rude := s.furnish()
	s.start()
	load := s.attend(t.Context(), !mortal)
	began := time.Now()
	var made changes
	stop := s.progress(&made)
	var work sync.WaitGroup
	work.Go(func() { s.rollPolitely(t.Context(), &made, polite) })
	work.Go(func() { s.rollRudely(t.Context(), &made, rude) })
	work.Go(func() { s.reroute(t.Context(), &made) })
	work.Go(func() { s.reconfigure(t.Context(), &made) })
	work.Go(func() { s.recertify(t.Context(), &made) })
	work.Wait()
	stop()
	t.Logf("figure: %v in %v", &made, time.Since(began).Round(time.Second))
	load.leave()
	if s.verdict() == 0 {
		t.Error("nothing was ever sent again: the races did not happen")
	}
}

// verdict fails the test for every request that failed, and for every failure
// that the proxy counted.
func (s *site) verdict() (retries uint64) {
	s.t.Helper()
	answered, failed := s.tally.totals()
	s.t.Logf("figure: %d requests answered, %d failed, %d sent again as the proxy asked\n%v", answered, failed, s.tally.moved, &s.tally)
	st, err := s.status()
	if err != nil {
		s.t.Fatal(err)
	}
	e := st.L7.Engine
	s.t.Logf("figure: the proxy counted %d requests, responses %v, %d retries, refused %v", e.Requests, e.Responses, e.Retries, e.Refused)
	if failed > 0 {
		s.t.Errorf("%d requests failed", failed)
	}
	for class, n := range e.Responses {
		if n > 0 && class != "1xx" && class != "2xx" {
			s.t.Errorf("%d responses %s", n, class)
		}
	}
	return e.Retries
}

// changes counts what was changed.
type changes struct{ pods, routes, reloads, certificates atomic.Int64 }

func (c *changes) String() string {
	return fmt.Sprintf("%d rolling updates of Pods, %d changes of routes, %d reloads, %d certificates",
		c.pods.Load(), c.routes.Load(), c.reloads.Load(), c.certificates.Load())
}

// progress tells every few seconds how far it is.
func (s *site) progress(made *changes) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() {
		tick := time.NewTicker(5 * time.Second)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			answered, failed := s.tally.totals()
			s.t.Logf("%v; %d requests, %d failed", made, answered, failed)
		}
	})
	return func() {
		cancel()
		group.Wait()
	}
}

// preStop is how long a polite Pod goes on when no node sends to it any more:
// what was on its way then arrives.
const preStop = 3 * time.Second

// rollPolitely replaces a Pod by another one, which ends some time after it left
// its Service. Whatever its method, no request fails.
func (s *site) rollPolitely(ctx context.Context, made *changes, pods []*pod) {
	for range times(100) {
		next := append(pods[1:len(pods):len(pods)], s.newPod("polite"))
		s.publish("polite", next...)
		s.reload()
		s.until(ctx, "endpoints of polite", func() error { return s.knows("polite", next...) })
		s.end(pods[0], preStop)
		pods = next
		made.pods.Add(1)
	}
}

// rollRudely replaces a Pod that ends before anybody has heard of it. No request
// fails that may be sent twice.
func (s *site) rollRudely(ctx context.Context, made *changes, pods []*pod) {
	for range times(100) {
		next := append(pods[1:len(pods):len(pods)], s.newPod("rude"))
		s.end(pods[0], 0)
		s.publish("rude", next...)
		s.reload()
		s.until(ctx, "endpoints of rude", func() error { return s.knows("rude", next...) })
		pods = next
		made.pods.Add(1)
	}
}

// reroute moves a host from one Service to another and back, while other paths
// come and go.
func (s *site) reroute(ctx context.Context, made *changes) {
	client := s.node.HTTPClient()
	client.Timeout = patience
	services := []string{"left", "right"}
	for n := range times(1000) {
		to := services[(n+1)%2]
		path := "/only-" + strconv.Itoa(n)
		s.manifest("ingress-flip", ingress("flip", "/", to, path, to))
		s.reload()
		s.until(ctx, "route "+path, func() error { return served(client, "http://"+podlessAddress+path, to) })
		if err := served(client, "http://"+podlessAddress+"/", to); err != nil {
			s.t.Errorf("change %d of routes came by half: %v", n, err)
		}
		made.routes.Add(1)
	}
}

// served says why a request was not answered by a Pod of the service.
func served(client *http.Client, url, service string) error {
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Host = "flip.test"
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, resp.Body)
	if pod := resp.Header.Get("X-Pod"); resp.StatusCode != http.StatusOK || len(pod) < len(service) || pod[:len(service)] != service {
		return fmt.Errorf("%s from %q, not from %s", resp.Status, pod, service)
	}
	return nil
}

// reconfigure reads another configuration again and again.
func (s *site) reconfigure(ctx context.Context, made *changes) {
	pause := time.NewTicker(300 * time.Millisecond)
	defer pause.Stop()
	for n := range times(100) {
		s.configure(n + 1)
		s.reload()
		made.reloads.Add(1)
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		}
	}
}

// recertify changes the certificate, which the next handshake shows.
func (s *site) recertify(ctx context.Context, made *changes) {
	pause := time.NewTicker(300 * time.Millisecond)
	defer pause.Stop()
	for range times(50) {
		want := s.certify()
		s.reload()
		s.until(ctx, "certificate", func() error {
			got, err := s.serialShown(ctx, "rude.test")
			if err == nil && got.Cmp(want) != 0 {
				err = fmt.Errorf("number %v is shown, not yet %v", got, want)
			}
			return err
		})
		made.certificates.Add(1)
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		}
	}
}
