package kube

import (
	"crypto/sha1" //nolint:gosec // a name, not a secret
	"encoding/hex"
	"math"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/portico-lb/portico/l7/backend"
	"github.com/portico-lb/portico/l7/middleware"
	"github.com/portico-lb/portico/l7/route"
)

// service reads the annotations of b's Service, once.
func (d *traefik17) service(t *translation, b route.Backend) *traefikService {
	name := serviceName{b.Namespace, b.Service}
	if s, known := d.services.get(name); known {
		return s
	}
	s := d.services.set(name, d.known.next())
	*s = traefikService{}
	if b == (route.Backend{}) {
		return s
	}
	if s.object = t.service(b); s.object == nil {
		return s
	}
	n := newNotes(t, &object{"Service", &s.object.ObjectMeta}, traefikKey)
	if len(n.found) == 0 {
		return s
	}
	cookie := n.traefikSticky(b)
	sameSite := n.traefikSameSite()
	attempts := n.traefikAttempts()
	dynamic := n.text("load-balancer-method") == "drr"
	s.change = func(p backend.Policy) backend.Policy {
		if dynamic {
			p.Balance = backend.Balance{Strategy: backend.LeastRequests}
		}
		if cookie != "" {
			p.Sticky.Cookie, p.Sticky.SameSite = cookie, sameSite
		}
		if attempts > 0 {
			p.Retries.Attempts = attempts
		}
		return p
	}
	// In Traefik's order. What a response is flushed by needs no interval: all
	// that comes goes on at once.
	s.steps = append(s.steps, n.traefikBreaker()...)
	s.steps = append(s.steps, n.traefikBuffering()...)
	s.steps = append(s.steps, n.traefikMaxConn()...)
	return s
}

// traefikSticky returns the name of the cookie that binds clients to an
// endpoint, "" for none. It is HttpOnly, and Secure over HTTPS, whatever is said.
func (n notes) traefikSticky(b route.Backend) string {
	switch {
	case n.flag("affinity", false):
	case n.flag("sticky", false):
		return "_TRAEFIK_BACKEND"
	default:
		return ""
	}
	name := n.text("session-cookie-name")
	if name == "" {
		sum := sha1.Sum([]byte(b.Namespace + "/" + b.Service))
		return "_" + hex.EncodeToString(sum[:])[:5]
	}
	if !httpguts.ValidHeaderFieldName(name) || len(name) > backend.CookieMost {
		n.bad("session-cookie-name", "%q is no name of a cookie, no client is bound: write letters, digits and hyphens, %d at most", name, backend.CookieMost)
		return ""
	}
	return name
}

func (n notes) traefikSameSite() string {
	switch s := strings.ToLower(n.text("session-same-site")); s {
	case "":
	case "lax", "strict", "none":
		return strings.ToUpper(s[:1]) + s[1:]
	default:
		n.bad("session-same-site", "%q is unknown, it is left out: write lax, strict or none", s)
	}
	return ""
}

// traefikBreaker reads circuit-breaker-expression.
func (n notes) traefikBreaker() []route.Step {
	expr := n.text("circuit-breaker-expression")
	if expr == "" {
		return nil
	}
	if err := middleware.CheckExpression(expr); err != nil {
		n.bad("circuit-breaker-expression", "%v, there is no breaker: write one such as \"NetworkErrorRatio() > 0.5\"", err)
		return nil
	}
	return []route.Step{middleware.CircuitBreaker{Expression: expr}}
}

// traefikBuffer is the value of buffering, in bytes. Where bodies are kept is
// not a matter of configuration here.
type traefikBuffer struct {
	MaxRequest  int64  `json:"maxrequestbodybytes"`
	MemRequest  int64  `json:"memrequestbodybytes"`
	MaxResponse int64  `json:"maxresponsebodybytes"`
	MemResponse int64  `json:"memresponsebodybytes"`
	Retry       string `json:"retryexpression"`
}

func (n notes) buffer() (traefikBuffer, bool) {
	var b traefikBuffer
	if !n.has("buffering") {
		return b, false
	}
	return b, n.yaml("buffering", &b) == nil
}

// traefikBuffering reads buffering.
func (n notes) traefikBuffering() []route.Step {
	b, ok := n.buffer()
	switch {
	case !n.has("buffering"):
		return nil
	case !ok || b.MaxRequest < 0 || b.MaxResponse < 0:
		n.bad("buffering", "is no list of maxrequestbodybytes, memrequestbodybytes, maxresponsebodybytes, memresponsebodybytes, retryexpression, bodies are not bounded: correct it")
		return nil
	}
	return []route.Step{middleware.Buffering{RequestMost: b.MaxRequest, Whole: true, ResponseMost: b.MaxResponse}}
}

// attempts is what most retry expressions say.
var attemptsExpr = regexp.MustCompile(`Attempts\(\)\s*(<=?)\s*(\d{1,2})`)

// traefikAttempts returns how often a request is sent by retryexpression, 0 for
// as often as others. What failed in the network is retried without it.
func (n notes) traefikAttempts() int {
	b, ok := n.buffer()
	if !ok || b.Retry == "" {
		return 0
	}
	m := attemptsExpr.FindStringSubmatch(b.Retry)
	if m == nil || strings.Contains(b.Retry, "ResponseCode") {
		n.bad("buffering", "retryexpression %q is not read: what fails in the network is retried, what an endpoint has answered is not", b.Retry)
		return 0
	}
	attempts, _ := strconv.Atoi(m[2])
	if m[1] == "<=" {
		attempts++ // the attempt that is asked about is not over
	}
	return max(1, attempts)
}

// traefikMaxConn reads max-conn-amount and max-conn-extractor-func, which
// belong together.
func (n notes) traefikMaxConn() []route.Step {
	most := n.number("max-conn-amount", -1, math.MinInt32, math.MaxInt32)
	by := n.text("max-conn-extractor-func")
	switch key, ok := traefikExtractor(by); {
	case most <= 0 && by == "":
		return nil
	case most <= 0:
		n.bad("max-conn-extractor-func", "stands without max-conn-amount, nothing is bounded: add it")
	case by == "":
		n.bad("max-conn-amount", "stands without max-conn-extractor-func, nothing is bounded: add it")
	case !ok:
		n.bad("max-conn-extractor-func", "%q is unknown, nothing is bounded: write client.ip, request.host or request.header.NAME", by)
	default:
		return []route.Step{middleware.InFlight{Key: key, Most: int(most)}}
	}
	return nil
}
