package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/portico-lb/portico/test/lab"
)

// vip is the address that the directors share.
const vip = "192.0.2.100"

// A program keeps the address on one of several nodes.
type program struct {
	name string
	// conf is its configuration for a node.
	conf func(n *lab.Node, priority int, advert time.Duration) string
	// command runs it with that, which is the file's name in place of FILE.
	command []string
}

// portico runs as its unit runs it.
func portico(binary string) program {
	return program{"portico", porticoConf, slices.Concat(asUnit, []string{binary, "run", "--only", "vip", "--config", "FILE"})}
}

// asUnit gives what the director takes for itself under portico.service.
var asUnit = []string{"chrt", "-r", "1", "nice", "-n", "-15"}

func porticoConf(n *lab.Node, priority int, advert time.Duration) string {
	return fmt.Sprintf(`
[node]
interface = "eth0"
run_dir = %[1]q
[log]
format = "text"
[admin]
socket = "%[1]s/director.sock"
[[vip]]
name = "edge"
addresses = [%[2]q]
[vip.vrrp]
router_id = 51
priority = %[3]d
advert_interval = "%[4]s"
`, n.Dir(), vip, priority, advert)
}

// keepalived runs as Debian's unit runs it, with VRRP alone.
func keepalived(t lab.T) program {
	path := need(t, "keepalived", "keepalived")
	return program{"keepalived", keepalivedConf, []string{path, "-n", "-l", "-P", "-f", "FILE", "-p", "FILE.pid", "-r", "FILE.vrrp.pid"}}
}

func keepalivedConf(_ *lab.Node, priority int, advert time.Duration) string {
	return fmt.Sprintf(`
vrrp_instance edge {
	interface eth0
	state BACKUP
	nopreempt
	version 3
	virtual_router_id 51
	priority %d
	advert_int %g
	virtual_ipaddress { %s/32 }
}
`, priority, advert.Seconds(), vip)
}

// A director is a node that runs the program.
type director struct {
	*lab.Node
	t       lab.T
	address string
	args    []string
	proc    *lab.Proc
}

// newDirector attaches a node as 192.0.2.N and starts nothing yet.
func newDirector(t lab.T, l *lab.Lab, lan *lab.Network, p program, number, priority int, advert time.Duration) *director {
	n := l.Node(fmt.Sprintf("%s-%d", p.name, number))
	address := fmt.Sprintf("192.0.2.%d", number)
	n.Attach(lan, "eth0", address+"/24")
	file := n.Dir() + "/conf"
	check(t, os.WriteFile(file, []byte(p.conf(n, priority, advert)), 0o600))
	d := &director{Node: n, t: t, address: address}
	for _, a := range p.command {
		d.args = append(d.args, strings.Replace(a, "FILE", file, 1))
	}
	return d
}

func (d *director) start() { d.proc = d.Start(d.args[0], d.args[1:]...) }

func (d *director) owns() bool { return d.HasAddr("eth0", vip) }

func (d *director) mac() string {
	return strings.TrimSpace(d.Output("cat", "/sys/class/net/eth0/address"))
}

func (d *director) stop() {
	if err := d.proc.Stop(); err != nil {
		d.t.Logf("%s: stop: %v", d.Name(), err)
	}
}

// kill ends all processes as if at once: halted before, none sees another die,
// and the last that go are the parents, whose end would be a signal to the rest.
func (d *director) kill() {
	d.signal(syscall.SIGSTOP)
	d.signal(syscall.SIGKILL)
	d.proc.Kill()
	// keepalived would not start while one of the numbers is still taken, by a
	// process that nobody has waited for.
	for _, name := range []string{"/conf.pid", "/conf.vrrp.pid"} {
		os.Remove(d.Dir() + name)
	}
}

// signal reaches all processes of the director, children first.
func (d *director) signal(sig syscall.Signal) {
	for _, pid := range slices.Backward(tree(d.proc.Pid())) {
		check(d.t, syscall.Kill(pid, sig))
	}
}
