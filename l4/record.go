package l4

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/renameio/v2"
)

// A record is what this node has changed in the dataplane, kept in a file so
// that a service that leaves the configuration while the daemon is down is
// still known for ours when it starts again, and Flush can put everything
// back. It belongs under /run: the kernel's tables do not outlive a boot either.
type record struct {
	// keys are the services that were programmed.
	keys map[Key]past
	// found are the sysctls that were set, with their values before that.
	found map[string]int
	// timeouts are those that were set, as they were before that.
	timeouts Timeouts
	// leaving are the servers that drain, with the time at which they go.
	leaving map[ServerKey]time.Time
	// daemons are the sync daemons that were started.
	daemons map[Role]Daemon
}

func newRecord() record {
	return record{keys: map[Key]past{}, found: map[string]int{}, leaving: map[ServerKey]time.Time{}, daemons: map[Role]Daemon{}}
}

// readRecord reads the file at path; a missing file is an empty record. What
// can be read counts, whatever else is in the file.
func readRecord(path string) (record, error) {
	text, unread := readLines(path)
	rec, err := parseRecord(text)
	if err != nil {
		err = fmt.Errorf("%s: %w", path, err)
	}
	return rec, errors.Join(unread, err)
}

// parseRecord reads a file's text, one entry a line.
func parseRecord(text []byte) (record, error) {
	rec := newRecord()
	err := eachLine(text, rec.add)
	return rec, err
}

// add takes in one line of the file: a key, "drain 1m0s tcp 192.0.2.10:80",
// "owner 192.0.2.10 fwmark 7", "sysctl sloppy_tcp 0", "timeouts 15m0s 0s 5m0s"
// with 0s for one that was not set, "leaving 1763000000 10.0.0.1:80 tcp
// 192.0.2.10:80", or "sync master eth0 51 224.0.0.81 8848 1 0".
func (r *record) add(line string) error {
	kind, rest, _ := strings.Cut(line, " ")
	switch kind {
	case "sysctl":
		name, value, _ := strings.Cut(rest, " ")
		n, err := strconv.Atoi(value)
		if err != nil {
			return err
		}
		r.found[name] = n
	case "timeouts":
		t, err := parseTimeouts(rest)
		if err != nil {
			return err
		}
		r.timeouts = t
	case "leaving":
		return r.addLeaving(rest)
	case "drain", "owner":
		return r.addPast(kind, rest)
	case "sync":
		role, d, err := parseDaemon(rest)
		if err != nil {
			return err
		}
		r.daemons[role] = d
	default:
		k, err := ParseKey(line)
		if err != nil {
			return err
		}
		r.keys[k] = r.past(k)
	}
	return nil
}

// past returns what is known of the service of k. Without a word about its
// drain, it is the usual one.
func (r record) past(k Key) past {
	if p, ok := r.keys[k]; ok {
		return p
	}
	return past{drain: usualDrain}
}

// addPast takes in what a line says of a service behind its first word.
func (r record) addPast(kind, text string) error {
	value, rest, _ := strings.Cut(text, " ")
	k, err := ParseKey(rest)
	if err != nil {
		return err
	}
	p := r.past(k)
	if kind == "owner" {
		a, err := netip.ParseAddr(value)
		if err != nil {
			return err
		}
		p.owners = append(p.owners, a)
	} else if p.drain, err = time.ParseDuration(value); err != nil {
		return err
	}
	r.keys[k] = p
	return nil
}

func (r record) addLeaving(text string) error {
	f := strings.SplitN(text, " ", 3)
	if len(f) < 3 {
		return fmt.Errorf("%q is not a leaving server", text)
	}
	until, err := strconv.ParseInt(f[0], 10, 64)
	if err != nil {
		return err
	}
	addr, err := netip.ParseAddrPort(f[1])
	if err != nil {
		return err
	}
	key, err := ParseKey(f[2])
	if err != nil {
		return err
	}
	r.leaving[ServerKey{key, addr}] = time.Unix(until, 0)
	return nil
}

func (r record) equal(o record) bool {
	return maps.EqualFunc(r.keys, o.keys, past.equal) && maps.Equal(r.found, o.found) && r.timeouts == o.timeouts && maps.Equal(r.leaving, o.leaving) && maps.Equal(r.daemons, o.daemons)
}

// write puts the record in place of the file at path.
func (r record) write(path string) error { return renameio.WriteFile(path, r.text(), 0o600) }

func (r record) text() []byte {
	var b bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(r.found)) {
		fmt.Fprintf(&b, "sysctl %s %d\n", name, r.found[name])
	}
	if r.timeouts != (Timeouts{}) {
		fmt.Fprintln(&b, "timeouts", r.timeouts)
	}
	for _, k := range byCompare(r.keys) {
		fmt.Fprintf(&b, "%s\ndrain %s %s\n", k, r.keys[k].drain, k)
		for _, a := range r.keys[k].owners {
			fmt.Fprintf(&b, "owner %s %s\n", a, k)
		}
	}
	for _, k := range slices.SortedFunc(maps.Keys(r.leaving), ServerKey.compare) {
		fmt.Fprintf(&b, "leaving %d %s %s\n", r.leaving[k].Unix(), k.Server, k.Service)
	}
	for _, role := range slices.Sorted(maps.Keys(r.daemons)) {
		fmt.Fprintln(&b, "sync", role, r.daemons[role])
	}
	return b.Bytes()
}

func (k ServerKey) compare(o ServerKey) int {
	return cmp.Or(k.Service.Compare(o.Service), k.Server.Compare(o.Server))
}

// Flush deletes every service that was programmed by a reconciler with this
// state file, and no other, stops the sync daemons it had started, and restores
// the sysctls and timeouts it had set. It is for a node that leaves service; a reconciler
// must not run beside it. A file that cannot be read whole stays for people to
// look at.
func Flush(dp Dataplane, stateFile string) error {
	rec, damage := readRecord(stateFile)
	if rec.equal(record{}) {
		return damage
	}
	have, err := dp.Read()
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	ours := func(k Key) bool {
		_, programmed := rec.keys[k]
		return programmed
	}
	want := State{Sysctls: rec.found}
	rec.disown(&want, have)
	for _, op := range Diff(have, want, ours) {
		if err := dp.Apply(op); err != nil {
			return fmt.Errorf("apply %s: %w", op, err)
		}
	}
	if damage != nil {
		return damage
	}
	return record{}.write(stateFile)
}
