package health

import (
	"context"
	"errors"
	"fmt"
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
