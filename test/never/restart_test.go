package never

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/portico-lb/portico/test/lab"
)

// A manager is to the proxy what systemd is: it is told what goes on, and keeps
// the sockets that it is given (sd_notify(3), sd_listen_fds(3)).
type manager struct {
	path string
	conn *net.UnixConn

	mu     sync.Mutex
	stored map[string]*os.File
	main   int // the process that spoke for the service last
	ready  int // how often it was
}

// manage has the site's proxy started and told of by a manager.
func (s *site) manage() *manager {
	m := &manager{path: filepath.Join(s.node.Dir(), "notify"), stored: map[string]*os.File{}}
	var err error
	if m.conn, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.path, Net: "unixgram"}); err != nil {
		s.t.Fatal(err)
	}
	var group sync.WaitGroup
	group.Go(func() { m.listen(s.t) })
	s.t.Cleanup(func() {
		m.conn.Close()
		group.Wait()
		for _, f := range m.stored {
			f.Close()
		}
	})
	return m
}

func (m *manager) listen(t *testing.T) {
	text, control := make([]byte, 4096), make([]byte, 4096)
	for {
		n, c, _, _, err := m.conn.ReadMsgUnix(text, control)
		if err != nil {
			return
		}
		var fds []int
		if messages, err := unix.ParseSocketControlMessage(control[:c]); err == nil && len(messages) > 0 {
			if fds, err = unix.ParseUnixRights(&messages[0]); err != nil {
				t.Error(err)
			}
		}
		m.hear(string(text[:n]), fds)
	}
}

// hear does what a message asks for.
func (m *manager) hear(text string, fds []int) {
	say := map[string]string{}
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		say[key] = value
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	name := say["FDNAME"]
	for _, fd := range fds {
		f := os.NewFile(uintptr(fd), name)
		if say["FDSTORE"] == "" || m.stored[name] != nil {
			f.Close() // as systemd does with what it has
			continue
		}
		m.stored[name] = f
	}
	if f := m.stored[name]; f != nil && say["FDSTOREREMOVE"] != "" {
		f.Close()
		delete(m.stored, name)
	}
	if pid, err := strconv.Atoi(say["MAINPID"]); err == nil {
		m.main = pid
	}
	if say["READY"] != "" {
		m.ready++
	}
}

// has says why the manager does not hold sockets of these names and no others.
func (m *manager) has(names ...string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	slices.Sort(names)
	if have := slices.Sorted(maps.Keys(m.stored)); !slices.Equal(have, names) {
		return fmt.Errorf("the manager holds %q, wanted are %q", have, names)
	}
	return nil
}

func (m *manager) mainPID() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.main
}

// startUnder starts the proxy with the sockets that m holds, and waits until it
// says that it is ready.
func (s *site) startUnder(m *manager) {
	s.t.Helper()
	m.mu.Lock()
	before := m.ready
	// Only the shell knows its process before it becomes the proxy's.
	c := s.node.Command("sh", "-c", `LISTEN_PID=$$ exec "$0" "$@"`,
		os.Getenv("PORTICO_BIN"), "run", "--config", s.config, "--only", "l7")
	var names []string
	for name, f := range m.stored {
		names = append(names, name)
		c.ExtraFiles = append(c.ExtraFiles, f)
	}
	m.mu.Unlock()
	c.Env = append(os.Environ(), "NOTIFY_SOCKET="+m.path,
		fmt.Sprintf("LISTEN_FDS=%d", len(names)), "LISTEN_FDNAMES="+strings.Join(names, ":"))
	s.proxy = c.Spawn()
	lab.Eventually(s.t, patience, "the proxy ready", func() error {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.main = s.proxy.Pid()
		if m.ready == before {
			return errors.New("not yet")
		}
		return nil
	})
}

// gone waits for the end of a process that need not be our child.
func (s *site) gone(ctx context.Context, pid int) {
	s.until(ctx, "the end of the process", func() error {
		if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil && !strings.Contains(string(stat), ") Z ") {
			return fmt.Errorf("%d is there", pid)
		}
		return nil
	})
}

// TestRestarts replaces the process itself under full load: by a successor, as
// a package upgrade does, and by a stop and a start, as systemctl restart does.
func TestRestarts(t *testing.T) {
	s := newSite(t)
	s.furnish()
	m := s.manage()
	s.startUnder(m)
	s.awaitRoutes()
	sockets := []string{"/80", "/443", "/9181"}
	s.until(t.Context(), "sockets with the manager", func() error { return m.has(sockets...) })
	load := s.attend(t.Context(), mortal)
	s.answer(500)
	for n := range times(20) + 1 {
		old := m.mainPID()
		if err := syscall.Kill(old, syscall.SIGUSR2); err != nil {
			t.Fatal(err)
		}
		s.until(t.Context(), "a successor", func() error {
			if m.mainPID() == old {
				return errors.New("the old process is the main one")
			}
			return nil
		})
		s.answer(100)
		t.Logf("%d successors", n+1)
	}
	for n := range times(10) + 1 {
		// One entrypoint more, and one less.
		s.configure(n + 1)
		began, old := time.Now(), m.mainPID()
		if err := syscall.Kill(old, syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		s.gone(t.Context(), old)
		stopped := time.Now()
		s.startUnder(m)
		t.Logf("restart %d: %v until the stop, %v until it serves again", n+1, stopped.Sub(began).Round(time.Millisecond), time.Since(stopped).Round(time.Millisecond))
		want := sockets
		if n%2 == 0 {
			want = append([]string{"/8081"}, sockets...)
		}
		s.until(t.Context(), "sockets with the manager", func() error { return m.has(want...) })
		s.answer(500)
	}
	load.leave()
	s.verdict()
	syscall.Kill(m.mainPID(), syscall.SIGTERM)
	s.gone(context.Background(), m.mainPID())
}
