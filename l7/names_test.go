package l7

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portico-lb/portico/l7/kube"
)

// What DNS says counts until it says otherwise, and leads nowhere that is not
// for clients.
func TestNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		addr := netip.MustParseAddr
		dns := map[string][]netip.Addr{
			"good.example.": {addr("192.0.2.2"), addr("::ffff:192.0.2.1"), addr("2001:db8::1")},
			"evil.example.": {
				addr("127.0.0.1"), addr("::1"), addr("169.254.169.254"), addr("fe80::1%eth0"), addr("0.0.0.0"), addr("224.0.0.1"),
				addr("198.51.100.7"), addr("203.0.113.1"), addr("203.0.113.2"),
			},
			"api.example": {addr("203.0.113.2")},
		}
		down := false
		var mu sync.Mutex
		change := func(do func()) {
			mu.Lock()
			defer mu.Unlock()
			do()
		}
		n := newNames()
		n.local = func() ([]net.Addr, error) {
			return []net.Addr{&net.IPNet{IP: net.IPv4(198, 51, 100, 7), Mask: net.CIDRMask(24, 32)}}, nil
		}
		n.lookup = func(_ context.Context, name string) ([]netip.Addr, error) {
			mu.Lock()
			defer mu.Unlock()
			switch addrs, ok := dns[name]; {
			case down:
				return nil, errors.New("timeout")
			case !ok:
				return nil, &net.DNSError{IsNotFound: true}
			default:
				return addrs, nil
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { n.run(ctx); close(done) }()
		defer func() { cancel(); <-done }()

		n.want(wantedNames{[]string{"good.example", "evil.example", "new.example"}, []string{"203.0.113.1", "api.example"}})
		synctest.Wait()
		answers := func() map[string]string {
			out := map[string]string{}
			for name, a := range *n.answers.Load() {
				for _, addr := range a.Addrs {
					out[name] += addr.String() + " "
				}
				if a.Err != "" {
					out[name] += "!"
				}
			}
			return out
		}
		check := func(when string, want map[string]string) {
			t.Helper()
			if diff := cmp.Diff(want, answers()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", when, diff)
			}
		}
		check("at first", map[string]string{"good.example": "192.0.2.1 192.0.2.2 2001:db8::1 ", "evil.example": "!", "new.example": "!"})
		select {
		case <-n.changed:
		default:
			t.Error("nobody is told of the answers")
		}

		change(func() {
			dns["new.example."] = []netip.Addr{addr("192.0.2.3")}
			delete(dns, "evil.example.")
		})
		time.Sleep(lookupEvery)
		synctest.Wait()
		check("later", map[string]string{"good.example": "192.0.2.1 192.0.2.2 2001:db8::1 ", "evil.example": "!", "new.example": "192.0.2.3 "})

		change(func() { down = true })
		time.Sleep(lookupEvery)
		synctest.Wait()
		check("without DNS", map[string]string{"good.example": "192.0.2.1 192.0.2.2 2001:db8::1 !", "evil.example": "!", "new.example": "192.0.2.3 !"})

		// A name that is denied is not taken away at once, but soon.
		change(func() {
			down = false
			delete(dns, "good.example.")
			dns["new.example."] = []netip.Addr{addr("192.0.2.4")}
		})
		time.Sleep(lookupEvery)
		synctest.Wait()
		check("denied", map[string]string{"good.example": "192.0.2.1 192.0.2.2 2001:db8::1 !", "evil.example": "!", "new.example": "192.0.2.4 "})
		time.Sleep(deniedMost)
		synctest.Wait()
		check("for long", map[string]string{"good.example": "!", "evil.example": "!", "new.example": "192.0.2.4 "})
		change(func() { dns["good.example."] = []netip.Addr{addr("192.0.2.5")} })
		time.Sleep(lookupEvery)
		synctest.Wait()
		check("and back", map[string]string{"good.example": "192.0.2.5 ", "evil.example": "!", "new.example": "192.0.2.4 "})

		n.want(wantedNames{})
		synctest.Wait()
		if diff := cmp.Diff(map[string]kube.Answer{}, *n.answers.Load()); diff != "" {
			t.Error(diff)
		}
	})
}
