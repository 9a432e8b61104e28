package xdp

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/portico-lb/portico/internal/apart"
)

// Below the directory of the pins stands one for each layout, with a pin for
// each map and for each interface's link. There is more than one only for the
// moments of a change: all is made beside, and becomes real when the program
// of an interface's link is exchanged. A name there has no dot
// (kernel/bpf/inode.c, bpf_lookup).
const (
	linkPrefix = "link-"
	unfinished = "new-"
)

// linkName is the pin of an interface's link, and ifname the inverse.
func linkName(ifname string) string {
	return linkPrefix + strings.NewReplacer("%", "%25", ".", "%2E").Replace(ifname)
}

func ifname(pin string) (string, bool) {
	name, ok := strings.CutPrefix(pin, linkPrefix)
	return strings.NewReplacer("%25", "%", "%2E", ".").Replace(name), ok
}

// Pins is the directory of a BPF file system that holds what outlives the
// director.
type Pins string

// prepare makes the directory ready.
func (p Pins) prepare() error {
	if err := os.MkdirAll(string(p), 0o700); err != nil {
		return err
	}
	on, err := p.mounted()
	if err != nil || on {
		return err
	}
	// The kernel lets only a whole root do so; the unit does it before it gives
	// up being one.
	if err := unix.Mount("bpf", string(p), "bpf", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=0700"); err != nil {
		return fmt.Errorf("%s is no BPF file system (%w): mount -t bpf bpf %s, and make the director its owner", string(p), err, string(p))
	}
	return nil
}

func (p Pins) mounted() (bool, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(string(p), &st); err != nil {
		return false, fmt.Errorf("%s: %w", string(p), err)
	}
	return st.Type == unix.BPF_FS_MAGIC, nil
}

// path is that of a pin.
func (p Pins) path(names ...string) string {
	return filepath.Join(append([]string{string(p)}, names...)...)
}

// layouts are those that stand.
func (p Pins) layouts() ([]string, error) {
	entries, err := os.ReadDir(string(p))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var all []string
	for _, e := range entries {
		if e.IsDir() {
			all = append(all, e.Name())
		}
	}
	return all, err
}

// open adopts the maps of a layout, or makes them where there are none, and
// loads the program. Where some of them are missing all are made, and lost says
// which one is.
func (p Pins) open(spec *ebpf.CollectionSpec, tag string) (k *kernel, prog *ebpf.Program, lost, err error) {
	have, err := p.adopt(spec, tag)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ebpf.ErrMapIncompatible) {
		lost, err = err, nil
	}
	if err != nil {
		return nil, nil, nil, err
	}
	defer closeMaps(have) // the collection has its own
	// The kernel looks at the program for longer than a realtime thread may go
	// without a pause.
	var c *ebpf.Collection
	err = apart.Do(func() (err error) {
		c, err = ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{MapReplacements: have})
		return err
	})
	if err != nil {
		return nil, nil, nil, cure(err)
	}
	defer c.Close()
	switch {
	case lost != nil:
		err = p.repin(c, tag)
	case have == nil:
		err = p.pin(c, tag)
	}
	if err != nil {
		return nil, nil, nil, err
	}
	for name := range spec.Programs { // there is one
		prog = c.DetachProgram(name)
	}
	k, err = newKernel(c, spec)
	return k, prog, lost, err
}

// adopt returns the maps of a layout, nil where it does not stand.
func (p Pins) adopt(spec *ebpf.CollectionSpec, tag string) (map[string]*ebpf.Map, error) {
	if _, err := os.Stat(p.path(tag)); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	have := map[string]*ebpf.Map{}
	for name, want := range spec.Maps {
		if !outlives(name) {
			continue
		}
		m, err := ebpf.LoadPinnedMap(p.path(tag, name), nil)
		if err == nil {
			have[name] = m
			err = want.Compatible(m)
		}
		if err != nil {
			closeMaps(have)
			return nil, fmt.Errorf("adopt map %s: %w", name, err)
		}
	}
	return have, nil
}

func closeMaps(all map[string]*ebpf.Map) {
	for _, m := range all {
		_ = m.Close() // nothing was written by it
	}
}

// pin makes a layout's directory, whole or not at all.
func (p Pins) pin(c *ebpf.Collection, tag string) error {
	beside := p.path(unfinished + tag)
	if err := remove(beside); err != nil {
		return err
	}
	if err := os.Mkdir(beside, 0o700); err != nil {
		return err
	}
	if err := pinMaps(c, beside); err != nil {
		return err
	}
	return os.Rename(beside, p.path(tag))
}

