package xdp

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cilium/ebpf"

	"github.com/portico-lb/portico/bpf"
	"github.com/portico-lb/portico/l4"
)

// A Status is what a Plane did and found.
type Status struct {
	// Interfaces are those that the program is to run on, in order of name.
	Interfaces []InterfaceStatus `json:"interfaces,omitempty"`
	// Layout tells the maps of this version from those of others, Services and
	// Backends how many of them are in use.
	Layout   string `json:"layout,omitempty"`
	Services int    `json:"services"`
	Backends int    `json:"backends"`
	// Verdicts count frames by what became of them, Events what else was seen.
	Verdicts map[string]uint64 `json:"verdicts,omitempty"`
	Events   map[string]uint64 `json:"events,omitempty"`
	// Cookies is how SYNs are answered with cookies; nil where that is not wanted.
	Cookies *CookieStatus `json:"cookies,omitempty"`
	// LastError is why the latest pass did not come to its end; empty when it
	// did.
	LastError string `json:"last_error,omitempty"`
}

// A CookieStatus is about SYN cookies. Events count them.
type CookieStatus struct {
	// Above is how many SYNs a second a port gets before others are answered so.
	Above int `json:"above"`
	// ByKernel says that the kernel takes who comes back by itself, which
	// nobody counts here: net.ipv4.tcp_syncookies is 2.
	ByKernel bool `json:"by_kernel,omitempty"`
	// Fault is why they are not, or not for all; empty where they are.
	Fault string `json:"fault,omitempty"`
	// Refusing are the ports whose sockets did not take a connection that began
	// by a cookie: they get no cookies until the configuration is read again.
	Refusing []string `json:"refusing,omitempty"`
}

// An InterfaceStatus is one interface.
type InterfaceStatus struct {
	Name string `json:"name"`
	// Mode is "native" or "generic", empty where the program does not run.
	Mode string `json:"mode,omitempty"`
	// Reason is why it does not.
	Reason string `json:"reason,omitempty"`
}

// publish keeps what a pass came to, and says what has changed.
func (p *Plane) publish(o outcome) {
	carriers := map[l4.Key]l4.Carrier{}
	for _, v := range p.want.Services {
		carriers[v.Key] = o.carrier(v.Key)
	}
	st := Status{Services: len(o.plan.Services), Backends: len(o.plan.Backends)}
	if o.err != nil {
		st.LastError = o.err.Error()
	}
	if st.Cookies = o.cookieStatus(); st.Cookies != nil {
		st.Cookies.ByKernel = p.life.cookies.byKernel()
	}
	for _, name := range slices.Sorted(maps.Keys(o.modes)) {
		st.Interfaces = append(st.Interfaces, InterfaceStatus{Name: name, Mode: o.modes[name]})
	}
	for _, name := range slices.Sorted(maps.Keys(o.refused)) {
		st.Interfaces = append(st.Interfaces, InterfaceStatus{Name: name, Reason: o.refused[name].Error()})
	}
	slices.SortFunc(st.Interfaces, func(a, b InterfaceStatus) int { return strings.Compare(a.Name, b.Name) })
	p.mu.Lock()
	before := p.status
	p.status, p.carriers = st, carriers
	p.mu.Unlock()
	if c := st.Cookies; c != nil && c.Fault != "" && (before.Cookies == nil || before.Cookies.Fault != c.Fault) {
		p.opt.Log.Warn("no SYN cookies", "reason", c.Fault)
	}
	for _, i := range st.Interfaces {
		if i.Reason != "" && i.Reason != errLoading.Error() && !slices.Contains(before.Interfaces, i) {
			p.opt.Log.Warn("no XDP on an interface, it carries none of its services", "interface", i.Name, "reason", i.Reason)
		}
	}
}

func (o *outcome) cookieStatus() *CookieStatus {
	if o.cfg.Shield.SYNCookies == 0 || len(o.modes) == 0 {
		return nil // where nothing runs, that is the fault to tell of
	}
	st := CookieStatus{Above: o.cfg.Shield.SYNCookies}
	if o.cookies != nil {
		st.Fault = oneLine(o.cookies)
	}
	return &st
}

// oneLine is an error in one line.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// carrier tells who carries a service after a pass.
func (o *outcome) carrier(k l4.Key) l4.Carrier {
	c := l4.Carrier{Dataplane: string(l4.ByIPVS)}
	if !o.cfg.on() {
		return c
	}
	if c.Reason = o.plan.why[k]; c.Reason != "" {
		return c
	}
	name, on := o.cfg.interfaceOf(k.Addr.Addr(), o.modes)
	switch {
	case !on && o.refused[name] != nil:
		c.Reason = fmt.Sprintf("%s: %v", name, o.refused[name])
	case !on:
		c.Reason = "its packets come by an interface that XDP is not told of: " + name
	case o.plan.Services[k] == Service{}:
		c.Reason = o.err.Error()
	default:
		c.Dataplane, c.Mode = string(l4.ByXDP), o.modes[name]
	}
	return c
}

// Status reports what the latest pass came to, and what has been counted.
func (p *Plane) Status() Status {
	p.mu.Lock()
	st := p.status
	p.mu.Unlock()
	if !p.work.TryLock() {
		return st // a pass is under way: what is counted comes next time
	}
	defer p.work.Unlock()
	if k := p.life.open; k != nil {
		st.Layout = k.tag
		st.Verdicts, st.Events = k.frames()
		if st.Cookies != nil {
			c := *st.Cookies
			c.Refusing = k.refusing()
			st.Cookies = &c
		}
	}
	return st
}

// namesOf returns the names of the verdicts and of the events.
func namesOf(spec *ebpf.CollectionSpec) (names [2][]string, err error) {
	for i, enum := range []string{"verdict", "event"} {
		if names[i], err = bpf.Names(spec, enum); err != nil {
			return names, err
		}
	}
	return names, nil
}

// frames returns what the program has counted, by name; what cannot be read is
// left out.
func (p *program) frames() (verdicts, events map[string]uint64) {
	count := func(m *ebpf.Map, names []string) map[string]uint64 {
		found := map[string]uint64{}
		for i := range min(uint32(len(names)), m.MaxEntries()) {
			var each []uint64
			if err := m.Lookup(i, &each); err != nil {
				continue
			}
			for _, n := range each {
				found[names[i]] += n
			}
		}
		return found
	}
	return count(p.Verdicts, p.names[0]), count(p.Events, p.names[1])
}
