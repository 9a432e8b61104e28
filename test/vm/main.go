package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Exit statuses of vm itself, those of timeout(1); any other is the program's.
const (
	exitUsage   = 2
	exitTimeout = 124
	exitNoGuest = 125
)

// env is what run takes from the process.
type env struct {
	stdin          *os.File // only -tty reads it
	stdout, stderr io.Writer
	environ        []string
	dir            string // working directory
}

func main() {
	// The death signal of qemu and of a program run in namespaces is bound
	// to the thread that started them, which must therefore live as long as
	// the process.
	runtime.LockOSThread()

	dir, err := os.Getwd()
	if err != nil {
		dir = "/"
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGHUP, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT)
	status := run(ctx, env{os.Stdin, os.Stdout, os.Stderr, os.Environ(), dir}, os.Args[1:])
	stop()
	os.Exit(status)
}

// forwardable is the form of a -forward.
var forwardable = regexp.MustCompile(`^[0-9]{1,5}:[0-9]{1,5}$`)

// options are the command line.
type options struct {
	kernel  string
	root    string
	init    string
	out     string
	share   stringList
	forward stringList
	mem     int
	cpus    int
	counted bool
	timeout time.Duration
	auto    bool
	fetch   bool
	tty     bool
	verbose bool
	program []string
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("vm", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.Usage = func() {
		fmt.Fprintf(stderr, "usage: vm [flags] [--] PROGRAM ARGS...\n       vm -fetch\n\nRun PROGRAM as root under a Debian kernel with IPVS.\n\n")
		f.PrintDefaults()
	}
	f.StringVar(&o.kernel, "kernel", "", "`directory` of a kernel that -fetch made (default: fetch once and cache)")
	f.StringVar(&o.root, "root", "", "`directory` of another root file system; changes to it are lost (default: this machine's)")
	f.StringVar(&o.init, "init", "", "systemd of that root, or \"none\" to start the program without it (default with -root: /sbin/init)")
	f.StringVar(&o.out, "out", "", "`directory` the program may write to for good, under the same path and as $PORTICO_OUT")
	f.Var(&o.share, "share", "`directory` to show read-only under the same path (for -root; repeatable)")
	f.Var(&o.forward, "forward", "`HOST:GUEST`, a port of this machine's loopback and the one of 10.0.2.15 in the guest that it leads to (TCP; repeatable)")
	f.IntVar(&o.mem, "mem", 2048, "memory in `MB`")
	f.IntVar(&o.cpus, "cpus", 2, "number of processors")
	f.BoolVar(&o.counted, "count", false, "let the guest's time be what it executes, an instruction a nanosecond, on one processor: slow, and the same at any load")
	f.DurationVar(&o.timeout, "timeout", 20*time.Minute, "longest time the guest may take")
	f.BoolVar(&o.auto, "auto", false, "run in fresh namespaces of this machine instead, if its kernel has IPVS")
	f.BoolVar(&o.fetch, "fetch", false, "install what is missing, fetch the kernel, print its directory")
	f.BoolVar(&o.tty, "tty", false, "give the program a terminal, for interactive use")
	f.BoolVar(&o.verbose, "v", false, "show the guest's console")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	o.program = f.Args()
	if o.counted {
		o.cpus = 1
	}
	if o.init == "" && o.root != "" {
		o.init = "/sbin/init"
	}
	if o.init == "none" {
		o.init = ""
	}
	switch {
	case len(o.program) == 0 && !o.fetch:
		f.Usage()
		return o, errors.New("no program given")
	case o.init != "" && o.root == "":
		return o, errors.New("-init needs -root: this machine's own systemd would start its services in the guest")
	case slices.ContainsFunc(o.forward, func(f string) bool { return !forwardable.MatchString(f) }):
		return o, errors.New("-forward wants HOST:GUEST, two numbers")
	case o.mem < 256 || o.cpus < 1:
		return o, errors.New("a guest needs 256 MB and one processor at least")
	}
	for _, p := range []*string{&o.kernel, &o.root, &o.out} {
		if err := absolute(p); err != nil {
			return o, err
		}
	}
	for i := range o.share {
		if err := absolute(&o.share[i]); err != nil {
			return o, err
		}
	}
	return o, nil
}

func absolute(p *string) error {
	if *p == "" {
		return nil
	}
	abs, err := filepath.Abs(*p)
	*p = abs
	return err
}

func run(ctx context.Context, e env, args []string) int {
	o, err := parse(args, e.stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintf(e.stderr, "vm: %v\n", err)
		return exitUsage
	}
	status, err := o.run(ctx, e)
	if err != nil {
		fmt.Fprintf(e.stderr, "vm: %v\n", err)
	}
	return status
}

func (o options) run(ctx context.Context, e env) (int, error) {
	// Fresh namespaces have nothing that a port could be forwarded by.
	if o.auto && !o.counted && o.root == "" && len(o.forward) == 0 && hostHasIPVS() {
		return o.runHere(ctx, e)
	}
	if runtime.GOARCH != "amd64" {
		return exitNoGuest, fmt.Errorf("the guest is an amd64 machine, this one is %s", runtime.GOARCH)
	}
	cache, err := cacheDir(e)
	if err != nil {
		return exitNoGuest, err
	}
	say := func(format string, a ...any) { fmt.Fprintf(e.stderr, "vm: "+format+"\n", a...) }
	if err := ensureTools(ctx, say); err != nil {
		return exitNoGuest, err
	}
	k, err := findKernel(ctx, o.kernel, cache, say)
	if err != nil {
		return exitNoGuest, err
	}
	if o.fetch && len(o.program) == 0 {
		fmt.Fprintln(e.stdout, k.dir)
		return 0, nil
	}
	unlock, err := lock(ctx, filepath.Join(cache, "guest.lock"), func() { say("waiting for another guest to end") })
	if err != nil {
		return exitNoGuest, err
	}
	defer unlock()
	return o.runGuest(ctx, e, k)
}

// cacheDir is where kernels are kept: $PORTICO_CACHE, or portico in the
// user's cache directory.
func cacheDir(e env) (string, error) {
	dir := lookup(e.environ, "PORTICO_CACHE")
	if dir == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("cache directory: %w; set PORTICO_CACHE", err)
		}
		dir = filepath.Join(user, "portico")
	}
	return dir, os.MkdirAll(dir, 0o755)
}

func lookup(environ []string, key string) string {
	for _, kv := range environ {
		if v, ok := strings.CutPrefix(kv, key+"="); ok {
			return v
		}
	}
	return ""
}

// stringList is a flag that may be repeated.
type stringList []string

func (l *stringList) String() string     { return strings.Join(*l, " ") }
func (l *stringList) Set(s string) error { *l = append(*l, s); return nil }
