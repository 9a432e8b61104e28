package track_test

import (
	"os/user"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pelletier/go-toml/v2"

	"github.com/portico-lb/portico/vip/track"
)

// parse reads the value of track and returns the rules and the faults, a line each.
func parse(t *testing.T, text string) ([]track.Rule, string) {
	t.Helper()
	var file struct {
		Track []track.Section `toml:"track"`
	}
	if err := toml.NewDecoder(strings.NewReader("track = " + text)).DisallowUnknownFields().Decode(&file); err != nil {
		t.Fatal(err)
	}
	var faults []string
	rules := track.Parse(file.Track, "track", func(key, problem string) { faults = append(faults, key+": "+problem) })
	return rules, strings.Join(faults, "\n")
}

func TestParse(t *testing.T) {
	self, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		text string
		want track.Rule
		show string
	}{
		{`[{ interface = "eth1", weight = -50 }]`,
			track.Rule{Watch: track.Watch{Kind: track.Interface, Subject: "eth1", Hold: 3 * time.Second}, Weight: -50},
			"interface eth1 weight -50"},
		{`[{ interface = "eth1", hold = "0s" }]`,
			track.Rule{Watch: track.Watch{Kind: track.Interface, Subject: "eth1"}},
			"interface eth1"},
		{`[{ file = "/run/portico/prefer", weight = 1 }]`,
			track.Rule{Watch: track.Watch{Kind: track.File, Subject: "/run/portico/prefer", Interval: time.Second}, Weight: 1},
			"file /run/portico/prefer weight 1"},
		{`[{ l7 = true, interval = "100ms", fall = 1, rise = 100, weight = 253 }]`,
			track.Rule{Watch: track.Watch{Kind: track.L7, Interval: 100 * time.Millisecond, Timeout: 100 * time.Millisecond, Fall: 1, Rise: 100}, Weight: 253},
			"l7 weight 253"},
		{`[{ command = ["/bin/sh", "-c", "exit 0"], user = "` + self.Username + `", timeout = "2s" }]`,
			track.Rule{Watch: track.Watch{Kind: track.Command, Subject: "/bin/sh\x00-c\x00exit 0", User: self.Username, Interval: 5 * time.Second, Timeout: 2 * time.Second, Fall: 3, Rise: 2}},
			"command /bin/sh -c exit 0"},
	}
	for _, tt := range tests {
		rules, faults := parse(t, tt.text)
		if diff := cmp.Diff([]track.Rule{tt.want}, rules); diff != "" || faults != "" {
			t.Errorf("%s: faults %q\n%s", tt.text, faults, diff)
		} else if got := rules[0].String(); got != tt.show {
			t.Errorf("%s is shown as %q, want %q", tt.text, got, tt.show)
		}
	}
}

