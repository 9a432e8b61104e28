package track_test

import (
	"fmt"
	"testing"

	"github.com/portico-lb/portico/vip/track"
)

func TestJudge(t *testing.T) {
	var (
		iface = track.Watch{Kind: track.Interface, Subject: "eth1"}
		file  = track.Watch{Kind: track.File, Subject: "/run/prefer"}
		l7    = track.Watch{Kind: track.L7}
		up    = track.State{Known: true, Up: true}
		down  = track.State{Known: true, Reason: "no carrier"}
		unk   = track.State{}
	)
	number := func(n int) track.State { return track.State{Known: true, Up: true, Value: n} }
	rule := func(w track.Watch, weight int) track.Rule { return track.Rule{Watch: w, Weight: weight} }
	type states map[track.Watch]track.State
	tests := []struct {
		name   string
		rules  []track.Rule
		states states
		want   track.Verdict
		show   string // state and effect of each rule
	}{
		{"nothing tracked", nil, nil, track.Verdict{}, ""},
		{"no weight, up", []track.Rule{rule(iface, 0)}, states{iface: up}, track.Verdict{}, "up:"},
		{"no weight, down", []track.Rule{rule(iface, 0)}, states{iface: down}, track.Verdict{Fault: "interface eth1: no carrier"}, "down:fault"},
		{"no weight, unknown", []track.Rule{rule(iface, 0)}, states{iface: unk}, track.Verdict{}, "pending:"},
		{"negative, up", []track.Rule{rule(iface, -50)}, states{iface: up}, track.Verdict{}, "up:"},
		{"negative, down", []track.Rule{rule(iface, -50)}, states{iface: down}, track.Verdict{Delta: -50}, "down:-50"},
		{"negative, unknown", []track.Rule{rule(iface, -50)}, nil, track.Verdict{}, "pending:"},
		{"positive, up", []track.Rule{rule(iface, 20)}, states{iface: up}, track.Verdict{Delta: 20}, "up:+20"},
		{"positive, down", []track.Rule{rule(iface, 20)}, states{iface: down}, track.Verdict{}, "down:"},
		{"positive, unknown", []track.Rule{rule(iface, 20)}, nil, track.Verdict{Delta: 20}, "pending:+20"},
		{"file", []track.Rule{rule(file, 2)}, states{file: number(-10)}, track.Verdict{Delta: -20}, "up:-20"},
		{"file, negative weight", []track.Rule{rule(file, -1)}, states{file: number(10)}, track.Verdict{Delta: -10}, "up:-10"},
		{"file, large", []track.Rule{rule(file, 253)}, states{file: number(253)}, track.Verdict{Delta: 253}, "up:+253"},
		{"file, 0", []track.Rule{rule(file, 2)}, states{file: number(0)}, track.Verdict{}, "up:"},
		{"file, unknown", []track.Rule{rule(file, 2)}, nil, track.Verdict{}, "pending:"},
		{"file without weight", []track.Rule{rule(file, 0)}, states{file: number(0)}, track.Verdict{}, "up:"},
		{"file without weight, not 0", []track.Rule{rule(file, 0)}, states{file: number(-1)}, track.Verdict{Fault: "file /run/prefer: the number is -1"}, "down:fault"},
		{"sum", []track.Rule{rule(iface, -50), rule(l7, -30), rule(file, 1)}, states{iface: down, l7: down, file: number(5)},
			track.Verdict{Delta: -75}, "down:-50 down:-30 up:+5"},
		{"two faults", []track.Rule{rule(iface, 0), rule(l7, 0), rule(file, 1)}, states{iface: down, l7: down, file: number(5)},
			track.Verdict{Delta: 5, Fault: "interface eth1: no carrier; l7: no carrier"}, "down:fault down:fault up:+5"},
	}
	for _, tt := range tests {
		s := track.NewSnapshot(tt.states)
		if got := track.Judge(tt.rules, s); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
		show := ""
		for i, r := range track.Show(tt.rules, s) {
			word := map[bool]string{true: "up", false: "down"}[r.Up]
			if r.Pending {
				word = "pending"
			}
			if i > 0 {
				show += " "
			}
			show += fmt.Sprintf("%s:%s", word, r.Effect)
		}
		if show != tt.show {
			t.Errorf("%s is shown as %q, want %q", tt.name, show, tt.show)
		}
	}
}
