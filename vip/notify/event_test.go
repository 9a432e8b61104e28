package notify

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func event(group string, seq uint64, to string) Event {
	return Event{
		Node: "edge-1", Group: group, From: "Backup", To: to, Reason: "the Active resigned", Priority: 150, Seq: seq,
		Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.10/32"), netip.MustParsePrefix("2001:db8::10/128")},
		At:        time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC).Add(time.Duration(seq) * time.Second),
	}
}

// The JSON is what webhooks and commands of operators read: it may grow, but
// what stands here must stay.
func TestEventJSON(t *testing.T) {
	body, err := event("edge", 3, "Active").json()
	if err != nil {
		t.Fatal(err)
	}
	want := `{"version":1,"id":"` + event("edge", 3, "Active").id() + `","node":"edge-1","group":"edge","state":"Active","previous":"Backup",` +
		`"reason":"the Active resigned","priority":150,"addresses":["192.0.2.10/32","2001:db8::10/128"],` +
		`"time":"2026-01-02T03:04:08.000006Z","sequence":3}`
	if string(body) != want {
		t.Errorf("got  %s\nwant %s", body, want)
	}
	bare, err := Event{}.json()
	if err != nil || !json.Valid(bare) || !strings.Contains(string(bare), `"addresses":[]`) {
		t.Errorf("an empty event: %s (%v)", bare, err)
	}
}

func TestEventID(t *testing.T) {
	seen := map[string]Event{}
	for _, e := range []Event{event("a", 1, "Active"), event("a", 2, "Active"), event("b", 1, "Active"), {Node: "x", Group: "y"}, {Node: "x y"}} {
		if other, twice := seen[e.id()]; twice {
			t.Errorf("%+v and %+v have the same id", e, other)
		}
		seen[e.id()] = e
		if same := e; same.id() != e.id() {
			t.Error("an id changes")
		}
	}
}

func TestKeepalivedArgs(t *testing.T) {
	for state, want := range map[string]string{"Active": "MASTER", "Backup": "BACKUP", "Fault": "FAULT", "Initialize": "STOP"} {
		if got := event("edge", 1, state).keepalivedArgs(); !reflect.DeepEqual(got, []string{"INSTANCE", "edge", want, "150"}) {
			t.Errorf("%s: %q", state, got)
		}
	}
}

// What goes into headers, arguments and variables has no line breaks and no
// zero bytes, whatever the group is called.
func TestControlCharacters(t *testing.T) {
	e := event("edge\r\nBcc: all@example.com\x00", 1, "Active")
	e.Reason, e.Node = "a\nb", "n\r\n"
	for _, s := range append(append(e.environment(), e.keepalivedArgs()...), e.subject()) {
		if strings.ContainsAny(s, "\r\n\x00") {
			t.Errorf("%q", s)
		}
	}
	if n := strings.Count(e.text(), "\n"); n != 8 {
		t.Errorf("the text has %d lines, want 8:\n%s", n, e.text())
	}
}

// news renders what a cursor finds new as "a1 a2 | a:3 missed".
func news(c cursor, recent []Event) string {
	var s []string
	fresh, missed := c.news(recent)
	for _, e := range fresh {
		s = append(s, fmt.Sprintf("%s%d", e.Group, e.Seq))
	}
	for g, n := range missed {
		s = append(s, fmt.Sprintf("%s:%d missed", g, n))
	}
	return strings.Join(s, " ")
}

func TestCursor(t *testing.T) {
	a, b := func(n uint64) Event { return event("a", n, "Active") }, func(n uint64) Event { return event("b", n, "Active") }
	rebuilt := func(seq, at uint64) Event { e := a(at); e.Seq = seq; return e }
	c := cursor{}
	for i, step := range []struct {
		recent []Event
		want   string
	}{
		{[]Event{a(1), a(2)}, "a1 a2"},
		{[]Event{a(1), a(2)}, ""},
		{[]Event{a(1), a(2), a(4), b(3)}, "b3 a4 a:1 missed"}, // by time, not by group
		{[]Event{b(3)}, ""},                                   // group a was removed
		{[]Event{rebuilt(1, 5), b(3)}, "a1"},                  // and came back: it counts anew
		{[]Event{rebuilt(1, 5), rebuilt(2, 6), b(3)}, "a2"},
		{[]Event{rebuilt(1, 7), rebuilt(2, 8), rebuilt(3, 9), b(4)}, "b4 a1 a2 a3"}, // again, and further at once
		{nil, ""},
	} {
		if got := news(c, step.recent); got != step.want {
			t.Errorf("step %d: %q, want %q", i, got, step.want)
		}
	}
}

// A full queue forgets the oldest of the group that fills it, never another
// group's.
func TestQueue(t *testing.T) {
	var q queue
	dropped := 0
	for seq := range uint64(100) {
		if q.push(event("flapping", seq, "Active")) {
			dropped++
		}
		if seq == 0 {
			q.push(event("calm", 1, "Backup"))
		}
	}
	if dropped != 100-perGroup {
		t.Errorf("%d dropped, want %d", dropped, 100-perGroup)
	}
	want := []string{"calm 1"}
	for seq := 100 - perGroup; seq < 100; seq++ {
		want = append(want, fmt.Sprintf("flapping %d", seq))
	}
	var got []string
	for e, ok := q.pop(); ok; e, ok = q.pop() {
		got = append(got, fmt.Sprintf("%s %d", e.Group, e.Seq))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
