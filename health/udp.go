package health

import (
	"context"
	"errors"
	"fmt"
)

// maxDatagram is as long as an answer can be.
const maxDatagram = 64 << 10

// A Datagram is what a check of kind UDP sends and accepts.
type Datagram struct {
	// Send is the payload, bytes in a string.
	Send string
	// Expect is a regular expression that the answer matches. If it is "" the
	// check passes by any answer, and by none: it fails only where the server
	// refuses by an ICMP message, and takes the whole timeout to tell.
	Expect string
}

func probeUDP(ctx context.Context, c Check) error {
	conn, err := dialUDP(ctx, c)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer interrupt(ctx, conn)()
	if _, err := conn.Write([]byte(c.UDP.Send)); err != nil {
		return fmt.Errorf("send datagram: %w", plain(c, err))
	}
	buf := make([]byte, maxDatagram)
	n, err := conn.Read(buf)
	switch {
	case c.UDP.Expect == "" && errors.Is(ctx.Err(), context.DeadlineExceeded):
		return nil // by none
	case err != nil:
		return fmt.Errorf("read answer: %w", plain(c, err))
	case c.UDP.Expect == "":
		return nil // by any
	}
	return match("answer", c.UDP.Expect, buf[:n])
}
