package daemon

import (
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/portico-lb/portico/vip"
)

// realtimeEnv makes the test binary a program that is realtime, or not, and
// says what its threads are.
const realtimeEnv = "DAEMON_TEST_REALTIME"

func TestMain(m *testing.M) {
	want, child := os.LookupEnv(realtimeEnv)
	if !child {
		os.Exit(m.Run())
	}
	if want == "yes" {
		if err := BeRealtime(os.Getpid()); err != nil {
			fmt.Println(err)
		}
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	mu.Lock()
	for range 8 { // threads that start only now
		wg.Go(func() {
			runtime.LockOSThread()
			mu.Lock()
			defer mu.Unlock()
			attr, err := unix.SchedGetAttr(0, 0)
			fmt.Println("policy", attr.Policy, "priority", attr.Priority, err)
		})
	}
	mu.Unlock()
	wg.Wait()
}

// TestHurryRefused: adverts that come fast are told of a limit that keeps them
// from being punctual, others need no realtime.
func TestHurryRefused(t *testing.T) {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_RTPRIO, &l); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_RTPRIO, &unix.Rlimit{Max: l.Max}); err != nil {
		t.Fatal(err)
	}
	defer unix.Setrlimit(unix.RLIMIT_RTPRIO, &l)
	for _, c := range []struct {
		every   time.Duration
		systemd string
		warned  bool
	}{
		{10 * time.Millisecond, "", true},
		{10 * time.Millisecond, "/run/systemd/notify", false},
		{time.Second, "", false},
	} {
		t.Setenv("NOTIFY_SOCKET", c.systemd)
		var out strings.Builder
		hurry(slog.New(slog.NewTextHandler(&out, nil)), []vip.Group{{Owner: vip.OwnerVRRP, VRRP: vip.VRRP{AdvertInterval: c.every}}})
		if got := strings.Contains(out.String(), "portico realtime"); got != c.warned {
			t.Errorf("%+v: warned %v: %s", c, got, out.String())
		}
	}
}

// TestRealtime: what a process asks for holds for all of its threads.
func TestRealtime(t *testing.T) {
	if out, err := exec.Command("chrt", "-r", "1", "true").CombinedOutput(); err != nil {
		t.Skipf("no realtime scheduling here: %v: %s", err, out)
	}
	for want, shows := range map[string]string{
		"yes": "policy 2 priority 1 <nil>\n",
		"no":  "policy 0 priority 0 <nil>\n",
	} {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), realtimeEnv+"="+want)
		out, err := cmd.CombinedOutput()
		if err != nil || string(out) != strings.Repeat(shows, 8) {
			t.Errorf("realtime %s: want 8 times %q, got %v\n%s", want, shows, err, out)
		}
	}
}
