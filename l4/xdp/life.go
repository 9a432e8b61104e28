package xdp

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"

	"github.com/portico-lb/portico/l4"
)

// retry is when a kernel that refused the program is asked once more.
const retry = time.Minute

// A program is what runs on the interfaces, and the maps it uses.
type program struct {
	*kernel
	prog *ebpf.Program
	tag  string
	// names are those of the verdicts and of the events.
	names [2][]string

	sizes    Sizes
	tunables tunables
	// untuned is why the program has other tunables than these.
	untuned error
	// edition is of the list of denied networks that it has, 0 for an unknown
	// one; passes alone use it.
	edition uint64
}

// A life is that of a program: from where it is adopted or made, over the
// interfaces that come and go, to where it is given up. Passes alone use it,
// but for what says otherwise.
type life struct {
	pins Pins
	log  *slog.Logger
	// held are the links of the interfaces that have a program of ours, by name;
	// nil until they were looked for.
	held    map[string]*held
	cookies cookies
	// clean says that no other layout stands beside.
	clean bool

	mu   sync.Mutex // the fields below
	open *program   // nil where there is none
	// broken is why there is none, since when.
	broken error
	since  time.Time
	// refused are the interfaces that took no program, by index: that of one
	// which is made anew is another.
	refused map[int]error
	// forgiven says that cookies are to be asked for once more.
	forgiven bool
	// requests are those to who loads beside; nil where nobody does. answer is
	// what came of the latest, until a pass has it.
	requests chan<- request
	answer   *answer
}

// A held interface has a program.
type held struct {
	pinned
	mode string
	// ours says that it is this process's program.
	ours bool
}

// forgive makes the kernel and all interfaces be asked once more. It may be
// called at any time.
func (l *life) forgive() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.broken, l.refused, l.forgiven = nil, map[int]error{}, true
}

// beat says that the director lives. It may be called at any time.
func (l *life) beat(limit time.Duration) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open == nil {
		return nil
	}
	return l.open.beat(limit)
}

// errLoading is why there is no program yet.
var errLoading = errors.New("the program is being loaded")

// A request is for a program.
type request struct {
	sizes    Sizes
	tunables tunables
	limit    time.Duration // of the fence
}

// An answer is what came of a request.
type answer struct {
	program *program
	err     error
}

// start adopts or makes the maps and loads the program, if that is not done.
// Where somebody loads beside, it asks for that and returns errLoading.
func (l *life) start(r request) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.open != nil:
		return nil
	case l.broken != nil && time.Since(l.since) < retry:
		return l.broken
	case l.answer == nil && l.requests == nil:
		p, err := l.load(r)
		l.answer = &answer{p, err}
	case l.answer == nil:
		select {
		case l.requests <- r:
		default: // asked already
		}
		return errLoading
	}
	l.open, l.broken = l.answer.program, l.answer.err
	l.since, l.answer = time.Now(), nil
	if l.broken != nil {
		return l.broken
	}
	// Before anything is attached: a fence without a beat lets nothing through.
	return l.open.beat(r.limit)
}

// beside has programs loaded beside the passes from now on, by who calls the
// function that it returns: the verifier may take a second, for which no change
// of an owner shall wait. What an earlier process has attached goes on meanwhile.
func (l *life) beside(loaded func()) func(context.Context) {
	requests := make(chan request, 1)
	l.mu.Lock()
	l.requests = requests
	l.mu.Unlock()
	return func(ctx context.Context) {
		for {
			select {
			case <-ctx.Done():
				return
			case r := <-requests:
				l.serve(r)
				loaded()
			}
		}
	}
}

// serve loads what was asked for, unless it is there.
func (l *life) serve(r request) {
	l.mu.Lock()
	there := l.open != nil || l.answer != nil
	l.mu.Unlock()
	if there {
		return
	}
	p, err := l.load(r)
	l.mu.Lock()
	l.answer = &answer{p, err}
	l.mu.Unlock()
}

