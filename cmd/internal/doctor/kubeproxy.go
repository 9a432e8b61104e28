package doctor

import (
	"context"
	"fmt"
	"io/fs"
	"net/netip"
	"path"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"
)

// kubeProxyFacts are what the kube-proxy on this machine is told.
type kubeProxyFacts struct {
	runs bool
	// device says that its interface for IPVS is there.
	device bool
	// mode is "" where it could not be found out, and unread says why.
	mode, unread string
	exclude      []string
}

// checkKubeProxy: kube-proxy in IPVS mode leaves our services alone.
func checkKubeProxy(_ context.Context, n *Node) []Finding {
	if len(n.Config.L4.Services) == 0 {
		return skip("IPVS is not used: no [[l4.service]] in " + n.ConfigPath)
	}
	return judgeKubeProxy(readKubeProxy(n.Files), n.addresses())
}

func readKubeProxy(files fs.FS) kubeProxyFacts {
	var f kubeProxyFacts
	_, err := fs.Stat(files, "sys/class/net/kube-ipvs0")
	f.device = err == nil
	for _, p := range processes(files) {
		if p.name != "kube-proxy" {
			continue
		}
		f.runs = true
		file := ""
		for i, a := range p.args {
			key, value, joined := strings.Cut(strings.TrimLeft(a, "-"), "=")
			if !joined && i+1 < len(p.args) {
				value = p.args[i+1]
			}
			switch key {
			case "config":
				file = value
			case "proxy-mode":
				f.mode = value
			case "ipvs-exclude-cidrs":
				f.exclude = strings.Split(value, ",")
			}
		}
		if file != "" { // it stands in for the flags
			f.readConfig(files, path.Join("proc", strconv.Itoa(p.pid), "root", file))
		}
	}
	return f
}

func (f *kubeProxyFacts) readConfig(files fs.FS, name string) {
	text, err := fs.ReadFile(files, name)
	if err != nil {
		f.unread = "its configuration may not be read: run this as root"
		return
	}
	var c struct {
		Mode string
		IPVS struct{ ExcludeCIDRs []string }
	}
	if err := yaml.Unmarshal(text, &c); err != nil {
		f.unread = err.Error()
		return
	}
	f.mode, f.exclude = c.Mode, c.IPVS.ExcludeCIDRs
}

func judgeKubeProxy(f kubeProxyFacts, addresses []netip.Addr) []Finding {
	switch {
	case !f.runs && !f.device:
		return ok("kube-proxy does not run here")
	case f.unread != "" && f.device:
		return skip("kube-proxy uses IPVS, and " + f.unread)
	case f.mode != "ipvs" && !f.device:
		return ok("kube-proxy does not use IPVS")
	case !f.runs:
		return []Finding{warn("kube-ipvs0 is there, though no kube-proxy is to be seen", "a kube-proxy in IPVS mode deletes services that it does not know; one that ran here left its addresses", "kube-proxy --cleanup   # removes portico's services too, for seconds")}
	}
	var missing []string
	for _, a := range addresses {
		if !excluded(a, f.exclude) {
			missing = append(missing, netip.PrefixFrom(a, a.BitLen()).String())
		}
	}
	if len(missing) == 0 {
		return ok("kube-proxy uses IPVS and excludes the virtual addresses")
	}
	return []Finding{fail(fmt.Sprintf("kube-proxy uses IPVS, and its excludeCIDRs lack %s", strings.Join(missing, ", ")), "it deletes portico's services whenever it looks at its own: new clients are refused for seconds each time",
		"kubectl -n kube-system edit configmap kube-proxy   # ipvs: {excludeCIDRs: ["+strings.Join(missing, ", ")+"]}",
		"kubectl -n kube-system rollout restart daemonset kube-proxy")}
}

func excluded(a netip.Addr, cidrs []string) bool {
	for _, c := range cidrs {
		if p, err := netip.ParsePrefix(strings.TrimSpace(c)); err == nil && p.Contains(a) {
			return true
		}
	}
	return false
}
