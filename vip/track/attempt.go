package track

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/portico-lb/portico/health"
	"github.com/portico-lb/portico/health/command"
)

// attempt looks once. ready is where the proxy on this node tells whether it
// is ready.
func (w Watch) attempt(ctx context.Context, ready netip.AddrPort) result {
	var r result
	var err error
	switch w.Kind {
	case File:
		r.value, err = readNumber(w.Subject)
	case L7:
		err = health.Probe(ctx, w.readiness(ready))
	case Command:
		ctx, cancel := context.WithTimeout(ctx, w.Timeout)
		defer cancel()
		_, err = command.Command{Args: w.Args(), User: w.User}.Run(ctx)
	}
	if err != nil {
		r.failure = err.Error()
	}
	return r
}

// readiness is the question to the proxy. Fall and rise are counted here.
func (w Watch) readiness(ready netip.AddrPort) health.Check {
	return health.Check{
		Kind: health.HTTP, Target: ready, HTTP: health.HTTPRequest{Path: "/ready", Status: health.StatusRange{Low: 200, High: 200}},
		Interval: w.Interval, Timeout: w.Timeout, Fall: 1, Rise: 1,
	}
}

// maxFile is more than any number takes.
const maxFile = 64

// readNumber reads a file's number, and 0 where there is none.
func readNumber(path string) (int, error) {
	// Without O_NONBLOCK a pipe in the file's place would block for ever.
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return 0, fmt.Errorf("%s is no regular file: write the number to one", path)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return 0, err
	}
	return parseNumber(string(b))
}

// parseNumber takes an integer of the size of a weight; more adds nothing.
func parseNumber(s string) (int, error) {
	s = strings.TrimSpace(s)
	n, err := strconv.Atoi(s)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, fmt.Errorf("%.20q is no integer: write one such as 10 or -50", s)
	}
	return min(max(n, -maxWeight), maxWeight), nil
}
