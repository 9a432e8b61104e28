package daemon

import (
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

// inheritEnv names the addresses of the listening sockets that a predecessor
// handed over, in the order of their descriptors. The first descriptor is the
// pipe that tells it that we are ready.
const (
	inheritEnv     = "PORTICO_INHERIT"
	inheritReadyFD = 3
)

// An inheritance is what a predecessor handed over, or left with systemd; the
// zero one is none.
type inheritance struct {
	ready   *os.File // nil where the predecessor has ended
	sockets map[string]net.Listener
	// packets are sockets of UDP. A predecessor keeps its own: what comes for
	// its connections is told apart from what comes for ours.
	packets map[string]net.PacketConn
}

// inherit takes what the environment names, and removes it from there.
func inherit() (inheritance, error) {
	names, ok := os.LookupEnv(inheritEnv)
	if !ok {
		return fromStore()
	}
	if err := os.Unsetenv(inheritEnv); err != nil {
		return inheritance{}, err
	}
	in := inheritance{
		ready:   os.NewFile(inheritReadyFD, "predecessor"),
		sockets: map[string]net.Listener{},
	}
	for i, addr := range strings.Fields(names) {
		f := os.NewFile(uintptr(inheritReadyFD+1+i), addr)
		l, err := net.FileListener(f)
		f.Close()
		if err != nil {
			return inheritance{}, fmt.Errorf("inherit %s: %w", addr, err)
		}
		in.sockets[addr] = l
	}
	return in, nil
}

// patience is how long the proxy may wait for its first routes before it
// listens: as long as its predecessor serves, or clients wait.
func (in inheritance) patience() time.Duration {
	switch {
	case in.ready != nil:
		return successorTimeout
	case len(in.sockets) > 0:
		return storedPatience
	}
	return 0
}

// taken tells the predecessor that this process serves now.
func (in inheritance) taken() error {
	if in.ready == nil {
		return nil
	}
	defer in.ready.Close()
	_, err := in.ready.Write([]byte{1})
	return err
}
