package differential

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Times that a program is waited for: for the first byte of an answer, and for
// the next. Many wait at once.
const (
	first = 1500 * time.Millisecond
	quiet = 300 * time.Millisecond
)

// exchange sends bytes and returns what comes back until nothing more does,
// and whether the connection has ended then.
func exchange(addr, sent string) (answer string, closed bool) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return "", false
	}
	defer c.Close()
	go c.Write([]byte(sent))
	var got strings.Builder
	b := make([]byte, 64<<10)
	wait := first
	for {
		c.SetReadDeadline(time.Now().Add(wait))
		n, err := c.Read(b)
		got.Write(b[:n])
		if err != nil {
			return got.String(), !errors.Is(err, os.ErrDeadlineExceeded)
		}
		wait = quiet
	}
}

// An outcome is what a program made of an item.
type outcome struct {
	forwarded []forwarded
	statuses  []string
	closed    bool // the connection
}

// refused reports whether the program said no in the end.
func (o outcome) refused() bool {
	return len(o.statuses) > 0 && o.statuses[len(o.statuses)-1] >= "400"
}

func (o outcome) readings() []reading {
	var out []reading
	for _, f := range o.forwarded {
		out = append(out, f.reading)
	}
	return out
}

func (o outcome) String() string {
	var parts []string
	for _, r := range o.readings() {
		parts = append(parts, r.String())
	}
	return strings.Join(append(parts, o.statuses...), " | ")
}

// withBodies is o as if requests by GET had the bodies of want.
func (o outcome) withBodies(want []reading) outcome {
	o.forwarded = slices.Clone(o.forwarded)
	for i := range min(len(o.forwarded), len(want)) {
		if o.forwarded[i].Method == "GET" {
			o.forwarded[i].Body = want[i].Body
		}
	}
	return o
}

// put sends to d, for each item, what sent says, and returns what came of it,
// and what came that belongs to no item.
func (d *daemon) put(sent map[int]string) (map[int]outcome, []string) {
	out := map[int]outcome{}
	d.origin.collect()
	var mu sync.Mutex
	var group sync.WaitGroup
	room := make(chan struct{}, 64)
	for id, s := range sent {
		room <- struct{}{}
		group.Go(func() {
			defer func() { <-room }()
			answer, closed := exchange(d.addr, s)
			mu.Lock()
			defer mu.Unlock()
			out[id] = outcome{statuses: statuses(answer), closed: closed}
		})
	}
	group.Wait()
	got, odd := d.origin.collect()
	for id, f := range got {
		o := out[id]
		o.forwarded = f
		out[id] = o
	}
	return out, odd
}

var statusLine = regexp.MustCompile(`HTTP/1\.[01] (\d\d\d)[ \r]`)

// statuses are those of the responses in an answer. No body here holds what
// looks like one.
func statuses(answer string) []string {
	var out []string
	for _, m := range statusLine.FindAllStringSubmatch(answer, -1) {
		out = append(out, m[1])
	}
	return out
}

// alike reports whether a program that was sent what one reading is made of
// reads the same, or ends the connection at some request. What is in doubt must
// not be where a request begins, what it asks for, and where its body ends.
func alike(o outcome, want []reading) bool {
	if n := len(want); n > 0 && want[n-1].Body < 0 {
		want = want[:n-1] // the body did not come, and may be waited for
		o.forwarded = o.forwarded[:min(len(o.forwarded), n-1)]
		o.closed = true
	}
	got := o.readings()
	if len(got) > len(want) || len(got) < len(want) && !o.refused() && !o.closed {
		return false
	}
	for i := range got {
		if !got[i].same(want[i], o.refused() && i == len(got)-1) {
			return false
		}
	}
	return true
}

// same reports whether two readings are of the same request, in other words
// perhaps. The body of a request that was refused in the middle may be torn.
func (r reading) same(o reading, torn bool) bool {
	path, query, _ := strings.Cut(r.Target, "?")
	otherPath, otherQuery, _ := strings.Cut(o.Target, "?")
	return r.Method == o.Method && path == otherPath && decoded(query) == decoded(otherQuery) &&
		authority(r.Host) == authority(o.Host) && (r.Body == o.Body || torn && r.Body < o.Body)
}

// decoded is a query without the coding that programs add.
func decoded(query string) string {
	if plain, err := url.PathUnescape(query); err == nil {
		return plain
	}
	return query
}

// authority is a host as all write it that mean the same (RFC 9110, section
// 4.2.3).
func authority(host string) string {
	host = strings.ToLower(host)
	host = strings.TrimSuffix(strings.TrimSuffix(host, ":80"), ":")
	return strings.TrimSuffix(host, ".")
}

func TestDifferential(t *testing.T) {
	portico := startPortico(t)
	others := startPeers(t)
	items := corpus()

	sent := map[int]string{}
	for id, it := range items {
		sent[id] = it.sent
	}
	ours, odd := portico.put(sent)
	for _, s := range odd {
		t.Errorf("portico forwarded %s", s)
	}
	forwarded, refused := 0, 0
	passed := map[int]string{}
	for id, it := range items {
		o := ours[id]
		checkOwn(t, it, o)
		if len(o.forwarded) == 0 {
			refused++
			continue
		}
		forwarded++
		for _, f := range o.forwarded {
			passed[id] += f.raw
		}
	}

	// What portico forwards, sent by itself to each of the others.
	disputed := map[int]bool{}
	raw := map[string]map[int]outcome{}
	for _, d := range others {
		outcomes, odd := d.put(passed)
		for _, s := range odd {
			t.Errorf("%s, sent what portico forwards, forwarded %s", d.name, s)
		}
		var no []string
		for id := range passed {
			o := outcomes[id]
			if d.bodyless {
				o = o.withBodies(ours[id].readings())
			}
			if !alike(o, ours[id].readings()) {
				t.Errorf("%s: portico forwards\n%.1000q\nwhich is to it %s\nand to %s %s", items[id].name, passed[id], ours[id], d.name, o)
			}
			if o.refused() {
				no = append(no, items[id].name)
			}
		}
		slices.Sort(no)
		t.Logf("%s: of %d that portico forwards it refuses %d: %.2000q", d.name, len(passed), len(no), no)
		raw[d.name], _ = d.put(sent)
	}

	// What the others make of the items themselves says what portico is for.
	for id, it := range items {
		var accepted []string
		for _, d := range others {
			o := raw[d.name][id]
			if r := fmt.Sprint(o.readings()); len(o.forwarded) > 0 && !slices.Contains(accepted, r) {
				accepted = append(accepted, r)
			}
		}
		if len(accepted) > 1 {
			disputed[id] = true
			verdict := "refused"
			if passed[id] != "" {
				verdict = "forwarded in a form that all read alike"
			}
			if testing.Verbose() {
				t.Logf("%s: %d readings by the others; portico: %s", it.name, len(accepted), verdict)
			}
		}
	}
	kept := 0
	for id := range disputed {
		if passed[id] != "" {
			kept++
		}
	}
	t.Logf("%d items: portico forwards %d and refuses %d; the others read %d differently, of which portico refuses %d and makes %d clear",
		len(items), forwarded, refused, len(disputed), len(disputed)-kept, kept)
}

// checkOwn checks what is known of an item without asking anybody.
func checkOwn(t *testing.T, it item, o outcome) {
	t.Helper()
	for _, f := range o.forwarded {
		behind := strings.HasSuffix(f.Target, "/next")
		if strings.Contains(f.Target, "smuggled") || behind && !it.next {
			t.Errorf("%s: portico forwarded %s", it.name, o)
		}
	}
}
