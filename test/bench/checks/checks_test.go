// Package checks_test measures what checks cost, beside keepalived where the
// kernel has IPVS, without which keepalived's checker does not start.
package checks_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/net/ipv4"

	"github.com/portico-lb/portico/health"
	"github.com/portico-lb/portico/test/lab"
)

const (
	interval = 2 * time.Second
	timeout  = time.Second
	warmUp   = 6 * time.Second
	window   = 20 * time.Second
	roleEnv  = "PORTICO_BENCH_ROLE"
	// numberEnv is how many servers are checked; 5,000 without it.
	numberEnv = "PORTICO_CHECKS"
)

// number is how many servers are checked.
func number() int {
	if n, err := strconv.Atoi(os.Getenv(numberEnv)); err == nil {
		return n
	}
	return 5000
}

// The processes of the bench are all this program.
func TestMain(m *testing.M) {
	switch os.Getenv(roleEnv) {
	case "":
		os.Exit(m.Run())
	case "servers":
		serve()
	case "checker":
		check(health.Kind(os.Args[1]), netip.MustParseAddrPort(os.Args[2]))
	}
}

// loopback is the first of many servers that are all this machine.
var loopback = netip.AddrFrom4([4]byte{127, 1, 0, 0})

// server returns the address of one of many servers.
func server(first netip.AddrPort, i int) netip.AddrPort {
	a := first.Addr().As4()
	a[2], a[3] = a[2]+byte(i>>8), byte(i)
	return netip.AddrPortFrom(netip.AddrFrom4(a), first.Port())
}

// check runs a monitor until it is told to stop, and prints what it knows.
// Asked by a line on stdin, it says how many attempts it has made.
func check(kind health.Kind, first netip.AddrPort) {
	m := health.New(health.Options{Log: slog.New(slog.DiscardHandler)})
	var checks []health.Check
	for i := range number() {
		c := health.Check{Kind: kind, Target: server(first, i), Interval: interval, Timeout: timeout, Fall: 3, Rise: 2}
		switch kind {
		case health.HTTP:
			c.HTTP = health.HTTPRequest{Path: "/ready", Status: health.StatusRange{Low: 200, High: 299}}
		case health.DNS:
			c.DNS = health.DNSQuery{Name: "www.example.com.", Type: dnsmessage.TypeA}
		case health.DRPath:
			c.VIPs = health.AddrList(vip)
		}
		checks = append(checks, c)
	}
	m.Set(checks)
	go func() {
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			var made uint64
			for _, n := range m.Status().Lateness.Counts {
				made += n
			}
			fmt.Println(made)
		}
	}()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := m.Run(ctx, func() {}); err != nil {
		panic(err)
	}
	st := m.Status()
	r := monitorReport{P99: st.Lateness.Quantile(0.99), P50: st.Lateness.Quantile(0.5)}
	for _, c := range st.Checks {
		if !c.Up {
			r.Down++
			r.Reason = c.Name + ": " + c.Reason
		}
	}
	json.NewEncoder(os.Stdout).Encode(r)
}

type monitorReport struct {
	P50, P99 time.Duration
	Down     int
	Reason   string // of one that is down
}

// serve answers every request by 200, every query over UDP by nothing, and
// counts connections. It is asked for the number by a line on stdin.
func serve() {
	l, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		panic(err)
	}
	names, err := net.ListenPacket("udp4", l.Addr().String())
	if err != nil {
		panic(err)
	}
	go answerNames(ipv4.NewPacketConn(names))
	fmt.Println(l.Addr().(*net.TCPAddr).Port)
	var count int64
	counted := make(chan int64)
	conns := make(chan struct{}, 1024)
	go func() {
		for {
			select {
			case <-conns:
				count++
			case counted <- count:
			}
		}
	}()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns <- struct{}{}
			go answer(c)
		}
	}()
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		fmt.Println(<-counted)
	}
}

func answer(c net.Conn) {
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	buf := make([]byte, 1024)
	for n := 0; n < len(buf); {
		m, err := c.Read(buf[n:])
		if err != nil {
			return
		}
		if n += m; bytes.HasSuffix(buf[:n], []byte("\r\n\r\n")) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
			return
		}
	}
}

