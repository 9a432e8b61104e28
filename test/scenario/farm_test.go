package scenario

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/portico-lb/portico/test/lab"
)

// A farm is servers that do nothing but answer by their names, behind a
// director that is none of them: what is to be seen there is what the director
// does with servers, and not what an edge makes of it.
type farm struct {
	t       *testing.T
	lab     *lab.Lab
	lan     *lab.Network
	client  *lab.Node
	servers []*server
}

// farmVIP is the address of the farm's first director; that of the next is one
// higher.
const farmVIP = "172.20.0.100"

// newFarm starts so many servers, which take connections to the farm's VIPs.
func newFarm(t *testing.T, servers, vips int) *farm {
	t.Helper()
	lab.NeedIPVS(t)
	l := lab.New(t)
	f := &farm{t: t, lab: l, lan: l.Network("lan"), client: l.Node("client")}
	f.client.Attach(f.lan, "eth0", "172.20.0.200/24")
	for i := range servers {
		s := &server{Node: l.Node(fmt.Sprintf("edge-%d", i+1)), addr: fmt.Sprintf("172.20.0.%d", 113+i)}
		s.Attach(f.lan, "eth0", s.addr+"/24")
		s.Sysctl("net.ipv4.conf.all.arp_ignore", "1")
		s.Sysctl("net.ipv4.conf.all.arp_announce", "2")
		s.NoReversePathFilter()
		vip := netip.MustParseAddr(farmVIP)
		for range vips {
			s.AddAddr("lo", vip.String()+"/32")
			vip = vip.Next()
		}
		s.http = &http.Server{ReadHeaderTimeout: patience, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s.request(w, r)
		})}
		s.listen()
		t.Cleanup(s.end)
		f.servers = append(f.servers, s)
	}
	return f
}

// A server answers every request by its name, but for /weight.
type server struct {
	*lab.Node
	addr string
	http *http.Server
	ln   net.Listener
	wg   sync.WaitGroup

	mu     sync.Mutex
	weight string // what /weight says of it
}

func (s *server) request(w http.ResponseWriter, r *http.Request) {
	text := s.Name()
	if r.URL.Path == "/weight" {
		s.mu.Lock()
		text = s.weight
		s.mu.Unlock()
	}
	fmt.Fprintln(w, text)
}

// say sets what the server says of its weight.
func (s *server) say(weight string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.weight = weight
}

func (s *server) listen() {
	s.ln = s.Listen("tcp", ":80")
	s.wg.Go(func() { _ = s.http.Serve(s.ln) }) // returns when the listener is closed
}

// deafen refuses new connections, and serves those that stand.
func (s *server) deafen() { s.ln.Close() }

func (s *server) end() {
	s.http.Close()
	s.wg.Wait()
}

// A director runs the real binary, and balances port 80 of its VIP.
type director struct {
	*lab.Node
	f           *farm
	vip, config string
	proc        *lab.Proc
}

// node adds the machine of a director.
func (f *farm) node(number int) *director {
	f.t.Helper()
	d := &director{Node: f.lab.Node(fmt.Sprintf("director-%d", number)), f: f}
	d.Attach(f.lan, "eth0", fmt.Sprintf("172.20.0.%d/24", 10+number))
	d.NoReversePathFilter()
	vip := netip.MustParseAddr(farmVIP)
	for range number {
		vip = vip.Next()
	}
	d.vip = vip.String()
	return d
}

// director starts the director with the number, from 0. service is the body of
// [[l4.service]] without name, address and port.
func (f *farm) director(number int, service string) *director {
	f.t.Helper()
	d := f.node(number)
	d.config = filepath.Join(d.Dir(), "portico.toml")
	d.configure(service)
	d.start()
	return d
}

func (d *director) configure(service string) {
	d.f.t.Helper()
	text := fmt.Sprintf(`[node]
name      = %[1]q
interface = "eth0"
run_dir   = "%[2]s/run"

[log]
format = "text"

[admin]
socket    = "%[2]s/director.sock"
l7_socket = "%[2]s/proxy.sock"

[[vip]]
name      = "farm"
addresses = [%[3]q]
vrrp      = { router_id = 51, advert_interval = "200ms", track = [] }

[[l4.service]]
name = "http"
vip  = "farm"
port = 80
%[4]s
`, d.Name(), d.Dir(), d.vip, service)
	if err := os.WriteFile(d.config, []byte(text), 0o600); err != nil {
		d.f.t.Fatal(err)
	}
}

