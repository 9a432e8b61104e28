// Package guest_test looks at the guest from inside, and at the kernel it is
// there for: go test -exec "$PWD/bin/vm" ./test/vm/guest
package guest_test

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/portico-lb/portico/test/lab"
)

// TestInside looks around.
func TestInside(t *testing.T) {
	if os.Getenv("PORTICO_LAB") != "1" {
		t.Skip(`not in the laboratory: run by go test -exec "$PWD/bin/vm"`)
	}
	if uid := os.Getuid(); uid != 0 {
		t.Errorf("uid %d", uid)
	}
	if b, err := os.ReadFile("/proc/net/ip_vs"); err != nil || !bytes.HasPrefix(b, []byte("IP Virtual Server")) {
		t.Errorf("ip_vs: %q, %v", b, err)
	}
	lo, err := net.InterfaceByName("lo")
	if err != nil || lo.Flags&net.FlagUp == 0 {
		t.Errorf("lo: %+v, %v", lo, err)
	}
	for _, dir := range []string{"/run/netns", "/tmp", "/dev/shm"} {
		f, err := os.CreateTemp(dir, "")
		if err != nil {
			t.Error(err)
			continue
		}
		os.Remove(f.Name())
		f.Close()
	}
	if os.Getenv("PORTICO_VM") != "1" {
		return // what follows a machine of one's own may do without
	}
	for _, path := range []string{"/sys/fs/cgroup/cgroup.controllers", "/sys/kernel/debug/tracing", "/dev/ptmx", "/dev/fd/0"} {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(self)
	if err != nil {
		t.Fatal(err)
	}
	if age := time.Since(st.ModTime()); age < 0 || age > 24*time.Hour {
		t.Errorf("the clock is wrong: this program, just built, is %v old", age)
	}
	for _, module := range []string{"nf_tables", "dummy", "sch_netem", "ip_vs_nq"} {
		if out, err := exec.Command("modprobe", module).CombinedOutput(); err != nil {
			t.Errorf("modprobe %s: %v: %s", module, err, out)
		}
	}
}

// TestDirectRouting builds what the product is about by hand: a director that
// is not a backend, two backends with the VIP on lo, and ipvsadm.
func TestDirectRouting(t *testing.T) {
	lab.NeedIPVS(t)
	const vip = "172.20.0.50"
	l := lab.New(t)
	lan := l.Network("lan")
	director, client := l.Node("director"), l.Node("client")
	director.Attach(lan, "eth0", "172.20.0.1/24", vip+"/32")
	client.Attach(lan, "eth0", "172.20.0.200/24")
	director.Output("ipvsadm", "-A", "-t", vip+":80", "-s", "rr")
	for name, addr := range map[string]string{"edge-1": "172.20.0.113", "edge-2": "172.20.0.114"} {
		edge := l.Node(name)
		edge.Attach(lan, "eth0", addr+"/24")
		edge.NoReversePathFilter()
		edge.Sysctl("net.ipv4.conf.all.arp_ignore", "1")
		edge.Sysctl("net.ipv4.conf.all.arp_announce", "2")
		edge.AddAddr("lo", vip+"/32")
		edge.Serve(vip+":80", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, name) }))
		director.Output("ipvsadm", "-a", "-t", vip+":80", "-r", addr, "-g")
		if out := edge.Output("ipvsadm", "-Ln"); strings.Contains(out, vip) {
			t.Errorf("%s has the director's service: %s", name, out)
		}
	}
	table := director.Output("ipvsadm", "-Ln")
	t.Log(table)
	table = strings.Join(strings.Fields(table), " ")
	for _, want := range []string{"TCP 172.20.0.50:80 rr", "-> 172.20.0.113:80 Route 1", "-> 172.20.0.114:80 Route 1"} {
		if !strings.Contains(table, want) {
			t.Errorf("no %q", want)
		}
	}
	tally := client.Burst(20, 2, lab.Request{URL: "http://" + vip + "/"})
	t.Log(tally)
	if tally.By["edge-1"] != 10 || tally.By["edge-2"] != 10 {
		t.Errorf("not half and half: %v", tally)
	}
}
