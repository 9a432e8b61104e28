package acme

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/mholt/acmez/v3/acme"
)

// atOnce is how many orders run at one time. A CA counts what it is asked, not
// how fast, and a few that hang must not hold up the others.
const atOnce = 4

// idle is how long the leader sleeps at most: expired litter is nobody's event.
const idle = time.Hour

// lead orders what is due until ctx ends.
func (m *Manager) lead(ctx context.Context) {
	m.log.Info("this edge orders certificates", "ca", m.config.CA)
	issuer := newIssuer(m.config, m.storage, m.log)
	m.awaitItems(ctx)
	m.mu.Lock()
	m.leads = true
	m.mu.Unlock()
	var group sync.WaitGroup
	defer m.resign()
	defer group.Wait()
	slots := make(chan struct{}, atOnce)
	for {
		m.tidy(ctx)
		due, next := m.due(time.Now())
		for _, j := range due {
			select {
			case slots <- struct{}{}:
			default:
				continue // those that run ring as they end
			}
			m.begin(j.host)
			group.Go(func() {
				defer ring(m.work)
				defer func() { <-slots }()
				m.do(ctx, issuer, j)
			})
		}
		wait := idle
		if !next.IsZero() {
			wait = min(wait, time.Until(next))
		}
		select {
		case <-ctx.Done():
			return
		case <-m.work:
		case <-time.After(wait):
		}
	}
}

// awaitItems returns when it is known what is stored.
func (m *Manager) awaitItems(ctx context.Context) {
	for m.storage.Items() == nil {
		select {
		case <-ctx.Done():
			return
		case <-m.work:
		}
	}
	m.read()
}

// resign forgets what only the leader knows.
func (m *Manager) resign() {
	m.mu.Lock()
	m.leads = false
	clear(m.records)
	clear(m.written)
	m.mu.Unlock()
	m.read()
	m.log.Info("this edge orders certificates no more")
}

// due returns the jobs to begin, and when to look again.
func (m *Manager) due(now time.Time) ([]job, time.Time) {
	v := m.view.Load()
	have := make(map[string]held, len(v.certificates))
	for host, c := range v.certificates {
		have[host] = c.held()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return plan(now, m.config.CA, *m.wanted.Load(), have, v.faults, m.records)
}

func (m *Manager) begin(host string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.records[host]
	r.running = true
	m.records[host] = r
}

// do does a job and keeps what came of it.
func (m *Manager) do(ctx context.Context, i *issuer, j job) {
	if j.ask {
		m.ask(ctx, i, j.host)
		return
	}
	began := time.Now()
	err := m.order(ctx, i, j.host)
	if ctx.Err() == nil { // else whoever leads next does it
		m.tell(ctx, j.host, err, time.Since(began))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.records[j.host]
	r.running = false
	r.unstored = errors.Is(err, errUnstored)
	m.records[j.host] = r
}

// tell keeps how an order went, for all edges.
func (m *Manager) tell(ctx context.Context, host string, err error, took time.Duration) {
	key := hostKey(FaultKind, host)
	f, had := m.view.Load().faults[host]
	if err == nil {
		m.log.Info("certificate issued", "host", host, "ca", m.config.CA, "took", took)
		if had {
			m.remove(ctx, key)
		}
		return
	}
	f = fault{CA: m.config.CA, Host: host, Text: reason(err), Failures: f.Failures + 1, At: time.Now().UTC()}
	m.log.Info("order failed", "host", host, "err", err, "failures", f.Failures, "again_in", pause(f.Failures))
	text, err := json.Marshal(f)
	if err == nil {
		err = m.write(ctx, key, Item{faultField: text})
	}
	if err != nil {
		m.log.Warn("other edges do not know that an order failed", "host", host, "err", err)
	}
}

var errUnstored = errors.New("a certificate was issued and is not stored")

// order gets and stores a certificate, unless somebody else has done so in the
// meantime: this edge may lead for a moment only and have read the storage
// before.
func (m *Manager) order(ctx context.Context, i *issuer, host string) error {
	key := hostKey(CertificateKind, host)
	known := m.view.Load().certificates[host]
	stored, err := m.storage.Load(ctx, key)
	if err != nil {
		return err
	}
	item := m.unstored(host, key)
	if item == nil {
		if c, err := readCertificate(stored, known); err == nil && c.ca == m.config.CA && !known.same(stored) {
			m.show(key, stored)
			return nil
		}
		replaces := known.leaf
		if known.ca != m.config.CA {
			replaces = nil // the CA would not know it
		}
		if item, err = i.order(ctx, host, replaces); err != nil {
			return err
		}
	}
	// An order that was paid for is kept, even in a farewell.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := m.write(ctx, key, item); err != nil {
		return fmt.Errorf("%w: %w", errUnstored, err)
	}
	return nil
}

// unstored is the certificate that the storage has not taken, or nil.
func (m *Manager) unstored(host string, key Key) Item {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.records[host].unstored {
		return nil
	}
	return m.written[key]
}

// write stores an item, which is shown from now on.
func (m *Manager) write(ctx context.Context, key Key, item Item) error {
	m.show(key, item)
	return m.storage.Store(ctx, key, item)
}

// remove deletes an item, which is not shown any more.
func (m *Manager) remove(ctx context.Context, key Key) {
	m.show(key, nil)
	if err := m.storage.Delete(ctx, key); err != nil {
		m.log.Warn("stored item not removed", "kind", string(key.Kind), "name", key.Name, "err", err)
	}
}

// show has the view show what is being written.
func (m *Manager) show(key Key, item Item) {
	m.mu.Lock()
	m.written[key] = item
	m.mu.Unlock()
	m.read()
}

// ask asks the CA when it wants host's certificate renewed.
func (m *Manager) ask(ctx context.Context, i *issuer, host string) {
	c := m.view.Load().certificates[host]
	again := askAgain(time.Now(), nil)
	var info acme.RenewalInfo
	if c.leaf != nil {
		var err error
		if info, err = i.ask(ctx, c.leaf); err == nil {
			again = askAgain(time.Now(), info.RetryAfter)
		} else {
			m.log.Debug("the CA does not say when to renew", "host", host, "err", err)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.records[host]
	r.running = false
	w := info.SuggestedWindow
	if !r.notBefore.Equal(c.since()) || r.renew.Before(w.Start) || r.renew.After(w.End) {
		r.renew = info.SelectedTime // drawn once for a window
	}
	r.askAgain, r.notBefore = again, c.since()
	m.records[host] = r
}

// tidy removes what nobody needs.
func (m *Manager) tidy(ctx context.Context) {
	wanted := map[string]bool{}
	for _, h := range *m.wanted.Load() {
		wanted[h] = true
	}
	m.forget(wanted)
	for _, key := range litter(time.Now(), m.view.Load(), wanted) {
		m.remove(ctx, key)
	}
}

// forget drops what is remembered of hosts that nobody wants any more.
func (m *Manager) forget(wanted map[string]bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for host, r := range m.records {
		if !wanted[host] && !r.running {
			delete(m.records, host)
		}
	}
}