func (d *director) start() {
	d.f.t.Helper()
	d.proc = d.Start(binary(), "run", "--config", d.config, "--only", "vip,l4,health")
}

// portico starts a command of the binary.
func (d *director) portico(args ...string) *lab.Proc {
	d.f.t.Helper()
	return d.Start(binary(), append(args, "--config", d.config)...)
}

// weight is what the director's kernel gives a server, and -1 where it does
// not know it. It reads what ipvsadm reads, in a hundredth of the time.
func (d *director) weight(s *server) int {
	d.f.t.Helper()
	var b []byte
	var err error
	d.Do(func() { b, err = os.ReadFile("/proc/thread-self/net/ip_vs") })
	if err != nil {
		d.f.t.Fatal(err)
	}
	want := fmt.Sprintf("%X:0050", netip.MustParseAddr(s.addr).AsSlice())
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) == 6 && f[1] == want {
			w, err := strconv.Atoi(f[3])
			if err != nil {
				d.f.t.Fatal(err)
			}
			return w
		}
	}
	return -1
}

// waitWeight waits until the kernel gives the weight to all the servers, and
// returns how long that took.
func (d *director) waitWeight(want int, servers ...*server) time.Duration {
	d.f.t.Helper()
	since := mark()
	for _, s := range servers {
		lab.Eventually(d.f.t, patience, fmt.Sprintf("%s: weight %d of %s", d.Name(), want, s.Name()), func() error {
			if got := d.weight(s); got != want {
				return fmt.Errorf("it is %d", got)
			}
			return nil
		})
	}
	return since()
}

// ipvs is what ipvsadm -Ln shows.
func (d *director) ipvs() string {
	d.f.t.Helper()
	return d.Output("ipvsadm", "-Ln")
}

// request is a GET at the director's VIP; answers are counted by server.
func (d *director) request() lab.Request {
	return lab.Request{URL: "http://" + d.vip + "/", Timeout: 2 * time.Second}
}

// A stream is a connection to the VIP that is used when the test says so.
type stream struct {
	conn   net.Conn
	r      *bufio.Reader
	server string // who answered first
}

// hold opens so many streams, each used once.
func (d *director) hold(n int) []*stream {
	d.f.t.Helper()
	streams := make([]*stream, 0, n)
	for range n {
		conn, err := d.f.client.DialContext(context.Background(), "tcp", d.vip+":80")
		if err != nil {
			d.f.t.Fatalf("hold a stream: %v", err)
		}
		d.f.t.Cleanup(func() { conn.Close() })
		s := &stream{conn: conn, r: bufio.NewReader(conn)}
		if s.server, err = s.ask(); err != nil {
			d.f.t.Fatalf("hold a stream: %v", err)
		}
		streams = append(streams, s)
	}
	return streams
}

// ask uses the stream once more, and says who answered.
func (s *stream) ask() (string, error) {
	if err := s.conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(s.conn, "GET / HTTP/1.1\r\nHost: farm\r\n\r\n"); err != nil {
		return "", err
	}
	resp, err := http.ReadResponse(s.r, nil)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return strings.TrimSpace(string(body)), err
}

// of are the streams that a server answers.
func of(streams []*stream, s *server) (own []*stream) {
	for _, c := range streams {
		if c.server == s.Name() {
			own = append(own, c)
		}
	}
	return own
}

// alive counts the streams that are still answered by whom they were.
func alive(streams []*stream) (n int) {
	for _, s := range streams {
		if server, err := s.ask(); err == nil && server == s.server {
			n++
		}
	}
	return n
}

// list is the servers as TOML; more are further keys of each.
func (f *farm) list(more string, servers ...*server) string {
	var tables []string
	for _, s := range servers {
		tables = append(tables, fmt.Sprintf("{ name = %q, address = %q%s }", s.Name(), s.addr, more))
	}
	return "server = [" + strings.Join(tables, ", ") + "]\n"
}

func binary() string { return os.Getenv("PORTICO_BIN") }
