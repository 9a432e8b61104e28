package bgp

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/osrg/gobgp/v4/api"
	"github.com/osrg/gobgp/v4/pkg/apiutil"
	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
	"github.com/osrg/gobgp/v4/pkg/server"
	"go.uber.org/goleak"
)

// routerEnv makes the test binary a router: gobgp keeps some of its state in
// variables of the package, so that one process has room for one speaker.
const routerEnv = "BGP_TEST_ROUTER"

func TestMain(m *testing.M) {
	if port := os.Getenv(routerEnv); port != "" {
		if err := runRouter(port); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// runRouter takes one session on the port of the loopback interface, offers a
// route of its own, writes a line with its table whenever that has changed, and
// resets the session for each line it reads.
func runRouter(port string) error {
	ctx := context.Background()
	r := server.NewBgpServer()
	go r.Serve()
	number, err := strconv.Atoi(port)
	if err != nil {
		return err
	}
	offer := path(Route{Prefix: netip.MustParsePrefix("203.0.113.0/24")})
	err = errors.Join(
		r.StartBgp(ctx, &api.StartBgpRequest{Global: &api.Global{Asn: 64513, RouterId: "10.0.0.1", ListenPort: int32(number), ListenAddresses: []string{"127.0.0.1"}}}),
		r.AddPeer(ctx, &api.AddPeerRequest{Peer: &api.Peer{
			Conf:      &api.PeerConf{NeighborAddress: "127.0.0.1", PeerAsn: 64512},
			Transport: &api.Transport{PassiveMode: true},
			Timers:    &api.Timers{Config: &api.TimersConfig{IdleHoldTimeAfterReset: 1}},
		}}))
	if err != nil {
		return err
	}
	if _, err := r.AddPath(apiutil.AddPathRequest{Paths: []*apiutil.Path{offer}}); err != nil {
		return err
	}
	go func() {
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			_ = r.ResetPeer(ctx, &api.ResetPeerRequest{Address: "127.0.0.1"})
		}
		os.Exit(0) // the test has ended
	}()
	last := ""
	for range time.Tick(5 * time.Millisecond) {
		if now := routes(r); now != last {
			fmt.Println(now)
			last = now
		}
	}
	return nil
}

// router is a running one.
type router struct {
	Neighbor
	reset func()

	mu    sync.Mutex
	table string // its routes but for its own
}

func newRouter(t *testing.T) *router {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	r := &router{Neighbor: Neighbor{Address: netip.MustParseAddr("127.0.0.1"), AS: 64513, Port: uint16(port), Hops: 1, HoldTime: 9 * time.Second}}
	cmd := exec.Command(os.Args[0])
	cmd.Env, cmd.Stderr = append(os.Environ(), fmt.Sprintf("%s=%d", routerEnv, port)), os.Stderr
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	r.reset = func() { fmt.Fprintln(in) }
	var wg sync.WaitGroup
	wg.Go(func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			r.mu.Lock()
			r.table = strings.TrimPrefix(strings.TrimSuffix(lines.Text(), "203.0.113.0/24 of 0"), ", ")
			r.mu.Unlock()
		}
	})
	t.Cleanup(func() {
		in.Close()
		wg.Wait()
		_ = cmd.Wait()
	})
	return r
}

// has reports whether the router has heard of these routes.
func (r *router) has(want string) func() bool {
	return func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return strings.TrimSuffix(r.table, ", ") == want
	}
}

// routes are the prefixes in the table of a gobgp, and where they came from.
func routes(s *server.BgpServer) string {
	var list []string
	_ = s.ListPath(apiutil.ListPathRequest{TableType: api.TableType_TABLE_TYPE_GLOBAL, Family: bgp.RF_IPv4_UC}, func(p bgp.NLRI, paths []*apiutil.Path) {
		list = append(list, fmt.Sprintf("%v of %d", p, paths[0].PeerASN))
	})
	slices.Sort(list)
	return strings.Join(list, ", ")
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

// TestSpeaker speaks to a router from the first word to the last.
func TestSpeaker(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	t.Run("session", func(t *testing.T) {
		r := newRouter(t)
		log := &buffer{}
		s := New(slog.New(slog.NewTextHandler(log, nil)))
		config := Config{AS: 64512, RouterID: netip.MustParseAddr("10.0.0.2"), Restart: 30 * time.Second, Neighbors: []Neighbor{r.Neighbor}}
		set := func(routes ...Route) {
			config.Routes = routes
			s.Set(config)
		}
		one, two := route("192.0.2.1/32", true, r.Neighbor), route("192.0.2.2/32", true, r.Neighbor)
		secret := route("192.0.2.3/32", true) // for nobody
		set(one, secret)

		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		defer wg.Wait()
		defer stop()
		wg.Go(func() {
			if err := s.Run(ctx, func() {}); err != nil {
				t.Error(err)
			}
		})
		eventually(t, "the route is heard", r.has("192.0.2.1/32 of 64512"))
		eventually(t, "the session is shown", func() bool {
			st := s.Status()
			return len(st.Sessions) == 1 && st.Sessions[0].Up() && st.Sessions[0].Announced == 1 && !st.Sessions[0].Since.IsZero()
		})
		one.Announced = false
		set(one, two)
		eventually(t, "another one is heard", r.has("192.0.2.2/32 of 64512"))
		two.To = nil
		set(one, two)
		eventually(t, "what is for nobody is withdrawn", r.has(""))
		one.Announced = true
		set(one, two)
		eventually(t, "the first is heard again", r.has("192.0.2.1/32 of 64512"))

		// The router ends the session, and it comes back.
		r.reset()
		eventually(t, "the end is logged", func() bool { return strings.Contains(log.String(), "established=false") })
		eventually(t, "a new session", func() bool { return s.Status().Sessions[0].Up() && r.has("192.0.2.1/32 of 64512")() })

		s.Set(Config{})
		eventually(t, "nobody to speak to", func() bool { return r.has("")() && len(s.Status().Sessions) == 0 })
		set(one)
		eventually(t, "a new speaker", r.has("192.0.2.1/32 of 64512"))
		stop()
		wg.Wait()
		eventually(t, "withdrawn at the end", r.has(""))
	})
}

// TestNothingGetsIn has a router offer a route.
func TestNothingGetsIn(t *testing.T) {
	r := newRouter(t)
	want := newPlan(Config{AS: 64512, RouterID: netip.MustParseAddr("10.0.0.2"), Neighbors: []Neighbor{r.Neighbor},
		Routes: []Route{route("192.0.2.1/32", true, r.Neighbor)}})
	p, err := newProcess(t.Context(), slog.New(slog.DiscardHandler), want)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	if errs := p.apply(t.Context(), diff(plan{}, want), want); errs != nil {
		t.Fatal(errs)
	}
	received := func() (n uint64) {
		_ = p.ListPeer(t.Context(), &api.ListPeerRequest{}, func(peer *api.Peer) {
			for _, f := range peer.GetAfiSafis() {
				n += f.GetState().GetReceived()
			}
		})
		return n
	}
	eventually(t, "a route is offered", func() bool { return received() == 1 })
	if got := routes(p.BgpServer); got != "192.0.2.1/32 of 0" {
		t.Errorf("our table has %s", got)
	}
}

// buffer takes the log of several goroutines.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
