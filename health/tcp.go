package health

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
)

func probeTCP(ctx context.Context, c Check) error {
	conn, err := dial(ctx, c)
	if err != nil {
		return err
	}
	return conn.Close()
}

// dial opens a connection to the check's target.
func dial(ctx context.Context, c Check) (net.Conn, error) {
	// No connection here lives long enough for a keep-alive probe; setting
	// them up would cost system calls at every attempt.
	d := net.Dialer{KeepAlive: -1}
	conn, err := d.DialContext(ctx, "tcp", c.Target.String())
	if err != nil {
		return nil, fmt.Errorf("connect %s: %w", c.Target, plain(c, err))
	}
	return conn, nil
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
