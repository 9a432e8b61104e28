package lab

import (
	"bytes"
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"syscall"

	"github.com/vishvananda/netns"
)

// A Cmd is an exec.Cmd that runs inside a node, with a /sys that shows the
// node's interfaces. Its process is the program itself and dies with the test.
type Cmd struct {
	*exec.Cmd
	node   *Node
	exited chan struct{}
}

// Command prepares to run a program inside the node.
func (n *Node) Command(name string, args ...string) *Cmd {
	c := exec.CommandContext(n.lab.ctx, name, args...)
	// A group of its own, so that a terminal's interrupt reaches the test
	// alone, which then ends its programs in order.
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	return &Cmd{c, n, make(chan struct{})}
}

// Start starts the program; Wait must follow.
func (c *Cmd) Start() error {
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked, which ends the thread
		err := c.startHere()
		started <- err
		if err == nil {
			<-c.exited // the death signal comes when this thread ends
		}
	}()
	return <-started
}

func (c *Cmd) startHere() error {
	if err := netns.Set(c.node.fd); err != nil {
		return fmt.Errorf("enter namespace %s: %w", c.node.name, err)
	}
	if err := ownSys(); err != nil {
		return err
	}
	return c.Cmd.Start()
}

// Wait waits for the program to end.
func (c *Cmd) Wait() error {
	defer close(c.exited)
	return c.Cmd.Wait()
}

// Run starts the program and waits for it.
func (c *Cmd) Run() error {
	if err := c.Start(); err != nil {
		return err
	}
	return c.Wait()
}

// CombinedOutput runs the program and returns what it wrote to standard output
// and standard error.
func (c *Cmd) CombinedOutput() ([]byte, error) {
	var b bytes.Buffer
	c.Stdout, c.Stderr = &b, &b
	err := c.Run()
	return b.Bytes(), err
}

// Output runs the program and returns what it wrote to standard output.
func (c *Cmd) Output() ([]byte, error) {
	var b bytes.Buffer
	c.Stdout = &b
	err := c.Run()
	return b.Bytes(), err
}

// Output runs a program inside the node and returns what it wrote. A program
// that fails ends the test.
func (n *Node) Output(name string, args ...string) string {
	n.lab.t.Helper()
	out, err := n.Command(name, args...).CombinedOutput()
	if err != nil {
		n.lab.t.Fatalf("%s: %s %s: %v\n%s", n.name, name, strings.Join(args, " "), err, out)
	}
	return string(out)
}
