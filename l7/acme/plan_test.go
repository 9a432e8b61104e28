package acme

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mholt/acmez/v3/acme"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func day(n float64) time.Time { return noon.Add(time.Duration(n * 24 * float64(time.Hour))) }

const (
	here      = "https://ca.example/dir"
	elsewhere = "https://staging.example/dir"
)

func TestPlan(t *testing.T) {
	fresh := held{day(-10), day(80), here}
	asked := func(r record) record { r.askAgain, r.notBefore = day(1), day(-10); return r }
	for _, c := range []struct {
		name    string
		have    map[string]held
		fault   fault
		records map[string]record
		want    string // jobs, then the next one
	}{
		{name: "nothing yet", want: "order a"},
		{name: "one runs", records: map[string]record{"a": {running: true}}, want: "never"},
		{name: "new, ask when", have: map[string]held{"a": fresh}, want: "ask a; next +49"},
		{name: "fresh", have: map[string]held{"a": fresh}, records: map[string]record{"a": asked(record{})}, want: "next +1"},
		{name: "a third to go", have: map[string]held{"a": {day(-62), day(28), here}}, want: "order a"},
		{name: "a short one with half to go", have: map[string]held{"a": {day(-3.1), day(2.9), here}}, want: "order a"},
		{name: "a short one", have: map[string]held{"a": {day(-1), day(5), here}}, want: "ask a; next +1"},
		{name: "the CA wants it now", have: map[string]held{"a": fresh}, records: map[string]record{"a": asked(record{renew: day(-1)})}, want: "order a"},
		{name: "the CA wants it later", have: map[string]held{"a": {day(-62), day(28), here}}, records: map[string]record{"a": {renew: day(9), askAgain: day(10), notBefore: day(-62)}}, want: "next +9"},
		{name: "the CA wants it when it is dead", have: map[string]held{"a": {day(-62), day(28), here}}, records: map[string]record{"a": {renew: day(29), askAgain: day(10), notBefore: day(-62)}}, want: "order a"},
		{name: "what the CA wanted of the one before", have: map[string]held{"a": fresh}, records: map[string]record{"a": {renew: day(-1), askAgain: day(10), notBefore: day(-70)}}, want: "ask a; next +49"},
		{name: "of another CA", have: map[string]held{"a": {day(-1), day(89), elsewhere}}, want: "order a"},
		{name: "failed", fault: fault{Failures: 3, At: noon}, want: "next +9m"},
		{name: "failed, over", fault: fault{Failures: 3, At: noon.Add(-9 * time.Minute)}, want: "order a"},
		{name: "failed at renewal", have: map[string]held{"a": {day(-62), day(28), here}}, fault: fault{Failures: 1, At: noon}, records: map[string]record{"a": {askAgain: day(1), notBefore: day(-62)}}, want: "next +1m"},
		{name: "not stored", have: map[string]held{"a": fresh}, fault: fault{Failures: 1, At: noon}, records: map[string]record{"a": asked(record{unstored: true})}, want: "next +5s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			due, next := plan(noon, here, []string{"a"}, c.have, map[string]fault{"a": c.fault}, c.records)
			if got := planText(due, next); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func planText(due []job, next time.Time) string {
	var out []string
	for _, j := range due {
		out = append(out, map[bool]string{true: "ask ", false: "order "}[j.ask]+j.host)
	}
	switch in := next.Sub(noon); {
	case next.IsZero() && len(due) == 0:
		out = append(out, "never")
	case next.IsZero():
	case in < time.Minute:
		out = append(out, fmt.Sprintf("next +%.0fs", in.Seconds()))
	case in < 24*time.Hour:
		out = append(out, fmt.Sprintf("next +%.0fm", in.Minutes()))
	default:
		out = append(out, fmt.Sprintf("next +%d", int(in.Hours()/24)))
	}
	return strings.Join(out, "; ")
}

// Who has no certificate goes before who has one, and asking comes last.
func TestPlanOrder(t *testing.T) {
	due, _ := plan(noon, here, []string{"a", "b", "c", "d"}, map[string]held{
		"a": {day(-10), day(80), here},
		"b": {day(-80), day(10), here},
		"c": {day(-85), day(5), here},
	}, nil, nil)
	var hosts []string
	for _, j := range due {
		hosts = append(hosts, j.host)
	}
	if want := []string{"d", "c", "b", "a"}; !slices.Equal(hosts, want) {
		t.Errorf("got %v, want %v", hosts, want)
	}
}

func TestPause(t *testing.T) {
	var at, inTheFirstHour time.Duration
	n := 1 // the first one waits for nothing
	for i := 1; ; i++ {
		at += pause(i)
		if at > time.Hour {
			break
		}
		n, inTheFirstHour = n+1, at
	}
	if n > 5 {
		t.Errorf("%d orders within the first hour, the last after %v: CAs let a name fail five times", n, inTheFirstHour)
	}
	if got := pause(1000); got != 12*time.Hour {
		t.Errorf("pauses end at %v", got)
	}
}

func TestAskAgain(t *testing.T) {
	at := func(d time.Duration) *time.Time { u := noon.Add(d); return &u }
	for _, c := range []struct {
		said *time.Time
		want time.Duration
	}{
		{nil, 6 * time.Hour},
		{at(6 * time.Hour), 6 * time.Hour},
		{at(-time.Hour), time.Minute},
		{at(1000 * time.Hour), 24 * time.Hour},
	} {
		if got := askAgain(noon, c.said).Sub(noon); got != c.want {
			t.Errorf("said %v: again in %v, want %v", c.said, got, c.want)
		}
	}
}

// The same cause reads the same, whatever the order.
func TestReason(t *testing.T) {
	problem := func(token string) error {
		return fmt.Errorf("[a] authorization failed: %w (order=https://ca.example/%s)", acme.Problem{
			Status: 400, Type: "urn:ietf:params:acme:error:connection",
			Detail: "192.0.2.1: Fetching http://a/.well-known/acme-challenge/" + token + ": Timeout",
		}, token)
	}
	const want = "connection: 192.0.2.1: Fetching http://a/.well-known/acme-challenge/...: Timeout"
	for _, token := range []string{"abc_1-2", "Zz"} {
		if got := reason(problem(token)); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
