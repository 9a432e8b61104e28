package lab

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"syscall"
	"time"
)

// Source ports of the connections a node makes. They are taken in turn, so
// that none meets the kernel's memory of an earlier one: IPVS remembers
// connections longer than their service and destination exist.
const (
	firstPort = 10000
	ports     = 50000
)

// DialContext connects from inside the node, TCP from a port not used before.
// Names are those of Lab.Host.
func (n *Node) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	n.lab.mu.Lock()
	if addr, ok := n.lab.hosts[host]; ok {
		address = net.JoinHostPort(addr, port)
	}
	n.lab.mu.Unlock()
	// An http.Transport dials on when the request has been given up.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(n.lab.ctx, cancel)()
	for {
		var d net.Dialer
		if network[:3] == "tcp" {
			d.LocalAddr = &net.TCPAddr{Port: firstPort + int(n.port.Add(1)%ports)}
		}
		var conn net.Conn
		// The address is one IP, so the dialer stays on this thread.
		if e := n.do(func() { conn, err = d.DialContext(ctx, network, address) }); e != nil {
			return nil, e
		}
		// In use, by a listener of the node perhaps.
		if !errors.Is(err, syscall.EADDRINUSE) {
			return conn, err
		}
	}
}

// HTTPClient makes requests from inside the node, each over a connection of
// its own.
func (n *Node) HTTPClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{DialContext: n.DialContext, DisableKeepAlives: true},
		Timeout:   5 * time.Second,
	}
}

// Listen listens inside the node.
func (n *Node) Listen(network, address string) net.Listener {
	n.lab.t.Helper()
	var l net.Listener
	var err error
	n.Do(func() { l, err = new(net.ListenConfig).Listen(n.lab.ctx, network, address) })
	n.check("listen", err)
	return l
}

// ListenPacket listens for datagrams inside the node.
func (n *Node) ListenPacket(network, address string) net.PacketConn {
	n.lab.t.Helper()
	var c net.PacketConn
	var err error
	n.Do(func() { c, err = new(net.ListenConfig).ListenPacket(n.lab.ctx, network, address) })
	n.check("listen", err)
	return c
}

// Serve answers HTTP requests inside the node until the laboratory ends, or
// the server returned is closed.
func (n *Node) Serve(address string, h http.Handler) *http.Server {
	n.lab.t.Helper()
	ln := n.Listen("tcp", address)
	s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	l := n.lab
	l.mu.Lock()
	defer l.mu.Unlock()
	l.servers = append(l.servers, s)
	l.wg.Go(func() {
		if err := s.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			l.t.Logf("%s: serve %s: %v", n.name, address, err)
		}
	})
	return s
}

// Echo sends back what it is sent over TCP, inside the node until the
// laboratory ends. It says nothing by itself, TCP keep-alives included, so that
// a silent connection moves no counter.
func (n *Node) Echo(address string) {
	n.lab.t.Helper()
	ln := n.Listen("tcp", address)
	n.lab.t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_ = c.(*net.TCPConn).SetKeepAlive(false)
				_, _ = io.Copy(c, c)
			}()
		}
	}()
}
