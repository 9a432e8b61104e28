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
)

// The machine is one edge node: on edge0 comes the client, behind pod0 is the
// Pod, each in a namespace of its own.
const (
	vip      = "198.51.100.10"
	nodeIP   = "198.51.100.1"
	clientIP = "198.51.100.100"
	podIP    = "203.0.113.2"
	podPort  = "8080"
)

func makeNetwork(t *testing.T) {
	for _, line := range []string{
		"link set lo up",
		"netns add client",
		"link add edge0 type veth peer name eth0 netns client",
		"address add " + nodeIP + "/24 dev edge0",
		"link set edge0 up",
		"-n client address add " + clientIP + "/24 dev eth0",
		"-n client link set eth0 up",
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
func servePod() {
	l, err := net.Listen("tcp", ":"+podPort)
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

// underLoad makes requests through the virtual address while do runs, and for
// two seconds before and after.
func underLoad(t *testing.T, do func()) load {
	t.Helper()
	return underLoadAt(t, vip, do)
}

func underLoadAt(t *testing.T, address string, do func()) load {
	t.Helper()
	c, in, lines := inNamespace(t, "client", "client "+address)
	wait(2 * time.Second)
	do()
	wait(2 * time.Second)
	in.Close()
	var l load
	if !lines.Scan() {
		t.Fatal("the client died")
	}
	if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
		t.Fatalf("%v: %s", err, lines.Bytes())
	}
	if err := c.Wait(); err != nil {
		t.Fatal(err)
	}
	return l
}

// wait lets the load run: here time itself is what is tested.
func wait(d time.Duration) { <-time.After(d) }
