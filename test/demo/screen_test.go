package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portico-lb/portico/test/lab"
)

func TestScreen(t *testing.T) {
	show := func(color bool) string {
		var b strings.Builder
		s := &screen{w: &b, color: color}
		s.section("Who owns the VIP")
		s.say("Two lines\nof text.")
		s.command("ipvsadm -Ln", "\nTCP  192.0.2.1:80 mh  \n\n  -> 192.0.2.2:80\n")
		s.good("%d servers", 2)
		s.table([]string{"", "web-1"}, []string{"edge-1", "12"})
		s.command("true", "")
		return b.String()
	}
	want := `
1. Who owns the VIP
   Two lines
   of text.

   $ ipvsadm -Ln
   TCP  192.0.2.1:80 mh

     -> 192.0.2.2:80
   ok 2 servers

           web-1
   edge-1  12

   $ true
`
	if diff := cmp.Diff(want, show(false)); diff != "" {
		t.Errorf("not on a terminal (-want +got):\n%s", diff)
	}
	colored := show(true)
	if !strings.Contains(colored, "\x1b[36m$ ipvsadm -Ln\x1b[0m\n") {
		t.Errorf("on a terminal: %q", colored)
	}
}

func TestStrip(t *testing.T) {
	at := func(ms ...int) (list []lab.Attempt) {
		for _, n := range ms {
			list = append(list, lab.Attempt{Ended: time.Duration(n) * time.Millisecond})
		}
		return list
	}
	lost := lab.Attempt{Ended: 250 * time.Millisecond, Err: errors.New("lost")}
	all := at(400, 410, 420, 430, 440, 450, 460, 470, 480, 490, 495, 499)
	for _, c := range []struct {
		name     string
		attempts []lab.Attempt
		end      time.Duration
		want     string
	}{
		{"nothing", nil, 0, "·"},
		{"a gap, and what was waiting", append(append(at(0, 110, 120), lost), all...), 499 * time.Millisecond, "▁▂·\n·█"},
		{"answered after the end", at(700), 250 * time.Millisecond, "··▁"},
	} {
		got := strip(lab.Timeline{Attempts: c.attempts, End: c.end}, 10*time.Millisecond, 3)
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestMatrix(t *testing.T) {
	rows, wrong := matrix(map[string]int{"edge-1 web-1": 3, "edge-1 web-2": 4, "edge-2 web-1": 5},
		[]string{"edge-1", "edge-2"}, []string{"web-1", "web-2"})
	want := [][]string{{"", "web-1", "web-2"}, {"edge-1", "3", "4"}, {"edge-2", "5", "0"}}
	if diff := cmp.Diff(want, rows); diff != "" || len(wrong) > 0 {
		t.Errorf("wrong %v, rows (-want +got):\n%s", wrong, diff)
	}
	_, wrong = matrix(map[string]int{"edge-1 web-1": 3, "edge-1 api-1": 1}, []string{"edge-1", "edge-2"}, []string{"web-1", "web-2"})
	if diff := cmp.Diff([]string{"edge-1 api-1", "edge-2", "web-2"}, wrong); diff != "" {
		t.Errorf("wrong (-want +got):\n%s", diff)
	}
}
