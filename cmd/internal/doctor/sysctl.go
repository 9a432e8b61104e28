package doctor

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/portico-lb/portico/l4"
)

// sysctlFacts are settings of the kernel, and files that would change them.
type sysctlFacts struct {
	interfaces []string
	// runs says that the director runs, which sets what it needs.
	runs bool
	// nat says that a service masquerades; mh that one is to survive a
	// change of owner without state.
	nat, mh bool
	// cookies says that XDP is to answer SYNs with cookies.
	cookies bool
	// values are by path, "net/ipv4/conf/all/rp_filter".
	values map[string]int
	// files are what the files of sysctl.d set, by path; with the file's name.
	files map[string]fileSetting
}

// A fileSetting is a line; name is what it says, which may be a pattern.
type fileSetting struct{ file, name, value string }

// checkSysctl: the kernel's settings for direct routing, and for many clients.
func checkSysctl(_ context.Context, n *Node) []Finding {
	f := sysctlFacts{interfaces: n.interfaces(), runs: n.Director != nil, values: map[string]int{}, files: sysctlFiles(n.Files)}
	f.cookies = n.Config.L4.Shield.SYNCookies > 0
	for _, s := range n.Config.L4.Services {
		f.nat = f.nat || s.Forward == l4.Masquerade
		f.mh = f.mh || s.Scheduler == "mh"
	}
	for _, key := range f.keys() {
		text, err := fs.ReadFile(n.Files, "proc/sys/"+key)
		if err != nil {
			continue // a kernel without it
		}
		if v, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
			f.values[key] = v
		}
	}
	return judgeSysctl(f)
}

func conf(iface, name string) string { return "net/ipv4/conf/" + iface + "/" + name }

func (f sysctlFacts) keys() []string {
	keys := []string{
		"net/core/somaxconn", "net/ipv4/ip_forward", "net/ipv4/tcp_syncookies", "net/ipv4/vs/sloppy_tcp", "net/ipv4/vs/expire_nodest_conn",
		"net/netfilter/nf_conntrack_count", "net/netfilter/nf_conntrack_max",
	}
	for _, i := range append([]string{"all", "lo"}, f.interfaces...) {
		keys = append(keys, conf(i, "rp_filter"), conf(i, "arp_ignore"), conf(i, "arp_announce"), conf(i, "forwarding"))
	}
	return keys
}

// sysctlDirs are the folders of sysctl.d(5), the most important last.
var sysctlDirs = []string{"usr/lib/sysctl.d", "usr/local/lib/sysctl.d", "run/sysctl.d", "etc/sysctl.d"}

// sysctlFiles reads what a boot, or `sysctl --system`, sets: files of the same
// name stand for one another, the later name wins. What has a pattern for a name
// sets all that it matches, but what is set or excluded by its own name
// (sysctl.d(5)).
func sysctlFiles(files fs.FS) map[string]fileSetting {
	named := map[string]string{}
	for _, dir := range sysctlDirs {
		matches, _ := fs.Glob(files, dir+"/*.conf") // the pattern is sound
		for _, m := range matches {
			named[path.Base(m)] = m
		}
	}
	named["99-sysctl.conf"] = cmp.Or(named["99-sysctl.conf"], "etc/sysctl.conf")
	out, excluded, wide := map[string]fileSetting{}, map[string]bool{}, map[string]fileSetting{}
	for _, base := range slices.Sorted(maps.Keys(named)) {
		eachLine(files, named[base], func(line string) {
			name, value, sets := strings.Cut(line, "=")
			name = strings.TrimSpace(name)
			if name == "" || name[0] == '#' || name[0] == ';' {
				return
			}
			name, marked := strings.CutPrefix(name, "-") // with a value it has errors ignored
			key, s := sysctlKey(name), fileSetting{"/" + named[base], name, strings.TrimSpace(value)}
			switch {
			case sets && strings.ContainsAny(key, "*?["):
				for _, m := range sysctlMatches(files, key) {
					wide[m] = s
				}
			case sets:
				out[key] = s
			case marked:
				excluded[key] = true
			}
		})
	}
	for key, s := range wide {
		if _, set := out[key]; !set && !excluded[key] {
			out[key] = s
		}
	}
	return out
}

// sysctlKey is the path of a name, whose first separator says whether the other
// one stands for itself: net.ipv4.conf.eth0/10 and net/ipv4/conf/eth0.10 are one.
func sysctlKey(name string) string {
	if i := strings.IndexAny(name, "./"); i < 0 || name[i] == '/' {
		return name
	}
	return strings.NewReplacer(".", "/", "/", ".").Replace(name)
}