// repin puts other maps in the place of a layout's. Its links stay: they hold
// the program that runs. Who is stopped in the middle leaves too few maps again.
func (p Pins) repin(c *ebpf.Collection, tag string) error {
	for name := range c.Maps {
		if !outlives(name) {
			continue
		}
		if err := os.Remove(p.path(tag, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return pinMaps(c, p.path(tag))
}

func pinMaps(c *ebpf.Collection, dir string) error {
	for name, m := range c.Maps {
		if !outlives(name) {
			continue
		}
		if err := m.Pin(filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("pin map %s: %w", name, err)
		}
	}
	return nil
}

// A pinned link is one that holds a program on an interface.
type pinned struct {
	link   link.Link
	tag    string // of the layout whose program it has
	ifname string
	index  int // of the interface; 0 where that is gone
}

// links returns the links of all layouts.
func (p Pins) links() ([]pinned, error) {
	layouts, err := p.layouts()
	if err != nil {
		return nil, err
	}
	var all []pinned
	for _, tag := range layouts {
		entries, err := os.ReadDir(p.path(tag))
		if err != nil {
			return all, err
		}
		for _, e := range entries {
			name, ok := ifname(e.Name())
			if !ok {
				continue
			}
			l, err := link.LoadPinnedLink(p.path(tag, e.Name()), nil)
			if err != nil {
				return all, fmt.Errorf("adopt link of %s: %w", name, err)
			}
			found := pinned{link: l, tag: tag, ifname: name}
			if info, err := l.Info(); err == nil && info.XDP() != nil {
				found.index = int(info.XDP().Ifindex)
			}
			all = append(all, found)
		}
	}
	return all, nil
}

// Runs reports whether a link of ours holds a program, of the id that the kernel
// gave it: so it does after the director as well. Who may not read the directory
// gets no.
func (p Pins) Runs(program uint32) bool {
	links, _ := p.links() // those that can be read
	found := false
	for _, l := range links {
		info, err := l.link.Info()
		found = found || err == nil && uint32(info.Program) == program
		_ = l.link.Close() // nothing was done by it
	}
	return found
}

// detach takes the program off the interface. The kernel would do so by itself
// when the last who knows the link is gone, but some time after.
func (l pinned) detach() error {
	err := l.link.Detach()
	if l.index == 0 {
		err = nil // it went with its interface
	}
	return errors.Join(err, l.link.Unpin(), l.link.Close())
}

// move has a link hold another program, and the pin stand with that one's maps.
// Packets meet the one or the other.
func (l *pinned) move(p Pins, prog *program) error {
	if err := l.link.Update(prog.prog); err != nil {
		return fmt.Errorf("exchange program of %s: %w", l.ifname, err)
	}
	if l.tag == prog.tag {
		return nil
	}
	l.tag = prog.tag
	return l.link.Pin(p.path(prog.tag, linkName(l.ifname)))
}

// sweep removes the layouts but one; "" removes all.
func (p Pins) sweep(keep string) error {
	layouts, err := p.layouts()
	if err != nil {
		return err
	}
	for _, tag := range layouts {
		if tag != keep {
			err = errors.Join(err, remove(p.path(tag)))
		}
	}
	return err
}

// Flush takes the program off every interface and removes the maps. A director
// must not run beside it.
func Flush(p Pins) error {
	on, err := p.mounted()
	if errors.Is(err, fs.ErrNotExist) || err == nil && !on {
		return nil
	}
	links, unread := p.links()
	err = errors.Join(err, unread)
	for _, l := range links {
		err = errors.Join(err, l.detach())
	}
	return errors.Join(err, p.sweep(""))
}

// remove removes a directory of pins and nothing else: it goes one deep.
func remove(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		err = errors.Join(err, os.Remove(filepath.Join(dir, e.Name())))
	}
	return errors.Join(err, os.Remove(dir))
}

// cure adds what to do about it to an error of the kernel.
func cure(err error) error {
	var verifier *ebpf.VerifierError
	switch {
	case errors.As(err, &verifier):
		return fmt.Errorf("this kernel does not take the program: %w", err)
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return fmt.Errorf("%w: run as root, or with the capabilities CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN", err)
	}
	return err
}
