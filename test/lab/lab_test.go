package lab_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/portico-lb/portico/test/lab"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is for things that take milliseconds, on a machine that emulates
// another one.
const patience = 20 * time.Second

// says answers every request with a line of text.
func says(text string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, text) })
}

func TestNetwork(t *testing.T) {
	l := lab.New(t)
	lan := l.Network("lan")
	web := l.Node("web")
	web.Attach(lan, "eth0", "172.20.0.113/24", "fd00:20::113/64")
	client := l.Node("client")
	client.Attach(lan, "eth0", "172.20.0.200/24", "fd00:20::200/64")
	web.Serve(":80", says("web"))
	l.Host("web.example", "172.20.0.113")

	for _, host := range []string{"172.20.0.113", "[fd00:20::113]", "web.example"} {
		start := time.Now()
		tally := client.Burst(1, 1, lab.Request{URL: "http://" + host + "/"})
		if tally.By["web"] != 1 {
			t.Errorf("%s: %v", host, tally)
		}
		t.Logf("%s answered after %v", host, time.Since(start))
	}
	if !web.HasAddr("eth0", "fd00:20::113") || web.HasAddr("eth0", "172.20.0.200") {
		t.Error("HasAddr is wrong")
	}
	web.DelAddr("eth0", "172.20.0.113/24")
	if web.HasAddr("eth0", "172.20.0.113") {
		t.Error("address is still there")
	}
}

func TestRouter(t *testing.T) {
	l := lab.New(t)
	inside, outside := l.Network("inside"), l.Network("outside")
	router, web, client := l.Node("router"), l.Node("web"), l.Node("client")
	router.Attach(inside, "eth0", "10.0.0.1/24", "fd00:1::1/64")
	router.Attach(outside, "eth1", "192.0.2.1/24", "fd00:2::1/64")
	router.Sysctl("net.ipv4.ip_forward", "1")
	router.Sysctl("net.ipv6.conf.all.forwarding", "1")
	web.Attach(inside, "eth0", "10.0.0.2/24", "fd00:1::2/64")
	web.Route("default", "10.0.0.1")
	web.Route("default", "fd00:1::1")
	client.Attach(outside, "eth0", "192.0.2.2/24", "fd00:2::2/64")
	client.Route("10.0.0.0/8", "192.0.2.1")
	client.Route("default", "fd00:2::1")
	web.Serve(":80", says("web"))
	for _, host := range []string{"10.0.0.2", "[fd00:1::2]"} {
		if tally := client.Burst(1, 1, lab.Request{URL: "http://" + host + "/"}); tally.Answered != 1 {
			t.Errorf("%s: %v", host, tally)
		}
	}
}

// TestLinkDown shows what taking an interface down costs, and how datagrams
// and an http.Client get through before.
func TestLinkDown(t *testing.T) {
	l := lab.New(t)
	lan := l.Network("lan")
	a, b := l.Node("a"), l.Node("b")
	a.Attach(lan, "eth0", "192.0.2.1/24")
	a.Route("default", "192.0.2.2")
	b.Attach(lan, "eth0", "192.0.2.2/24")
	a.NoOffload("eth0")

	from, to := a.ListenPacket("udp", "192.0.2.1:0"), b.ListenPacket("udp", ":5300")
	defer from.Close()
	defer to.Close()
	if _, err := from.WriteTo([]byte("hello"), &net.UDPAddr{IP: net.IPv4(192, 0, 2, 2), Port: 5300}); err != nil {
		t.Fatal(err)
	}
	to.SetReadDeadline(time.Now().Add(patience))
	buf := make([]byte, 10)
	if n, addr, err := to.ReadFrom(buf); err != nil || string(buf[:n]) != "hello" || addr.String() != from.LocalAddr().String() {
		t.Errorf("got %q from %v, %v", buf[:n], addr, err)
	}
	b.Serve(":80", says("b"))
	resp, err := a.HTTPClient().Get("http://192.0.2.2/")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()

	a.LinkDown("eth0")
	if _, err := a.HTTPClient().Get("http://192.0.2.2/"); !errors.Is(err, syscall.ENETUNREACH) {
		t.Errorf("got %v", err)
	}
	a.LinkUp("eth0")
	if out := a.Output("ip", "route"); strings.Contains(out, "default") {
		t.Errorf("the default route came back by itself: %s", out)
	}
}