// sysctlMatches are the keys of this machine that a pattern matches.
func sysctlMatches(files fs.FS, pattern string) []string {
	const root = "proc/sys/"
	matches, _ := fs.Glob(files, root+pattern) // a bad pattern matches nothing
	for i, m := range matches {
		matches[i] = strings.TrimPrefix(m, root)
	}
	return matches
}

func judgeSysctl(f sysctlFacts) []Finding {
	var out []Finding
	for _, i := range f.interfaces {
		out = append(out, f.reversePath(i)...)
		out = append(out, f.arp(i, "arp_ignore", 1, "this node answers ARP for addresses that another one owns")...)
		out = append(out, f.arp(i, "arp_announce", 2, "its own questions tell neighbours that the virtual address is here")...)
		if v, known := f.values[conf(i, "forwarding")]; known && v == 0 && f.cookies {
			out = append(out, fail("forwarding of "+i+" is 0", "the kernel tells XDP no route by which SYN cookies get to clients", "sysctl -w net.ipv4.conf."+i+".forwarding=1"))
		}
	}
	if v, known := f.values["net/core/somaxconn"]; known && v < 4096 {
		out = append(out, warn(fmt.Sprintf("net.core.somaxconn is %d", v), "at a take-over all clients connect at once, and what exceeds the backlog waits a second", "sysctl -w net.core.somaxconn=16384"))
	}
	if v, known := f.values["net/ipv4/ip_forward"]; known && v == 0 && f.nat {
		out = append(out, fail("net.ipv4.ip_forward is 0", `the answers to services with forward = "nat" come back through this node`, "sysctl -w net.ipv4.ip_forward=1"))
	}
	if v, known := f.values["net/ipv4/tcp_syncookies"]; known && v == 0 && f.cookies {
		out = append(out, fail("net.ipv4.tcp_syncookies is 0", "no SYN cookie that comes back is taken, so that XDP sends none", "sysctl -w net.ipv4.tcp_syncookies=1"))
	}
	for _, key := range []string{"net/ipv4/vs/sloppy_tcp", "net/ipv4/vs/expire_nodest_conn"} {
		if v, known := f.values[key]; known && v == 0 && f.mh && f.runs {
			name := strings.ReplaceAll(key, "/", ".")
			out = append(out, warn(name+" is 0, though the director sets it to 1", "another program sets it back; connections break when the owner changes or a server leaves", "grep -rs "+path.Base(key)+" /etc/sysctl.conf /etc/sysctl.d /run/sysctl.d", "sysctl -w "+name+"=1"))
		}
	}
	if count, most := f.values["net/netfilter/nf_conntrack_count"], f.values["net/netfilter/nf_conntrack_max"]; most > 0 && count > most/10*8 {
		out = append(out, warn(fmt.Sprintf("connection tracking holds %d of %d entries", count, most), "at the limit new connections are dropped", fmt.Sprintf("sysctl -w net.netfilter.nf_conntrack_max=%d", 4*most)))
	}
	if len(f.interfaces) == 0 && len(out) == 0 {
		return ok("nothing stands in the way of the proxy; no [[vip]] asks for more")
	}
	return orOK(out, "settings suit direct routing on "+strings.Join(f.interfaces, ", "))
}

// reversePath: the kernel takes the larger of all and the interface's own.
func (f sysctlFacts) reversePath(iface string) []Finding {
	v, known := f.values[conf(iface, "rp_filter")]
	if !known || max(v, f.values[conf("all", "rp_filter")]) != 1 {
		return nil
	}
	return []Finding{warn("rp_filter of "+iface+" is 1, strict", "what another director forwards is dropped where the client is not reached by "+iface+", and drpath checks fail",
		"sysctl -w net.ipv4.conf.all.rp_filter=2",
		"echo net.ipv4.conf.all.rp_filter=2 >/etc/sysctl.d/80-portico.conf")}
}

// arp judges a setting that the director makes at its start: while it runs it
// must stand, and no file may take it back.
func (f sysctlFacts) arp(iface, name string, want int, why string) []Finding {
	var out []Finding
	all, own := conf("all", name), conf(iface, name)
	if v, known := f.values[own]; known && f.runs && max(v, f.values[all]) < want {
		out = append(out, fail(fmt.Sprintf("%s of %s is %d, though the director sets it to %d", name, iface, v, want), why,
			fmt.Sprintf("sysctl -w net.ipv4.conf.all.%s=%d", name, want)))
	}
	for _, key := range []string{all, own} {
		if s, set := f.files[key]; set && s.value != strconv.Itoa(want) && (key == all || s != f.files[all]) { // a line with a pattern once
			out = append(out, warn(fmt.Sprintf("%s sets %s to %s", s.file, s.name, s.value), "the next `sysctl --system` takes back what the director set, and "+why,
				"sed -i '/"+name+"/d' "+s.file))
		}
	}
	return out
}
