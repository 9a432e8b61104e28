// Package doctor looks for what keeps an edge node from working: in the
// kernel, the network, the cluster and the files. It changes nothing.
//
// Each check is one file: facts are read in one function and judged in
// another, which takes them as values.
package doctor

import (
	"context"
	"io/fs"
	"slices"
	"time"

	"github.com/portico-lb/portico/cmd/internal/config"
	"github.com/portico-lb/portico/cmd/internal/daemon"
)

// A Verdict is what a check came to.
type Verdict string

// The verdicts.
const (
	OK      Verdict = "ok"
	Warn    Verdict = "warn"    // it works, and will fail one day or for some
	Fail    Verdict = "fail"    // it does not work
	Skipped Verdict = "skipped" // nobody looked, and why
)

// A Finding is one thing that a check looked at.
type Finding struct {
	// Check is the name of the check.
	Check   string  `json:"check"`
	Verdict Verdict `json:"verdict"`
	// Found says what there is, with the object's name; of a skipped check, why
	// it was.
	Found string `json:"found"`
	// Why says what comes of it.
	Why string `json:"why,omitempty"`
	// Cure are commands to type, in their order.
	Cure []string `json:"cure,omitempty"`
}

// A Node is what the checks look at.
type Node struct {
	// Files is the machine's file system, from its root.
	Files fs.FS
	// ConfigPath is the configuration file. Config is empty, and ConfigErr says
	// why, where it cannot be read or has faults.
	ConfigPath string
	Config     config.Config
	ConfigErr  error
	// Named are the files that the configuration names.
	Named []NamedFile
	// Director and Proxy are what the running services say, nil where they do
	// not run or do not answer; their errors say why.
	Director, Proxy       *daemon.Status
	DirectorErr, ProxyErr error
	Now                   time.Time
	// Progress is told what takes longer than a second. It may be nil.
	Progress func(what string)
}

// A check looks at one subject. What it returns lacks the name.
type check struct {
	name string
	run  func(context.Context, *Node) []Finding
	// configured says that it looks at what the configuration asks for.
	configured bool
}

// checks are all of them, in the order in which they are shown: what the
// others build on comes first.
var checks = []check{
	{"config", checkConfig, false},
	{"files", checkFiles, false},
	{"units", checkUnits, false},
	{"kernel", checkKernel, true},
	{"sysctl", checkSysctl, true},
	{"networkd", checkNetworkd, true},
	{"networkmanager", checkNetworkManager, true},
	{"firewall", checkFirewall, true},
	{"vrrp", checkRouters, true},
	{"rivals", checkRivals, false},
	{"kube-proxy", checkKubeProxy, true},
	{"ports", checkPorts, true},
	{"mtu", checkMTU, true},
	{"xdp", checkXDP, true},
	{"clock", checkClock, false},
	{"certificates", checkCertificates, false},
	{"api", checkAPI, true},
	{"pods", checkPods, true},
}

// Names returns the names of all checks.
func Names() []string {
	names := make([]string, len(checks))
	for i, c := range checks {
		names[i] = c.name
	}
	return names
}

// Run runs the checks for which wanted answers true, one after the other, and
// returns what they found.
func Run(ctx context.Context, n *Node, wanted func(name string) bool) []Finding {
	var all []Finding
	for _, c := range checks {
		if !wanted(c.name) {
			continue
		}
		found := c.run(ctx, n)
		if c.configured && n.ConfigErr != nil {
			found = unconfigured(found, n.ConfigPath)
		}
		for _, f := range found {
			f.Check = c.name
			all = append(all, f)
		}
	}
	return all
}

// unconfigured are the findings of a check that did not know what is configured:
// what it found wrong is, but it cannot say that all is well, nor that nothing is
// asked for.
func unconfigured(found []Finding, path string) []Finding {
	wrong := slices.DeleteFunc(found, func(f Finding) bool { return f.Verdict == OK || f.Verdict == Skipped })
	return append(wrong, skipped("what is asked for is not known while "+path+" cannot be used: see the check config"))
}

func (n *Node) progress(what string) {
	if n.Progress != nil {
		n.Progress(what)
	}
}

func ok(found string) []Finding    { return []Finding{{Verdict: OK, Found: found}} }
func skipped(found string) Finding { return Finding{Verdict: Skipped, Found: found} }
func skip(found string) []Finding  { return []Finding{skipped(found)} }
func warn(found, why string, cure ...string) Finding {
	return Finding{Verdict: Warn, Found: found, Why: why, Cure: cure}
}

func fail(found, why string, cure ...string) Finding {
	return Finding{Verdict: Fail, Found: found, Why: why, Cure: cure}
}

// orOK returns what was found wrong or, where that is nothing, that all is
// well.
func orOK(wrong []Finding, found string) []Finding {
	if len(wrong) == 0 {
		return ok(found)
	}
	return wrong
}
