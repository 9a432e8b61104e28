package apart_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/portico-lb/portico/internal/apart"
)

// realtimeEnv makes the test binary a realtime program that does something
// apart, and says on which threads.
const realtimeEnv = "APART_TEST_REALTIME"

func TestMain(m *testing.M) {
	if os.Getenv(realtimeEnv) == "" {
		os.Exit(m.Run())
	}
	policy := func() string {
		attr, err := unix.SchedGetAttr(0, 0)
		if err != nil {
			return err.Error()
		}
		return fmt.Sprint(attr.Policy)
	}
	runtime.LockOSThread()
	fmt.Println("main", policy())
	for range 20 {
		ids := make(chan int, 1)
		err := apart.Do(func() error {
			fmt.Println("apart", policy())
			ids <- unix.Gettid()
			return nil
		})
		if id := <-ids; err != nil || id == os.Getpid() {
			fmt.Println("on the main thread, or", err)
		}
	}
	fmt.Println("main", policy())
}

// TestRealtime does things apart from a realtime process, whose threads stay
// realtime.
func TestRealtime(t *testing.T) {
	c := exec.Command("chrt", "-r", "1", os.Args[0])
	c.Env = append(os.Environ(), realtimeEnv+"=1")
	out, err := c.CombinedOutput()
	if err != nil && strings.Contains(string(out), "Operation not permitted") && os.Getenv("PORTICO_LAB") == "" {
		t.Skipf("no realtime scheduling here: %s", out)
	}
	if want := "main 2\n" + strings.Repeat("apart 0\n", 20) + "main 2\n"; err != nil || string(out) != want {
		t.Errorf("%v, %q, want %q", err, out, want)
	}
}

// TestError: what went wrong is told.
func TestError(t *testing.T) {
	fault := errors.New("fault")
	if err := apart.Do(func() error { return fault }); err != fault {
		t.Errorf("got %v", err)
	}
}
