package accesslog

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs a log at path until the returned function is called, which returns
// what has been logged about it.
func start(t *testing.T, path, config string) (l *Log, stop func() string) {
	t.Helper()
	c := parse(t, config)
	c.File = path
	var told bytes.Buffer
	l = New(c, slog.New(slog.NewTextHandler(&told, nil)))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.Run(ctx)
	}()
	stop = sync.OnceValue(func() string {
		cancel()
		<-done
		return told.String()
	})
	t.Cleanup(func() { stop() })
	return l, stop
}

// ask has n requests end, numbered from first in their path.
func ask(l *Log, first, n int) {
	r := record()
	for i := range n {
		r.Path = fmt.Appendf(nil, "/%d", first+i)
		l.Ended(r)
	}
}

// until waits for what the log's goroutine does in its time.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	limit := time.After(10 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("not within ten seconds: %s", what)
		}
	}
}

// paths returns the RequestPath of each line of a file, which may be compressed.
func paths(t *testing.T, name string) []string {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var in io.Reader = f
	switch filepath.Ext(name) {
	case ".gz":
		in, err = gzip.NewReader(f)
	case ".zst":
		in, err = zstd.NewReader(f)
	}
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for s := bufio.NewScanner(in); s.Scan(); {
		var line struct{ RequestPath string }
		if err := json.Unmarshal(s.Bytes(), &line); err != nil {
			t.Fatalf("%s: %v: %s", name, err, s.Bytes())
		}
		out = append(out, strings.TrimSuffix(line.RequestPath, `?q="1"`))
	}
	return out
}

// TestWritten has lines in the file soon, readable for those who may.
func TestWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	l, stop := start(t, path, "")
	ask(l, 1, 3)
	until(t, "three lines", func() bool { return l.Status().Lines == 3 })
	if got := strings.Join(paths(t, path), " "); got != "/1 /2 /3" {
		t.Errorf("got %s", got)
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o640 {
		t.Errorf("mode is %v", info.Mode())
	}
	ask(l, 4, 1)
	stop()
	if got := strings.Join(paths(t, path), " "); got != "/1 /2 /3 /4" {
		t.Errorf("got %s after the end", got)
	}
}

// TestReopen follows a file that was moved away, with and without a signal.
func TestReopen(t *testing.T) {
	for name, tell := range map[string]func(*Log){"told": (*Log).Reopen, "untold": func(*Log) {}} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "access.log")
			l, stop := start(t, path, "")
			ask(l, 1, 1)
			until(t, "a line", func() bool { return l.Status().Lines == 1 })
			if err := os.Rename(path, path+".1"); err != nil {
				t.Fatal(err)
			}
			tell(l)
			if name == "told" {
				until(t, "the new file", func() bool { _, err := os.Stat(path); return err == nil })
			}
			ask(l, 2, 1)
			stop()
			if got := fmt.Sprint(paths(t, path+".1"), paths(t, path)); got != "[/1] [/2]" {
				t.Errorf("got %s", got)
			}
		})
	}
}

