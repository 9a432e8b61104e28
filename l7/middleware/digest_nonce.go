package middleware

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"slices"
	"sync"
	"time"
)

// nonces are those of one middleware: it knows its own by a key that no other
// has, so that only those are remembered that somebody has used with a right
// password. One from elsewhere, another edge among them, is stale: the client
// proves what it knows once more, and its user notices nothing.
type nonces struct {
	key [32]byte

	mu   sync.Mutex
	used map[nonceID]*window
	// floor is a time: a nonce from before that is not in used is stale, for it
	// may have been used and forgotten.
	floor int64
}

// nonceID is when a nonce was issued, as nanoseconds of Unix time, and eight
// random bytes.
type nonceID [16]byte

func (id nonceID) issued() int64 { return int64(binary.BigEndian.Uint64(id[:8])) }

const (
	// nonceAge is how long a nonce is good for.
	nonceAge = 5 * time.Minute
	// mostNonces bounds how many are remembered.
	mostNonces = 4096
)

func newNonces() *nonces {
	n := &nonces{used: map[nonceID]*window{}}
	_, _ = rand.Read(n.key[:]) // never fails
	return n
}

// issue returns a new nonce.
func (n *nonces) issue(now time.Time) string {
	var id nonceID
	binary.BigEndian.PutUint64(id[:8], uint64(now.UnixNano()))
	_, _ = rand.Read(id[8:])
	return base64.RawURLEncoding.EncodeToString(append(id[:], n.mac(id)...))
}

func (n *nonces) mac(id nonceID) []byte {
	mac := hmac.New(sha256.New, n.key[:])
	mac.Write(id[:])
	return mac.Sum(nil)[:16]
}

// use takes the count'th use of a nonce, and reports whether it is good: the
// nonce is ours, of late, and was not used with this count before.
func (n *nonces) use(nonce string, count uint32, now time.Time) bool {
	b, err := base64.RawURLEncoding.DecodeString(nonce)
	if err != nil || len(b) != 32 {
		return false
	}
	id := nonceID(b)
	age := time.Duration(now.UnixNano() - id.issued())
	if !hmac.Equal(b[16:], n.mac(id)) || age > nonceAge || age < -nonceAge {
		return false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	w := n.used[id]
	if w == nil {
		if id.issued() <= n.floor {
			return false
		}
		n.forget(now)
		w = &window{}
		n.used[id] = w
	}
	return w.take(count)
}

// forget makes room where there is none: those that are too old go, and if that
// is not half of them, the older half.
func (n *nonces) forget(now time.Time) {
	if len(n.used) < mostNonces {
		return
	}
	times := make([]int64, 0, len(n.used))
	for id := range n.used {
		times = append(times, id.issued())
	}
	slices.Sort(times)
	n.floor = max(n.floor, times[len(times)/2], now.Add(-nonceAge).UnixNano())
	for id := range n.used {
		if id.issued() <= n.floor {
			delete(n.used, id)
		}
	}
}

// A window knows which counts were used: all those below the last 64, and of
// these each. Requests of one client over several connections come in any order.
type window struct {
	top  uint32 // the highest one used
	seen uint64 // bit i is top-i
}

// take marks count as used and reports whether it was not before.
func (w *window) take(count uint32) bool {
	switch {
	case count == 0:
		return false
	case count > w.top:
		w.seen = w.seen<<min(count-w.top, 64) | 1
		w.top = count
		return true
	case w.top-count >= 64 || w.seen>>(w.top-count)&1 != 0:
		return false
	}
	w.seen |= 1 << (w.top - count)
	return true
}
