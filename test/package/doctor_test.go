package package_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// A finding is one of `portico doctor`.
type finding struct {
	Check, Verdict, Found string
	Cure                  []string
}

// examine asks the doctor about a node that works, as root and as one of the
// group, then about the same with a systemd-networkd that takes the address away.
func examine(t *testing.T) {
	well := []string{"config", "files", "kernel", "sysctl", "networkd", "networkmanager", "rivals", "kube-proxy", "ports", "mtu", "xdp", "certificates"}
	verdicts(t, doctor(t, "portico", "doctor", "--json"), map[string][]string{
		"ok":      append(well, "firewall", "vrrp"),
		"warn":    {"units"}, // the director crashed once
		"skipped": {"api", "pods"},
	})
	verdicts(t, doctor(t, "setpriv", "--reuid=nobody", "--regid=portico", "--clear-groups", "portico", "doctor", "--json"), map[string][]string{
		"ok":      well,
		"warn":    {"units"},
		"skipped": {"api", "pods", "firewall", "vrrp"},
	})
	networkd(t)
}

// verdicts compares findings with the checks that are wanted by verdict. Of the
// clock it says nothing: who keeps it is the machine's business.
func verdicts(t *testing.T, found []finding, want map[string][]string) {
	t.Helper()
	wanted := map[string]string{}
	for verdict, checks := range want {
		for _, c := range checks {
			wanted[c] = verdict
		}
	}
	for _, f := range found {
		if f.Check != "clock" && f.Verdict != wanted[f.Check] {
			t.Errorf("want %s: %+v", wanted[f.Check], f)
		}
		delete(wanted, f.Check)
	}
	if len(wanted) > 0 {
		t.Errorf("nothing said of %v", wanted)
	}
}

// doctor runs it and returns what it found. It exits with 1 where something
// fails, which is no fault of its own.
func doctor(t *testing.T, name string, args ...string) []finding {
	t.Helper()
	out, err := exec.Command(name, args...).Output()
	var found []finding
	if fault := json.Unmarshal(out, &found); fault != nil {
		t.Fatalf("%v %q: %v, %v\n%s", name, args, err, fault, out)
	}
	return found
}

// networkd has systemd-networkd manage edge0 by a file such as installers write:
// it does what the doctor says of it, until its cure is typed.
func networkd(t *testing.T) {
	const network = "/etc/systemd/network/10-edge.network"
	const dropIn = "/run/systemd/system/systemd-networkd.service.d/guest.conf"
	sysctls := run(t, "sysctl", "--all", "--ignore", "--pattern", `^net\.ipv[46]\.conf\.(edge0|all|default)\.`)
	for path, text := range map[string]string{
		network: "[Match]\nName=edge0\n[Network]\nIPv6AcceptRA=no\n[Address]\nAddress=" + nodeIP + "/24\nBroadcast=no\n",
		// This machine has no udev, for which it would wait.
		dropIn: "[Service]\nReadOnlyPaths=/sys\n",
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	run(t, "systemctl", "daemon-reload")
	run(t, "systemctl", "start", "systemd-networkd")
	configured(t)

	wrong := doctor(t, "portico", "doctor", "--json", "networkd")
	verdicts(t, wrong, map[string][]string{"warn": {"networkd"}})
	if !strings.Contains(reconfigured(t), vip) {
		t.Errorf("networkd left the address alone, and the doctor says %+v", wrong)
	}
	for _, f := range wrong {
		for _, command := range f.Cure {
			run(t, "sh", "-c", command)
		}
	}
	configured(t)
	serves(t)
	verdicts(t, doctor(t, "portico", "doctor", "--json", "networkd"), map[string][]string{"ok": {"networkd"}})
	if out := reconfigured(t); strings.Contains(out, vip) {
		t.Errorf("cured, networkd took the address away:\n%s", out)
	}

	run(t, "systemctl", "stop", "systemd-networkd.socket", "systemd-networkd")
	run(t, "rm", "-r", network, network+".d", filepath.Dir(dropIn))
	run(t, "systemctl", "daemon-reload")
	file := filepath.Join(t.TempDir(), "sysctls")
	write(t, file, sysctls)
	if out, err := try(t.Context(), "sysctl", "--load="+file); err != nil {
		t.Logf("not all can be written: %s", out)
	}
	serves(t)
}

// configured waits until networkd is done with edge0.
func configured(t *testing.T) {
	t.Helper()
	eventually(t, "edge0 configured by networkd", func() bool {
		out, err := try(t.Context(), "networkctl", "list", "--no-pager", "--no-legend", "edge0")
		return err == nil && strings.Contains(out, " configured")
	})
}

// reconfigured has networkd reconfigure edge0, and returns which addresses were
// removed from it meanwhile: its own is always among them.
func reconfigured(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "monitor")
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	monitor := exec.Command("ip", "monitor", "address", "dev", "edge0")
	monitor.Stdout = out
	if err := monitor.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { monitor.Process.Kill(); monitor.Wait() }()
	eventually(t, "ip monitor", func() bool {
		return strings.Contains(read(t, "/proc/net/netlink"), fmt.Sprintf(" %d ", monitor.Process.Pid))
	})
	run(t, "networkctl", "reconfigure", "edge0")
	removed := ""
	eventually(t, "the end of what was configured", func() bool {
		wait(time.Second) // they go one after the other
		lines := slices.DeleteFunc(strings.SplitAfter(read(t, path), "\n"), func(line string) bool {
			return !strings.HasPrefix(line, "Deleted")
		})
		before := removed
		removed = strings.Join(lines, "")
		return removed == before && strings.Contains(removed, " "+nodeIP+"/")
	})
	return removed
}
