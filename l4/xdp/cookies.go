package xdp

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"github.com/portico-lb/portico/bpf"
	"github.com/portico-lb/portico/internal/apart"
)

// cookies answers SYNs with cookies, by programs beside the one that forwards
// and on its maps. Those of the process before go on until they are exchanged.
// Passes alone use it.
type cookies struct {
	pins Pins
	log  *slog.Logger
	// programs answer; nil where none do. admit is nil where the kernel takes
	// who comes back with a cookie by itself.
	programs *bpf.CookiePrograms
	admit    *ebpf.Program
	// above and tcp are what they were loaded for, and fault why they were not.
	above int
	tcp   tcp
	fault error
	// links hold admit, by interface.
	links map[string]admission
}

// An admission is a link that holds admit on an interface.
type admission struct {
	link.Link
	index int // of the interface
}

// admitPrefix begins the pin of an interface's link.
const admitPrefix = "admit-"

// A cookieOrder is what is wanted of cookies.
type cookieOrder struct {
	// above is how many SYNs a second a port gets before others are answered, 0
	// for never.
	above int
	ports []netip.AddrPort
}

func (c Config) cookies() cookieOrder { return cookieOrder{c.Shield.SYNCookies, c.Ports} }

// follow has cookies sent on interfaces that have the program, or no more, and
// returns why they are not, or not for all.
func (c *cookies) follow(o cookieOrder, k *program, held map[string]*held) error {
	if o.above == 0 || len(o.ports) == 0 {
		return c.leave(k)
	}
	if c.above != o.above || c.programs == nil && c.fault == nil {
		if c.tcp, c.fault = readTCP(); c.fault == nil {
			c.fault = apart.Do(func() error { return c.load(o, k) }) // as Pins.open does
		}
		c.above = o.above
	}
	if c.fault != nil {
		return errors.Join(c.fault, k.silence())
	}
	// Who comes back is taken before anybody is sent away with a cookie.
	err := errors.Join(k.listen(o.ports), c.attach(k, held))
	for i, p := range []*ebpf.Program{c.programs.PorticoAnswer, c.programs.PorticoAnswerRelayed} {
		if err == nil {
			err = k.Answerers.Put(uint32(i), p)
		}
	}
	if err != nil {
		return errors.Join(err, k.silence())
	}
	return unrouted(o.ports, held)
}

// byKernel tells whether the kernel takes who comes back.
func (c *cookies) byKernel() bool { return c.programs != nil && c.admit == nil }

// retry has what failed tried again, and what the kernel's TCP is set to read.
func (c *cookies) retry(k *program) error {
	now, err := readTCP()
	if err != nil || c.fault != nil || now != c.tcp {
		c.above = 0
	}
	return k.trust()
}

// leave ends what an order before, or a process before, has begun.
func (c *cookies) leave(k *program) error {
	c.fault = nil
	sent, err := k.sends()
	if sent || err != nil {
		return errors.Join(err, k.silence()) // cookies are on their way: the next pass does the rest
	}
	return errors.Join(c.close(), c.unpin(k), k.listen(nil))
}

// unpin has no link outlive this process.
func (c *cookies) unpin(k *program) error {
	pins, err := filepath.Glob(c.pins.path(k.tag, admitPrefix+"*"))
	for _, pin := range pins {
		err = errors.Join(err, os.Remove(pin))
	}
	return err
}

// close forgets programs and links; those that are pinned go on.
func (c *cookies) close() (err error) {
	for _, a := range c.links {
		err = errors.Join(err, a.Close())
	}
	c.links = map[string]admission{}
	if c.programs != nil {
		err = errors.Join(err, c.programs.PorticoAnswer.Close(), c.programs.PorticoAnswerRelayed.Close(), c.admit.Close())
	}
	c.programs, c.admit, c.above = nil, nil, 0
	return err
}

// load loads the programs.
func (c *cookies) load(o cookieOrder, k *program) error {
	spec, err := bpf.LoadCookie()
	if err != nil {
		return err
	}
	shared := ebpf.CollectionOptions{MapReplacements: map[string]*ebpf.Map{
		bpf.CookieMapAnswerers: k.Answerers, bpf.CookieMapListeners: k.Listeners, bpf.CookieMapEvents: k.Events,
		bpf.CookieMapInterfaces: k.L4Maps.Interfaces, bpf.CookieMapPeers: k.L4Maps.Peers, bpf.CookieMapFence: k.Fence,
	}}
	var admits struct {
		Program *ebpf.Program `ebpf:"portico_admit"`
	}
	if err := c.tcp.set(spec, o.above, true); err != nil {
		return err
	}
	if err := spec.LoadAndAssign(&admits, &shared); err != nil {
		if c.tcp.Cookies != always {
			return fmt.Errorf("sockets of this kernel do not take who XDP has answered: install Linux 6.8 or newer, or have the kernel send cookies itself by sysctl net.ipv4.tcp_syncookies=2: %w", err)
		}
		if err := c.tcp.set(spec, o.above, false); err != nil {
			return err
		}
	}
	var answers struct {
		Answer  *ebpf.Program `ebpf:"portico_answer"`
		Relayed *ebpf.Program `ebpf:"portico_answer_relayed"`
	}
	if err := spec.LoadAndAssign(&answers, &shared); err != nil {
		return errors.Join(fmt.Errorf("this kernel makes no cookies for XDP, as Linux 6.0 does: %w", err), admits.Program.Close())
	}
	err = c.close()
	c.programs, c.admit = &bpf.CookiePrograms{PorticoAnswer: answers.Answer, PorticoAnswerRelayed: answers.Relayed}, admits.Program
	c.log.Info("SYN cookies", "above", o.above, "taken_by_kernel", c.admit == nil)
	return err
}