func TestSysctl(t *testing.T) {
	l := lab.New(t)
	a, b := l.Node("a"), l.Node("b")
	before, _ := os.ReadFile("/proc/sys/net/ipv4/conf/lo/arp_ignore")
	was := b.GetSysctl("net.ipv4.conf.lo.arp_ignore")
	a.Sysctl("net/ipv4/conf/lo/arp_ignore", "3")
	if got := a.GetSysctl("net.ipv4.conf.lo.arp_ignore"); got != "3" {
		t.Errorf("a has %s", got)
	}
	if got := b.GetSysctl("net.ipv4.conf.lo.arp_ignore"); got != was {
		t.Errorf("b has %s, had %s", got, was)
	}
	if after, _ := os.ReadFile("/proc/sys/net/ipv4/conf/lo/arp_ignore"); !bytes.Equal(after, before) {
		t.Errorf("this machine has %s, had %s", after, before)
	}
	lan := l.Network("lan")
	a.Attach(lan, "eth0")
	a.Sysctl("net.ipv4.conf.eth0.rp_filter", "1")
	a.NoReversePathFilter()
	if got := a.GetSysctl("net.ipv4.conf.eth0.rp_filter"); got != "0" {
		t.Errorf("rp_filter %s", got)
	}
}

func TestCommand(t *testing.T) {
	l := lab.New(t)
	n := l.Node("n")
	n.Attach(l.Network("lan"), "eth7", "192.0.2.7/24")
	if out := n.Output("ls", "/sys/class/net"); out != "eth7\nlo\n" {
		t.Errorf("/sys shows %q", out)
	}
	if out := n.Output("ip", "-br", "-4", "addr", "show", "eth7"); !strings.Contains(out, "192.0.2.7/24") {
		t.Errorf("ip addr: %s", out)
	}
	cmd := n.Command("sh", "-c", "echo $WORD; echo err >&2; exit 3")
	cmd.Env = append(os.Environ(), "WORD=hello")
	out, err := cmd.Output()
	if string(out) != "hello\n" || cmd.ProcessState.ExitCode() != 3 {
		t.Errorf("got %q, %v", out, err)
	}
	if _, err := n.Command("/nonexistent").CombinedOutput(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestProc(t *testing.T) {
	l := lab.New(t)
	n := l.Node("n")
	p := n.Start("sh", "-c", `trap 'echo bye; exit 4' TERM; echo "$$ is up"; while :; do sleep 0.05; done`)
	p.WaitLog(fmt.Sprintf("%d is up", p.Pid()), patience) // the pid is the program's own
	inside, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", p.Pid()))
	outside, _ := os.Readlink("/proc/self/ns/net")
	if err != nil || inside == outside {
		t.Errorf("it runs in %s, this in %s, %v", inside, outside, err)
	}
	p.Stop()
	if got := p.Wait(); got == nil || got.Error() != "exit status 4" || !strings.HasSuffix(p.Log(), "bye\n") {
		t.Errorf("%v, log %q", got, p.Log())
	}
	p.Signal(syscall.SIGHUP) // one that has ended is no error
	q := n.Start("sleep", "1000")
	q.Kill()
	if got := q.Wait(); got == nil || got.Error() != "signal: killed" {
		t.Errorf("got %v", got)
	}
}

// TestEnd runs laboratories that end well, fail and are never told to stop
// their programs; none leaves a process, a namespace or a file.
func TestEnd(t *testing.T) {
	lab.New(t) // skips without root
	for _, how := range []string{"return", "fatal", "fatal in a node"} {
		t.Run(how, func(t *testing.T) {
			var log bytes.Buffer
			var pids []int
			var dir string
			name := fmt.Sprintf("lab-test-%d", os.Getpid())
			err := lab.Run(&log, func(t lab.T) {
				l := lab.New(t, lab.Named())
				n := l.Node(name)
				dir = n.Dir()
				if _, err := os.Stat("/run/netns/" + name); err != nil {
					t.Logf("no name: %v", err)
				}
				stubborn := n.Start("sh", "-c", "setsid sh -c 'echo $$; exec sleep 1000' & echo $!; wait")
				stubborn.WaitLog("\n", patience)
				pids = append(pids, stubborn.Pid())
				lab.Eventually(t, patience, "both pids", func() error {
					if f := strings.Fields(stubborn.Log()); len(f) == 2 {
						var pid int
						fmt.Sscan(f[1], &pid)
						pids = append(pids, pid)
						return nil
					}
					return errors.New(stubborn.Log())
				})
				switch how {
				case "fatal":
					t.Fatalf("given up")
				case "fatal in a node":
					n.Do(func() { t.Fatalf("given up") })
					t.Logf("Do returned")
				}
			})
			if failed := how != "return"; failed != (err != nil) || failed != strings.Contains(log.String(), "said:") {
				t.Errorf("error %v, log %s", err, &log)
			}
			if strings.Contains(log.String(), "Do returned") || strings.Contains(log.String(), "no name") {
				t.Error(log.String())
			}
			for _, pid := range pids {
				lab.Eventually(t, patience, fmt.Sprintf("end of process %d", pid), func() error {
					if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil && !bytes.Contains(b, []byte(") Z ")) {
						return fmt.Errorf("it lives: %s", b)
					}
					return nil
				})
			}
			for _, path := range []string{"/run/netns/" + name, dir, filepath.Dir(dir)} {
				if _, err := os.Stat(path); err == nil {
					t.Errorf("%s is still there", path)
				}
			}
		})
	}
}

// TestOutage cuts a node off in both ways, with and without its knowledge.
func TestOutage(t *testing.T) {
	for name, tt := range map[string]struct {
		cut, mend func(*lab.Network, *lab.Node)
		carrier   string
	}{
		"unplugged": {(*lab.Network).Unplug, (*lab.Network).Plug, "0"},
		"dead port": {(*lab.Network).Deaden, (*lab.Network).Revive, "1"},
	} {
		t.Run(name, func(t *testing.T) { outage(t, tt.cut, tt.mend, tt.carrier) })
	}
}

func outage(t *testing.T, cut, mend func(*lab.Network, *lab.Node), carrierMeanwhile string) {
	l := lab.New(t)
	lan := l.Network("lan")
	web, client := l.Node("web"), l.Node("client")
	web.Attach(lan, "eth0", "172.20.0.113/24")
	client.Attach(lan, "eth0", "172.20.0.200/24")
	web.Serve(":80", says("web"))

	carrier := func(want string) {
		t.Helper()
		lab.Eventually(t, patience, "carrier "+want, func() error {
			if got := strings.TrimSpace(web.Output("sh", "-c", "cat /sys/class/net/eth0/carrier")); got != want {
				return errors.New(got)
			}
			return nil
		})
	}
	probe := client.Probe(20*time.Millisecond, lab.Request{URL: "http://172.20.0.113/", Timeout: time.Second})
	answers := func(more int) {
		t.Helper()
		n := probe.OK()
		lab.Eventually(t, patience, "answers", func() error {
			if got := probe.OK() - n; got < more {
				return fmt.Errorf("%d of %d", got, more)
			}
			return nil
		})
	}
	answers(3)
	cut(lan, web)
	carrier(carrierMeanwhile)
	if !web.HasAddr("eth0", "172.20.0.113") {
		t.Error("the address went with the cable")
	}
	began := time.Now()
	<-time.After(300 * time.Millisecond)
	outage := time.Since(began)
	mend(lan, web)
	carrier("1")
	answers(3)
	tl := probe.Stop()
	t.Log(tl)
	if gap := tl.LongestGap().Length(); gap < outage || gap > patience {
		t.Errorf("longest gap %v, the node was cut off for %v", gap, outage)
	}
}

func TestBurst(t *testing.T) {
	l := lab.New(t)
	lan := l.Network("lan")
	web, client := l.Node("web"), l.Node("client")
	web.Attach(lan, "eth0", "172.20.0.113/24")
	client.Attach(lan, "eth0", "172.20.0.200/24")
	seen := make(chan string, 100)
	web.Serve(":80", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- r.RemoteAddr
		if r.Host != "shop.example" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("X-Server", "web")
	}))
	got := client.Burst(40, 4, lab.Request{
		URL: "http://172.20.0.113/", Host: "shop.example",
		Server: func(r *http.Response, _ []byte) string { return r.Header.Get("X-Server") },
	})
	if got.String() != "40 of 40 answered: web 40" {
		t.Error(got)
	}
	if got := client.Burst(2, 1, lab.Request{URL: "http://172.20.0.113/"}); got.Errors["status 404"] != 2 {
		t.Error(got)
	}
	if got := client.Burst(2, 1, lab.Request{URL: "http://172.20.0.113:81/"}); got.Errors["connection refused"] != 2 {
		t.Error(got)
	}
	ports := map[string]bool{}
	for range len(seen) {
		_, port, _ := net.SplitHostPort(<-seen)
		ports[port] = true
	}
	if len(ports) != 42 {
		t.Errorf("42 requests came from %d ports", len(ports))
	}
}

