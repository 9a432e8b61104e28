package l4

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/google/renameio/v2"
)

// Drains are the targets that an operator took out of service, with the time
// of the order. A target is the name of a server, its address, its address and
// port, or one of these behind "SERVICE/".
type Drains map[string]time.Time

// since returns when the server was first taken out of service by any of the
// targets, and the zero time where none means it.
func (d Drains) since(s Service, r Server) (first time.Time) {
	for target, at := range d {
		if means(target, s, r) && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	return first
}

func means(target string, s Service, r Server) bool {
	if service, rest, ok := strings.Cut(target, "/"); ok {
		if service != s.Name {
			return false
		}
		target = rest
	}
	if target == "" {
		return false
	}
	if a, err := netip.ParseAddr(target); err == nil {
		return a.Unmap() == r.Addr.Addr()
	}
	return target == r.Name || target == r.Addr.String()
}

// keptOrders is how many of the latest orders a status tells.
const keptOrders = 32

// ErrNoServer is returned by Drain for a target that no server is.
var ErrNoServer = errors.New("no server is meant")

// Drain takes the servers that target means out of service, or with off gives
// them back, and keeps that in the drain file. It concerns what this director
// balances; others are not told. A target that means nobody any more can still
// be given back.
func (r *Reconciler) Drain(target string, off bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.loadDrains()
	_, stands := r.drains[target]
	switch {
	case off && !stands:
		return fmt.Errorf("%q is not drained: drained are %q", target, slices.Sorted(maps.Keys(r.drains)))
	case !off && !r.cfg.has(target):
		return fmt.Errorf("%w by %q: write a server's name, ADDRESS or ADDRESS:PORT, or SERVICE/ before one", ErrNoServer, target)
	}
	drains := Drains{}
	maps.Copy(drains, r.drains)
	if off {
		delete(drains, target)
	} else if !stands {
		drains[target] = time.Now()
	}
	// Written before it counts: an order that is forgotten at the next start
	// is worse than one that is refused now.
	if err := drains.write(r.opt.DrainFile); err != nil {
		return fmt.Errorf("remember the drain: %w", err)
	}
	r.drains = drains
	if stands == off {
		r.orders = append(r.orders[max(0, len(r.orders)+1-keptOrders):], DrainOrder{
			Seq: r.ordered + 1, At: time.Now(), Target: target, Drained: !off,
		})
		r.ordered++
	}
	r.opt.Log.Info("drain", "target", target, "on", !off)
	r.Kick()
	return nil
}

// loadDrains reads the drain file, once. r.mu is held.
func (r *Reconciler) loadDrains() {
	if r.drains != nil {
		return
	}
	var err error
	if r.drains, err = readDrains(r.opt.DrainFile); err != nil {
		r.opt.Log.Error("drains cannot be read whole, order again those that are missing", "err", err)
	}
}

func (r *Reconciler) drained() Drains {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.loadDrains()
	return r.drains
}

func (c Config) has(target string) bool {
	return slices.ContainsFunc(c.Services, func(s Service) bool {
		return slices.ContainsFunc(s.Servers, func(r Server) bool { return means(target, s, r) })
	})
}

// readDrains reads the file at path; a missing file is no drains. What can be
// read counts, whatever else is in the file.
func readDrains(path string) (Drains, error) {
	text, unread := readLines(path)
	drains, err := parseDrains(text)
	if err != nil {
		err = fmt.Errorf("%s: %w", path, err)
	}
	return drains, errors.Join(unread, err)
}

// parseDrains reads a file's text, "TIME TARGET" a line.
func parseDrains(text []byte) (Drains, error) {
	drains := Drains{}
	return drains, eachLine(text, func(line string) error {
		at, target, _ := strings.Cut(line, " ")
		t, err := time.Parse(time.RFC3339, at)
		if err == nil && target == "" {
			err = fmt.Errorf("%q drains nobody", line)
		}
		if err != nil {
			return err
		}
		drains[target] = t
		return nil
	})
}

func (d Drains) write(path string) error { return renameio.WriteFile(path, d.text(), 0o600) }

func (d Drains) text() []byte {
	var b bytes.Buffer
	for _, t := range slices.Sorted(maps.Keys(d)) {
		fmt.Fprintln(&b, d[t].UTC().Format(time.RFC3339), t)
	}
	return b.Bytes()
}
