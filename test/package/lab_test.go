package package_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
)

// The machine is one edge node. On edge0 come the client and another server of
// the address, by a switch; behind pod0 is the Pod. Each is a namespace.
const (
	vip      = "198.51.100.10"
	nodeIP   = "198.51.100.1"
	otherIP  = "198.51.100.2"
	clientIP = "198.51.100.100"
	podIP    = "203.0.113.2"
	podPort  = "8080"
	// otherPort is served by the other server alone, which answers clients
	// directly.
	otherPort = "8081"
)

func makeNetwork(t *testing.T) {
	for _, line := range []string{
		"link set lo up",
		"netns add switch",
		"-n switch link add br0 type bridge",
		"-n switch link set br0 up",
		"link add edge0 type veth peer name edge0 netns switch",
		"address add " + nodeIP + "/24 dev edge0",
		"link set edge0 up",
		"netns add client",
		"-n client link add eth0 type veth peer name client netns switch",
		"-n client address add " + clientIP + "/24 dev eth0",
		"-n client link set eth0 up",
		"netns add other",
		"-n other link add eth0 type veth peer name other netns switch",
		"-n other address add " + otherIP + "/24 dev eth0",
		"-n other address add " + vip + "/32 dev lo",
		"-n other link set eth0 up",
		"-n other link set lo up",
		"netns add pod",
		"link add pod0 type veth peer name eth0 netns pod",
		"address add 203.0.113.1/24 dev pod0",
		"link set pod0 up",
		"-n pod address add " + podIP + "/24 dev eth0",
		"-n pod link set eth0 up",
		"-n pod link set lo up",
	} {
		run(t, "ip", strings.Fields(line)...)
	}
	run(t, "ip", "netns", "exec", "other", "sysctl", "-qw", "net.ipv4.conf.all.arp_ignore=1", "net.ipv4.conf.all.arp_announce=2")
	for _, port := range []string{"edge0", "client", "other"} {
		run(t, "ip", "-n", "switch", "link", "set", port, "master", "br0", "up")
	}
	// What XDP sends on it sends as it came, so it must come whole.
	run(t, "ip", "netns", "exec", "switch", "ethtool", "-K", "edge0", "tx", "off", "tso", "off", "gso", "off")
	inNamespace(t, "switch", "pass edge0")
}

// holdPass has every frame pass an interface by an XDP program, until in ends:
// what another sends by its end of a veth is received where both have one.
func holdPass(ifname string, in io.Reader) error {
	pass, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.XDP, License: "Apache-2.0",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 2), asm.Return()}, // XDP_PASS
	})
	if err != nil {
		return err
	}
	i, err := net.InterfaceByName(ifname)
	if err != nil {
		return err
	}
	held, err := link.AttachXDP(link.XDPOptions{Program: pass, Interface: i.Index, Flags: link.XDPDriverMode})
	if err != nil {
		return err
	}
	fmt.Println("ready")
	io.Copy(io.Discard, in)
	return held.Close()
}

// inNamespace starts this program there in a role.
func inNamespace(t *testing.T, namespace, role string) (*exec.Cmd, io.WriteCloser, *bufio.Scanner) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command("ip", "netns", "exec", namespace, self)
	c.Env = append(os.Environ(), roleEnv+"="+role)
	c.Stderr = os.Stderr
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Process.Kill(); c.Wait() })
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatalf("%s in namespace %s did not start", role, namespace)
	}
	return c, in, lines
}

// servePod answers every request, /stream with a line each 100 ms for as long
// as the client listens.
func servePod(port string) {
	l, err := net.Listen("tcp", ":"+port)
	if err != nil {
		panic(err)
	}
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, "hello from the Pod") })
	http.HandleFunc("/stream", func(w http.ResponseWriter, r *http.Request) {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-r.Context().Done():
				return
			case <-tick.C:
				fmt.Fprintln(w, "still here")
				http.NewResponseController(w).Flush()
			}
		}
	})
	fmt.Println("ready")
	panic(http.Serve(l, nil))
}

// A load says how requests to an address went, by kind of connection.
type load struct {
	Fresh, Kept int      // requests answered, each on a new connection or on a kept one
	Streamed    int      // lines of one response
	Failures    []string // at most ten
	Failed      int
	LongestGap  time.Duration // between two answers of the fresh kind
}

// makeLoad makes requests to an address until in ends, then prints a load.
func makeLoad(address string, in io.Reader, out io.Writer) {
	var mu sync.Mutex
	var l load
	fail := func(kind string, err error) {
		mu.Lock()
		defer mu.Unlock()
		l.Failed++
		if len(l.Failures) < 10 {
			l.Failures = append(l.Failures, kind+": "+err.Error())
		}
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	repeat := func(kind string, transport *http.Transport, count *int) {
		client := &http.Client{Transport: transport, Timeout: 5 * time.Second}
		last := time.Now()
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
			if err := get(client, "http://"+address+"/"); err != nil {
				fail(kind, err)
				continue
			}
			mu.Lock()
			*count++
			if gap := time.Since(last); kind == "fresh" {
				l.LongestGap = max(l.LongestGap, gap)
			}
			last = time.Now()
			mu.Unlock()
		}
	}
	stream, err := http.Get("http://" + address + "/stream")
	if err != nil {
		panic(err)
	}
	wg.Go(func() { repeat("fresh", &http.Transport{DisableKeepAlives: true}, &l.Fresh) })
	wg.Go(func() { repeat("kept", &http.Transport{MaxConnsPerHost: 1}, &l.Kept) })
	wg.Go(func() {
		lines := bufio.NewScanner(stream.Body)
		for lines.Scan() {
			mu.Lock()
			l.Streamed++
			mu.Unlock()
		}
		select {
		case <-stop:
		default:
			fail("stream", fmt.Errorf("ended: %v", lines.Err()))
		}
	})
	fmt.Fprintln(out, "ready")
	io.Copy(io.Discard, in)
	close(stop)
	stream.Body.Close()
	wg.Wait()
	json.NewEncoder(out).Encode(l)
}

func get(client *http.Client, url string) error {
	r, err := client.Get(url)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	if r.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", r.Status, body)
	}
	return nil
}

// underLoad makes requests to the addresses while do runs, and for two seconds
// before and after.
func underLoad(t *testing.T, do func(), addresses ...string) map[string]load {
	t.Helper()
	type client struct {
		process *exec.Cmd
		in      io.Closer
		lines   *bufio.Scanner
	}
	clients := map[string]client{}
	for _, a := range addresses {
		process, in, lines := inNamespace(t, "client", "client "+a)
		clients[a] = client{process, in, lines}
	}
	wait(2 * time.Second)
	do()
	wait(2 * time.Second)
	loads := map[string]load{}
	for a, c := range clients {
		c.in.Close()
		var l load
		if !c.lines.Scan() {
			t.Fatal("the client died")
		}
		if err := json.Unmarshal(c.lines.Bytes(), &l); err != nil {
			t.Fatalf("%v: %s", err, c.lines.Bytes())
		}
		if err := c.process.Wait(); err != nil {
			t.Fatal(err)
		}
		loads[a] = l
	}
	return loads
}

// unbroken fails the test for every request that failed.
func unbroken(t *testing.T, through string, loads map[string]load) {
	t.Helper()
	for a, l := range loads {
		t.Logf("load on %s through %s: %+v", a, through, l)
		if l.Failed > 0 {
			t.Errorf("%s: %d requests failed: %q", a, l.Failed, l.Failures)
		}
	}
}

// wait lets the load run: here time itself is what is tested.
func wait(d time.Duration) { <-time.After(d) }
