package cluster

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// A process is one server of the control plane. The pipe to its standard input
// is its lifeline: it ends when this program does.
type process struct {
	name string
	log  string
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended and been waited for
}

func (c *Cluster) start(verb string, args ...string) (*process, error) {
	p := &process{
		name: verb,
		log:  filepath.Join(c.opts.Dir, verb+".log"),
		cmd:  exec.Command(c.binary, append([]string{verb}, args...)...),
		done: make(chan struct{}),
	}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p.cmd.Dir = c.opts.Dir
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if _, err := p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := c.opts.Do(p.cmd.Start); err != nil {
		return nil, fmt.Errorf("start %s: %w", verb, err)
	}
	go func() { // kill waits for it
		_ = p.cmd.Wait() // ProcessState says how it ended
		close(p.done)
	}()
	return p, nil
}

// wait returns when probe has succeeded, or the end of the log when the process
// ended or ctx did.
func (p *process) wait(ctx context.Context, probe func(context.Context) error) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := probe(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s ended: %v\n%s", p.name, p.cmd.ProcessState, tail(p.log))
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w: %w\n%s", p.name, ctx.Err(), err, tail(p.log))
		case <-tick.C:
		}
	}
}

// kill ends the process at once; a graceful end of either server takes seconds
// and saves nothing. A nil or ended process is no error.
func (p *process) kill() error {
	if p == nil {
		return nil
	}
	select {
	case <-p.done:
		return nil
	default:
	}
	if err := p.cmd.Process.Kill(); err != nil {
		return fmt.Errorf("kill %s: %w", p.name, err)
	}
	<-p.done
	return nil
}

func tail(path string) []byte {
	content, _ := os.ReadFile(path)
	lines := bytes.SplitAfter(content, []byte("\n"))
	return bytes.Join(lines[max(0, len(lines)-10):], nil)
}
