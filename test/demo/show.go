package main

import (
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/portico-lb/portico/test/edge"
	"github.com/portico-lb/portico/test/lab"
)

//go:embed manifests
var manifests embed.FS

const (
	shopHost = edge.Host
	apiHost  = "api.example.test"

	// patience is for what takes moments, on a machine that emulates another
	// one and may have other work.
	patience = 60 * time.Second
)

// A demo is the edge being shown, and what was seen of it.
type demo struct {
	*screen
	options
	e    env
	t    lab.T
	edge *edge.Edge
	dir  string // of the laboratory; commands run here
	ca   *authority

	start   time.Time
	summary [][]string
}

// show builds the edge in this kernel and shows it.
func (o options) show(e env) int {
	d := &demo{screen: &screen{w: e.stdout, color: o.color}, options: o, e: e, start: time.Now()}
	err := lab.Run(e.stdout, func(t lab.T) {
		d.t = t
		lab.NeedIPVS(t)
		d.build()
		d.whoOwns()
		d.whatIsInTheKernel()
		d.whatPorticoSays()
		d.whoAnswers()
		d.whichCertificate()
		d.ownerDies()
		d.deadNodeReturns()
		d.ownerIsStopped()
		d.sumUp()
		if o.hold {
			d.holdOn()
		}
	})
	if err != nil {
		fmt.Fprintf(e.stdout, "\n%s %v\n", d.paint(red, "demo: NOT as it should be:"), err)
		return 1
	}
	return 0
}

// build starts the edge, and returns when all nodes are in service.
func (d *demo) build() {
	d.section("Three edge nodes, one virtual address")
	d.say("On Linux %s.", kernelRelease())
	d.say("Each node runs two processes of one program: portico run --only vip,l4,health (the director) and --only l7\n" +
		"(the proxy). All nodes share one segment and are balanced over. Routes come from a folder of manifests.")
	l := lab.New(d.t, lab.Named())
	d.edge = edge.New(d.t, l, edge.Options{
		Binary: d.portico, HTTPS: true, Manifests: d.manifests(), Pods: map[string]int{},
	})
	d.dir = filepath.Dir(d.edge.Client.Dir())
	d.check(os.WriteFile(filepath.Join(d.dir, "ca.crt"), d.ca.pem(), 0o644))
	for _, pod := range []string{"web-1", "web-2", "web-3", "api-1", "api-2"} { // as in manifests
		d.edge.StartPod(pod)
	}
	rows := [][]string{}
	for _, n := range d.edge.Nodes {
		rows = append(rows, []string{n.Name(), n.Addr, "director and proxy, server of the VIP"})
	}
	d.table(append(rows,
		[]string{"VIP", d.edge.VIP(), "ports 80 and 443, scheduler mh"},
		[]string{"worker", "10.244.1.1 - 10.244.1.5", "Pods web-1 web-2 web-3 api-1 api-2"},
		[]string{"client", "172.20.0.200", "knows the VIP only"})...)
	d.shell("ls " + d.relative(d.edge.Folder))
	d.gap()
	d.say("Starting them. With nobody there yet, the first owner waits out 3 adverts of a second each ...")
	since := time.Now()
	d.edge.Start()
	d.inService()
	d.good("all nodes in service %v after their start", seconds(time.Since(since)))
	d.sum("edge in service", "%v after the start of its processes", seconds(time.Since(since)))
}

// manifests are those of the demonstration, and a Secret for each host.
func (d *demo) manifests() map[string]string {
	texts := map[string]string{}
	names, err := fs.Glob(manifests, "manifests/*.yaml")
	d.check(err)
	for _, name := range names {
		b, err := manifests.ReadFile(name)
		d.check(err)
		texts[filepath.Base(name)] = string(b)
	}
	d.ca, err = newAuthority(time.Now())
	d.check(err)
	for name, host := range map[string]string{"shop-tls": shopHost, "api-tls": apiHost} {
		texts["secret-"+name+".yaml"], err = d.ca.secret(name, host)
		d.check(err)
	}
	return texts
}

