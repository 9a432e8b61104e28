package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
)

// A Webhook is a server that gets each event as a POST of JSON.
type Webhook struct {
	// URL may hold a secret in its path, as those of many chat services do:
	// it never appears in errors.
	URL     Secret
	Headers map[string]Secret
	// Secret is the key of the signature; empty sends none.
	Secret Secret
	Roots  Roots
}

// The headers of every request.
const (
	// deliveryHeader carries the event's id, the same in every attempt.
	deliveryHeader = "X-Portico-Delivery"
	// signatureHeader carries "sha256=" and the HMAC-SHA256 of the body in
	// hexadecimal, as GitHub's webhooks do.
	signatureHeader = "X-Portico-Signature"
)

// retryable are the answers among 4xx that may change (RFC 9110, section
// 15.5.9; RFC 8470; RFC 6585).
var retryable = []int{http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests}

func (w Webhook) send(ctx context.Context, e Event) error {
	req, err := w.request(ctx, e)
	if err != nil {
		return permanentError{withoutURL(err)}
	}
	transport := &http.Transport{
		Proxy:             http.ProxyFromEnvironment,
		TLSClientConfig:   w.Roots.tlsConfig(""),
		ForceAttemptHTTP2: true,
		// Transitions are rare: a connection would be dead at the next.
		DisableKeepAlives: true,
	}
	client := http.Client{
		Transport: transport,
		// Whoever the answer points to was not named by the operator, and
		// must not get body, headers and signature.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(req)
	if err != nil {
		return withoutURL(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 == 2 {
		return nil
	}
	err = fmt.Errorf("answer %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	if resp.StatusCode < 500 && !slices.Contains(retryable, resp.StatusCode) {
		return permanentError{err}
	}
	return err
}

func (w Webhook) request(ctx context.Context, e Event) (*http.Request, error) {
	body, err := e.json()
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, string(w.URL), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "portico")
	for name, value := range w.Headers {
		req.Header.Set(name, string(value))
	}
	req.Header.Set(deliveryHeader, e.id())
	if w.Secret != "" {
		mac := hmac.New(sha256.New, []byte(w.Secret))
		mac.Write(body)
		req.Header.Set(signatureHeader, "sha256="+hex.EncodeToString(mac.Sum(nil)))
	}
	return req, nil
}

// withoutURL drops the URL that net/http puts in front of its errors.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
