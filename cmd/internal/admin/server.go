// Package admin is the door for operators: an HTTP API on a unix socket, the
// same with /metrics and the dashboard on a TCP port, and the client that the
// CLI asks it with.
package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"
)

// A Server answers on a unix socket. Who may connect is decided by the
// socket's mode: its owner, and the group portico where there is one. Whoever
// may connect may give orders.
type Server struct {
	log    *slog.Logger
	socket string
	api    *API
	// takeOver replaces a socket though it is answered: by our predecessor.
	takeOver bool
	left     atomic.Bool
}

// New returns a server of api for the socket at path, which Run makes. A
// successor takes the path over from the process that started it.
func New(log *slog.Logger, api *API, path string, successor bool) *Server {
	return &Server{log: log, api: api, socket: path, takeOver: successor}
}

// Leave keeps Run from removing the path at its end: it is a successor's now.
func (s *Server) Leave() { s.left.Store(true) }

// Run listens until ctx ends.
func (s *Server) Run(ctx context.Context, ready func()) error {
	l, err := s.listen()
	if err != nil {
		return err
	}
	defer func() {
		if !s.left.Load() {
			os.Remove(s.socket)
		}
	}()
	srv := &http.Server{
		Handler:           s.api,
		ReadHeaderTimeout: 5 * time.Second,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	ready()
	if err := serve(ctx, srv, l); err != nil {
		return fmt.Errorf("serve %s: %w", s.socket, err)
	}
	return nil
}

// serve serves l until ctx ends, and returns an error where that ends before.
func serve(ctx context.Context, srv *http.Server, l net.Listener) error {
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	// An answer under way takes microseconds; one that does not end is cut.
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if srv.Shutdown(stop) != nil {
		srv.Close()
	}
	if err := <-done; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// listen makes the socket. One that nobody answers was left by a process that
// was killed, and is replaced; one that is answered is an error.
func (s *Server) listen() (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(s.socket), 0o755); err != nil {
		return nil, err
	}
	if c, err := net.Dial("unix", s.socket); err == nil {
		c.Close()
		if !s.takeOver {
			return nil, fmt.Errorf("listen on %s: another portico answers there: stop it, or set another admin.socket", s.socket)
		}
	}
	if err := os.Remove(s.socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: s.socket, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	if err := restrict(s.socket); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// restrict opens the socket to its owner and to the group portico.
func restrict(path string) error {
	if g, err := user.LookupGroup("portico"); err == nil {
		gid, err := strconv.Atoi(g.Gid)
		if err != nil {
			return fmt.Errorf("group portico: %w", err)
		}
		if err := os.Chown(path, -1, gid); err != nil && !errors.Is(err, os.ErrPermission) {
			return err
		}
	}
	return os.Chmod(path, 0o660)
}
