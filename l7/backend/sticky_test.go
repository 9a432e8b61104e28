package backend

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portico-lb/portico/l7/route"
)

// TestSticky shows that a client with a cookie stays with its endpoint as long
// as that is there and fit, also when others come and go, and at another node.
func TestSticky(t *testing.T) {
	policy := Default()
	policy.Sticky = Sticky{Cookie: "edge", MaxAge: time.Hour, SameSite: "Lax"}
	eps := addrs(5)
	for i := range eps {
		eps[i].ID = "uid-" + string(rune('a'+i))
	}
	node := func() *Pool {
		p, _ := newPool(t, policy, 0)
		p.Set(eps)
		return p
	}
	p, other := node(), node()
	first := one(p, &Call{})
	line := (&Conn{ep: first}).SetCookie(&Call{}, false)
	h := http.Response{Header: http.Header{"Set-Cookie": {line}}}
	cookie := h.Cookies()[0]
	if cookie.Name != "edge" || !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode || cookie.Secure || cookie.MaxAge != 3600 || cookie.Path != "/" {
		t.Errorf("%q", line)
	}
	c := Call{Token: []byte(cookie.Value)}
	for range 10 {
		if e := one(p, &c); e != first || (&Conn{ep: e}).SetCookie(&c, false) != "" {
			t.Error("did not stay")
		}
		if e := one(other, &c); e.Addr() != first.Addr() {
			t.Error("another node sends it elsewhere")
		}
	}
	p.Set(eps[:3])
	if e := one(p, &c); e != first {
		t.Error("left because others did")
	}
	policy.Timeouts.Idle++
	p.SetPolicy(new(policy))
	if e := one(p, &c); e != first {
		t.Error("left because the policy changed")
	}
	leaving := slices.Clone(eps[:3])
	for i := range leaving {
		leaving[i].Leaving = p.plan.Load().endpoints[i] == first
	}
	p.Set(leaving)
	for range 10 {
		if one(p, &Call{}) == first {
			t.Error("a new client is sent to one that is leaving")
		}
	}
	if one(p, &c) != first || len(p.Status().Endpoints) != 3 || !p.Status().Endpoints[2].Leaving {
		t.Error("cut off from one that is leaving")
	}
	// The same address, another Pod.
	eps[0].ID, eps[1].ID, eps[2].ID = "x", "y", "z"
	p.Set(eps[:3])
	e := one(p, &c)
	if again := (&Conn{ep: e}).SetCookie(&c, true); again == "" || !strings.Contains(again, "; Secure") {
		t.Errorf("no new cookie for a new endpoint: %q", again)
	}
}

// TestStickyOpaque shows that without a Pod and a secret a token cannot be
// computed from an address.
func TestStickyOpaque(t *testing.T) {
	policy := Default()
	policy.Sticky.Cookie = "edge"
	tokens := map[string]bool{token(route.Endpoint{Addr: addrs(1)[0].Addr}, nil): true}
	for range 3 {
		p, _ := newPool(t, policy, 1)
		a := p.plan.Load().endpoints[0].affinity.Load()
		if tokens[a.token] {
			t.Error("the same token again")
		}
		tokens[a.token] = true
	}
	policy.Sticky.Cookie = ""
	p, _ := newPool(t, policy, 1)
	if p.plan.Load().endpoints[0].affinity.Load() != nil {
		t.Error("a token for nobody")
	}
}