// TestTLS shows that a request names its Host to TLS as well.
func TestTLS(t *testing.T) {
	l := lab.New(t)
	lan := l.Network("lan")
	web, client := l.Node("web"), l.Node("client")
	web.Attach(lan, "eth0", "172.20.0.113/24")
	client.Attach(lan, "eth0", "172.20.0.200/24")
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, r.Host, r.TLS.ServerName)
	}))
	s.Listener.Close()
	s.Listener = web.Listen("tcp", ":443")
	s.StartTLS()
	defer s.Close()
	r := lab.Request{URL: "https://172.20.0.113/", Host: "shop.example"}
	if got := client.Burst(3, 3, r); got.By["shop.example shop.example"] != 3 {
		t.Error(got)
	}
	r.TLS = &tls.Config{} // one that looks at certificates
	if got := client.Burst(1, 1, r); got.Answered != 0 || !strings.Contains(got.String(), "certificate") {
		t.Error(got)
	}
}

func TestCapture(t *testing.T) {
	l := lab.New(t)
	lan := l.Network("lan")
	a, b := l.Node("a"), l.Node("b")
	a.Attach(lan, "eth0", "192.0.2.1/24")
	b.Attach(lan, "eth0", "192.0.2.2/24")
	c := b.Capture("eth0", "arp")
	a.Output("ping", "-c", "1", "192.0.2.2")
	c.Wait("who-has 192.0.2.2", patience)
	for _, line := range c.Stop() {
		if !strings.Contains(line, "ARP") {
			t.Errorf("what is this: %s", line)
		}
	}
}

