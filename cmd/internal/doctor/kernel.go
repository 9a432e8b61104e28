package doctor

import (
	"bufio"
	"context"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/portico-lb/portico/l4"
)

// kernelFacts are what the kernel offers.
type kernelFacts struct {
	release string
	// table says that IPVS is there.
	table bool
	// loaded and available are modules by name; built-in ones are loaded.
	loaded, available map[string]bool
	// listed says that the kernel's modules could be listed, takes that it
	// takes any.
	listed, takes bool
	// alone says that XDP is to do without IPVS where there is none.
	alone bool
}

// checkKernel: IPVS and the schedulers that services name.
func checkKernel(_ context.Context, n *Node) []Finding {
	if len(n.Config.L4.Services) == 0 {
		return skip("IPVS is not used: no [[l4.service]] in " + n.ConfigPath)
	}
	var need []string
	for _, s := range n.Config.L4.Services {
		need = append(need, "ip_vs_"+s.Scheduler)
	}
	slices.Sort(need)
	if n.Config.L4.Guard {
		need = append(need, "nf_tables")
	}
	f := readKernel(n.Files)
	f.alone = n.Config.L4.XDP.Choice == l4.ByXDP
	return judgeKernel(f, append([]string{"ip_vs"}, slices.Compact(need)...))
}

func readKernel(files fs.FS) kernelFacts {
	f := kernelFacts{loaded: map[string]bool{}, available: map[string]bool{}}
	release, _ := fs.ReadFile(files, "proc/sys/kernel/osrelease")
	f.release = strings.TrimSpace(string(release))
	_, err := fs.Stat(files, "proc/thread-self/net/ip_vs")
	f.table = err == nil
	_, err = fs.Stat(files, "proc/modules")
	f.takes = err == nil
	eachLine(files, "proc/modules", func(line string) {
		name, _, _ := strings.Cut(line, " ")
		f.loaded[name] = true
	})
	for file, where := range map[string]map[string]bool{"modules.builtin": f.loaded, "modules.dep": f.available} {
		eachLine(files, path.Join("lib/modules", f.release, file), func(line string) {
			f.listed = true
			where[moduleName(line)] = true
		})
	}
	maps.Copy(f.available, f.loaded)
	return f
}

// moduleName is "ip_vs_mh" of "kernel/net/netfilter/ipvs/ip_vs_mh.ko.xz: ...".
func moduleName(line string) string {
	file, _, _ := strings.Cut(line, ":")
	name, _, _ := strings.Cut(path.Base(file), ".")
	return strings.ReplaceAll(name, "-", "_")
}

func eachLine(files fs.FS, name string, do func(line string)) {
	f, err := files.Open(name)
	if err != nil {
		return // no such facts: the judgement goes without
	}
	defer func() { _ = f.Close() }() // it was read alone
	for s := bufio.NewScanner(f); s.Scan(); {
		do(s.Text())
	}
}

// minKernel is the oldest release that portico is tried with.
const minMajor, minMinor = 5, 18

func judgeKernel(f kernelFacts, need []string) []Finding {
	var out []Finding
	var major, minor int
	if _, err := fmt.Sscanf(f.release, "%d.%d", &major, &minor); err == nil && (major < minMajor || major == minMajor && minor < minMinor) {
		out = append(out, warn("kernel "+f.release+" is older than 5.18", "IPVS lost connections at failover and reuse of ports in older ones", "apt-get install linux-image-amd64"))
	}
	for _, m := range need {
		switch {
		case m == "ip_vs" && f.table, f.loaded[m]:
		case f.available[m]:
			out = append(out, warn("module "+m+" is not loaded", "the director may not load modules; whether the kernel does so at need depends on modprobe and its denials", "modprobe "+m, "echo "+m+" >/etc/modules-load.d/"+m+".conf"))
		case !f.listed && m != "ip_vs": // perhaps it is built in
		case !f.listed && f.takes:
			out = append(out, warn("module "+m+" is not loaded, and what the kernel has is not to be seen in /lib/modules/"+f.release, "no service can be programmed", "modprobe "+m))
		case f.alone && m == "ip_vs":
			out = append(out, warn("kernel "+f.release+" has no module ip_vs: XDP stands alone", "what it does not carry nobody does: `portico status` says which services that are", "apt-get install linux-image-amd64   # Ubuntu: linux-modules-extra-$(uname -r), Fedora: kernel-modules-core"))
		case f.alone && strings.HasPrefix(m, "ip_vs_") && !f.table && !f.available["ip_vs"]: // of IPVS, which is missed above
		default:
			out = append(out, fail("kernel "+f.release+" has no module "+m, "services that need it cannot be programmed", "apt-get install linux-image-amd64   # Ubuntu: linux-modules-extra-$(uname -r), Fedora: kernel-modules-core"))
		}
	}
	return orOK(out, fmt.Sprintf("kernel %s has %s", f.release, strings.Join(need, ", ")))
}
