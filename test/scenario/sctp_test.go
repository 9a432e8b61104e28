package scenario

import (
	"net"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/portico-lb/portico/test/lab"
)

// serveSCTP answers every association with the node's name.
func serveSCTP(t *testing.T, n *lab.Node, addr string, port int) {
	t.Helper()
	var fd int
	var err error
	n.Do(func() {
		if fd, err = socketSCTP(addr); err == nil {
			if err = unix.Bind(fd, sockaddr(addr, port)); err == nil {
				err = unix.Listen(fd, 100)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, _, err := unix.Accept(fd)
			if err == nil {
				_, _ = unix.Write(c, []byte(n.Name()))
				unix.Close(c)
			}
			select {
			case <-stop:
				return
			default: // a client, or none for a while
			}
		}
	}()
	t.Cleanup(func() {
		close(stop)
		<-done
		unix.Close(fd)
	})
}

// associate opens an association and reads what the server says.
func associate(n *lab.Node, addr string, port int) (said string, err error) {
	n.Do(func() {
		fd, e := socketSCTP(addr)
		if err = e; err != nil {
			return
		}
		defer unix.Close(fd)
		if err = unix.Connect(fd, sockaddr(addr, port)); err != nil {
			return
		}
		b := make([]byte, 100)
		var k int
		if k, err = unix.Read(fd, b); err == nil {
			said = string(b[:k])
		}
	})
	return said, err
}

// socketSCTP is a one-to-one socket (RFC 6458, section 4) whose calls end
// after some time.
func socketSCTP(addr string) (int, error) {
	family := unix.AF_INET
	if strings.Contains(addr, ":") {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_SCTP)
	if err != nil {
		return 0, err
	}
	limit := unix.Timeval{Sec: 2}
	for _, option := range []int{unix.SO_SNDTIMEO, unix.SO_RCVTIMEO} {
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, option, &limit); err != nil {
			return 0, err
		}
	}
	return fd, nil
}

func sockaddr(addr string, port int) unix.Sockaddr {
	ip := net.ParseIP(addr)
	if four := ip.To4(); four != nil {
		return &unix.SockaddrInet4{Port: port, Addr: [4]byte(four)}
	}
	return &unix.SockaddrInet6{Port: port, Addr: [16]byte(ip)}
}
