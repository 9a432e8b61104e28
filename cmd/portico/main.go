// Command portico is a Kubernetes edge node's one daemon: it owns the virtual
// address, balances its connections over the edge nodes and proxies them to
// Pods.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/portico-lb/portico/cmd/internal/config"
)

// Exit statuses, as man portico.1 lists them.
const (
	exitOK     = 0
	exitFailed = 1 // it did not work, or the file has faults
	exitUsage  = 2 // the command line is wrong
)

// An env is everything a command takes from its process.
type env struct {
	stdout, stderr io.Writer
	// args is the command line.
	args []string
	// reload gets SIGHUP, reopen SIGUSR1, upgrade SIGUSR2.
	reload, reopen, upgrade <-chan os.Signal
}

// An errUsage is a wrong command line.
type errUsage struct{ error }

// errSilent fails a command that has said why already.
var errSilent = errors.New("")

func main() { os.Exit(runProcess()) }

// runProcess runs this process's command line until it ends or a signal ends it.
func runProcess() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	reload, reopen, upgrade := make(chan os.Signal, 1), make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	signal.Notify(reopen, syscall.SIGUSR1)
	signal.Notify(upgrade, syscall.SIGUSR2)
	return run(ctx, env{
		stdout: os.Stdout, stderr: os.Stderr, args: os.Args[1:],
		reload: reload, reopen: reopen, upgrade: upgrade,
	})
}

// run executes one command line and returns the exit status.
func run(ctx context.Context, e env) int {
	root := rootCommand(e)
	root.SetArgs(e.args)
	err := root.ExecuteContext(ctx)
	var usage errUsage
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usage):
		fmt.Fprintf(e.stderr, "portico: %v\nRun 'portico --help' for usage.\n", err)
		return exitUsage
	case !errors.Is(err, errSilent):
		fmt.Fprintf(e.stderr, "portico: %v\n", err)
	}
	return exitFailed
}

func rootCommand(e env) *cobra.Command {
	root := &cobra.Command{
		Use:           "portico",
		Short:         "VIP, IPVS and Ingress proxy for Kubernetes edge nodes",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          unknownCommand,
		RunE: func(c *cobra.Command, _ []string) error {
			return c.Help()
		},
	}
	root.SuggestionsMinimumDistance = 2
	root.SetOut(e.stdout)
	root.SetErr(e.stderr)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return errUsage{err} })
	path := root.PersistentFlags().StringP("config", "c", config.DefaultPath, "configuration file")
	root.AddCommand(runCommand(e, path), checkCommand(e, path), statusCommand(e, path), drainCommand(e, path), undrainCommand(e, path), denyCommand(e, path), flushCommand(e, path),
		routesCommand(e, path), explainCommand(e, path), diffCommand(e, path), doctorCommand(e, path), importCommand(e), realtimeCommand(), versionCommand(e))
	return root
}

// unknownCommand refuses a verb that does not exist, and says which was
// probably meant.
func unknownCommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	err := fmt.Errorf("unknown command %q", args[0])
	if near := c.SuggestionsFor(args[0]); len(near) > 0 {
		err = fmt.Errorf("%w, did you mean %s?", err, strings.Join(near, " or "))
	}
	return errUsage{err}
}

// noArgs refuses arguments that a command does not take.
func noArgs(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return errUsage{fmt.Errorf("%s takes no argument %q", c.CommandPath(), args[0])}
	}
	return nil
}
