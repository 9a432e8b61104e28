package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/portico-lb/portico/test/edge"
	"github.com/portico-lb/portico/test/lab"
)

const (
	// every is how often the client makes a request during changes.
	every = 10 * time.Millisecond
	// stripWidth is how many characters of a strip stand in a line.
	stripWidth = 80
	// longestGap is what a take-over may cost a client: the down timer of
	// 3.6 s with adverts each second (RFC 9568, section 6.1), and time for an
	// emulated machine.
	longestGap = 8 * time.Second
	// shortGap is the same for an owner that says that it goes: the skew of
	// 0.6 s, in which it goes on balancing.
	shortGap = 2 * time.Second
)

// watched runs a change while the client makes requests, from a second before
// it to the time when after more requests have been answered.
func (d *demo) watched(after int, change func()) lab.Timeline {
	p := d.edge.Client.Probe(every, d.request())
	d.more(p, 100)
	change()
	d.more(p, after)
	tl := p.Stop()
	tally := tl.Tally()
	d.gap()
	d.say("A client made a request each 10 ms. Answers in each 100 ms, · is none:")
	d.gap()
	d.say("%s", strip(tl, every, stripWidth))
	rows := [][]string{
		{"sent", "answered", "not answered", "longest time without an answer"},
		{fmt.Sprint(tally.Sent), fmt.Sprint(tally.Answered), fmt.Sprint(tally.Sent - tally.Answered), seconds(tl.LongestGap().Length())},
	}
	d.table(rows...)
	return tl
}

// more waits until a prober has had n more answers.
func (d *demo) more(p *lab.Prober, n int) {
	from := p.OK()
	lab.Eventually(d.t, patience, "answers to the client", func() error {
		if got := p.OK() - from; got < n {
			return fmt.Errorf("%d of %d", got, n)
		}
		return nil
	})
}

func (d *demo) ownerDies() {
	old := d.owner()
	d.section("The owner dies")
	d.say("Both processes of %s are killed (-9), and its cable is pulled: for the others it is a machine without power.\n"+
		"With adverts each second, the default, a Backup waits 3.6 s before it takes over (advert_interval = \"100ms\": 0.4 s).", old)
	var next *edge.Node
	tl := d.watched(200, func() {
		d.shell(fmt.Sprintf("kill -9 %d %d", old.Director.Pid(), old.Proxy.Pid()))
		d.unplug(old)
		next = d.taken(old)
	})
	d.check(d.balances(d.on(next, "ipvsadm -Ln"), d.edge.Others(old)))
	gap := tl.LongestGap().Length()
	if gap > longestGap {
		d.t.Fatalf("the take-over took %s for a client, want %s at most", seconds(gap), seconds(longestGap))
	}
	d.good("%s took over; %s is out of service there (weight 0)", next, old)
	d.sum("the owner died", "%s took over: %s without an answer", next, seconds(gap))
}

// taken waits until a node other than old owns the VIP and balances.
func (d *demo) taken(old *edge.Node) (next *edge.Node) {
	others := d.edge.Others(old)
	lab.Eventually(d.t, patience, "a new owner", func() error {
		for _, n := range others {
			if n.HasAddr("eth0", d.edge.VIP()) {
				next = n
				return d.balances(n.IPVS(), others)
			}
		}
		return fmt.Errorf("none of %v has the VIP", others)
	})
	return next
}

func (d *demo) deadNodeReturns() {
	owner, dead := d.survivors()
	d.section("The dead node returns")
	d.say("Its kernel still has the VIP and the services of before. portico is started again, finds them, and gives them up,\n" +
		"since without a cable it owns nothing. Then the cable is put back, and the node is balanced over again.")
	if !dead.HasAddr("eth0", d.edge.VIP()) || d.balances(dead.IPVS(), d.edge.Nodes) != nil {
		d.t.Fatalf("the kernel of %s has lost the VIP or its services, though nobody was there to remove them", dead)
	}
	tl := d.watched(50, func() {
		dead.Proxy.Start()
		dead.Director.Start()
		lab.Eventually(d.t, patience, dead.Name()+" gives the VIP up", func() error {
			if table := dead.IPVS(); dead.HasAddr("eth0", d.edge.VIP()) || strings.Contains(table, d.edge.VIP()) {
				return fmt.Errorf("it has the VIP or services:\n%s", table)
			}
			return nil
		})
		d.plug(dead)
		d.edge.WaitOwner(patience, owner)
		d.inService()
	})
	if tally := tl.Tally(); tally.Answered != tally.Sent {
		d.t.Fatalf("%s returned, and requests failed: %v", dead, tl)
	}
	if now := d.owner(); now != owner {
		d.t.Fatalf("%s returned, and the VIP moved from %s to %s", dead, owner, now)
	}
	d.good("%s is a Backup, in service again; every request was answered", dead)
	d.sum("it returned", "as a Backup, no request lost")
}

// survivors finds the owner after a take-over, and the node that is down.
func (d *demo) survivors() (owner, dead *edge.Node) {
	for _, n := range d.edge.Nodes {
		switch {
		case !n.Director.Running():
			dead = n
		case n.HasAddr("eth0", d.edge.VIP()):
			owner = n
		}
	}
	return owner, dead
}

func (d *demo) ownerIsStopped() {
	old := d.owner()
	d.section("The owner is stopped in good order")
	d.say("As systemctl stop portico does. It tells the others, so that nobody waits, and goes on\n" +
		"balancing until the next owner does. Its proxy stays in service.")
	var next *edge.Node
	tl := d.watched(100, func() {
		d.shell(fmt.Sprintf("kill -TERM %d", old.Director.Pid()))
		next = d.taken(old)
	})
	// A figure, not a promise: test/scenario is the judge of single requests.
	gap, tally := tl.LongestGap().Length(), tl.Tally()
	if gap > shortGap || tally.Answered < tally.Sent*9/10 {
		d.t.Fatalf("%s was stopped, and the service was away: %v", old, tl)
	}
	old.Director.Wait()
	old.Director.Start()
	d.inService()
	d.good("%s took over, with %d of %d requests answered", next, tally.Answered, tally.Sent)
	d.sum("the owner was stopped", "%s took over: %d of %d requests answered, %s at most without an answer",
		next, tally.Answered, tally.Sent, seconds(gap))
}

// unplug pulls the node's cable out of the switch.
func (d *demo) unplug(n *edge.Node) { d.shell("ip -n lan link set " + d.port(n) + " down") }

// plug puts it back.
func (d *demo) plug(n *edge.Node) { d.shell("ip -n lan link set " + d.port(n) + " up") }

// port is the switch's end of the node's cable.
func (d *demo) port(n *edge.Node) string { return d.edge.LAN.Ports(n.Node)[0] }