// load adopts or makes the maps and loads the program.
func (l *life) load(r request) (*program, error) {
	if err := l.pins.prepare(); err != nil {
		return nil, err
	}
	spec, err := load(r.sizes)
	if err != nil {
		return nil, err
	}
	if err := r.tunables.set(spec); err != nil {
		return nil, err
	}
	p := &program{tag: layout(spec), sizes: r.sizes, tunables: r.tunables}
	var lost error
	if p.kernel, p.prog, lost, err = l.pins.open(spec, p.tag); err != nil {
		return nil, err
	}
	if lost != nil {
		l.log.Warn("maps are damaged and made anew, known connections are forgotten", "err", lost)
	}
	if p.names, err = namesOf(spec); err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

// adopt finds the interfaces that have a program of ours from a process before
// this one, once.
func (l *life) adopt() error {
	if l.held != nil {
		return nil
	}
	on, err := l.pins.mounted()
	if errors.Is(err, fs.ErrNotExist) || err == nil && !on {
		l.held = map[string]*held{}
		return nil
	}
	if err != nil {
		return err
	}
	links, err := l.pins.links()
	if err != nil {
		return err
	}
	l.held = map[string]*held{}
	for _, found := range links {
		l.held[found.ifname] = &held{pinned: found}
	}
	return nil
}

// hopeless returns why interfaces cannot have the program, as far as that is
// known without one.
func (l *life) hopeless(cfg Config, links []netlink.Link) map[string]error {
	l.mu.Lock()
	defer l.mu.Unlock()
	why := map[string]error{}
	for _, name := range cfg.interfaces() {
		i := slices.IndexFunc(links, func(link netlink.Link) bool { return link.Attrs().Name == name })
		if i < 0 {
			why[name] = errors.New("there is no such interface")
			continue
		}
		err := objection(links[i], cfg.Choice, l.held[name] != nil)
		if err == nil {
			err = l.refused[links[i].Attrs().Index]
		}
		if err != nil {
			why[name] = err
		}
	}
	return why
}

// attach puts the program on those of the wanted interfaces that have none and
// may have one, takes it off all others, and returns why some have none now.
func (l *life) attach(cfg Config, links []netlink.Link) (why map[string]error, err error) {
	why = l.hopeless(cfg, links)
	wanted := map[string]netlink.Link{}
	for _, link := range links {
		name := link.Attrs().Name
		if slices.Contains(cfg.interfaces(), name) && why[name] == nil {
			wanted[name] = link
		}
	}
	var errs []error
	for name, h := range l.held {
		if link := wanted[name]; link == nil || h.index != link.Attrs().Index || !h.fits(link, cfg.Choice) {
			l.log.Info("XDP leaves an interface", "interface", name)
			errs = append(errs, h.detach())
			delete(l.held, name)
		}
	}
	for name, link := range wanted {
		if l.held[name] != nil {
			continue
		}
		if err := l.attachTo(link, cfg.Choice); err != nil {
			why[name] = err
		}
	}
	return why, errors.Join(errs...)
}

// fits reports whether a link is as this process would have made it.
func (h *held) fits(link netlink.Link, choice l4.Choice) bool {
	h.mode = mode(link)
	if choice == l4.Auto {
		return h.mode == Native && link.Type() != "veth"
	}
	return h.mode != ""
}

// generic are the interfaces, by index, that have the program in that mode.
func (l *life) generic() map[int]bool {
	found := map[int]bool{}
	for _, h := range l.held {
		if h.mode == Generic {
			found[h.index] = true
		}
	}
	return found
}

func (l *life) attachTo(link netlink.Link, choice l4.Choice) error {
	a := link.Attrs()
	made, mode, err := attach(link, l.open.prog, choice)
	if err != nil {
		l.mu.Lock()
		l.refused[a.Index] = err
		l.mu.Unlock()
		return err
	}
	path := l.pins.path(l.open.tag, linkName(a.Name))
	if err := made.Pin(path); err != nil {
		return errors.Join(fmt.Errorf("pin link: %w", err), made.Close())
	}
	l.held[a.Name] = &held{pinned: pinned{link: made, tag: l.open.tag, ifname: a.Name, index: a.Index}, mode: mode, ours: true}
	l.log.Info("XDP takes an interface", "interface", a.Name, "mode", mode)
	return nil
}

// exchange has every interface run this process's program, now that its maps
// are filled, and removes what no program uses any more.
func (l *life) exchange() error {
	var errs []error
	for _, h := range l.held {
		if h.ours {
			continue
		}
		if h.tag != l.open.tag {
			// Nothing else of the other layout can be used: what it knew of
			// connections is lost, and the tables choose the same servers.
			l.log.Warn("maps of another layout, known connections are forgotten", "interface", h.ifname, "have", h.tag, "want", l.open.tag)
		}
		err := h.move(l.pins, l.open)
		h.ours = err == nil
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if l.clean {
		return nil
	}
	err := l.pins.sweep(l.open.tag)
	l.clean = err == nil
	return err
}

// setCookies has SYNs answered with cookies, or no more.
func (l *life) setCookies(o cookieOrder) error {
	l.mu.Lock()
	forgiven := l.forgiven
	l.forgiven = false
	l.mu.Unlock()
	if forgiven {
		if err := l.cookies.retry(l.open); err != nil {
			return err
		}
	}
	return l.cookies.follow(o, l.open, l.held)
}

// drop takes the program off every interface and forgets the maps.
func (l *life) drop() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	for _, h := range l.held {
		l.log.Info("XDP leaves an interface", "interface", h.ifname)
		errs = append(errs, h.detach())
	}
	errs = append(errs, l.cookies.close())
	l.held, l.clean = map[string]*held{}, false
	if l.open != nil {
		errs = append(errs, l.open.close(), l.open.prog.Close())
		l.open = nil
	}
	if a := l.answer; a != nil && a.program != nil {
		errs = append(errs, a.program.close(), a.program.prog.Close())
	}
	l.answer = nil
	return errors.Join(append(errs, Flush(l.pins))...)
}
