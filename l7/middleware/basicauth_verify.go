package middleware

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"runtime"
	"slices"
	"sync"
	"time"
)

// A verifier knows whether a name and a password belong together, and
// remembers: bcrypt is made to take long, and a client sends its password with
// each request.
//
// How long it takes does not tell whether a name is one of the users': the
// password of a stranger is compared with the hash of some user, always the same
// for the same name.
type verifier struct {
	users  map[string]string
	hashes []string // of all users, in the order of their names
	key    [32]byte
	// turns bounds how many passwords are hashed at once, so that guessing does
	// not take all of the machine.
	turns chan struct{}

	mu sync.Mutex
	// right and wrong are what was found out, by a keyed hash of the name and
	// the password. They are apart so that guesses do not crowd out users.
	right, wrong map[fingerprint]struct{}
}

// A fingerprint is a keyed hash.
type fingerprint = [sha256.Size]byte

const (
	// mostRemembered bounds each memory of a verifier.
	mostRemembered = 4096
	// mostPassword bounds a password, in bytes: MD5 and SHA-crypt hash it a
	// thousand times.
	mostPassword = 1024
	// mostWait is how long a request waits for its turn.
	mostWait = 10 * time.Second
)

func newVerifier(users map[string]string) *verifier {
	v := &verifier{
		users: users,
		turns: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)),
		right: map[fingerprint]struct{}{},
		wrong: map[fingerprint]struct{}{},
	}
	for _, name := range slices.Sorted(maps.Keys(users)) {
		v.hashes = append(v.hashes, users[name])
	}
	_, _ = rand.Read(v.key[:]) // never fails
	return v
}

// verify reports whether password is user's, and fails where its turn has not
// come in time.
func (v *verifier) verify(ctx context.Context, user, password string) (bool, error) {
	if len(v.hashes) == 0 || len(password) > mostPassword {
		return false, nil
	}
	sum := v.sum(user, password)
	if ok, known := v.remembered(sum); known {
		return ok, nil
	}
	ctx, cancel := context.WithTimeout(ctx, mostWait)
	defer cancel()
	select {
	case v.turns <- struct{}{}:
		defer func() { <-v.turns }()
	case <-ctx.Done():
		return false, ctx.Err()
	}
	// Meanwhile one with the same question may have had its turn: a browser
	// asks for a page's parts all at once.
	if ok, known := v.remembered(sum); known {
		return ok, nil
	}
	hash, known := v.users[user]
	if !known {
		hash = v.hashes[v.stranger(user)]
	}
	ok := matches(hash, password) && known
	v.remember(sum, ok)
	return ok, nil
}

// sum is the key under which an answer is remembered; it does not tell the
// password, not even to who can read our memory but not the key.
func (v *verifier) sum(user, password string) (sum fingerprint) {
	mac := hmac.New(sha256.New, v.key[:])
	var size [8]byte
	binary.BigEndian.PutUint64(size[:], uint64(len(user)))
	mac.Write(size[:])
	mac.Write([]byte(user))
	mac.Write([]byte(password))
	mac.Sum(sum[:0])
	return sum
}

// stranger picks the hash for a name that is no user's.
func (v *verifier) stranger(user string) int {
	sum := v.sum(user, "")
	return int(binary.BigEndian.Uint64(sum[:]) % uint64(len(v.hashes)))
}

func (v *verifier) remembered(sum fingerprint) (ok, known bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if _, ok = v.right[sum]; ok {
		return true, true
	}
	_, known = v.wrong[sum]
	return false, known
}

func (v *verifier) remember(sum fingerprint, ok bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	m := v.wrong
	if ok {
		m = v.right
	}
	if len(m) >= mostRemembered {
		for some := range m { // in no order: as good as any
			delete(m, some)
			break
		}
	}
	m[sum] = struct{}{}
}
