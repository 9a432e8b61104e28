package doctor

import (
	"context"
	"io/fs"
	"path"
	"strings"
)

// checkNetworkManager: NetworkManager does not own an interface of ours.
func checkNetworkManager(_ context.Context, n *Node) []Finding {
	if _, err := fs.Stat(n.Files, "run/NetworkManager"); err != nil {
		return ok("NetworkManager does not run")
	}
	return judgeNetworkManager(managedByNM(n.Files, append([]string{"lo"}, n.interfaces()...)))
}

// managedByNM returns those of the interfaces that NetworkManager manages, by
// its files in /run/NetworkManager/devices.
func managedByNM(files fs.FS, interfaces []string) []string {
	var out []string
	for _, name := range interfaces {
		index, err := fs.ReadFile(files, path.Join("sys/class/net", name, "ifindex"))
		if err != nil {
			continue
		}
		device := ini{}
		device.read(files, path.Join("run/NetworkManager/devices", strings.TrimSpace(string(index))))
		// "assumed" and "external" are devices that it watches and leaves alone.
		if m := device["device/managed"]; m == "true" || m == "full" {
			out = append(out, name)
		}
	}
	return out
}

func judgeNetworkManager(managed []string) []Finding {
	var out []Finding
	for _, name := range managed {
		out = append(out, warn("NetworkManager manages "+name,
			"`nmcli connection up` and `nmcli device reapply` take the virtual address away for as long as portico needs to put it back; where it is to be left to NetworkManager for its own address, avoid these two",
			`printf '[keyfile]\nunmanaged-devices=interface-name:`+name+`\n' >/etc/NetworkManager/conf.d/portico-`+name+`.conf   # first configure its own address elsewhere`,
			"nmcli general reload"))
	}
	return orOK(out, "NetworkManager leaves the interfaces alone")
}
