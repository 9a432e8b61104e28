package middleware

import (
	"context"
	"strconv"
	"testing"
	"time"
)

// TestVerifierTellsNoNames checks that a stranger's password takes as long to
// be found wrong as a user's.
func TestVerifierTellsNoNames(t *testing.T) {
	v := newVerifier(map[string]string{"ann": "$2b$10$j32l68uHuBRbWV2HeNsjGOG7Z.kRJYD2OG.fZKBStaEr5AJaI6ewW"})
	took := func(user string) time.Duration {
		begun := time.Now()
		if ok, err := v.verify(t.Context(), user, "wrong"); ok || err != nil {
			t.Fatal(ok, err)
		}
		return time.Since(begun)
	}
	if known, unknown := took("ann"), took("bob"); unknown < known/10 {
		t.Errorf("%v for a user, %v for a stranger", known, unknown)
	}
}

// TestVerifierMemory checks that guesses neither fill the memory nor crowd out
// users, who need no turn once they are known.
func TestVerifierMemory(t *testing.T) {
	v := newVerifier(map[string]string{"ann": "{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M="})
	if ok, _ := v.verify(t.Context(), "ann", "test"); !ok {
		t.Fatal("does not pass")
	}
	for i := range 2 * mostRemembered {
		if ok, _ := v.verify(t.Context(), "ann", strconv.Itoa(i)); ok {
			t.Fatal("passes")
		}
	}
	if len(v.wrong) != mostRemembered || len(v.right) != 1 {
		t.Errorf("%d wrong and %d right ones are remembered", len(v.wrong), len(v.right))
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for range 50 { // of two open ways select takes any
		if ok, err := v.verify(over, "ann", "test"); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
}
