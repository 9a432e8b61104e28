package health

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"
)

func probeTCP(ctx context.Context, c Check) error {
	conn, err := dial(ctx, c)
	if err != nil {
		return err
	}
	// Closed by RST: thousands of checks would otherwise leave tens of
	// thousands of sockets behind in TIME-WAIT.
	_ = conn.SetLinger(0)
	return conn.Close()
}

// dial opens a connection to the check's target.
func dial(ctx context.Context, c Check) (*net.TCPConn, error) {
	// No connection here lives long enough for a keep-alive probe; setting
	// them up would cost system calls at every attempt.
	d := net.Dialer{KeepAlive: -1}
	conn, err := d.DialTCP(ctx, "tcp", netip.AddrPort{}, c.Target)
	if err != nil {
		return nil, fmt.Errorf("connect %s: %w", c.Target, plain(c, err))
	}
	return conn, nil
}

// interrupt makes the reads and writes of conn fail when ctx ends: the
// attempt's time is over, or the monitor stops. undo is to be deferred.
func interrupt(ctx context.Context, conn net.Conn) (undo func() bool) {
	return context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
}

// plain strips what the operator knows already: package net wraps an errno in
// the operation, the network and both addresses, which makes reasons long.
func plain(c Check, err error) error {
	var errno syscall.Errno
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("timeout after %s", c.Timeout)
	case errors.As(err, &errno):
		return errno
	}
	return err
}

// refused reports whether an attempt failed since nobody listens, which needs
// no second opinion.
func refused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }
