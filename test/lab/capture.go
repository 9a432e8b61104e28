package lab

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// A Capture is tcpdump looking at an interface.
type Capture struct {
	proc *Proc
}

// Capture starts tcpdump on an interface and returns when it sees packets.
// The filter is in its language: "vrrp", "arp", "tcp port 80".
func (n *Node) Capture(ifname string, filter ...string) *Capture {
	n.lab.t.Helper()
	// Packets of any size in the least buffer would leave room for some thirty of them.
	args := append([]string{"-n", "-e", "-t", "-l", "--immediate-mode", "-s", "2048", "-B", "8192", "-Z", "root", "-i", ifname}, filter...)
	c := &Capture{n.Start("tcpdump", args...)}
	c.proc.WaitLog("listening on", 30*time.Second)
	return c
}

// Lines is what has been seen so far, a line a packet, with link addresses.
func (c *Capture) Lines() []string {
	var lines []string
	for line := range strings.Lines(c.proc.Log()) {
		// Packets begin with a link address, continuation lines with a tab,
		// what tcpdump says of itself with a word.
		if strings.Count(strings.SplitN(line, " ", 2)[0], ":") == 5 {
			lines = append(lines, strings.TrimSuffix(line, "\n"))
		}
	}
	return lines
}

// Wait waits for a packet whose line contains text and returns the line.
func (c *Capture) Wait(text string, within time.Duration) string {
	t := c.proc.cmd.node.lab.t
	t.Helper()
	var found string
	Eventually(t, within, fmt.Sprintf("%s: packet %q", c.proc, text), func() error {
		for _, line := range c.Lines() {
			if strings.Contains(line, text) {
				found = line
				return nil
			}
		}
		return fmt.Errorf("not in:\n%s", c.proc.tail())
	})
	return found
}

// Stop ends the capture and returns all lines.
func (c *Capture) Stop() []string {
	c.proc.Signal(os.Interrupt) // tcpdump then writes what it holds
	c.proc.Wait()
	return c.Lines()
}
