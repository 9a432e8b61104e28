package track_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/portico-lb/portico/test/lab"
	"github.com/portico-lb/portico/vip/track"
)

// interfaceEnv makes the test binary a process that tracks the interface
// named and prints each verdict on it.
const interfaceEnv = "TRACK_TEST_INTERFACE"

func TestMain(m *testing.M) {
	if name := os.Getenv(interfaceEnv); name != "" {
		os.Exit(trackInterface(name))
	}
	goleak.VerifyTestMain(m)
}

func trackInterface(name string) int {
	rules := []track.Rule{{Watch: track.Watch{Kind: track.Interface, Subject: name, Hold: 300 * time.Millisecond}}}
	tr := track.New(track.Options{Log: slog.New(slog.DiscardHandler)})
	tr.Set(rules, netip.AddrPort{})
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- tr.Run(ctx, func() {}) }()
	for {
		select {
		case <-tr.Changed():
			fmt.Printf("verdict %+v\n", track.Judge(rules, tr.Snapshot()))
		case err := <-done:
			if err != nil {
				fmt.Println(err)
				return 1
			}
			return 0
		}
	}
}

// TestKernelInterface takes a real interface through its life.
func TestKernelInterface(t *testing.T) {
	l := lab.New(t)
	lan := l.Network("lan")
	n := l.Node("n1")
	cmd := n.Command(os.Args[0])
	cmd.Env = append(os.Environ(), interfaceEnv+"=eth1")
	p := cmd.Spawn()
	const held = "interface eth1: up again, and counts when it has stayed so for 300ms"
	// Another tool's steps may show on the way; the last verdict counts.
	says := func(fault string) time.Duration {
		t.Helper()
		begin := time.Now()
		lab.Eventually(t, 5*time.Second, fmt.Sprintf("fault %q", fault), func() error {
			if log := strings.TrimSpace(p.Log()); !strings.HasSuffix(log, "Fault:"+fault+"}") {
				return errors.New(log)
			}
			return nil
		})
		return time.Since(begin)
	}
	says("interface eth1: does not exist")
	n.Attach(lan, "eth1")
	says(held)
	if d := says(""); d < 200*time.Millisecond {
		t.Errorf("up after %v, hold is 300 ms", d)
	}
	lan.Unplug(n)
	if d := says("interface eth1: no carrier"); d > 200*time.Millisecond {
		t.Errorf("the carrier's loss is noticed after %v", d)
	}
	lan.Plug(n)
	says(held)
	says("")
	n.LinkDown("eth1")
	says("interface eth1: down")
	n.LinkUp("eth1")
	says(held)
	says("")
	n.Output("ip", "link", "add", "br0", "type", "bridge") // joining and leaving a bridge is no end
	n.Output("ip", "link", "set", "eth1", "master", "br0")
	n.Output("ip", "link", "set", "eth1", "nomaster")
	n.Output("ip", "link", "del", "eth1")
	says("interface eth1: does not exist")
	if n := strings.Count(p.Log(), "Fault:}"); n != 3 {
		t.Errorf("held %d times, want 3:\n%s", n, p.Log())
	}
	if err := p.Stop(); err != nil {
		t.Error(err)
	}
}

// running is a Tracker in this process.
type running struct {
	*track.Tracker
	t     *testing.T
	rules []track.Rule
	stop  func()
}

func run(t *testing.T, ready netip.AddrPort, rules ...track.Rule) *running {
	r := &running{Tracker: track.New(track.Options{Log: slog.New(slog.DiscardHandler)}), t: t, rules: rules}
	r.Set(rules, ready)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx, func() {}) }()
	r.stop = func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		done <- nil
	}
	t.Cleanup(r.stop)
	return r
}

