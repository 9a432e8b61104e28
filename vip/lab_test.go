package vip_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/portico-lb/portico/vip"
)

// nodeEnv makes the test binary a node: a process that runs a Manager with the
// sections of the file named, in whatever network namespace it was started.
const nodeEnv = "VIP_TEST_NODE"

func TestMain(m *testing.M) {
	if dir := os.Getenv(nodeEnv); dir != "" {
		os.Exit(runNode(dir))
	}
	os.Exit(m.Run())
}

// runNode serves dir/config.json, reads it again on SIGHUP, writes
// dir/status.json on every change and dir/sync on every Sync, ends on SIGTERM.
func runNode(dir string) int {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	opts := vip.Options{Log: log, StateDir: dir + "/state", Sync: func(context.Context) {
		out, _ := exec.Command("ip", "-o", "addr").CombinedOutput()
		f, _ := os.OpenFile(dir+"/sync", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		defer f.Close()
		fmt.Fprintf(f, "%s\n---\n", out)
	}}
	m := vip.New(opts)
	load := func() error {
		b, err := os.ReadFile(dir + "/config.json")
		if err != nil {
			return err
		}
		var ss []vip.Section
		if err := json.Unmarshal(b, &ss); err != nil {
			return err
		}
		var faults []string
		c := vip.Parse(ss, "eth0", os.ReadFile, func(key, problem string) { faults = append(faults, key+": "+problem) })
		if len(faults) > 0 {
			return fmt.Errorf("%s", strings.Join(faults, "\n"))
		}
		m.Set(c)
		return nil
	}
	if err := load(); err != nil {
		log.Error("load", "err", err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx, func() { log.Info("ready") }) }()
	tick := time.NewTicker(50 * time.Millisecond)
	for {
		select {
		case <-hup:
			if err := load(); err != nil {
				log.Error("reload", "err", err)
			}
		case <-m.Changed():
		case <-tick.C:
		case err := <-done:
			if err != nil {
				log.Error("run", "err", err)
				return 1
			}
			return 0
		}
		b, _ := json.Marshal(m.Status())
		if os.WriteFile(dir+"/status.new", b, 0o644) == nil {
			_ = os.Rename(dir+"/status.new", dir+"/status.json")
		}
	}
}

// segment is an Ethernet segment with nodes on it, each in a network namespace.
type segment struct {
	t    *testing.T
	name string
	n    int
}

// node is one network namespace with an eth0 on the segment.
type node struct {
	t            *testing.T
	ns, dir, mac string
	port         string // the switch port of its eth0
	seg          *segment
	cmd          *exec.Cmd
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("PORTICO_LAB") == "1" {
		t.Fatal("needs root for network namespaces")
	}
	t.Skip("needs root for network namespaces")
}

// need fails or skips where a tool is missing.
func need(t *testing.T, tool string) string {
	t.Helper()
	path, err := exec.LookPath(tool)
	if err != nil && os.Getenv("PORTICO_LAB") == "1" {
		t.Fatalf("needs %s", tool)
	}
	if err != nil {
		t.Skipf("needs %s", tool)
	}
	return path
}

func sh(t *testing.T, format string, args ...any) string {
	t.Helper()
	line := fmt.Sprintf(format, args...)
	out, err := exec.Command("sh", "-c", line).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
	return string(out)
}

func newSegment(t *testing.T) *segment {
	t.Helper()
	needRoot(t)
	s := &segment{t: t, name: fmt.Sprintf("vip%d-%d", os.Getpid(), time.Now().UnixNano()%1e6)}
	s.addNS("sw")
	sh(t, "ip -n %s-sw link add br0 type bridge forward_delay 0 mcast_snooping 0 && ip -n %s-sw link set br0 up", s.name, s.name)
	return s
}

func (s *segment) addNS(suffix string) string {
	ns := s.name + "-" + suffix
	sh(s.t, "ip netns add %s && ip -n %s link set lo up", ns, ns)
	s.t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", ns).Run() })
	return ns
}

// node adds a namespace: the n-th has 192.0.2.n, 2001:db8::n and fe80::n.
func (s *segment) node() *node {
	s.t.Helper()
	s.n++
	n := &node{t: s.t, seg: s, dir: s.t.TempDir(), port: fmt.Sprintf("p%d", s.n)}
	n.ns = s.addNS(fmt.Sprint(s.n))
	sh(s.t, "ip -n %s link add eth0 type veth peer name %s netns %s-sw", n.ns, n.port, s.name)
	sh(s.t, "ip -n %s-sw link set %s master br0 up", s.name, n.port)
	n.ip("link set eth0 addrgenmode none up")
	n.ip("addr add 192.0.2.%d/24 dev eth0", s.n)
	n.ip("addr add 2001:db8::%d/64 dev eth0 nodad", s.n)
	n.ip("addr add fe80::%d/64 dev eth0 nodad", s.n)
	n.mac = strings.TrimSpace(sh(s.t, "ip netns exec %s cat /sys/class/net/eth0/address", n.ns))
	return n
}

func (n *node) ip(format string, args ...any) string {
	n.t.Helper()
	return sh(n.t, "ip -n "+n.ns+" "+format, args...)
}

// run starts a program in the namespace; its output goes to the test's log when the test fails.
func (n *node) run(env []string, name string, args ...string) *exec.Cmd {
	n.t.Helper()
	cmd := exec.Command("ip", append([]string{"netns", "exec", n.ns, name}, args...)...)
	cmd.Env = append(os.Environ(), env...)
	out, err := os.OpenFile(n.dir+"/log", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		n.t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil { // ip execs the program: the pid is its own
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
		if n.t.Failed() {
			b, _ := os.ReadFile(n.dir + "/log")
			n.t.Logf("%s\n%s", n.ns, b)
		}
		_ = out.Close()
	})
	return cmd
}

// configure writes the sections, and has a running process read them.
func (n *node) configure(ss ...vip.Section) {
	n.t.Helper()
	b, _ := json.Marshal(ss)
	if err := os.WriteFile(n.dir+"/config.json", b, 0o644); err != nil {
		n.t.Fatal(err)
	}
	if n.cmd != nil && n.cmd.ProcessState == nil {
		n.signal(syscall.SIGHUP)
	}
}

// start runs a Manager in the namespace.
func (n *node) start(ss ...vip.Section) {
	n.t.Helper()
	n.cmd = nil
	n.configure(ss...)
	_ = os.Remove(n.dir + "/status.json")
	n.cmd = n.run([]string{nodeEnv + "=" + n.dir}, os.Args[0])
	n.eventually("running", func() bool { return len(n.status().Groups) > 0 })
}

func (n *node) signal(s syscall.Signal) {
	n.t.Helper()
	if err := n.cmd.Process.Signal(s); err != nil {
		n.t.Fatal(err)
	}
}

// stop ends the Manager by a signal and waits for it.
func (n *node) stop(s syscall.Signal) {
	n.t.Helper()
	n.signal(s)
	err := n.cmd.Wait()
	if s == syscall.SIGTERM && err != nil {
		n.t.Errorf("stop: %v", err)
	}
}

// shown is the status as a reader of its JSON sees it.
type shown struct {
	LastError string `json:"last_error"`
	Groups    []struct {
		Name        string
		State       string
		Owned       bool
		Adopting    bool
		Reason      string
		Since       time.Time
		Active      string
		Transitions int
		Sent        int               `json:"adverts_sent"`
		Received    int               `json:"adverts_received"`
		Dropped     map[string]uint64 `json:"dropped"`
		LastError   string            `json:"last_error"`
	}
}

func (n *node) status() (s shown) {
	b, err := os.ReadFile(n.dir + "/status.json")
	if err == nil {
		_ = json.Unmarshal(b, &s)
	}
	return s
}

func (n *node) state() string {
	if s := n.status(); len(s.Groups) > 0 {
		return s.Groups[0].State
	}
	return ""
}

// has reports whether `ip addr` shows the address on the interface.
func (n *node) has(dev, addr string) bool {
	n.t.Helper()
	return strings.Contains(n.ip("-o addr show dev %s", dev), " "+addr+" ")
}

// eventually waits up to ten seconds and returns how long it took.
func (n *node) eventually(what string, ok func() bool) time.Duration {
	n.t.Helper()
	begin := time.Now()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Since(begin) > 10*time.Second {
			n.t.Fatalf("%s: not %s after 10 s: %+v\n%s", n.ns, what, n.status(), n.ip("-o addr"))
		}
		<-tick.C
	}
	return time.Since(begin)
}