// TestRotate fills files, which are compressed, and of which some stay.
func TestRotate(t *testing.T) {
	for _, c := range []struct{ name, rotate, suffix string }{
		{"gzip", "size = '100KB', keep = 3", ".gz"},
		{"zstd", "size = '100KB', keep = 3, compression = 'zstd'", ".zst"},
		{"plain", "size = '100KB', keep = 3, compress = false", ""},
		{"age", "age = '1ns', size = '0', keep = 3, compress = false", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "access.log")
			alike := path + ".20260101T000000Z.notes"
			if err := os.WriteFile(alike, []byte("mine"), 0o600); err != nil {
				t.Fatal(err)
			}
			l, stop := start(t, path, "rotate = {"+c.rotate+"}")
			const each = 100 // lines, more than 100 kB
			for i := range 6 {
				ask(l, i*each, each)
				until(t, "lines", func() bool { return l.Status().Lines == uint64((i+1)*each) })
			}
			stop()
			c2 := l.config.Rotate
			if err := tidy(t.Context(), path, c2); err != nil {
				t.Fatal(err)
			}
			old, err := oldFiles(path)
			if err != nil || len(old) != 3 {
				t.Fatalf("old files are %q (%v)", old, err)
			}
			var all []string
			for _, name := range append(old, path) {
				if filepath.Ext(name) != c.suffix && name != path && c.suffix != "" {
					t.Errorf("%s is not compressed", name)
				}
				if info, _ := os.Stat(name); info.Mode().Perm() != 0o640 {
					t.Errorf("mode of %s is %v", name, info.Mode())
				}
				all = append(all, paths(t, name)...)
			}
			for i, p := range all {
				if want := fmt.Sprintf("/%d", 6*each-len(all)+i); p != want {
					t.Fatalf("line %d is %s, want %s: a line is lost or doubled", i, p, want)
				}
			}
			if l.Status().Lost != 0 || l.Status().Rotated.IsZero() {
				t.Errorf("status is %+v", l.Status())
			}
			if _, err := os.Stat(alike); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestTwoProcesses has two write to one file that is rotated all the time, as
// while one hands over to the next.
func TestTwoProcesses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "access.log")
	config := "rotate = { size = '20KB', keep = 1000, compress = false }"
	a, stopA := start(t, path, config)
	b, stopB := start(t, path, config)
	const each = 2000
	var group sync.WaitGroup
	for i, l := range []*Log{a, b} {
		group.Go(func() {
			for n := range each / 50 {
				ask(l, i*each+n*50, 50)
				until(t, "lines", func() bool { return l.Status().Lines == uint64((n+1)*50) })
			}
		})
	}
	group.Wait()
	stopA()
	stopB()
	old, err := oldFiles(path)
	if err != nil || len(old) < 10 {
		t.Fatalf("%d old files (%v)", len(old), err)
	}
	seen := map[string]int{}
	for _, name := range append(old, path) {
		for _, p := range paths(t, name) {
			seen[p]++
		}
	}
	for i := range 2 * each {
		if n := seen[fmt.Sprintf("/%d", i)]; n != 1 {
			t.Fatalf("request %d has %d lines", i, n)
		}
	}
}

// TestFullDisk loses lines, counts them, and makes nobody wait.
func TestFullDisk(t *testing.T) {
	l, stop := start(t, "/dev/full", "")
	ask(l, 1, 5)
	until(t, "losses", func() bool { return l.Status().Lost == 5 })
	if s := l.Status(); s.Lines != 0 || !strings.Contains(s.Error, "no space left on device") {
		t.Errorf("status is %+v", s)
	}
	told := stop()
	for _, want := range []string{"access log at fault", "no space left on device", "lost=5 total=5"} {
		if !strings.Contains(told, want) {
			t.Errorf("%q is not told:\n%s", want, told)
		}
	}
}

// TestNoFolder keeps lines, as far as there is room, until there is a folder.
func TestNoFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	path := filepath.Join(dir, "access.log")
	l, stop := start(t, path, "buffer = '64KiB'")
	until(t, "the fault", func() bool { return strings.Contains(l.Status().Error, "must exist") })
	ask(l, 0, 1000)
	lost := l.Status().Lost
	if lost == 0 || lost >= 1000 {
		t.Errorf("%d of 1000 lines are lost", lost)
	}
	if err := os.Mkdir(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	until(t, "the file", func() bool { return l.Status().Error == "" })
	if told := stop(); !strings.Contains(told, "access log written again") {
		t.Errorf("told: %s", told)
	}
	if got := len(paths(t, path)); got != 1000-int(lost) {
		t.Errorf("%d lines are written, want %d", got, 1000-lost)
	}
}

// TestTornLine takes back what was written of a line, or begins a new one where
// another process has written behind it.
func TestTornLine(t *testing.T) {
	for _, c := range []struct{ other, want string }{
		{"", "a\nb\n"},
		{"c\n", "c\na\nto\nb\n"},
	} {
		path := filepath.Join(t.TempDir(), "access.log")
		f := &file{path: path}
		f.ensure()
		defer f.close()
		if err := os.WriteFile(path, []byte(c.other), 0o600); err != nil {
			t.Fatal(err)
		}
		if n := f.write([]byte("a\nto")); n != 2 {
			t.Errorf("%d bytes of lines are written", n)
		}
		f.write([]byte("b\n"))
		if got, _ := os.ReadFile(path); string(got) != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}