// says waits until the rules' fault contains the text; "" is none.
func (r *running) says(when, fault string) {
	r.t.Helper()
	lab.Eventually(r.t, 5*time.Second, when, func() error {
		if track.Pending(r.rules, r.Snapshot()) {
			return errors.New("no result")
		}
		v := track.Judge(r.rules, r.Snapshot())
		if fault == "" && v.Fault != "" || !strings.Contains(v.Fault, fault) {
			return fmt.Errorf("fault %q, want %q", v.Fault, fault)
		}
		return nil
	})
}

func command(interval time.Duration, args ...string) track.Rule {
	return track.Rule{Watch: track.Watch{Kind: track.Command, Subject: strings.Join(args, "\x00"),
		Interval: interval, Timeout: interval, Fall: 2, Rise: 1}}
}

func TestCommand(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad")
	r := run(t, netip.AddrPort{}, command(100*time.Millisecond, "/bin/sh", "-c", "test ! -e "+bad+" || { echo no uplink; exit 7; }"))
	r.says("passes", "")
	if err := os.WriteFile(bad, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r.says("fails", "no uplink")
	if s := r.Snapshot().State(r.rules[0].Watch); s.Streak > -2 || !strings.Contains(s.Reason, "7") {
		t.Errorf("%+v", s)
	}
	if err := os.Remove(bad); err != nil {
		t.Fatal(err)
	}
	r.says("passes again", "")
}

// hanging is a command that never ends, and how to look for its process.
func hanging(t *testing.T, interval time.Duration) (rule track.Rule, alive func() error) {
	file := filepath.Join(t.TempDir(), "pid")
	rule = command(interval, "/bin/sh", "-c", "echo $$ > "+file+".new; mv "+file+".new "+file+"; sleep 1000; true")
	return rule, func() error {
		b, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
		if err != nil {
			return err
		}
		return syscall.Kill(-pid, 0) // of its whole group
	}
}

func isGone(alive func() error) func() error {
	return func() error {
		if err := alive(); !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("signal to the command: %v", err)
		}
		return nil
	}
}

func TestHangingCommand(t *testing.T) {
	short, alive := hanging(t, time.Second) // within which a busy machine starts it
	r := run(t, netip.AddrPort{}, short)
	r.says("fails", "timeout")
	r.Set(nil, netip.AddrPort{})
	lab.Eventually(t, 5*time.Second, "end of the command", isGone(alive))

	long, alive := hanging(t, time.Hour)
	r.Set([]track.Rule{long}, netip.AddrPort{})
	lab.Eventually(t, 5*time.Second, "start of the command", alive)
	r.Set(nil, netip.AddrPort{})
	lab.Eventually(t, 5*time.Second, "end of the command with its rule", isGone(alive))

	long, alive = hanging(t, time.Hour)
	r.Set([]track.Rule{long}, netip.AddrPort{})
	lab.Eventually(t, 5*time.Second, "start of the command", alive)
	r.stop()
	lab.Eventually(t, 5*time.Second, "end of the command with Run", isGone(alive))
	if s := r.Snapshot().State(long.Watch); s.Known {
		t.Errorf("its end counts as a result: %+v", s)
	}
}

func TestL7(t *testing.T) {
	var status atomic.Int64
	status.Store(http.StatusOK)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Path != "/ready" {
			t.Errorf("asked for %s", q.URL)
		}
		w.WriteHeader(int(status.Load()))
	}))
	defer server.Close()
	addr := netip.MustParseAddrPort(server.Listener.Addr().String())
	r := run(t, addr, track.Rule{Watch: track.Watch{Kind: track.L7, Interval: 100 * time.Millisecond, Timeout: 100 * time.Millisecond, Fall: 2, Rise: 2}})
	r.says("ready", "")
	status.Store(http.StatusServiceUnavailable)
	r.says("not ready", "l7: status 503, want 200")
	status.Store(http.StatusOK)
	r.says("ready again", "")
	r.Set(r.rules, netip.MustParseAddrPort("127.0.0.1:1"))
	r.says("nobody there", "refused")
	r.Set(r.rules, addr)
	r.says("back at its place", "")
}
