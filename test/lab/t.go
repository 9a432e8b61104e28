package lab

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"
)

// T is what a laboratory wants of a test; *testing.T is one.
type T interface {
	Helper()
	Logf(format string, args ...any)
	Fatalf(format string, args ...any)
	Skipf(format string, args ...any)
	Failed() bool
	Cleanup(func())
}

// Run gives a program that is no test, such as a demonstration, a T for body.
// It writes what body logs to w, and returns when body's cleanups have run:
// with the message that body was ended with by Fatalf or Skipf, or nil.
func Run(w io.Writer, body func(T)) error {
	t := &standalone{w: w}
	var wg sync.WaitGroup
	// A goroutine of its own, because Fatalf ends it.
	wg.Go(func() {
		defer func() {
			for _, f := range slices.Backward(t.cleanups) {
				f()
			}
		}()
		body(t)
	})
	wg.Wait()
	return t.err
}

type standalone struct {
	w        io.Writer
	err      error
	cleanups []func()
}

func (*standalone) Helper() {}

func (t *standalone) Logf(format string, args ...any) { fmt.Fprintf(t.w, format+"\n", args...) }

func (t *standalone) Fatalf(format string, args ...any) {
	t.err = fmt.Errorf(format, args...)
	runtime.Goexit()
}

func (t *standalone) Skipf(format string, args ...any) { t.Fatalf(format, args...) }
func (t *standalone) Failed() bool                     { return t.err != nil }
func (t *standalone) Cleanup(f func())                 { t.cleanups = append(t.cleanups, f) }

// NeedIPVS skips the test if the kernel has no IPVS. In the laboratory
// (PORTICO_LAB=1) that is a failure.
func NeedIPVS(t T) {
	t.Helper()
	if _, err := os.Stat("/proc/thread-self/net/ip_vs"); err != nil {
		skip(t, "this kernel has no IPVS (modprobe ip_vs, or run by test/vm)")
	}
}

func skip(t T, reason string) {
	t.Helper()
	if os.Getenv("PORTICO_LAB") == "1" {
		t.Fatalf("%s", reason)
	}
	t.Skipf("%s", reason)
}

// Eventually ends the test unless cond returns nil within the time given. what
// names what is waited for.
func Eventually(t T, within time.Duration, what string, cond func() error) {
	t.Helper()
	deadline := time.Now().Add(within)
	for {
		err := cond()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v: %v", what, within, err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