// attach has admit on every interface that has the program, and on no other.
func (c *cookies) attach(k *program, held map[string]*held) (err error) {
	if c.admit == nil {
		return c.unpin(k)
	}
	for name, a := range c.links {
		if h := held[name]; h == nil || h.index != a.index {
			err = errors.Join(err, a.Unpin(), a.Close())
			delete(c.links, name)
		}
	}
	for name, h := range held {
		if _, there := c.links[name]; there {
			continue
		}
		l, failed := c.attachTo(k, name, h.index)
		if failed != nil {
			err = errors.Join(err, fmt.Errorf("take connections on %s: %w", name, failed))
			continue
		}
		c.links[name] = admission{l, h.index}
	}
	return err
}

// attachTo puts admit in the place of the one before on an interface, or first.
func (c *cookies) attachTo(k *program, name string, index int) (link.Link, error) {
	pin := c.pin(k, name)
	if l, err := link.LoadPinnedLink(pin, nil); err == nil {
		if info, err := l.Info(); err == nil && info.TCX() != nil && int(info.TCX().Ifindex) == index && l.Update(c.admit) == nil {
			return l, nil
		}
		if err := errors.Join(l.Unpin(), l.Close()); err != nil { // its interface is no more
			return nil, err
		}
	}
	l, err := link.AttachTCX(link.TCXOptions{Interface: index, Program: c.admit, Attach: ebpf.AttachTCXIngress, Anchor: link.Head()})
	if err != nil {
		return nil, bare(err)
	}
	if err := l.Pin(pin); err != nil {
		return nil, errors.Join(fmt.Errorf("pin link: %w", err), l.Close())
	}
	return l, nil
}

func (c *cookies) pin(k *program, name string) string {
	return c.pins.path(k.tag, admitPrefix+strings.TrimPrefix(linkName(name), linkPrefix))
}

// sends tells whether somebody answers.
func (k *kernel) sends() (bool, error) {
	var id uint32
	err := k.Answerers.Lookup(uint32(0), &id)
	return err == nil, gone(err)
}

// silence has nobody answer.
func (k *kernel) silence() error {
	return errors.Join(gone(k.Answerers.Delete(uint32(0))), gone(k.Answerers.Delete(uint32(1))))
}

// listeners reads the ports.
func (k *kernel) listeners() (map[bpf.L4ServiceKey]bpf.L4Listener, error) {
	found := map[bpf.L4ServiceKey]bpf.L4Listener{}
	var key bpf.L4ServiceKey
	var value bpf.L4Listener
	return found, each(k.Listeners, &key, &value, func() { found[key] = value })
}

// listen has the program know these ports and no others.
func (k *kernel) listen(ports []netip.AddrPort) error {
	have, err := k.listeners()
	if err != nil {
		return err
	}
	for _, p := range ports {
		key := bpf.L4ServiceKey{Addr: address(p.Addr()), Port: port(p.Port()), Protocol: protocolTCP}
		if _, known := have[key]; !known {
			err = errors.Join(err, k.Listeners.Put(key, bpf.L4Listener{}))
		}
		delete(have, key)
	}
	for key := range have {
		err = errors.Join(err, gone(k.Listeners.Delete(key)))
	}
	return err
}

// trust has sockets asked again that refused a connection.
func (k *kernel) trust() error {
	have, err := k.listeners()
	for key, l := range have {
		if l.Refused > 0 {
			l.Refused = 0
			err = errors.Join(err, k.Listeners.Put(key, l))
		}
	}
	return err
}

// refusing are the ports whose sockets have refused a connection.
func (k *kernel) refusing() (ports []string) {
	have, err := k.listeners()
	if err != nil {
		return nil // what is not known now is known the next time
	}
	for key, l := range have {
		if l.Refused > 0 {
			ports = append(ports, netip.AddrPortFrom(fromAddress(key.Addr), port(key.Port)).String())
		}
	}
	slices.Sort(ports)
	return ports
}
