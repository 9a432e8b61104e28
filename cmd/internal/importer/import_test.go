package importer

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pelletier/go-toml/v2"

	"github.com/portico-lb/portico/cmd/internal/config"
)

var update = flag.Bool("update", false, "write the golden files")

// faultsOf is what `portico check` says of a text.
func faultsOf(t testing.TB, text string) []Fault {
	t.Helper()
	path := filepath.Join(t.TempDir(), "portico.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := config.Load(path, func(string) bool { return true })
	var faults config.Faults
	if err != nil && !errors.As(err, &faults) {
		t.Fatal(err)
	}
	var out []Fault
	for _, f := range faults {
		out = append(out, Fault{f.Line, f.Key, f.Problem})
	}
	return out
}

// nowhere are sources of files as they are, and of modes that are well.
func nowhere(o Options) Options {
	o = OS(o)
	o.Stat = func(string) (uint32, error) { return 0, fs.ErrNotExist }
	return o
}

// TestGolden imports each sample; what comes of it passes the check.
func TestGolden(t *testing.T) {
	for name, o := range map[string]Options{
		"vrrp":     {Keepalived: "testdata/vrrp.conf"},
		"sync":     {Keepalived: "testdata/sync.conf"},
		"language": {Keepalived: "testdata/language.conf", Sources: Sources{ID: "left"}},
		"services": {Keepalived: "testdata/services.conf"},
		"wrong":    {Keepalived: "testdata/wrong.conf"},
		"odd":      {Keepalived: "testdata/odd.conf"},
		"options":  {Traefik: "testdata/options.toml"},
		"edge":     {Keepalived: "testdata/vrrp.conf", Traefik: "testdata/edge.toml"},
		"mixed":    {Traefik: "testdata/mixed.toml"},
		"strings":  {Traefik: "testdata/strings.toml"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := Import(nowhere(o))
			if err != nil {
				t.Fatal(err)
			}
			if !r.Settle(func(text string) []Fault { return faultsOf(t, text) }) {
				t.Errorf("faults are left: %v\n%s", faultsOf(t, r.Text), r.Text)
			}
			for _, n := range r.Notes {
				if !strings.Contains(r.Text, n.Text) && !strings.Contains(n.Text, "is left out") {
					t.Errorf("%s is not in the text", n)
				}
			}
			golden := filepath.Join("testdata", name+".golden")
			if *update {
				if err := os.WriteFile(golden, []byte(r.Text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), r.Text); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// TestEveryOption: each option of Traefik 1.7 stands in the sample, and each
// of its lines comes to something, be it a remark.
func TestEveryOption(t *testing.T) {
	const file = "testdata/options.toml"
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	options, err := readOptions(file, data)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Import(nowhere(Options{Traefik: file}))
	if err != nil {
		t.Fatal(err)
	}
	told := map[int]bool{}
	for _, n := range r.Notes {
		told[n.At.Line] = true
	}
	for line := range strings.Lines(r.Text) {
		if _, n, has := strings.Cut(line, "   # "+file+":"); has {
			number, err := strconv.Atoi(strings.TrimSpace(n))
			if err != nil {
				t.Fatal(err)
			}
			told[number] = true
		}
	}
	for _, o := range options {
		if o.value != nil && !told[o.at.Line] {
			t.Errorf("%s: nothing became of %s", o.at, strings.Join(o.names, "."))
		}
		if _, known := findOption(o.path); !known {
			t.Errorf("%s: %s is not in the table", o.at, o.key())
		}
	}
	for _, row := range traefikOptions {
		pattern := strings.Split(strings.ToLower(row.pattern), ".")
		found := strings.HasSuffix(row.pattern, "**")
		for _, o := range options {
			found = found || matchOption(pattern, o.path) || len(o.path) > len(pattern) && matchOption(pattern, o.path[:len(pattern)])
		}
		if !found && row.pattern != "file.filename" && row.pattern != "file.directory" {
			t.Errorf("%s does not stand in the sample", row.pattern)
		}
	}
}

// TestSecrets: with a folder secrets are files of their own, and never stand
// in the text.
func TestSecrets(t *testing.T) {
	dir := t.TempDir()
	r, err := Import(nowhere(Options{Keepalived: "testdata/vrrp.conf", Traefik: "testdata/edge.toml", Folder: dir}))
	if err != nil {
		t.Fatal(err)
	}
	want := []Secret{{dir + "/edge.password", "1111\n"}, {dir + "/token", "eyJhbGciOiJSUzI1NiJ9.e30.c2ln\n"}}
	if diff := cmp.Diff(want, r.Secrets); diff != "" {
		t.Error(diff)
	}
	for _, s := range r.Secrets {
		if err := os.WriteFile(s.Path, []byte(s.Data), 0o600); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(r.Text, strings.TrimSpace(s.Data)) {
			t.Errorf("%s stands in the text", s.Path)
		}
		if !strings.Contains(r.Text, s.Path) {
			t.Errorf("%s is not named", s.Path)
		}
	}
	if f := faultsOf(t, r.Text); len(f) > 0 {
		t.Errorf("%v\n%s", f, r.Text)
	}
}

// TestWritable: a script that others may change is told.
func TestWritable(t *testing.T) {
	o := nowhere(Options{Keepalived: "testdata/vrrp.conf"})
	o.Stat = func(string) (uint32, error) { return 0o777, nil }
	r, err := Import(o)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(r.Text, "wrong: /usr/bin/env has mode 0777: others than its owner can change what root runs: chmod go-w /usr/bin/env") {
		t.Error(r.Text)
	}
}

// TestProtection: what keeps strangers out is never left out by itself.
func TestProtection(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "t.toml")
	text := "[entryPoints.http]\naddress=\":80\"\n[backends.b.servers.s]\nurl=\"http://192.0.2.80\"\n[frontends.f]\nbackend=\"b\"\n[frontends.f.auth.basic]\nusersFile=\"/nowhere/users\"\n[frontends.f.routes.r]\nrule=\"Host:x.example.com\"\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := Import(nowhere(Options{Traefik: file}))
	if err != nil {
		t.Fatal(err)
	}
	if !r.Settle(func(text string) []Fault { return faultsOf(t, text) }) {
		t.Fatalf("%v\n%s", faultsOf(t, r.Text), r.Text)
	}
	for line := range strings.Lines(r.Text) {
		if strings.HasPrefix(line, "[[l7.route]]") {
			t.Errorf("the route serves everybody:\n%s", r.Text)
		}
	}
}

// TestLeftOutAlone: a rule of a list that is refused takes no other along, and
// stands in the text as something to do.
func TestLeftOutAlone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "k.conf")
	text := `vrrp_script gone {
    script "/nowhere/check"
}
vrrp_script far {
    script "/nowhere/other"
}
vrrp_instance a {
    interface eth0
    virtual_router_id 5
    virtual_ipaddress {
        192.0.2.10
    }
    track_script {
        gone
        far
    }
    %s
}
`
	for rest, want := range map[string]string{
		"track_interface {\n eth1\n eth2\n }": `track     = [{ interface = "eth1" }, { interface = "eth2" }]`,
		"":                                    `#track     = [{ command = ["/nowhere/other"], interval = "1s", fall = 1, rise = 1 }]`,
	} {
		if err := os.WriteFile(file, fmt.Appendf(nil, text, rest), 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := Import(nowhere(Options{Keepalived: file}))
		if err != nil {
			t.Fatal(err)
		}
		if !r.Settle(func(text string) []Fault { return faultsOf(t, text) }) {
			t.Fatalf("%v\n%s", faultsOf(t, r.Text), r.Text)
		}
		todo := "# " + file + `:14: to do: of track, { command = ["/nowhere/check"], interval = "1s", fall = 1, rise = 1 } is left out: stat /nowhere/check`
		if !strings.Contains(r.Text, "\n"+want) || !strings.Contains(r.Text, todo) {
			t.Errorf("want %s and %s in\n%s", want, todo, r.Text)
		}
	}
}

func TestSources(t *testing.T) {
	if _, err := Import(nowhere(Options{Keepalived: "testdata/absent.conf"})); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	file := filepath.Join(t.TempDir(), "bad.toml")
	if err := os.WriteFile(file, []byte("a = 1\nb = \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Import(nowhere(Options{Traefik: file})); err == nil || !strings.HasPrefix(err.Error(), file+":2:") {
		t.Error(err)
	}
}

// memory has files that are not there.
func memory(files map[string]string) Sources {
	return Sources{
		Read: func(p string) ([]byte, error) {
			if text, has := files[p]; has {
				return []byte(text), nil
			}
			return nil, fmt.Errorf("%s: %w", p, fs.ErrNotExist)
		},
		Glob: func(pattern string) (out []string, err error) {
			for p := range files {
				if ok, bad := filepath.Match(pattern, p); bad != nil {
					return nil, bad
				} else if ok {
					out = append(out, p)
				}
			}
			return out, nil
		},
	}
}

// FuzzKeepalived: whatever is read comes to an end, and to TOML that the check
// understands as far as its lines go.
func FuzzKeepalived(f *testing.F) {
	for _, name := range []string{"vrrp", "sync", "language", "services", "wrong"} {
		text, err := os.ReadFile("testdata/" + name + ".conf")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Add("vrrp_sync_group a {\nnotify x\n}") // once read the first of no members
	f.Add("$A=$A $A\ninclude /k\n~SEQ(I, 1, 99999) $A")
	f.Add("$A=\\\n${A}\\\n$A\n$A")
	f.Fuzz(func(t *testing.T, text string) {
		o := Options{Keepalived: "/k", Sources: memory(map[string]string{"/k": text})}
		o.Stat = func(string) (uint32, error) { return 0, fs.ErrNotExist }
		r, err := Import(o)
		if err != nil {
			t.Fatal(err)
		}
		readable(t, r.Text)
	})
}

func FuzzTraefik(f *testing.F) {
	for _, name := range []string{"options", "edge", "strings"} {
		text, err := os.ReadFile("testdata/" + name + ".toml")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Fuzz(func(t *testing.T, text string) {
		o := Options{Traefik: "/t.toml", Sources: memory(map[string]string{"/t.toml": text})}
		r, err := Import(o)
		if err != nil {
			return
		}
		readable(t, r.Text)
	})
}

// readable: the text is TOML.
func readable(t *testing.T, text string) {
	t.Helper()
	for _, f := range checkMemory(text) {
		t.Errorf("%s\n%s", f, text)
	}
}

// checkMemory parses a text without reading what it names.
func checkMemory(text string) (faults []string) {
	var tree map[string]any
	if err := toml.Unmarshal([]byte(text), &tree); err != nil {
		faults = append(faults, err.Error())
	}
	return faults
}
