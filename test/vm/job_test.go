package main

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestProgramScript runs the script with this machine's shell: words arrive
// unchanged, and nothing but the given environment does.
func TestProgramScript(t *testing.T) {
	dir := t.TempDir()
	words := []string{"a b", "it's", `"$HOME"`, "", "*", "line\nline", `\`}
	script := programScript(append([]string{"printf", "<%s>"}, words...), []string{"PATH=/usr/bin:/bin"}, dir)
	out, err := exec.Command("sh", "-c", script).CombinedOutput()
	if want := "<" + strings.Join(words, "><") + ">"; err != nil || string(out) != want {
		t.Errorf("got %q, %v, want %q", out, err, want)
	}

	script = programScript([]string{"sh", "-c", `echo "$PWD" "$ODD" "$SECRET"`}, []string{"PATH=/usr/bin:/bin", "ODD=it's $1"}, dir)
	cmd := exec.Command("sh", "-c", script)
	cmd.Env = []string{"SECRET=leaked"}
	out, err = cmd.CombinedOutput()
	if want := dir + " it's $1 \n"; err != nil || string(out) != want {
		t.Errorf("got %q, %v, want %q", out, err, want)
	}
}

func TestGuestEnv(t *testing.T) {
	for _, tt := range []struct {
		name    string
		environ []string
		out     string
		want    []string
	}{
		{
			name:    "only what is ours passes",
			environ: []string{"PATH=/bin", "HOME=/home/x", "TOKEN=secret", "PORTICO_SEED=7", "PORTICOX=1"},
			want:    []string{"PORTICO_VM=1", "PATH=/bin", "HOME=/home/x", "PORTICO_SEED=7", "PORTICO_LAB=1"},
		},
		{
			name:    "the caller's choice of PORTICO_LAB stands",
			environ: []string{"PATH=/bin", "HOME=/", "PORTICO_LAB=0"},
			want:    []string{"PORTICO_VM=1", "PATH=/bin", "HOME=/", "PORTICO_LAB=0"},
		},
		{
			name:    "out is the flag's, not the environment's",
			environ: []string{"PATH=/bin", "HOME=/", "PORTICO_LAB=1", "PORTICO_OUT=/wrong"},
			out:     "/right",
			want:    []string{"PORTICO_VM=1", "PATH=/bin", "HOME=/", "PORTICO_LAB=1", "PORTICO_OUT=/right"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, guestEnv(tt.environ, tt.out)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestOutputFiles(t *testing.T) {
	for _, tt := range []struct {
		program string
		want    []string
	}{
		{"x.test -test.v=true -test.testlogfile=/b/log.txt -test.coverprofile=/b/cover.out", []string{"/b/cover.out"}},
		{"x.test -test.cpuprofile=cpu.out -test.outputdir=/src", []string{"/src/cpu.out"}},
		{"x.test -test.trace=t.out", []string{"/cwd/t.out"}},
		{"cp -test.coverprofile", nil},
		{"sh", nil},
	} {
		if diff := cmp.Diff(tt.want, outputFiles(strings.Fields(tt.program), "/cwd")); diff != "" {
			t.Errorf("%s: %s", tt.program, diff)
		}
	}
}

func TestConfScript(t *testing.T) {
	got := confScript("/sbin/init", []share{{"share0", "/it's here", false}, {"out", "/results", true}})
	want := `INIT='/sbin/init'
share share0 '/it'\''s here' ro
share out '/results' rw
`
	if got != want {
		t.Errorf("got:\n%swant:\n%s", got, want)
	}
}