// answerNames sends every query back as the answer to it, from the address
// that was asked.
func answerNames(conn *ipv4.PacketConn) {
	if err := conn.SetControlMessage(ipv4.FlagDst, true); err != nil {
		panic(err)
	}
	buf := make([]byte, 512)
	for {
		n, asked, from, err := conn.ReadFrom(buf)
		if err != nil {
			return
		}
		if n > 2 {
			buf[2] |= 0x80 // QR
			conn.WriteTo(buf[:n], &ipv4.ControlMessage{Src: asked.Dst}, from)
		}
	}
}

// A process is one that the bench started.
type process struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func start(b *testing.B, role string, path string, args ...string) process {
	b.Helper()
	cmd := exec.Command(path, args...)
	return launch(b, role, cmd, cmd)
}

// launch starts cmd as p does, which may put it into a namespace.
func launch(b *testing.B, role string, cmd *exec.Cmd, p interface {
	Start() error
	Wait() error
}) process {
	b.Helper()
	cmd.Env = append(os.Environ(), roleEnv+"="+role)
	if role != "" {
		cmd.Stderr = os.Stderr // keepalived would write a line a server
	}
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err1 != nil || err2 != nil {
		b.Fatal(err1, err2)
	}
	if err := p.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		cmd.Process.Kill()
		p.Wait()
	})
	return process{cmd, in, bufio.NewReader(out)}
}

func (p process) line(b *testing.B) string {
	b.Helper()
	s, err := p.out.ReadString('\n')
	if err != nil {
		b.Fatalf("%s: %v", p.cmd, err)
	}
	return strings.TrimSpace(s)
}

// count asks the servers how many connections they have seen, or a checker
// how many attempts it made.
func (p process) count(b *testing.B) int {
	b.Helper()
	fmt.Fprintln(p.in)
	n, err := strconv.Atoi(p.line(b))
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// cpu returns the CPU time, resident memory in kB and threads of a process
// and its children.
func cpu(b *testing.B, pid int) (spent time.Duration, rss, threads int) {
	b.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		b.Fatal(err)
	}
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // ended since
		}
		_, rest, _ := strings.Cut(string(text), ") ")
		f := strings.Fields(rest) // proc_pid_stat(5), from the third field
		ppid, _ := strconv.Atoi(f[4-3])
		own := filepath.Base(filepath.Dir(path)) == strconv.Itoa(pid)
		if !own && ppid != pid {
			continue
		}
		user, _ := strconv.Atoi(f[14-3])
		system, _ := strconv.Atoi(f[15-3])
		n, _ := strconv.Atoi(f[20-3])
		pages, _ := strconv.Atoi(f[24-3])
		spent += time.Duration(user+system) * 10 * time.Millisecond
		rss += pages * os.Getpagesize() / 1024
		threads += n
	}
	return spent, rss, threads
}

// measure lets a checker run and reports what it cost in the window, in which
// the counter counts attempts.
func measure(b *testing.B, checker, counter process) {
	b.Helper()
	time.Sleep(warmUp)
	before, _, _ := cpu(b, checker.cmd.Process.Pid)
	asked := counter.count(b)
	time.Sleep(window)
	after, rss, threads := cpu(b, checker.cmd.Process.Pid)
	asked = counter.count(b) - asked
	b.ReportMetric((after-before).Seconds()*float64(time.Minute/window), "cpu-s/min")
	b.ReportMetric(float64((after-before).Microseconds())/float64(asked), "cpu-µs/attempt")
	b.ReportMetric(float64(asked)/window.Seconds(), "attempts/s")
	b.ReportMetric(float64(rss)/1024, "rss-MB")
	b.ReportMetric(float64(threads), "threads")
	b.ReportMetric(0, "ns/op") // not shown
}

func BenchmarkPortico(b *testing.B) {
	for _, kind := range []health.Kind{health.TCP, health.HTTP, health.DNS, health.Ping} {
		b.Run(fmt.Sprintf("%s/%d", kind, number()), func(b *testing.B) {
			servers := start(b, "servers", "/proc/self/exe")
			checker := start(b, "checker", "/proc/self/exe", string(kind), loopback.String()+":"+servers.line(b))
			portico(b, checker)
		})
	}
}

