package kube

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portico-lb/portico/l7/route"
)

// A folderTest has a Folder that follows dir, in a bubble of its own time.
type folderTest struct {
	*testing.T
	folder *Folder
	dir    string
	log    *logBuffer
}

// A logBuffer is written by a Folder and read by its test.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// runFolder calls body while a Folder follows a directory with files, given as
// name and content in turn.
func runFolder(t *testing.T, files []string, body func(folderTest)) {
	synctest.Test(t, func(t *testing.T) {
		ft := folderTest{T: t, dir: t.TempDir(), log: new(logBuffer)}
		for pair := range slices.Chunk(files, 2) {
			ft.write(pair[0], pair[1])
		}
		var err error
		ft.folder, err = NewFolder(ft.dir, slog.New(slog.NewTextHandler(ft.log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ready, done := make(chan struct{}), make(chan error)
		go func() { done <- ft.folder.Run(ctx, func() { close(ready) }) }()
		<-ready
		<-ft.folder.Changed()
		body(ft)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func (ft folderTest) write(name, content string) {
	ft.Helper()
	if err := os.WriteFile(filepath.Join(ft.dir, name), []byte(content), 0o644); err != nil {
		ft.Fatal(err)
	}
}

func (ft folderTest) remove(name string) {
	ft.Helper()
	if err := os.Remove(filepath.Join(ft.dir, name)); err != nil {
		ft.Fatal(err)
	}
}

// rounds lets n polls pass and reports whether any found a change.
func (ft folderTest) rounds(n int) bool {
	time.Sleep(time.Duration(n) * pollInterval)
	synctest.Wait()
	select {
	case <-ft.folder.Changed():
		return true
	default:
		return false
	}
}

// want compares the hosts of all Ingresses.
func (ft folderTest) want(hosts ...string) {
	ft.Helper()
	got := []string{}
	for _, ing := range ft.folder.Objects().Ingresses {
		for _, r := range ing.Spec.Rules {
			got = append(got, ing.Name+"="+r.Host)
		}
	}
	if d := cmp.Diff(append([]string{}, hosts...), got); d != "" {
		ft.Errorf("ingresses (-want +got):\n%s", d)
	}
}

// wantProblems compares the problems of the status by a part of each.
func (ft folderTest) wantProblems(parts ...string) {
	ft.Helper()
	problems := ft.folder.Status().Problems
	if len(problems) != len(parts) {
		ft.Errorf("problems %q, want %q", problems, parts)
		return
	}
	for i, p := range problems {
		if !strings.Contains(p.String(), parts[i]) {
			ft.Errorf("problem %q, want %q", p, parts[i])
		}
	}
}

func ingress(name, host string) string {
	return fmt.Sprintf("---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: %s}\n"+
		"spec: {ingressClassName: portico, rules: [{host: %s}]}\n", name, host)
}

func TestFolderReadsManifests(t *testing.T) {
	runFolder(t, []string{
		"b.yaml", ingress("b", "b.example"),
		"a.yml", "\xEF\xBB\xBF# bom\r\n" + strings.ReplaceAll(ingress("a", "a.example"), "\n", "\r\n"),
		"c.json", "{\"kind\": \"Ingress\",\n\t\"apiVersion\": \"networking.k8s.io/v1\",\n\t\"metadata\": {\"name\": \"c\"}, \"spec\": {\"rules\": [{\"host\": \"c.example\"}]}}",
		".hidden.yaml", ingress("d", "d.example"),
		"notes.txt", ingress("e", "e.example"),
	}, func(ft folderTest) {
		ft.want("a=a.example", "b=b.example", "c=c.example")
		ft.wantProblems()
		s := ft.folder.Status()
		if s.From != ft.dir || !s.Synced || s.Err != "" || s.Counts.Ingresses != 3 || s.Changed.IsZero() {
			ft.Errorf("%+v", s)
		}
		if ft.rounds(5) {
			ft.Error("rang although nothing changed")
		}
	})
}

func TestFolderFollowsChanges(t *testing.T) {
	runFolder(t, []string{
		"a.yaml", ingress("a", "a.example") + "---\napiVersion: v1\nkind: Service\nmetadata: {name: web}\n",
	}, func(ft folderTest) {
		first := ft.folder.Objects()
		ft.write("b.yaml", ingress("b", "b.example"))
		if ft.rounds(1) {
			ft.Error("read a file that was changing a moment ago")
		}
		if !ft.rounds(1) {
			ft.Error("saw no new file")
		}
		ft.want("a=a.example", "b=b.example")
		next := ft.folder.Objects()
		if next.Gen.Ingresses == first.Gen.Ingresses || next.Gen.Services != first.Gen.Services || next.Services[0] != first.Services[0] {
			ft.Errorf("generations %+v, then %+v", first.Gen, next.Gen)
		}

		ft.write("a.yaml", ingress("a", "new.example"))
		ft.folder.Reload()
		synctest.Wait()
		ft.want("a=new.example", "b=b.example")
		if ft.folder.Objects().Gen.Services == next.Gen.Services {
			ft.Error("the Service left without a new generation")
		}
		<-ft.folder.Changed()

		ft.write("a.yaml", "# the same\n"+ingress("a", "new.example"))
		if ft.rounds(3) {
			ft.Error("rang for a change of nothing")
		}
		ft.remove("b.yaml")
		if !ft.rounds(2) {
			ft.Error("saw no removal")
		}
		ft.want("a=new.example")
	})
}

func TestFolderKeepsTheLastGoodVersion(t *testing.T) {
	two := ingress("a", "a.example") + ingress("b", "b.example")
	runFolder(t, []string{"x.yaml", two}, func(ft folderTest) {
		for _, step := range []struct {
			name, content string
			want          []string
			problem       string
		}{
			{"an object is malformed", ingress("a", "new.example") + ingress("b", "[]"),
				[]string{"a=new.example", "b=b.example"}, "x.yaml:6: document 2: Ingress default/b: "},
			{"a document is malformed", ingress("a", "newer.example") + "---\nkind: {\n",
				[]string{"a=newer.example", "b=b.example"}, "x.yaml:6: document 2: yaml: line "},
			{"the file is being written", "", []string{"a=newer.example", "b=b.example"}, "x.yaml: is empty"},
			{"a good document says that b is gone", ingress("a", "newest.example"), []string{"a=newest.example"}, ""},
			{"a new object is malformed", ingress("a", "newest.example") + ingress("c", "[]"),
				[]string{"a=newest.example"}, "Ingress default/c: "},
			{"all is well", two, []string{"a=a.example", "b=b.example"}, ""},
		} {
			ft.write("x.yaml", step.content)
			ft.rounds(2)
			ft.want(step.want...)
			if step.problem == "" {
				ft.wantProblems()
			} else {
				ft.wantProblems(step.problem)
			}
			if ft.Failed() {
				ft.Fatal(step.name)
			}
		}
		for _, field := range []string{"file=x.yaml", "document=2", "line=6", `object="Ingress default/b"`} {
			if !strings.Contains(ft.log.String(), field) {
				ft.Errorf("no %s in the log:\n%s", field, ft.log)
			}
		}
	})
}

// A large file is read in shares, of which nothing is to be seen.
func TestLargeFileCountsOn(t *testing.T) {
	const documents = 3000
	var b strings.Builder
	var want []place
	line := 1
	for i := 1; i <= documents; i++ {
		doc := ingress(fmt.Sprint("h", i), "a.example")
		if i%100 == 0 {
			doc = ingress(fmt.Sprint("h", i-99), "b.example") // stands already
			want = append(want, place{file: "x.yaml", document: i, line: line})
		}
		doc += strings.Repeat("# ---\n", i%7)
		line += strings.Count(doc, "\n")
		b.WriteString(doc)
	}
	if b.Len() < 5*share {
		t.Fatal("is not large")
	}
	p := parseFile("x.yaml", []byte(b.String()))
	if last := p.manifests[len(p.manifests)-1].place; len(p.manifests) != documents || last != want[len(want)-1] {
		t.Errorf("%d, the last at %v, want %d at %v", len(p.manifests), last, documents, want[len(want)-1])
	}
	used, faults := merge(map[string]*file{"x.yaml": {manifests: p.manifests}})
	if len(used) != documents-len(want) {
		t.Errorf("%d used", len(used))
	}
	for i, f := range faults {
		if f.place != want[i] {
			t.Errorf("%v, want %v", f.place, want[i])
		}
	}
	if len(faults) != len(want) || !strings.Contains(faults[0].text, "x.yaml:1: document 1 already") {
		t.Errorf("%d, the first %q", len(faults), faults[0].text)
	}
}

func TestFolderObjectMovesToAnotherFile(t *testing.T) {
	for _, to := range []string{"0.yaml", "z.yaml"} {
		runFolder(t, []string{"a.yaml", ingress("a", "a.example") + ingress("b", "b.example")}, func(ft folderTest) {
			ft.write("a.yaml", ingress("a", "a.example")+"---\nbroken: {\n")
			ft.write(to, ingress("b", "moved.example"))
			ft.rounds(2)
			ft.want("a=a.example", "b=moved.example")
			ft.wantProblems("a.yaml:6: document 2")
		})
	}
}

func TestFolderThatCannotBeReadChangesNothing(t *testing.T) {
	runFolder(t, []string{"a.yaml", ingress("a", "a.example")}, func(ft folderTest) {
		away := ft.dir + "-away"
		if err := os.Rename(ft.dir, away); err != nil {
			ft.Fatal(err)
		}
		if ft.rounds(3) {
			ft.Error("rang")
		}
		ft.want("a=a.example")
		if s := ft.folder.Status(); s.Err == "" || s.ErrSince.IsZero() || !s.Synced {
			ft.Errorf("%+v", s)
		}
		if n := strings.Count(ft.log.String(), "not readable"); n != 1 {
			ft.Errorf("logged %d times", n)
		}
		if err := os.Rename(away, ft.dir); err != nil {
			ft.Fatal(err)
		}
		ft.rounds(1)
		if s := ft.folder.Status(); s.Err != "" || !s.ErrSince.IsZero() {
			ft.Errorf("%+v", s)
		}
	})
}

func TestFolderFollowsLinks(t *testing.T) {
	// A ConfigMap is mounted as links through a folder that is swapped whole.
	runFolder(t, nil, func(ft folderTest) {
		link := func(version string) {
			if err := os.MkdirAll(filepath.Join(ft.dir, version), 0o755); err != nil {
				ft.Fatal(err)
			}
			ft.write(version+"/a.yaml", ingress("a", version+".example"))
			tmp, data := filepath.Join(ft.dir, "..tmp"), filepath.Join(ft.dir, "..data")
			if err := os.Symlink(version, tmp); err != nil {
				ft.Fatal(err)
			}
			if err := os.Rename(tmp, data); err != nil {
				ft.Fatal(err)
			}
		}
		link("..one")
		if err := os.Symlink("..data/a.yaml", filepath.Join(ft.dir, "a.yaml")); err != nil {
			ft.Fatal(err)
		}
		ft.rounds(2)
		ft.want("a=..one.example")
		link("..two")
		ft.rounds(2)
		ft.want("a=..two.example")
	})
}

func TestFolderBoundsItsProblems(t *testing.T) {
	runFolder(t, []string{"a.yaml", strings.Repeat("---\nnothing: here\n", 300)}, func(ft folderTest) {
		problems := ft.folder.Status().Problems
		if n := len(problems); n != maxProblems+1 || !strings.Contains(problems[n-1].Text, "200 problems more") {
			ft.Errorf("%d problems, the last %v", n, problems[n-1])
		}
	})
}

func TestNewFolderNamesTheCure(t *testing.T) {
	for _, dir := range []string{filepath.Join(t.TempDir(), "none"), os.DevNull} {
		if _, err := NewFolder(dir, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "l7.kubernetes.manifests") {
			t.Errorf("%s: %v", dir, err)
		}
	}
}

func TestSecretsAreTrimmedAndNotTold(t *testing.T) {
	const secret = "c3VwZXJzZWNyZXQ=" // supersecret
	p := parseFile("s.yaml", []byte(strings.Join([]string{
		"{apiVersion: v1, kind: Secret, metadata: {name: good, annotations: {last: " + secret + "}}, data: {password: " + secret + ", tls.key: " + secret + "}}",
		"{apiVersion: v1, kind: Secret, metadata: {name: a}, data: {tls.key: {x: " + secret + "}}}",
		"{apiVersion: v1, kind: Secret, metadata: {name: b}, data: {tls.key: '" + secret + "!'}}",
		"{apiVersion: v1, kind: Secret, metadata: {name: c}, data: " + secret + "}",
		"apiVersion: v1\nkind: Secret\ndata:\n  tls.key: |\n " + secret + "\n tls.crt: }",
		"apiVersion: v1\nkind: Secret\ndata: *" + secret,
	}, "\n---\n")))
	if len(p.manifests) != 1 || len(p.faults) != 5 {
		t.Fatalf("%v, %v", p.manifests, p.faults)
	}
	if text := fmt.Sprintf("%v %+v", p.faults, p.manifests[0].object.GetAnnotations()); strings.Contains(text, "c3VwZXJ") {
		t.Errorf("told: %s", text)
	}
}

// FuzzManifest reads anything and translates what comes of it.
func FuzzManifest(f *testing.F) {
	cases, err := filepath.Glob("testdata/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, c := range cases {
		data, err := os.ReadFile(c)
		if err != nil {
			f.Fatal(err)
		}
		f.Add("x.yaml", data)
	}
	f.Add("x.json", []byte(`{"kind":"List","apiVersion":"v1","items":[{"kind":"Service","apiVersion":"v1","metadata":{"name":"a"}},null,7]}`))
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		text := translateText(name, data, nil)
		if again := translateText(name, data, shuffle); again != text {
			t.Fatalf("depends on the order of objects:\n%s", cmp.Diff(text, again))
		}
		p := parseFile(name, data)
		for _, m := range p.manifests {
			if k := m.key(); k.name == "" || k.kind == "" || k.namespace == "" != (k.kind == "IngressClass") {
				t.Fatalf("%+v", k)
			}
		}
		if kept := keepGood(p.manifests, parsed{faults: []fault{{lost: true}}}); len(kept) != len(p.manifests) {
			t.Fatalf("%d of %d kept", len(kept), len(p.manifests))
		}
	})
}

// objectsOf returns those of a file, on which there are no faults.
func objectsOf(name string, data []byte) *Objects {
	manifests, _ := merge(map[string]*file{name: {manifests: parseFile(name, data).manifests}})
	return newObjects(manifests, nil)
}

// cluster returns the objects of n Ingresses, each with a Service of three
// endpoints.
func cluster(n int) *Objects {
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, `---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: app%[1]d, namespace: shop}
spec: {ingressClassName: portico, rules: [{host: app%[1]d.example, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: app%[1]d, port: {name: http}}}}]}}]}
---
apiVersion: v1
kind: Service
metadata: {name: app%[1]d, namespace: shop}
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: app%[1]d, namespace: shop, labels: {kubernetes.io/service-name: app%[1]d}}
ports: [{name: http, port: 8080}]
endpoints: [{addresses: [10.0.0.1]}, {addresses: [10.0.0.2]}, {addresses: [10.0.0.3]}]
`, i)
	}
	return objectsOf("x.yaml", b.Bytes())
}

func BenchmarkTranslate(b *testing.B) {
	o := cluster(10000)
	result := Routes(o, Options{IngressClass: "portico"})
	table, _ := route.NewTable(result.Specs)
	backends := table.Backends()
	if len(backends) != 10000 {
		b.Fatal(len(backends))
	}
	b.Run("routes/ingresses=10000", func(b *testing.B) {
		for b.Loop() {
			Routes(o, Options{IngressClass: "portico"})
		}
	})
	b.Run("endpoints/services=10000", func(b *testing.B) {
		for b.Loop() {
			Endpoints(o, backends)
		}
	})
}
