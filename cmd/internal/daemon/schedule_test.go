package daemon

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
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
		if err := beRealtime(); err != nil {
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
