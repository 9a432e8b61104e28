package notify

import (
	"context"
	"slices"

	"github.com/portico-lb/portico/health/command"
)

// An Exec is a program that is started for each event, one at a time and in
// order, with the event in its environment and as JSON on standard input.
type Exec struct {
	// Command is the program's absolute path and its arguments; no shell.
	Command []string
	// User runs it; empty means the daemon's own.
	User string
	// KeepalivedArgs appends the four arguments of keepalived's notify.
	KeepalivedArgs bool
}

func (x Exec) send(ctx context.Context, e Event) error {
	stdin, err := e.json()
	if err != nil {
		return permanentError{err}
	}
	args := slices.Clone(x.Command)
	if x.KeepalivedArgs {
		args = append(args, e.keepalivedArgs()...)
	}
	_, err = command.Command{Args: args, User: x.User, Env: e.environment(), Stdin: stdin}.Run(ctx)
	return err
}
