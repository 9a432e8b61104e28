package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A backend is a connection to an endpoint. It belongs to one request at a
// time, or to its endpoint's pool.
type backend struct {
	tcp *net.TCPConn
	raw syscall.RawConn
	ep  *endpoint
	// pooled is whether an earlier request has used it.
	pooled bool
	// since is when it was put back into the pool.
	since int64
	// sent counts the bytes written before the request at hand, sending those
	// of the request.
	sent, sending int64

	// peek is kept, so that looking allocates nothing.
	peek  func(fd uintptr) bool
	quiet bool
}

// dial connects to ep, which counts a request in flight already.
func dial(ctx context.Context, ep *endpoint, timeout time.Duration) (*backend, error) {
	d := net.Dialer{Timeout: timeout}
	tcp, err := d.DialTCP(ctx, "tcp", netip.AddrPort{}, ep.addr)
	if err != nil {
		return nil, err
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		tcp.Close()
		return nil, err
	}
	b := &backend{tcp: tcp, raw: raw, ep: ep}
	b.peek = func(fd uintptr) bool {
		_, err := peek(fd)
		b.quiet = err == unix.EAGAIN //nolint:errorlint // an errno as the kernel gave it, once a request
		return true
	}
	return b, nil
}

// fit reports whether an idle connection may carry a request: it is open, and
// nothing has come in that no request asked for, such as the 408 that some
// servers send before they close.
func (b *backend) fit() bool {
	return b.raw.Read(b.peek) == nil && b.quiet
}

// delivered reports whether the endpoint may have got anything of the request,
// now that reading has ended with err before the first byte of a response. It
// errs on the side of yes.
//
// A FIN carries the number of the last byte that the peer's kernel had taken
// when it was sent, so after an orderly end the acknowledged bytes tell
// exactly. A reset does not say: a process that dies with unread bytes in its
// socket sends one as well.
func (b *backend) delivered(err error) bool {
	if !errors.Is(err, io.EOF) {
		return true
	}
	acked := int64(1 << 62)
	cerr := b.raw.Control(func(fd uintptr) {
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			acked = int64(info.Bytes_acked)
		}
	})
	// The SYN counts for one byte (RFC 9293, section 3.4).
	return cerr != nil || acked > b.sent+1
}
