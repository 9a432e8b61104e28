package acme

import (
	"cmp"
	"hash/fnv"
	"slices"
	"strings"
	"time"
)

// A held certificate is one that is stored.
type held struct {
	notBefore, notAfter time.Time
	ca                  string
}

// A record is what the leading edge remembers of a host beside what is stored.
type record struct {
	// running says that a job for the host runs.
	running bool
	// unstored says that the storage has not taken the certificate.
	unstored bool
	// renew is when the CA wants it renewed, zero where it has not said so; it
	// is asked again at askAgain. Both concern the certificate of notBefore.
	renew, askAgain time.Time
	notBefore       time.Time
}

// A job is what is to be done for a host: to order, or to ask the CA when to.
type job struct {
	host string
	ask  bool
	at   time.Time
}

// plan returns the jobs that are due, the most urgent first, and when the next
// one will be; zero for never.
func plan(now time.Time, ca string, hosts []string, have map[string]held, faults map[string]fault, records map[string]record) (due []job, next time.Time) {
	for _, host := range hosts {
		r := records[host]
		if r.running {
			continue
		}
		h, ok := have[host]
		for _, j := range jobs(host, ca, h, ok, faults[host], r) {
			if !j.at.After(now) {
				due = append(due, j)
				break // one at a time for a host, its order first
			}
			if next.IsZero() || j.at.Before(next) {
				next = j.at
			}
		}
	}
	slices.SortFunc(due, func(a, b job) int {
		return cmp.Or(
			cmp.Compare(a.rank(), b.rank()),
			a.at.Compare(b.at),
			strings.Compare(a.host, b.host),
		)
	})
	return due, next
}

// rank has those that wait for a certificate go first.
func (j job) rank() int {
	if j.ask {
		return 1
	}
	return 0
}

// jobs are those of one host and when they are due, the order first; zero is at
// once.
func jobs(host, ca string, h held, ok bool, f fault, r record) []job {
	order := job{host: host}
	if r.unstored { // which the CA does not count
		order.at = f.At.Add(storeAgain)
		return []job{order}
	}
	if ok && h.ca == ca {
		if !r.notBefore.Equal(h.notBefore) { // another edge has renewed it
			r.renew, r.askAgain = time.Time{}, time.Time{}
		}
		order.at = renewal(host, h)
		if !r.renew.IsZero() && r.renew.Before(h.notAfter) {
			order.at = r.renew
		}
	}
	if f.Failures > 0 {
		if again := f.At.Add(pause(f.Failures)); again.After(order.at) {
			order.at = again
		}
	}
	if !ok || h.ca != ca {
		return []job{order}
	}
	return []job{order, {host: host, ask: true, at: r.askAgain}}
}

// renewal is when a certificate is renewed where the CA does not say: with a
// third of its life to go, half where that is days, and a little earlier by a
// share that differs from host to host, as CAs ask for.
func renewal(host string, h held) time.Time {
	life := h.notAfter.Sub(h.notBefore)
	left := life / 3
	if life < 10*24*time.Hour {
		left = life / 2
	}
	hash := fnv.New32a()
	hash.Write([]byte(host))
	return h.notAfter.Add(-left - life/20*time.Duration(hash.Sum32()%1000)/1000)
}

// storeAgain is how long it takes until a certificate is offered to the storage
// again.
const storeAgain = 5 * time.Second

// pause is how long a host waits after failures orders in a row. CAs let a name
// fail some five times an hour, and an account order a hundred: hosts that lead
// nowhere must not use up what others need.
func pause(failures int) time.Duration {
	p := time.Minute
	for range min(failures, 7) - 1 {
		p *= 3
	}
	return min(p, 12*time.Hour)
}

// askAgain is when the CA is asked next, which may have said when (RFC 9773,
// section 4.3): not more than once a minute, and at least once a day.
func askAgain(now time.Time, said *time.Time) time.Time {
	if said == nil {
		return now.Add(6 * time.Hour)
	}
	return now.Add(min(max(said.Sub(now), time.Minute), 24*time.Hour))
}

// litterAge is how long a certificate is kept that nobody wants and that has
// expired.
const litterAge = 30 * 24 * time.Hour

// litter names what is stored for nothing.
func litter(now time.Time, v *view, wanted map[string]bool) []Key {
	var out []Key
	for token, c := range v.challenges {
		if now.After(c.expires) {
			out = append(out, challengeKey(token))
		}
	}
	for host, c := range v.certificates {
		if !wanted[host] && now.After(c.leaf.NotAfter.Add(litterAge)) {
			out = append(out, hostKey(CertificateKind, host))
		}
	}
	for host, f := range v.faults {
		if !wanted[host] && now.After(f.At.Add(12*time.Hour)) {
			out = append(out, hostKey(FaultKind, host))
		}
	}
	return out
}
