// Package admin is the door for operators: an HTTP API on a unix socket, and
// the client that the CLI asks it with.
package admin

import (
	"context"
	"encoding/json"
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
// socket's mode: its owner, and the group portico where there is one.
type Server struct {
	log    *slog.Logger
	socket string
	mux    *http.ServeMux
	// takeOver replaces a socket though it is answered: by our predecessor.
	takeOver bool
	left     atomic.Bool
}

// New returns a server for the socket at path, which Run makes. A successor
// takes the path over from the process that started it.
func New(log *slog.Logger, path string, successor bool) *Server {
	return &Server{log: log, socket: path, mux: http.NewServeMux(), takeOver: successor}
}

// Leave keeps Run from removing the path at its end: it is a successor's now.
func (s *Server) Leave() { s.left.Store(true) }

// HandleJSON answers GET path with what value returns.
func (s *Server) HandleJSON(path string, value func() any) {
	s.mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(value()); err != nil {
			s.log.Warn("answer admin request", "path", path, "err", err)
		}
	})
}

// maxOrder bounds the body of an order, in bytes.
const maxOrder = 4096

// HandleOrder answers POST path: order gets the body, a T as JSON, and says
// why it is refused. Only this socket takes orders: its mode says who may
// give them, which no port of TCP could.
func HandleOrder[T any](s *Server, path string, order func(T) error) {
	s.mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
		dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxOrder))
		dec.DisallowUnknownFields()
		var o T
		if err := dec.Decode(&o); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if err := order(o); err != nil {
			http.Error(w, err.Error(), http.StatusUnprocessableEntity)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
}

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
		Handler:           s.mux,
		ReadHeaderTimeout: 5 * time.Second,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	ready()
	select {
	case err := <-done:
		return fmt.Errorf("serve %s: %w", s.socket, err)
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
