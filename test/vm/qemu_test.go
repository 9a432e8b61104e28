package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMachineArgs(t *testing.T) {
	m := machine{kernel: "/k/vmlinux", initrd: "/j/initrd", mem: 512, cpus: 1, shares: []share{{"root", "/", false}, {"out", "/a,b", true}}, unit: "vm.target"}
	args := strings.Join(m.args(), " ")
	for _, want := range []string{
		"-kernel /k/vmlinux -initrd /j/initrd",
		"-m 512 -smp 1",
		"panic=-1 nokaslr mitigations=off tsc=reliable random.trust_cpu=on cryptomgr.notests audit=0 systemd.getty_auto=no systemd.unit=vm.target",
		"-fsdev local,id=root,path=/,security_model=none,multidevs=remap,readonly=on -device virtio-9p-pci,fsdev=root,mount_tag=root",
		"-fsdev local,id=out,path=/a,,b,security_model=none,multidevs=remap -device",
		"-serial chardev:console",
	} {
		if !strings.Contains(args, want) {
			t.Errorf("no %q in %s", want, args)
		}
	}
	if strings.Contains(args, "virtconsole") {
		t.Error("a terminal nobody asked for")
	}
	if !strings.Contains(args, "-nic none") {
		t.Error("a network card nobody asked for")
	}
	if strings.Contains(args, "-icount") {
		t.Error("time is counted, which nobody asked for")
	}
	m.counted = true
	if args := strings.Join(m.args(), " "); !strings.Contains(args, "-accel tcg,thread=single ") || !strings.Contains(args, "-icount shift=0,sleep=on ") {
		t.Errorf("time is not counted: %s", args)
	}
	m.forwards = []string{"8001:80", "8002:81"}
	const nic = "-nic user,model=virtio-net-pci,restrict=on,hostfwd=tcp:127.0.0.1:8001-10.0.2.15:80,hostfwd=tcp:127.0.0.1:8002-10.0.2.15:81 "
	if args := strings.Join(m.args(), " "); !strings.Contains(args, nic) {
		t.Errorf("no %q in %s", nic, args)
	}
}

func TestWriteCPIO(t *testing.T) {
	dir := t.TempDir()
	var b bytes.Buffer
	if err := writeCPIO(&b, []file{{name: "bin/", mode: 0o755}, {"bin/init", 0o750, []byte("odd")}, {"conf", 0o644, nil}}); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("busybox", "cpio", "-i", "-d")
	cmd.Dir, cmd.Stdin = dir, &b
	if _, err := exec.LookPath("busybox"); err != nil {
		t.Skip("no busybox to unpack with")
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var got []string
	for _, name := range []string{"bin", "bin/init", "conf"} {
		st, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		data, _ := os.ReadFile(filepath.Join(dir, name))
		got = append(got, fmt.Sprintf("%v %s %q", st.Mode(), name, data))
	}
	want := []string{`drwxr-xr-x bin ""`, `-rwxr-x--- bin/init "odd"`, `-rw-r--r-- conf ""`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestConsole(t *testing.T) {
	var all bytes.Buffer
	c := &console{also: &all}
	if got := c.String(); got != "; its console is empty" {
		t.Errorf("got %q", got)
	}
	for i := range consoleLines + 5 {
		fmt.Fprintf(c, "line %d\r\n", i)
	}
	got := strings.Split(c.String(), "\n")
	if len(got) != consoleLines+1 || got[1] != "line 5" || got[consoleLines] != fmt.Sprintf("line %d", consoleLines+4) {
		t.Errorf("got %q", got)
	}
	if !strings.HasPrefix(all.String(), "line 0\nline 1\n") {
		t.Errorf("passed on %q", all.String()[:20])
	}
}

func TestParse(t *testing.T) {
	for _, tt := range []struct{ args, err string }{
		{"-- ls -l", ""},
		{"x.test -test.v", ""},
		{"-fetch", ""},
		{"-root / true", ""},
		{"", "no program"},
		{"-init /sbin/init true", "-init needs -root"},
		{"-mem 16 true", "256 MB"},
		{"-forward 8001:80 -forward 8002:81 true", ""},
		{"-forward 80,guestfwd=x:1 true", "-forward wants"},
		{"-nosuch", "not defined"},
	} {
		_, err := parse(strings.Fields(tt.args), &bytes.Buffer{})
		if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
			t.Errorf("%s: got %v, want %q", tt.args, err, tt.err)
		}
	}
}
