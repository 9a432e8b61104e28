package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"strings"
	"testing"
)

const module = "github.com/portico-lb/portico/"

// allowed lists, for each package of ours, which others of ours it may import
// beside what stands below itself. Patterns are path.Match's. The picture is
// in packaging/doc/architecture.md; what is not drawn there is a mistake.
var allowed = map[string][]string{
	"internal/apart":       {}, // what a realtime director does not do itself
	"internal/rtnl":        {}, // the kernel's words, for whoever reads them
	"health":               {"health/*"},
	"health/command":       {"internal/apart"},
	"health/drpath":        {},
	"vip":                  {"vip/*", "health"},
	"vip/track":            {"health", "health/command"},
	"vip/notify":           {"health/command"},
	"vip/bgp":              {"vip/bgp/*"},
	"vip/bgp/bfd":          {},
	"vip/probe":            {"vip/neighbor"},
	"vip/neighbor":         {},
	"vip/vrrp":             {}, // protocols stand alone: they are tested without a kernel
	"vip/announce":         {"vip/neighbor"},
	"vip/addr":             {},
	"bpf":                  {}, // the program of the kernel; user space fills its maps
	"l4":                   {"health"},
	"l4/l4test":            {"l4"},
	"l4/nodes":             {"l4"},
	"l4/guard":             {"l4", "internal/rtnl", "test/lab"},
	"l4/ipvs":              {"l4"},
	"l4/shield":            {"l4"},
	"l4/xdp":               {"l4", "internal/apart", "internal/rtnl", "l4/l4test", "l4/xdp/mh", "bpf", "test/lab"},
	"l4/xdp/mh":            {}, // the kernel's arithmetic
	"l7":                   {"l7/*"},
	"l7/route":             {},
	"l7/value":             {},
	"l7/middleware":        {"l7/route", "l7/value"},
	"l7/http1":             {},
	"l7/http2":             {},
	"l7/proxyproto":        {},
	"l7/certs":             {},
	"l7/acme":              {},
	"l7/kube":              {"l7/route", "l7/middleware", "l7/value", "l7/backend", "health"}, // annotations become steps and policies
	"l7/podroutes":         {"internal/rtnl"},
	"l7/socket":            {},
	"l7/backend":           {"l7/route", "l7/socket", "l7/proxyproto"},
	"l7/accesslog":         {"l7/route", "l7/value"},
	"l7/trace":             {"l7/accesslog", "l7/route", "l7/value"},
	"l7/proxy":             {"l7/route", "l7/http1", "l7/http2", "l7/backend", "l7/proxyproto", "l7/socket", "l7/middleware", "l7/accesslog", "health"},
	"cmd/internal/admin":   {},
	"cmd/internal/admin/*": {},
	"cmd/internal/metrics": {"vip", "vip/*", "health", "l4", "l4/*", "l7", "l7/*"},
	"cmd/internal/history": {"vip", "health", "l4", "l7"},
	"cmd/internal/config":  {"vip", "vip/notify", "l4", "l7"},
	"cmd/internal/doctor":  {"cmd/internal/*", "vip", "vip/vrrp", "l4", "l7", "l7/*"},
	"cmd/internal/daemon":  {"*", "*/*", "cmd/internal/*", "cmd/internal/admin/*"},         // the only place where the parts meet
	"cmd/portico":          {"cmd/internal/*", "vip", "vip/*", "l4", "l4/*", "l7", "l7/*"}, // prints their statuses
	"packaging/sbom":       {},
	"test/lab":             {}, // laboratories know no portico package
	"test/vm":              {"test/vm/*"},
	"test/vm/*":            {},
	"test/cluster":         {},
	"test/pebble":          {},
	"test/edge":            {"test/lab"}, // knows the product as a binary only
	"test/scenario":        {"test/*"},   // drives the real binary, as a user would
	"test/scenario/*":      {"test/*"},
	"test/never":           {"test/*"},
	"test/soak":            {"test/*"},
	"test/package":         {"test/*"},
	"test/demo":            {"test/*"},
	"test/browser":         {"test/*"},
	"test/differential":    {}, // knows the product as a binary only
	"test/bench":           {"test/*"},
	"test/bench/l4":        {"test/lab"},
	"test/bench/xdp":       {},                     // tests alone
	"test/bench/checks":    {"health", "test/lab"}, // the monitor alone, beside keepalived's checker

	"cmd/internal/importer": {}, // a translator: who asks it checks what it wrote
}

// TestImports keeps the direction of imports.
func TestImports(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", module+"...").Output()
	if err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(p.ImportPath, module)
		may, known := lookup(name)
		if !known {
			t.Errorf("%s is a new package: say in this test what it may import", name)
		}
		for _, i := range p.Imports {
			if dep, ours := strings.CutPrefix(i, module); ours && !matches(dep, may) {
				t.Errorf("%s imports %s: allowed are %q", name, dep, may)
			}
		}
	}
}

func lookup(name string) ([]string, bool) {
	if may, ok := allowed[name]; ok {
		return may, true
	}
	for pattern, may := range allowed {
		if ok, _ := path.Match(pattern, name); ok {
			return may, true
		}
	}
	return nil, false
}

func matches(dep string, patterns []string) bool {
	for _, p := range patterns {
		if ok, _ := path.Match(p, dep); ok {
			return true
		}
	}
	return false
}