// inService waits until the owner balances both ports over all nodes.
func (d *demo) inService() {
	d.edge.WaitReady(patience)
	lab.Eventually(d.t, patience, "both ports on all nodes", func() error {
		owner, err := d.edge.Owner()
		if err != nil {
			return err
		}
		return d.balances(owner.IPVS(), d.edge.Nodes)
	})
}

// balances checks that a table of ipvsadm -Ln gives the nodes weight 1, on
// both ports.
func (d *demo) balances(table string, nodes []*edge.Node) error {
	for _, port := range []string{":80", ":443"} {
		for _, n := range nodes {
			if got := edge.WeightIn(table, d.edge.VIP()+port, n.Addr+port); got != 1 {
				return fmt.Errorf("%s%s: %s has weight %d, want 1:\n%s", d.edge.VIP(), port, n, got, table)
			}
		}
	}
	return nil
}

func (d *demo) whoOwns() {
	d.section("Who owns the VIP")
	d.say("Every node has the VIP on lo, where ARP does not look. Only the owner has it on eth0 too, and answers for it.")
	owner := d.owner()
	for _, n := range []*edge.Node{owner, d.edge.Others(owner)[0]} {
		out := d.on(n, "ip -brief -4 address")
		want := 1
		if n == owner {
			want = 2
		}
		if got := len(regexp.MustCompile(regexp.QuoteMeta(d.edge.VIP())+"/").FindAllString(out, -1)); got != want {
			d.t.Fatalf("%s has the VIP %d times, want %d", n, got, want)
		}
	}
	backups := d.edge.Others(owner)
	d.good("%s is the owner, %s and %s are Backups", owner, backups[0], backups[1])
	d.sum("owner", "%s, elected by VRRP", owner)
}

func (d *demo) whatIsInTheKernel() {
	d.section("What is in the kernel")
	d.say("The owner's IPVS has both ports with all three nodes, itself among them (direct routing). A Backup has\n" +
		"nothing: it would balance a second time what the owner has balanced already.")
	owner := d.owner()
	d.check(d.balances(d.on(owner, "ipvsadm -Ln"), d.edge.Nodes))
	backup := d.edge.Others(owner)[0]
	if table := d.on(backup, "ipvsadm -Ln"); strings.Contains(table, d.edge.VIP()) {
		d.t.Fatalf("%s, a Backup, has services", backup)
	}
	d.good("2 ports, 3 servers each, on %s and nowhere else", owner)
}

func (d *demo) whatPorticoSays() {
	d.section("What portico says")
	d.say("The same, with health and routes: the proxy reads Ingresses, and knows the Pods behind each Service.")
	owner := d.owner()
	out := d.on(owner, "portico status --config "+d.relative(owner.Config))
	for _, want := range []string{"Active", d.edge.VIP() + ":443", "3 routes, 2 backends, 5 endpoints, 2 certificates"} {
		if !strings.Contains(out, want) {
			d.t.Fatalf("portico status does not show %q", want)
		}
	}
	d.good("director and proxy answer, and nothing needs a person")
}

// owner is the node that owns the VIP.
func (d *demo) owner() *edge.Node {
	owner, err := d.edge.Owner()
	d.check(err)
	return owner
}

func (d *demo) check(err error) {
	if err != nil {
		d.t.Fatalf("%v", err)
	}
}

// sum keeps a line for the summary.
func (d *demo) sum(what, format string, args ...any) {
	d.summary = append(d.summary, []string{what, fmt.Sprintf(format, args...)})
}

func (d *demo) sumUp() {
	d.section("Summary")
	d.table(d.summary...)
	d.good("everything was as it should be; shown in %v", seconds(time.Since(d.start)))
}

func kernelRelease() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "unknown"
	}
	release := unix.ByteSliceToString(u.Release[:])
	if os.Getenv("PORTICO_VM") == "1" {
		return release + ", in an emulated machine (slow: judge order, not speed)"
	}
	return release + ", this machine's own"
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }
