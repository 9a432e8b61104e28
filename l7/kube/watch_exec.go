package kube

import (
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	// execPause is how long a program that gave no credentials is not started
	// again: those of clouds take a second of CPU time, and who they ask counts.
	execPause = 5 * time.Second
	// noCredentials begins what client-go says where it gave none.
	noCredentials = "getting credentials: "
)

// A paced transport spares the program of a kubeconfig that gives no
// credentials: each reader would start it once a second, for as long as that
// lasts.
type paced struct {
	next http.RoundTripper

	mu    sync.Mutex
	err   error     // why there were no credentials last, nil where there were
	until time.Time // with err, when they are asked for again
}

func (p *paced) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := p.held(time.Now()); err != nil {
		if r.Body != nil {
			r.Body.Close()
		}
		return nil, err
	}
	resp, err := p.next.RoundTrip(r)
	p.note(err, time.Now())
	return resp, err
}

// held returns why a request is not worth trying at now. Of several, one is.
func (p *paced) held(now time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil && now.Before(p.until) {
		return p.err
	}
	p.until = now.Add(execPause)
	return nil
}

func (p *paced) note(err error, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = nil
	if err != nil && strings.HasPrefix(err.Error(), noCredentials) {
		p.err, p.until = err, now.Add(execPause)
	}
}