func TestParseFaults(t *testing.T) {
	tests := []struct{ text, want string }{
		{`[{ weight = -50 }]`, "track[0]: 0 of interface, file, command and l7 are given: a rule tracks exactly one of them"},
		{`[{}, { user = "root" }]`, "track[0]: 0 of interface, file, command and l7 are given: a rule tracks exactly one of them\n" +
			"track[1]: 0 of interface, file, command and l7 are given: a rule tracks exactly one of them"},
		{`[{ l7 = true }, { l7 = true, file = "/x" }]`, "track[1]: 2 of interface, file, command and l7 are given: a rule tracks exactly one of them"},
		{`[{ l7 = true, weight = -30 }, { l7 = true, interval = "3s" }]`, "track[1]: l7 is tracked by an earlier rule of the list: one is enough"},
		{`[{ interface = "eth/1" }]`, `track[0].interface: "eth/1" cannot be the name of a network interface: allowed are up to 15 characters without slash and space`},
		{`[{ interface = "eth1", fall = 3, timeout = "1s" }]`, "track[0].timeout: means nothing to a rule of kind interface: remove it\n" +
			"track[0].fall: means nothing to a rule of kind interface: remove it"},
		{`[{ interface = "eth1", hold = "1h" }]`, "track[0].hold: 1h0m0s is out of range: allowed are 0s to 10m0s"},
		{`[{ l7 = true, weight = 0 }]`, "track[0].weight: 0 has no effect: leave it out to make a failure a fault, or give -253 to -1 or 1 to 253"},
		{`[{ l7 = true, weight = -254 }]`, "track[0].weight: -254 is out of range: allowed are -253 to -1 and 1 to 253"},
		{`[{ l7 = true, interval = "50ms" }]`, "track[0].interval: 50ms is out of range: allowed are 100ms to 1h0m0s"},
		{`[{ l7 = true, interval = "soon" }]`, `track[0].interval: "soon" is not a duration: write one like "2s" or "500ms"`},
		{`[{ l7 = true, interval = "1s", timeout = "2s" }]`, "track[0].timeout: 2s is out of range: allowed are 10ms to 1s"},
		{`[{ l7 = true, fall = 0, rise = 101 }]`, "track[0].fall: 0 is out of range: allowed are 1 to 100\ntrack[0].rise: 101 is out of range: allowed are 1 to 100"},
		{`[{ file = "prefer" }]`, `track[0].file: "prefer" is no absolute path: write one that starts with /`},
		{`[{ command = ["uplink"] }]`, `track[0].command: "uplink" is no absolute path: name the program by one; there is no shell and no PATH`},
		{`[{ command = ["/nonexistent/uplink"] }]`, "track[0].command: stat /nonexistent/uplink: no such file or directory: install the program or correct the path"},
		{`[{ command = ["/etc/passwd"] }]`, "track[0].command: /etc/passwd is no program: chmod +x it, or name another"},
		{`[{ command = ["/bin/true", "a\u0000b"] }]`, "track[0].command: an argument contains a NUL byte: no program can be given one"},
		{`[{ command = ["/bin/true"], user = "no-such-user" }]`, `track[0].user: "no-such-user" is not known on this node: create the user or name another`},
		{`[{ l7 = true, user = "root", hold = "1s" }]`, "track[0].user: means nothing to a rule of kind l7: remove it\ntrack[0].hold: means nothing to a rule of kind l7: remove it"},
	}
	for _, tt := range tests {
		if _, got := parse(t, tt.text); got != tt.want {
			t.Errorf("%s:\n%s\nwant\n%s", tt.text, got, tt.want)
		}
	}
}

// FuzzParse: whatever is accepted is within the ranges that others rely on.
func FuzzParse(f *testing.F) {
	f.Add("eth1", "", "", false, "", "", "1s", -50, 3)
	f.Add("", "/run/x", "", false, "200ms", "", "", 1, 0)
	f.Add("", "", "/bin/true", false, "1s", "500ms", "", 0, 1)
	f.Add("", "", "", true, "", "1s", "", 300, 101)
	f.Fuzz(func(t *testing.T, iface, file, program string, l7 bool, interval, timeout, hold string, weight, fall int) {
		s := track.Section{Interface: iface, File: file, L7: l7, Interval: interval, Timeout: timeout, Hold: hold, Weight: &weight}
		if program != "" {
			s.Command = []string{program}
		}
		if fall != 0 {
			s.Fall = &fall
		}
		ok := true
		rules := track.Parse([]track.Section{s}, "track", func(string, string) { ok = false })
		if !ok {
			return
		}
		r := rules[0]
		asked := r.Kind == track.Command || r.Kind == track.L7
		if r.Weight < -253 || r.Weight > 253 || r.Weight == 0 || r.Kind != track.Interface && r.Interval < 100*time.Millisecond ||
			asked && (r.Fall < 1 || r.Rise < 1 || r.Timeout <= 0 || r.Timeout > r.Interval) || r.Hold < 0 {
			t.Fatalf("%+v", r)
		}
	})
}
