package proxy_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portico-lb/portico/l7/proxy"
)

func TestWaysOfBodies(t *testing.T) {
	everyWay(t, func(t *testing.T, w way) {
		v := w.visit(t, proxy.Options{}, w.endpoint(t, func(rw http.ResponseWriter, r *http.Request) {
			b, err := io.ReadAll(r.Body)
			if err != nil {
				return
			}
			if r.Header.Get("Want") == "length" {
				rw.Header().Set("Content-Length", fmt.Sprint(len(b)))
			} else {
				rw.Header().Set("Trailer", "Sum, Heard")
			}
			rw.Write(b)
			rw.Header().Set("Sum", fmt.Sprintf("%x", sha256.Sum256(b)))
			rw.Header().Set("Heard", r.Trailer.Get("Said"))
		}))
		for _, size := range []int{0, 1, 100, 4096, 33000, 70000, 1 << 20, 5<<20 + 1} {
			for _, length := range []string{"length", "unknown"} {
				sent := noise(byte(size), size)
				var body io.Reader = bytes.NewReader(sent)
				if length == "unknown" {
					body = hideLength(body)
				}
				r := v.request("POST", "/", body)
				r.Header.Set("Want", length)
				if length == "unknown" {
					r.Trailer = http.Header{"Said": {"it"}}
				}
				resp, got := v.do(r)
				if resp.StatusCode != 200 || got != string(sent) {
					t.Fatalf("%s %d: got %d and %d bytes", length, size, resp.StatusCode, len(got))
				}
				if length == "length" {
					if resp.ContentLength != int64(size) {
						t.Errorf("%d: length %d", size, resp.ContentLength)
					}
				} else if resp.Trailer.Get("Sum") != fmt.Sprintf("%x", sha256.Sum256(sent)) || resp.Trailer.Get("Heard") != "it" {
					t.Errorf("%d: trailers %q", size, resp.Trailer)
				}
			}
		}
		v.settle(t)
		if s := v.Status(); s.Responses.Success != 16 || s.Requests != 16 {
			t.Errorf("status %+v", s)
		}
	})
}

// TestWaysOfHeads shows what endpoints are told, and responses without bodies.
func TestWaysOfHeads(t *testing.T) {
	everyWay(t, func(t *testing.T, w way) {
		v := w.visit(t, proxy.Options{}, w.endpoint(t, func(rw http.ResponseWriter, r *http.Request) {
			var status int
			if _, err := fmt.Sscanf(r.URL.Path, "/status/%d", &status); err == nil {
				rw.Header().Set("X-Method", r.Method)
				rw.Header()["Set-Cookie"] = []string{"a=b", "c=d"}
				rw.WriteHeader(status)
				return
			}
			fmt.Fprintf(rw, "%s %s %s\n", r.Method, r.RequestURI, r.Host)
			var names []string
			for n := range r.Header {
				names = append(names, n)
			}
			slices.Sort(names)
			for _, n := range names {
				fmt.Fprintf(rw, "%s: %s\n", n, strings.Join(r.Header[n], "|"))
			}
		}))
		scheme, _, _ := strings.Cut(v.base, "://")
		port := map[string]string{"http": "80", "https": "443"}[scheme]
		r := v.request("GET", "/a/./b?q=%20x", nil)
		r.Header = http.Header{
			"Accept": {"x"}, "User-Agent": {"t"}, "Cookie": {"a=b; c=d"}, "X-Many": {"1", "2"},
			"X-Forwarded-For": {"6.6.6.6"}, "X-Forwarded-Prefix": {"/evil"}, "X_forwarded_for": {"6.6.6.6"}, "Proxy": {"evil"},
		}
		_, got := v.do(r)
		want := "GET /a/b?q=%20x example.com\nAccept: x\nCookie: a=b; c=d\nUser-Agent: t\nX-Forwarded-For: 127.0.0.1\n" +
			"X-Forwarded-Host: example.com\nX-Forwarded-Port: " + port + "\nX-Forwarded-Proto: " + scheme + "\nX-Many: 1|2\nX-Real-Ip: 127.0.0.1\n"
		if got != want {
			t.Errorf("got\n%swant\n%s", got, want)
		}
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "PURGE"} {
			for _, status := range []int{200, 204, 304, 301, 404, 500} {
				resp, body := v.do(v.request(method, fmt.Sprintf("/status/%d", status), nil))
				if resp.StatusCode != status || resp.Header.Get("X-Method") != method || body != "" ||
					!slices.Equal(resp.Header["Set-Cookie"], []string{"a=b", "c=d"}) {
					t.Errorf("%s %d: got %v %q", method, status, resp, body)
				}
			}
		}
		if resp, body := v.do(v.request("HEAD", "/", nil)); resp.StatusCode != 200 || body != "" {
			t.Errorf("HEAD: %v", resp)
		}
		v.settle(t)
	})
}

// TestWaysOfInterim shows that hints come before the response does.
func TestWaysOfInterim(t *testing.T) {
	everyWay(t, func(t *testing.T, w way) {
		release := make(chan bool)
		v := w.visit(t, proxy.Options{}, w.endpoint(t, func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Link", "</a>")
			rw.WriteHeader(103)
			<-release
			rw.Write([]byte("done"))
		}))
		hint := ""
		r := v.request("GET", "/", nil)
		r = r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
			Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
				hint = fmt.Sprint(code, h.Get("Link"))
				close(release)
				return nil
			},
		}))
		if _, body := v.do(r); body != "done" || hint != "103</a>" {
			t.Errorf("got %q, hint %q", body, hint)
		}
	})
}

