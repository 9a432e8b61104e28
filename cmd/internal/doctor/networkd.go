package doctor

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// networkdFacts are what systemd-networkd does to foreign addresses and
// routes.
type networkdFacts struct {
	runs bool
	// links are those of ours that it manages.
	links []networkdLink
	// foreignRoutes is ManageForeignRoutes, whose default is yes.
	foreignRoutes bool
	// podRoutes says that portico makes routes.
	podRoutes bool
}

// A networkdLink is an interface and the .network file that it goes by.
type networkdLink struct{ name, file, keep string }

var networkdDirs = []string{"usr/lib/systemd", "usr/local/lib/systemd", "run/systemd", "etc/systemd"}

// checkNetworkd: systemd-networkd leaves addresses and routes alone that it
// has not made.
func checkNetworkd(_ context.Context, n *Node) []Finding {
	f := networkdFacts{foreignRoutes: true, podRoutes: n.Config.L7.Kubernetes.PodRoutes}
	if _, err := fs.Stat(n.Files, "run/systemd/netif/state"); err != nil {
		return judgeNetworkd(f)
	}
	f.runs = true
	conf := ini{}
	conf.readDropIns(n.Files, networkdDirs, "networkd.conf")
	f.foreignRoutes = yes(conf["network/manageforeignroutes"], true)
	for _, name := range append([]string{"lo"}, n.interfaces()...) {
		if l, managed := readNetworkdLink(n.Files, name); managed {
			f.links = append(f.links, l)
		}
	}
	return judgeNetworkd(f)
}

// readNetworkdLink follows what networkd says of a link, in
// /run/systemd/netif/links, to its file.
func readNetworkdLink(files fs.FS, name string) (networkdLink, bool) {
	index, err := fs.ReadFile(files, path.Join("sys/class/net", name, "ifindex"))
	if err != nil {
		return networkdLink{}, false
	}
	state := ini{}
	state.read(files, path.Join("run/systemd/netif/links", strings.TrimSpace(string(index))))
	file := state["/network_file"]
	if file == "" {
		return networkdLink{}, false
	}
	dirs := make([]string, len(networkdDirs))
	for i, d := range networkdDirs {
		dirs[i] = d + "/network"
	}
	conf := ini{}
	if !slices.Contains(dirs, inFS(path.Dir(file))) {
		dirs = append(dirs, inFS(path.Dir(file)))
	}
	conf.readDropIns(files, dirs, path.Base(file))
	return networkdLink{name, file, strings.ToLower(conf["network/keepconfiguration"])}, true
}

func yes(value string, otherwise bool) bool {
	if v, err := strconv.ParseBool(value); err == nil {
		return v
	}
	switch strings.ToLower(value) {
	case "yes", "on", "y":
		return true
	case "no", "off", "n":
		return false
	}
	return otherwise
}

func judgeNetworkd(f networkdFacts) []Finding {
	if !f.runs {
		return ok("systemd-networkd does not run")
	}
	var out []Finding
	for _, l := range f.links {
		if slices.Contains([]string{"static", "yes", "true", "1", "on"}, l.keep) {
			continue
		}
		dropIn := "/etc/systemd/network/" + path.Base(l.file) + ".d"
		out = append(out, warn(fmt.Sprintf("systemd-networkd manages %s by %s without KeepConfiguration", l.name, l.file),
			"`networkctl reconfigure`, and `networkctl reload` after a change of that file, take the virtual address away for as long as portico needs to put it back",
			"mkdir -p "+dropIn,
			`printf '[Network]\nKeepConfiguration=static\n' >`+dropIn+"/portico.conf",
			"networkctl reload"))
	}
	if f.podRoutes && f.foreignRoutes {
		out = append(out, warn("systemd-networkd has ManageForeignRoutes=yes", "it removes the routes to Pods on a link that it reconfigures",
			"mkdir -p /etc/systemd/networkd.conf.d",
			`printf '[Network]\nManageForeignRoutes=no\n' >/etc/systemd/networkd.conf.d/portico.conf`,
			"systemctl restart systemd-networkd"))
	}
	return orOK(out, "systemd-networkd keeps what it has not made")
}
