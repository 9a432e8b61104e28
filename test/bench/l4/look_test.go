package l4_test

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portico-lb/portico/test/lab"
)

func write(b *testing.B, file, text string) {
	b.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
}

// wait looks seldom: to look is work for the machine that is measured.
func wait(b *testing.B, what string, cond func() bool) {
	b.Helper()
	for end := time.Now().Add(limit); !cond(); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(end) {
			b.Fatalf("%s: not within %v", what, limit)
		}
	}
}

// table is the kernel's own, which is cheaper than ipvsadm's words for it.
func table(n *lab.Node) (text []byte) {
	n.Do(func() { text, _ = os.ReadFile("/proc/thread-self/net/ip_vs") })
	return text
}

// counters are those of all services and servers, a line each.
func counters(n *lab.Node) []string {
	return strings.Split(n.Output("ipvsadm", "-Ln", "--stats", "--exact"), "\n")
}

// connections are what IPVS remembers, without the time that is left to each.
func connections(n *lab.Node) (list []string) {
	for line := range strings.Lines(n.Output("ipvsadm", "-Lnc")) {
		if f := strings.Fields(line); len(f) == 6 {
			list = append(list, strings.Join(slices.Delete(f, 1, 2), " "))
		}
	}
	slices.Sort(list)
	return list
}

// differing returns the lines of one list that the other has not, in order.
func differing(before, after []string) (lines []string) {
	at := func(list []string, i int) string {
		if i < len(list) {
			return strings.Join(strings.Fields(list[i]), " ")
		}
		return "none"
	}
	for i := range max(len(before), len(after)) {
		if old, now := at(before, i), at(after, i); old != now {
			lines = append(lines, old+" became "+now)
		}
	}
	return lines
}

// datagrams makes counters of the other tool's service.
func datagrams(b *testing.B, client *lab.Node, count int) {
	b.Helper()
	c, err := client.DialContext(b.Context(), "udp", vip+":53")
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	for range count {
		_, _ = c.Write([]byte("x")) // refused, and counted before that
	}
}

// hold opens connections through the first service.
func hold(b *testing.B, client *lab.Node) (conns []net.Conn) {
	b.Helper()
	for range held {
		c, err := client.DialContext(b.Context(), "tcp", fmt.Sprintf("%s:%d", vip, firstPort))
		if err == nil {
			// Or counters would move by themselves.
			err = c.(*net.TCPConn).SetKeepAlive(false)
		}
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { c.Close() })
		conns = append(conns, c)
	}
	if n := broken(conns); n > 0 {
		b.Fatalf("%d of %d connections do not work to begin with", n, held)
	}
	return conns
}

// broken counts the connections that answer no more.
func broken(conns []net.Conn) (n int) {
	for _, c := range conns {
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		_, err := fmt.Fprintln(c, "still there?")
		if err == nil {
			_, err = bufio.NewReader(c).ReadString('\n')
		}
		if err != nil {
			n++
		}
	}
	return n
}