// TestWaysOfLateInterim shows that interim responses come in their order, those
// around 100 (Continue) and those behind the request's body, too.
func TestWaysOfLateInterim(t *testing.T) {
	everyWay(t, func(t *testing.T, w way) {
		next := make(chan bool)
		v := w.visit(t, proxy.Options{}, w.endpoint(t, func(rw http.ResponseWriter, r *http.Request) {
			hint := func(link string) {
				rw.Header().Set("Link", link)
				rw.WriteHeader(103)
				<-next
			}
			hint("</first>")
			b, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			hint("</second>")
			hint("</third>")
			rw.Header().Del("Link")
			rw.Write(b)
		}))
		if tr, ok := v.Transport.(*http.Transport); ok {
			tr.ExpectContinueTimeout = 20 * time.Second // with none the body comes unasked
		}
		var told []string
		r := v.request("POST", "/", strings.NewReader("body"))
		r.Header.Set("Expect", "100-continue")
		r = r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
			Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
				told = append(told, fmt.Sprint(code, h.Get("Link")))
				if code == 103 {
					next <- true
				}
				return nil
			},
		}))
		resp, body := v.do(r)
		if resp.StatusCode != 200 || body != "body" || resp.Header.Get("Link") != "" {
			t.Errorf("got %v %q", resp, body)
		}
		// An endpoint of HTTP/2 is not asked whether it wants the body.
		want := []string{"103</first>", "100", "103</second>", "103</third>"}
		if i := slices.Index(told, "100"); i == 0 && strings.HasPrefix(w.back, "HTTP/2") {
			told = append([]string{told[1], told[0]}, told[2:]...)
		}
		if !slices.Equal(told, want) {
			t.Errorf("told %q, want %q", told, want)
		}
		v.settle(t)
	})
}

// TestWaysOfStreaming shows that nothing is held back: each side says a word
// only when it has heard one.
func TestWaysOfStreaming(t *testing.T) {
	everyWay(t, func(t *testing.T, w way) {
		v := w.visit(t, proxy.Options{}, w.endpoint(t, func(rw http.ResponseWriter, r *http.Request) {
			rc := http.NewResponseController(rw)
			rc.EnableFullDuplex()
			rw.WriteHeader(200)
			rc.Flush()
			line := bufio.NewReader(r.Body)
			for {
				s, err := line.ReadString('\n')
				if err != nil {
					return
				}
				io.WriteString(rw, strings.ToUpper(s))
				rc.Flush()
			}
		}))
		out, in := io.Pipe()
		resp, err := v.Client.Do(v.request("POST", "/", out))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		answer := bufio.NewReader(resp.Body)
		for range 5 {
			io.WriteString(in, "hello\n")
			if s, err := answer.ReadString('\n'); err != nil || s != "HELLO\n" {
				t.Fatalf("got %q, %v", s, err)
			}
		}
		in.Close()
		if rest, err := io.ReadAll(answer); err != nil || len(rest) > 0 {
			t.Errorf("got %q, %v", rest, err)
		}
		v.settle(t)
	})
}

// TestWaysOfEarlyResponse shows that an answer that comes before the body has
// been sent reaches the client.
func TestWaysOfEarlyResponse(t *testing.T) {
	everyWay(t, func(t *testing.T, w way) {
		v := w.visit(t, proxy.Options{}, w.endpoint(t, func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Content-Length", "2")
			rw.WriteHeader(413)
			io.WriteString(rw, "no")
			http.NewResponseController(rw).Flush()
		}))
		var much io.Reader = unending{}
		if strings.HasPrefix(w.front, "HTTP/1.1") {
			much = io.LimitReader(much, 150_000) // of which no end is seen before the answer
		}
		resp, body := v.do(v.request("POST", "/", much))
		if resp.StatusCode != 413 || body != "no" {
			t.Errorf("got %v %q", resp, body)
		}
		v.settle(t)
		if resp, _ := v.do(v.request("GET", "/", nil)); resp.StatusCode != 413 {
			t.Errorf("then got %v", resp)
		}
	})
}

// unending is a body without end.
type unending struct{}

func (unending) Read(p []byte) (int, error) { return len(p), nil }

func TestWaysOfExpect(t *testing.T) {
	everyWay(t, func(t *testing.T, w way) {
		v := w.visit(t, proxy.Options{}, w.endpoint(t, func(rw http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/no" {
				rw.WriteHeader(417)
				return
			}
			io.Copy(rw, r.Body)
		}))
		if tr, ok := v.Transport.(*http.Transport); ok {
			tr.ExpectContinueTimeout = 5 * time.Second
		}
		for path, want := range map[string]int{"/yes": 200, "/no": 417} {
			r := v.request("PUT", path, strings.NewReader("hello"))
			r.Header.Set("Expect", "100-continue")
			if resp, body := v.do(r); resp.StatusCode != want || want == 200 && body != "hello" {
				t.Errorf("%s: got %v %q", path, resp, body)
			}
		}
	})
}
