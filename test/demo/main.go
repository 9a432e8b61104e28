package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

// env is what run takes from the process.
type env struct {
	stdin, stdout *os.File
	stderr        io.Writer
	self          string // the program's own path
	outDir        string // $PORTICO_OUT
}

func main() {
	// The death signal of the program started is bound to this thread.
	runtime.LockOSThread()

	self, err := os.Executable()
	if err != nil {
		fmt.Fprintf(os.Stderr, "demo: %v\n", err)
		os.Exit(1)
	}
	os.Exit(run(env{os.Stdin, os.Stdout, os.Stderr, self, os.Getenv("PORTICO_OUT")}, os.Args[1:]))
}

// options are the command line.
type options struct {
	portico, vm string
	hold        bool
	// What the program tells itself when it starts itself again.
	inside, color, keyboard bool
}

func parse(args []string, e env) (options, error) {
	var o options
	bin := filepath.Dir(e.self)
	f := flag.NewFlagSet("demo", flag.ContinueOnError)
	f.SetOutput(e.stderr)
	f.StringVar(&o.portico, "portico", filepath.Join(bin, "portico"), "the `program` to show")
	f.StringVar(&o.vm, "vm", filepath.Join(bin, "vm"), "the `program` that gives it a kernel")
	f.BoolVar(&o.hold, "hold", false, "keep the edge up afterwards")
	f.BoolVar(&o.inside, "inside", false, "build the edge here, in this kernel (set by the program itself)")
	f.BoolVar(&o.color, "color", isTerminal(e.stdout), "write for a terminal")
	f.BoolVar(&o.keyboard, "keyboard", isTerminal(e.stdin) && isTerminal(e.stdout), "somebody is there to type")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("%q: no arguments are taken, only flags", f.Arg(0))
	}
	for _, program := range []*string{&o.portico, &o.vm} {
		abs, err := filepath.Abs(*program)
		if err != nil {
			return o, err
		}
		if _, err := os.Stat(abs); err != nil {
			return o, fmt.Errorf("%w: run make demo, which builds it", err)
		}
		*program = abs
	}
	return o, nil
}

func run(e env, args []string) int {
	o, err := parse(args, e)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintf(e.stderr, "demo: %v\n", err)
		return 2
	case o.inside:
		return o.show(e)
	default:
		return o.launch(e)
	}
}

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}
