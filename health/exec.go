package health

import (
	"context"
	"fmt"
	"strings"

	"github.com/portico-lb/portico/health/command"
)

// A Program is what a check of kind Exec runs.
type Program struct {
	// Args are the program and its arguments, each followed by a zero byte: a
	// slice would make checks incomparable.
	Args string
	// User is whom it runs as; "" is the director's own user.
	User string
}

func joinArgs(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return strings.Join(args, "\x00") + "\x00"
}

func (p Program) args() []string { return strings.Split(strings.TrimSuffix(p.Args, "\x00"), "\x00") }

// probeExec runs the program, which is told whom it is about in its
// environment.
func probeExec(ctx context.Context, c Check) (output string, err error) {
	return command.Command{
		Args: c.Exec.args(),
		User: c.Exec.User,
		Env: []string{
			"PORTICO_ADDRESS=" + c.Target.Addr().String(),
			fmt.Sprintf("PORTICO_PORT=%d", c.Target.Port()),
		},
	}.Run(ctx)
}
