package cluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"syscall"

	"github.com/vishvananda/netns"
)

// InNetNS runs functions in the network namespace at path, for Options.Do. Each
// gets a goroutine with a thread of its own, which is thrown away after it, so
// that nothing can run in the wrong namespace afterwards.
func InNetNS(path string) func(func() error) error {
	return func(f func() error) error {
		ended := make(chan error)
		go func() {
			runtime.LockOSThread() // and never unlocked: the thread dies with the goroutine
			ended <- enter(path, f)
		}()
		return <-ended
	}
}

func enter(path string, f func() error) error {
	ns, err := netns.GetFromPath(path)
	if err != nil {
		return fmt.Errorf("open network namespace %s: %w", path, err)
	}
	defer func() { _ = ns.Close() }()
	if err := netns.Set(ns); err != nil {
		return fmt.Errorf("enter network namespace %s: %w", path, err)
	}
	return f()
}

func (c *Cluster) dial(ctx context.Context, network, address string) (conn net.Conn, err error) {
	err = c.opts.Do(func() error {
		conn, err = new(net.Dialer).DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// freePort looks below the range of ports that the kernel gives to clients: one
// of those could be taken while the API server is down, even by a client of
// ours that dials it and so meets itself.
func (c *Cluster) freePort() (free netip.AddrPort, err error) {
	err = c.opts.Do(func() error {
		for range 100 {
			free = netip.AddrPortFrom(c.opts.Addr, uint16(16384+rand.IntN(16384)))
			l, err := net.Listen("tcp", free.String())
			if errors.Is(err, syscall.EADDRINUSE) {
				continue
			}
			if err != nil {
				return err
			}
			return l.Close()
		}
		return syscall.EADDRINUSE
	})
	return free, err
}
