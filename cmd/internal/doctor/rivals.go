package doctor

import (
	"context"
	"fmt"
	"io/fs"
	"path"
)

// rivalFacts are other programs that keep virtual addresses or IPVS.
type rivalFacts struct {
	// runs are process ids by the program's name.
	runs map[string]int
	// enabled are programs that the next boot starts.
	enabled map[string]bool
}

// rivals are the programs, their units and what they contend for.
var rivals = []struct{ name, unit, why string }{
	{"keepalived", "keepalived.service", "it announces addresses and programs IPVS: while both run they need different addresses, router ids and services, and a boot brings it back"},
	{"ldirectord", "ldirectord.service", "it programs IPVS, and deletes services that it does not know"},
	{"ipvsadm", "ipvsadm.service", "it loads a saved table at boot and clears IPVS when it stops"},
	{"kube-vip", "kube-vip.service", "it announces addresses: give it others than portico"},
	{"ucarp", "ucarp.service", "it announces addresses by CARP, which has VRRP's protocol number"},
}

// checkRivals: no other program does portico's work.
func checkRivals(_ context.Context, n *Node) []Finding {
	f := rivalFacts{runs: map[string]int{}, enabled: map[string]bool{}}
	for _, p := range processes(n.Files) {
		f.runs[p.name] = p.pid
	}
	for _, r := range rivals {
		matches, _ := fs.Glob(n.Files, path.Join("etc/systemd/system/*.wants", r.unit)) // the pattern is sound
		f.enabled[r.name] = len(matches) > 0
	}
	return judgeRivals(f)
}

func judgeRivals(f rivalFacts) []Finding {
	var out []Finding
	for _, r := range rivals {
		pid, runs := f.runs[r.name]
		cure := "systemctl disable --now " + r.unit
		switch enabled := f.enabled[r.name]; {
		case runs:
			out = append(out, warn(fmt.Sprintf("%s runs (process %d)", r.name, pid), r.why, cure))
		case enabled:
			out = append(out, warn(r.unit+" is enabled", r.why, cure))
		}
	}
	return orOK(out, "neither keepalived nor another program of its kind runs or is enabled")
}