func TestShape(t *testing.T) {
	l := lab.New(t)
	lan := l.Network("lan")
	a, b := l.Node("a"), l.Node("b")
	a.Attach(lan, "eth0", "192.0.2.1/24")
	b.Attach(lan, "eth0", "192.0.2.2/24")
	if out, err := a.Command("tc", "qdisc", "add", "dev", "lo", "root", "netem").CombinedOutput(); err != nil {
		if os.Getenv("PORTICO_VM") == "1" {
			t.Fatalf("netem: %s", out)
		}
		t.Skipf("this kernel has no sch_netem: %s", out)
	}
	b.Serve(":80", says("b"))
	lan.Shape(b, lab.Shape{Delay: 100 * time.Millisecond})
	start := time.Now()
	tally := a.Burst(1, 1, lab.Request{URL: "http://192.0.2.2/"})
	if took := time.Since(start); took < 200*time.Millisecond || tally.Answered != 1 {
		t.Errorf("%v after %v, want two delays of 100 ms at least", tally, took)
	}
	lan.Shape(b, lab.Shape{Loss: 1})
	if tally := a.Burst(1, 1, lab.Request{URL: "http://192.0.2.2/", Timeout: 200 * time.Millisecond}); tally.Errors["timeout"] != 1 {
		t.Error(tally)
	}
	lan.Shape(b, lab.Shape{})
	if tally := a.Burst(1, 1, lab.Request{URL: "http://192.0.2.2/"}); tally.Answered != 1 {
		t.Error(tally)
	}
}
