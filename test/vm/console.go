package main

import (
	"bytes"
	"io"
	"strings"
	"sync"
)

// consoleLines is how much of the guest's console an error shows.
const consoleLines = 80

// A console keeps the end of what a guest's kernel said, without the carriage
// returns of a serial line.
type console struct {
	also io.Writer // gets everything at once, if not nil

	mu   sync.Mutex // qemu's standard error comes here, too
	tail []byte
}

func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	clean := bytes.ReplaceAll(p, []byte("\r"), nil)
	if c.also != nil {
		c.also.Write(clean)
	}
	c.tail = append(c.tail, clean...)
	for n := bytes.Count(c.tail, []byte("\n")); n > consoleLines; n-- {
		c.tail = c.tail[bytes.IndexByte(c.tail, '\n')+1:]
	}
	return len(p), nil
}

// String is the last lines, ready to follow a message.
func (c *console) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	text := strings.TrimSpace(string(c.tail))
	if text == "" {
		return "; its console is empty"
	}
	return "; the end of its console:\n" + text
}
