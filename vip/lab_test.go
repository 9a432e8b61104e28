package vip_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/portico-lb/portico/test/lab"
	"github.com/portico-lb/portico/vip"
)

// nodeEnv makes the test binary a node: a process that runs a Manager with the
// sections of the file named, in whatever network namespace it was started.
const nodeEnv = "VIP_TEST_NODE"

func TestMain(m *testing.M) {
	if dir := os.Getenv(nodeEnv); dir != "" {
		os.Exit(runNode(dir))
	}
	// The nodes of a laboratory wait for most of their time.
	flag.Parse()
	if err := flag.Set("test.parallel", "4"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// runNode serves dir/config.json, reads it again on SIGHUP, writes
// dir/status.json on every change and dir/sync on every Sync, ends on SIGTERM.
// While there is a dir/slow, Sync takes all the time there is.
func runNode(dir string) int {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	opts := vip.Options{Log: log, StateDir: dir + "/state", Sync: func(ctx context.Context) {
		if _, err := os.Stat(dir + "/slow"); err == nil {
			<-ctx.Done()
		}
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
		c := vip.Parse(ss, vip.Local{Interface: "eth0", Ready: netip.MustParseAddrPort("127.0.0.1:9181")}, os.ReadFile, func(key, problem string) { faults = append(faults, key+": "+problem) })
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

// node is one machine of a laboratory that runs a Manager.
type node struct {
	*lab.Node
	t    *testing.T
	proc *lab.Proc
}

// newNodes returns a network of n nodes, which have 192.0.2.N and 2001:db8::N
// on eth0.
func newNodes(t *testing.T, n int) (*lab.Lab, *lab.Network, []*node) {
	t.Helper()
	l := lab.New(t)
	lan := l.Network("lan")
	var nodes []*node
	for i := range n {
		x := &node{Node: l.Node(fmt.Sprintf("n%d", i+1)), t: t}
		x.Attach(lan, "eth0", fmt.Sprintf("192.0.2.%d/24", i+1), fmt.Sprintf("2001:db8::%d/64", i+1))
		nodes = append(nodes, x)
	}
	return l, lan, nodes
}

// configure writes the sections, and has a running process read them.
func (n *node) configure(ss ...vip.Section) {
	n.t.Helper()
	b, _ := json.Marshal(ss)
	if err := os.WriteFile(n.Dir()+"/config.json", b, 0o644); err != nil {
		n.t.Fatal(err)
	}
	if n.proc != nil {
		n.proc.Signal(syscall.SIGHUP)
	}
}

// start runs a Manager in the node.
func (n *node) start(ss ...vip.Section) {
	n.t.Helper()
	n.proc = nil
	n.configure(ss...)
	_ = os.Remove(n.Dir() + "/status.json")
	cmd := n.Command(os.Args[0])
	cmd.Env = append(os.Environ(), nodeEnv+"="+n.Dir())
	n.proc = cmd.Spawn()
	n.eventually("running", func() bool { return len(n.status().Groups) > 0 })
}

// shown is the status as a reader of its JSON sees it.
type shown struct {
	LastError string `json:"last_error"`
	BGP       struct {
		Sessions []struct {
			State, BFD string
			Announced  int
		}
	}
	Groups []shownGroup
}

type shownGroup struct {
	Name        string
	State       string
	Owned       bool
	Adopting    bool
	Reason      string
	Since       time.Time
	Active      string
	Transitions int
	Sent        int            `json:"adverts_sent"`
	Received    int            `json:"adverts_received"`
	Dropped     map[string]int `json:"dropped"`
	Mismatches  map[string]int
	LastError   string `json:"last_error"`
	Duplicates  []struct{ Address, MAC string }
	History     []vip.Transition
}

func (n *node) status() (s shown) {
	b, err := os.ReadFile(n.Dir() + "/status.json")
	if err == nil {
		_ = json.Unmarshal(b, &s)
	}
	return s
}

// group is the status of the first group.
func (n *node) group() shownGroup {
	if s := n.status(); len(s.Groups) > 0 {
		return s.Groups[0]
	}
	return shownGroup{}
}

// is reports whether the first group has the state, and `ip addr` agrees about
// who has the address.
func (n *node) is(state, address string) func() bool {
	return func() bool {
		return n.group().State == state && n.shows("lo", address) && n.shows("eth0", address) == (state == "Active")
	}
}

// shows reports whether `ip addr` shows the address on the interface.
func (n *node) shows(dev, address string) bool {
	n.t.Helper()
	return strings.Contains(n.Output("ip", "-o", "addr", "show", "dev", dev), " "+address+" ")
}

// eventually waits and returns how long it took.
func (n *node) eventually(what string, ok func() bool) time.Duration {
	n.t.Helper()
	begin := time.Now()
	lab.Eventually(n.t, 10*time.Second, n.Name()+" "+what, func() error {
		if ok() {
			return nil
		}
		return fmt.Errorf("status %+v\n%s", n.status(), n.Output("ip", "-o", "addr"))
	})
	return time.Since(begin)
}
