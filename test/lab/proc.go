package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// tailLines is how much of a program's log a failed test shows.
const tailLines = 60

// stopTime is how long a program may take from SIGTERM to its end.
const stopTime = 10 * time.Second

// A Proc is a program running inside a node. Its output goes to a log.
type Proc struct {
	cmd   *Cmd
	log   string // file
	began time.Time
	done  chan struct{}
	err   error // how it ended; to be read after done
}

// Start starts a program inside the node that runs until it ends by itself, is
// stopped, or the test ends. A failed test shows the end of its log.
func (n *Node) Start(name string, args ...string) *Proc {
	n.lab.t.Helper()
	return n.Command(name, args...).Spawn()
}

// Spawn starts the program as Node.Start does, for a program that needs an
// environment or a directory.
func (c *Cmd) Spawn() *Proc {
	l := c.node.lab
	l.t.Helper()
	f, err := os.CreateTemp(c.node.dir, filepath.Base(c.Path)+"-*.log")
	c.node.check("log", err)
	defer f.Close() // the program has its own
	p := &Proc{cmd: c, log: f.Name(), began: time.Now(), done: make(chan struct{})}
	c.Stdout, c.Stderr = f, f
	c.node.check("start "+c.Path, c.Start())
	l.mu.Lock()
	defer l.mu.Unlock()
	l.procs = append(l.procs, p)
	l.wg.Go(func() {
		defer close(p.done)
		p.err = c.Wait()
	})
	return p
}

// String names the program, its node and process.
func (p *Proc) String() string {
	return fmt.Sprintf("%s: %s[%d]", p.cmd.node.name, filepath.Base(p.cmd.Path), p.Pid())
}

// Began is when the program was started.
func (p *Proc) Began() time.Time { return p.began }

// Pid is the program's own process.
func (p *Proc) Pid() int { return p.cmd.Process.Pid }

// Log is what the program has written so far.
func (p *Proc) Log() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func (p *Proc) tail() string {
	lines := strings.Split(strings.TrimSpace(p.Log()), "\n")
	return strings.Join(lines[max(0, len(lines)-tailLines):], "\n")
}

// Done is closed when the program has ended.
func (p *Proc) Done() <-chan struct{} { return p.done }

// Wait waits for the program to end and returns how.
func (p *Proc) Wait() error {
	<-p.done
	return p.err
}

// Signal sends the program a signal; one that has ended is not an error.
func (p *Proc) Signal(sig os.Signal) {
	p.cmd.node.lab.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.cmd.node.check("signal", err)
	}
}

// Kill ends the program by SIGKILL and waits for its end.
func (p *Proc) Kill() {
	p.cmd.node.lab.t.Helper()
	p.Signal(syscall.SIGKILL)
	<-p.done
}

// Stop ends the program by SIGTERM, or after ten seconds by SIGKILL, and
// returns how it ended.
func (p *Proc) Stop() error {
	p.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(stopTime):
		p.cmd.node.lab.t.Logf("%s: still there %v after SIGTERM, killed", p, stopTime)
		p.Kill()
	}
	return p.err
}

// WaitLog waits for text in the program's log.
func (p *Proc) WaitLog(text string, within time.Duration) {
	t := p.cmd.node.lab.t
	t.Helper()
	Eventually(t, within, fmt.Sprintf("%s: log line %q", p, text), func() error {
		select {
		case <-p.done:
			t.Fatalf("%s: ended (%v) before it said %q:\n%s", p, p.err, text, p.tail())
		default:
		}
		if strings.Contains(p.Log(), text) {
			return nil
		}
		return fmt.Errorf("not in:\n%s", p.tail())
	})
}
