package certs

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"syscall"
	"time"

	"golang.org/x/crypto/ocsp"
)

const (
	// responseMost bounds a response: those of CAs have one or two kilobytes.
	responseMost = 16 << 10
	// fetchMost bounds the time of one request, fetches how many there are at
	// once.
	fetchMost = 10 * time.Second
	fetches   = 4
	// skew is how far a responder's clock may be ahead of ours.
	skew = 5 * time.Minute
	// againLeast and againMost bound the time to the next request.
	againLeast = time.Minute
	againMost  = time.Hour
)

// A staple is a certificate with a response of OCSP (RFC 6960) that says it is
// good, until it is stale.
type staple struct {
	certificate *tls.Certificate
	until       time.Time
}

// with returns the certificate as it is shown now.
func (e *entry) with(now time.Time) *tls.Certificate {
	if s := e.staple.Load(); s != nil && now.Before(s.until) {
		return s.certificate
	}
	return &e.Certificate
}

// A Stapler staples responses of OCSP to the certificates of a Store whose
// issuers answer it. No handshake waits for one: until there is a good one, and
// once there is none any more, the certificate is shown alone.
type Stapler struct {
	store  *Store
	client *http.Client
	log    *slog.Logger
	// records has all entries with a responder.
	records map[*entry]*record
}

// A record is how the responses for one entry fare.
type record struct {
	next     time.Time
	failures int
}

// NewStapler returns a Stapler that asks by client.
func NewStapler(s *Store, client *http.Client, log *slog.Logger) *Stapler {
	return &Stapler{store: s, client: client, log: log, records: map[*entry]*record{}}
}

// ResponderClient returns a client for a Stapler. Whoever may put a certificate
// into the cluster says where it asks, so it goes to no service of this machine
// or its link, where clouds tell their secrets, and follows nobody anywhere.
func ResponderClient() *http.Client {
	dialer := &net.Dialer{Timeout: fetchMost, Control: func(_, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil {
			return err
		}
		if a := to.Addr().Unmap(); a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsUnspecified() {
			return fmt.Errorf("%s is no place for a responder", a)
		}
		return nil
	}}
	return &http.Client{
		Transport: &http.Transport{
			DialContext:            dialer.DialContext,
			DisableKeepAlives:      true, // hours lie between two requests
			MaxResponseHeaderBytes: responseMost,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Run keeps the staples fresh until ctx ends.
func (s *Stapler) Run(ctx context.Context) {
	for {
		next := s.round(ctx, time.Now())
		select {
		case <-ctx.Done():
			s.remove()
			return
		case <-s.store.changed:
		case <-time.After(time.Until(next)):
		}
	}
}

// remove takes the staples away: nobody would renew them.
func (s *Stapler) remove() {
	for e := range s.records {
		e.staple.Store(nil)
	}
}

// round fetches what is due, and returns when the next round is.
func (s *Stapler) round(ctx context.Context, now time.Time) (next time.Time) {
	entries := s.store.withResponder()
	slots := make(chan struct{}, fetches)
	var group sync.WaitGroup
	records := make(map[*entry]*record, len(entries))
	for e, name := range entries {
		r := s.records[e]
		if r == nil {
			r = &record{}
		}
		records[e] = r
		if r.next.After(now) {
			continue
		}
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			s.renew(ctx, e, name, r)
		})
	}
	group.Wait()
	s.records = records
	next = now.Add(againMost)
	for _, r := range records {
		if r.next.Before(next) {
			next = r.next
		}
	}
	return next
}

// renew gets a new response for e. Where none can be had the one before is
// shown for as long as it holds, unless the certificate is revoked.
func (s *Stapler) renew(ctx context.Context, e *entry, name string, r *record) {
	raw, err := s.fetch(ctx, e)
	var until time.Time
	if err == nil {
		until, r.next, err = judge(raw, e, time.Now())
	}
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		if errors.Is(err, errRevoked) {
			e.staple.Store(nil)
		}
		r.failures++
		r.next = time.Now().Add(min(againLeast<<min(r.failures-1, 10), againMost))
		if r.failures == 1 {
			s.log.Warn("no OCSP response to staple", "certificate", name, "err", err)
		}
		return
	}
	if r.failures > 0 {
		s.log.Info("OCSP response again", "certificate", name)
	}
	r.failures = 0
	stapled := e.Certificate
	stapled.OCSPStaple = raw
	e.staple.Store(&staple{&stapled, until})
}

var errRevoked = errors.New("the certificate is revoked: replace it")

// judge says until when a response may be shown and when the next one is
// fetched: at half of its life.
func judge(raw []byte, e *entry, now time.Time) (until, next time.Time, err error) {
	issuer, err := x509.ParseCertificate(e.Certificate.Certificate[1])
	if err != nil {
		return until, next, fmt.Errorf("issuer: %w", err)
	}
	r, err := ocsp.ParseResponseForCert(raw, e.Leaf, issuer)
	switch {
	case err != nil:
		return until, next, err
	case r.Status == ocsp.Revoked:
		return until, next, errRevoked
	case r.Status != ocsp.Good:
		return until, next, errors.New("the responder does not know the certificate")
	case r.NextUpdate.IsZero():
		return until, next, errors.New("the response does not say until when it holds")
	case !now.Before(r.NextUpdate):
		return until, next, fmt.Errorf("the response held until %v", r.NextUpdate)
	case r.ThisUpdate.After(now.Add(skew)):
		return until, next, fmt.Errorf("the response holds from %v: clocks differ", r.ThisUpdate)
	}
	next = r.ThisUpdate.Add(r.NextUpdate.Sub(r.ThisUpdate) / 2)
	if next.Before(now) { // it comes from a cache
		next = now.Add(r.NextUpdate.Sub(now) / 2)
	}
	if least := now.Add(againLeast); next.Before(least) {
		next = least
	}
	return r.NextUpdate, next, nil
}

// fetch asks the responder that e's certificate names first.
func (s *Stapler) fetch(ctx context.Context, e *entry) ([]byte, error) {
	issuer, err := x509.ParseCertificate(e.Certificate.Certificate[1])
	if err != nil {
		return nil, fmt.Errorf("issuer: %w", err)
	}
	request, err := ocsp.CreateRequest(e.Leaf, issuer, nil)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, fetchMost)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, e.Leaf.OCSPServer[0], bytes.NewReader(request))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/ocsp-request")
	r.Header.Set("Accept", "application/ocsp-response")
	resp, err := s.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", r.URL.Host, resp.Status)
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, responseMost+1))
	if err != nil {
		return nil, err
	}
	if len(raw) > responseMost {
		return nil, fmt.Errorf("%s answers more than %d bytes", r.URL.Host, responseMost)
	}
	return raw, nil
}

// responder reports whether there is somebody to ask about e: its issuer must
// stand in its chain, as the question names it.
func (e *entry) responder() bool {
	if len(e.Leaf.OCSPServer) == 0 || len(e.Certificate.Certificate) < 2 {
		return false
	}
	u, err := url.Parse(e.Leaf.OCSPServer[0])
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}
