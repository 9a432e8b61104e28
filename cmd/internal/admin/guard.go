package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/time/rate"
)

// headers tells browsers to load nothing from elsewhere, to run nothing that is
// not ours, and to show nothing of it in another page.
func headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; "+
			"connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
		h.Set("Cache-Control", "no-store") // the dashboard's files say otherwise
		next.ServeHTTP(w, r)
	})
}

// knownHost refuses names that nobody has told us are ours. A page of a foreign
// site whose name was made to lead here (DNS rebinding) would else be of our
// origin, and could read everything. An address leads nowhere but to itself.
func (w *Web) knownHost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if !ours(r.Host, w.current().Hosts) {
			http.Error(rw, fmt.Sprintf("host %q is not known here: ask by address or as localhost, or add the name to admin.hosts", r.Host),
				http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(rw, r)
	})
}

func ours(host string, hosts []string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	return slices.ContainsFunc(append([]string{"localhost"}, hosts...), func(known string) bool { return strings.EqualFold(known, host) })
}

// offered has refuse answer what would change something and is no route of the
// API: that a path has no such method, or that there is no such path, is said
// before anybody is asked for a token that would not help.
func (w *Web) offered(refuse http.Handler) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if _, known := w.api.route(r); known || r.Method == http.MethodGet || r.Method == http.MethodHead {
				next.ServeHTTP(rw, r)
				return
			}
			refuse.ServeHTTP(rw, r)
		})
	}
}

// sameOrigin refuses what a page of another site has a browser send. JSON is
// asked for because no form can send it.
func sameOrigin(next http.Handler) http.Handler {
	json := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
				http.Error(w, "a body has to be JSON: send Content-Type: application/json", http.StatusUnsupportedMediaType)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
	return http.NewCrossOriginProtection().Handler(json)
}

// authorised lets everybody read and ask, and those give orders who bear the
// token.
func (w *Web) authorised(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		route, known := w.api.route(r)
		reads := r.Method == http.MethodGet || r.Method == http.MethodHead
		if reads || known && route.Kind == Asks {
			next.ServeHTTP(rw, r)
			return
		}
		c := w.current()
		scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		switch {
		case c.Token == "":
			http.Error(rw, "no orders are taken here: name a file with a token in admin.token_file and reload, or use the command portico on this node",
				http.StatusForbidden)
		case !strings.EqualFold(scheme, "Bearer") || !equal(token, c.Token):
			rw.Header().Set("WWW-Authenticate", `Bearer realm="portico"`)
			http.Error(rw, "orders need the header Authorization: Bearer TOKEN, with the token that stands in "+c.TokenFile+" on this node",
				http.StatusUnauthorized)
		default:
			w.log.Info("order", "path", r.URL.Path, "from", r.RemoteAddr)
			next.ServeHTTP(rw, r)
		}
	})
}

// equal takes the same time whatever a and b have in common, their length
// included.
func equal(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// bounded bounds the time and the body of a request.
func bounded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		most := webTime
		if strings.HasPrefix(r.URL.Path, "/debug/") {
			most = debugTime
		}
		c, until := http.NewResponseController(w), time.Now().Add(most)
		if c.SetReadDeadline(until) != nil || c.SetWriteDeadline(until) != nil {
			return // the connection is gone
		}
		r.Body = http.MaxBytesReader(w, r.Body, webBody)
		next.ServeHTTP(w, r)
	})
}

// few serves so many requests at once, and so many a second, and sends the others
// away: a director goes before all other programs of the node, and whoever asks
// it should not be able to make use of that. Probes need no room: a program that
// asks much and does not read may not make a node look dead.
func few(most int, perSecond rate.Limit, burst int) func(http.Handler) http.Handler {
	room, pace := make(chan struct{}, most), rate.NewLimiter(perSecond, burst)
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !pace.Allow() {
				w.Header().Set("Retry-After", "1")
				http.Error(w, "too many requests", http.StatusTooManyRequests)
				return
			}
			if r.URL.Path == "/healthz" || r.URL.Path == "/ready" {
				next.ServeHTTP(w, r)
				return
			}
			within(room, "requests", w, r, next)
		})
	}
}

// unhurried bounds how many questions are answered at once, from before the body
// is read.
func (w *Web) unhurried(next http.Handler) http.Handler {
	room := make(chan struct{}, webQuestions)
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if route, known := w.api.route(r); known && route.Kind == Asks {
			within(room, "questions", rw, r, next)
			return
		}
		next.ServeHTTP(rw, r)
	})
}

// within has next answer while there is room.
func within(room chan struct{}, what string, w http.ResponseWriter, r *http.Request, next http.Handler) {
	select {
	case room <- struct{}{}:
		defer func() { <-room }()
		next.ServeHTTP(w, r)
	default:
		w.Header().Set("Retry-After", "1")
		http.Error(w, "too many "+what+" at once", http.StatusServiceUnavailable)
	}
}