// portico measures a checker of ours.
func portico(b *testing.B, checker process) {
	b.Helper()
	measure(b, checker, checker)
	checker.cmd.Process.Signal(syscall.SIGTERM)
	var r monitorReport
	if err := json.Unmarshal([]byte(checker.line(b)), &r); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(r.P50.Microseconds())/1000, "late-p50-ms")
	b.ReportMetric(float64(r.P99.Microseconds())/1000, "late-p99-ms")
	if r.Down > 0 {
		b.Errorf("%d servers are taken for down, %s", r.Down, r.Reason)
	}
}

// vip is what a check of the path of direct routing asks for.
const vip = "192.0.2.10"

// BenchmarkDirectRouting asks servers on a segment that are one machine with
// many addresses. The virtual address stands on its lo, where nobody hears of it.
// There are 1,000 at most: the kernel goes through all of a machine's addresses for each
// ARP question, and with more of them the farm is what is measured.
func BenchmarkDirectRouting(b *testing.B) {
	b.Setenv(numberEnv, strconv.Itoa(min(number(), 1000)))
	b.Run(fmt.Sprintf("%s/%d", health.DRPath, number()), func(b *testing.B) {
		l := lab.New(b)
		lan, farm, director := l.Network("lan"), l.Node("farm"), l.Node("director")
		director.Attach(lan, "eth0", "10.1.255.1/16")
		director.AddAddr("lo", vip+"/32")
		farm.Attach(lan, "eth0")
		farm.Sysctl("net.ipv4.conf.all.arp_ignore", "1")
		farm.Sysctl("net.ipv4.conf.all.arp_announce", "2")
		farm.NoReversePathFilter()
		farm.AddAddr("lo", vip+"/32")
		first := netip.AddrFrom4([4]byte{10, 1, 1, 0})
		for i := range number() {
			farm.AddAddr("eth0", server(netip.AddrPortFrom(first, 0), i).Addr().String()+"/16")
		}
		in := func(n *lab.Node, role string, args ...string) process {
			cmd := n.Command("/proc/self/exe", args...)
			return launch(b, role, cmd.Cmd, cmd)
		}
		port := in(farm, "servers").line(b)
		portico(b, in(director, "checker", string(health.DRPath), first.String()+":"+port))
	})
}

func BenchmarkKeepalived(b *testing.B) {
	if _, err := os.Stat("/proc/net/ip_vs"); err != nil {
		b.Skip("this kernel has no IPVS, without which keepalived checks nothing")
	}
	for _, kind := range []health.Kind{health.TCP, health.HTTP} {
		b.Run(fmt.Sprintf("%s/%d", kind, number()), func(b *testing.B) {
			servers := start(b, "servers", "/proc/self/exe")
			port := servers.line(b)
			config := filepath.Join(b.TempDir(), "keepalived.conf")
			if err := os.WriteFile(config, keepalived(kind, port), 0o600); err != nil {
				b.Fatal(err)
			}
			checker := start(b, "", "keepalived", "-n", "-l", "-C", "-f", config, "-p", config+".pid", "-c", config+".check.pid")
			go io.Copy(io.Discard, checker.out)
			measure(b, checker, servers)
			checker.cmd.Process.Signal(syscall.SIGTERM)
		})
	}
}

// keepalived is a configuration with the same checks.
func keepalived(kind health.Kind, port string) []byte {
	var c bytes.Buffer
	fmt.Fprintf(&c, "virtual_server 192.0.2.10 80 {\n delay_loop %d\n lvs_sched rr\n lvs_method NAT\n protocol TCP\n", int(interval.Seconds()))
	p, _ := strconv.Atoi(port)
	for i := range number() {
		s := server(netip.AddrPortFrom(loopback, uint16(p)), i)
		fmt.Fprintf(&c, " real_server %s %d {\n weight 1\n", s.Addr(), s.Port())
		common := fmt.Sprintf("connect_timeout %d\n warmup %d\n", int(timeout.Seconds()), int(interval.Seconds()))
		if kind == health.TCP {
			fmt.Fprintf(&c, "  TCP_CHECK {\n %s }\n }\n", common)
		} else {
			fmt.Fprintf(&c, "  HTTP_GET {\n url {\n path /ready\n status_code 200\n }\n %s }\n }\n", common)
		}
	}
	c.WriteString("}\n")
	return c.Bytes()
}
