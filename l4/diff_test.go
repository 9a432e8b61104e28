package l4_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/portico-lb/portico/l4"
	"github.com/portico-lb/portico/l4/l4test"
)

func TestDiff(t *testing.T) {
	const rr = `
-A -t 192.0.2.10:80 -s rr
-a -t 192.0.2.10:80 -r 10.0.0.1:80 -g -w 1
-a -t 192.0.2.10:80 -r 10.0.0.2:80 -g -w 1
`
	const mh = `
-A -t 192.0.2.10:80 -s mh -b mh-fallback,mh-port
-a -t 192.0.2.10:80 -r 10.0.0.1:80 -g -w 1
-a -t 192.0.2.10:80 -r 10.0.0.3:80 -g -w 1
`
	for _, tt := range []struct {
		name, have, want string
		ops              []string
	}{
		{"nothing to do", rr, rr, nil},
		{"fresh", "", rr, []string{
			"add tcp 192.0.2.10:80 rr with servers: 2",
		}},
		{"gone", rr, "", []string{"delete tcp 192.0.2.10:80"}},
		{"one weight is one operation", rr, `
-A -t 192.0.2.10:80 -s rr
-a -t 192.0.2.10:80 -r 10.0.0.1:80 -g -w 1
-a -t 192.0.2.10:80 -r 10.0.0.2:80 -g -w 0
`, []string{"set tcp 192.0.2.10:80 -> 10.0.0.2:80 weight 0"}},
		{"the one that gains goes first", `
-A -t 192.0.2.10:80 -s rr
-a -t 192.0.2.10:80 -r 10.0.0.1:80 -g -w 0
-a -t 192.0.2.10:80 -r 10.0.0.2:80 -g -w 1
`, `
-A -t 192.0.2.10:80 -s rr
-a -t 192.0.2.10:80 -r 10.0.0.1:80 -g -w 1
-a -t 192.0.2.10:80 -r 10.0.0.2:80 -g -w 0
`, []string{
			"set tcp 192.0.2.10:80 -> 10.0.0.1:80 weight 1",
			"set tcp 192.0.2.10:80 -> 10.0.0.2:80 weight 0",
		}},
		{"replaced: add before delete", rr, `
-A -t 192.0.2.10:80 -s rr
-a -t 192.0.2.10:80 -r 10.0.0.3:80 -g -w 1
`, []string{
			"add tcp 192.0.2.10:80 -> 10.0.0.3:80 weight 1",
			"delete tcp 192.0.2.10:80 -> 10.0.0.1:80",
			"delete tcp 192.0.2.10:80 -> 10.0.0.2:80",
		}},
		{"another forwarding method was set", `
-A -t 192.0.2.10:80 -s rr
-a -t 192.0.2.10:80 -r 10.0.0.1:80 -m -w 1
-a -t 192.0.2.10:80 -r 10.0.0.2:80 -g -w 1
`, rr, []string{"set tcp 192.0.2.10:80 -> 10.0.0.1:80 weight 1"}},
		{"flags were changed", `
-A -t 192.0.2.10:80 -s mh
-a -t 192.0.2.10:80 -r 10.0.0.1:80 -g -w 1
-a -t 192.0.2.10:80 -r 10.0.0.3:80 -g -w 1
`, mh, []string{"set tcp 192.0.2.10:80 mh"}},
		{"mh: one before the others moves nobody", mh, `
-A -t 192.0.2.10:80 -s mh -b mh-fallback,mh-port
-a -t 192.0.2.10:80 -r 10.0.0.0:80 -g -w 1
-a -t 192.0.2.10:80 -r 10.0.0.1:80 -g -w 1
-a -t 192.0.2.10:80 -r 10.0.0.3:80 -g -w 1
`, []string{"add tcp 192.0.2.10:80 -> 10.0.0.0:80 weight 1"}},
		{"mh: one in the middle moves those before it", mh, `
-A -t 192.0.2.10:80 -s mh -b mh-fallback,mh-port
-a -t 192.0.2.10:80 -r 10.0.0.1:80 -g -w 1
-a -t 192.0.2.10:80 -r 10.0.0.2:80 -g -w 1
-a -t 192.0.2.10:80 -r 10.0.0.3:80 -g -w 1
`, []string{
			"add tcp 192.0.2.10:80 -> 10.0.0.2:80 weight 1",
			"delete tcp 192.0.2.10:80 -> 10.0.0.1:80",
			"add tcp 192.0.2.10:80 -> 10.0.0.1:80 weight 1",
		}},
		{"mh: one that goes moves nobody", mh, `
-A -t 192.0.2.10:80 -s mh -b mh-fallback,mh-port
-a -t 192.0.2.10:80 -r 10.0.0.3:80 -g -w 1
`, []string{"delete tcp 192.0.2.10:80 -> 10.0.0.1:80"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var ops []string
			for _, op := range l4.Diff(l4test.Parse(t, tt.have), l4test.Parse(t, tt.want), all) {
				ops = append(ops, op.String())
			}
			if diff := cmp.Diff(tt.ops, ops); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if ops := l4.Diff(l4test.Parse(t, tt.have), l4test.Parse(t, tt.want), none); tt.have != "" && tt.want == "" && len(ops) > 0 {
				t.Errorf("not ours, and yet: %v", ops)
			}
		})
	}
}

func all(l4.Key) bool { return true }

func none(l4.Key) bool { return false }

func TestDiffSettings(t *testing.T) {
	have := l4.State{
		Timeouts: l4test.DefaultTimeouts,
		Sysctls:  map[string]int{"sloppy_tcp": 0, "expire_nodest_conn": 1, "sync_version": 1},
	}
	want := l4.State{
		Timeouts: l4.Timeouts{TCPFin: time.Minute},
		Sysctls:  map[string]int{"sloppy_tcp": 1, "expire_nodest_conn": 1, "unknown": 1},
	}
	const ops = "[set net.ipv4.vs.sloppy_tcp = 1 set timeouts tcp 15m0s tcp_fin 1m0s udp 5m0s]"
	if got := fmt.Sprint(l4.Diff(have, want, all)); got != ops {
		t.Errorf("got %s, want %s", got, ops)
	}
}

// A service that comes is sloppy when it has all its servers, and not before;
// one that stands already is left sloppy.
func TestDiffSloppy(t *testing.T) {
	const service = "-A -t 192.0.2.10:80 -s mh\n"
	const server = "-a -t 192.0.2.10:80 -r 10.0.0.1:80 -g -w 1\n"
	for _, tt := range []struct {
		have string
		set  int
		ops  string
	}{
		{"", 0, "[add tcp 192.0.2.10:80 mh with servers: 1 set net.ipv4.vs.sloppy_tcp = 1]"},
		{"", 1, "[set net.ipv4.vs.sloppy_tcp = 0 add tcp 192.0.2.10:80 mh with servers: 1 set net.ipv4.vs.sloppy_tcp = 1]"},
		{service, 1, "[add tcp 192.0.2.10:80 -> 10.0.0.1:80 weight 1]"},
	} {
		have, want := l4test.Parse(t, tt.have), l4test.Parse(t, service+server)
		have.Sysctls, want.Sysctls = map[string]int{"sloppy_tcp": tt.set}, map[string]int{"sloppy_tcp": 1}
		if got := fmt.Sprint(l4.Diff(have, want, all)); got != tt.ops {
			t.Errorf("from %q, sloppy_tcp %d:\n%s, want\n%s", tt.have, tt.set, got, tt.ops)
		}
	}
}

// While a server is away to come back in its place, the kernel must not end
// the connections it finds without a server; one that goes for good goes after.
func TestDiffMoves(t *testing.T) {
	have := l4test.Parse(t, `
-A -t 192.0.2.10:80 -s sh
-a -t 192.0.2.10:80 -r 10.0.0.1:80 -g -w 1
-a -t 192.0.2.10:80 -r 10.0.0.3:80 -g -w 1
-a -t 192.0.2.10:80 -r 10.0.0.4:80 -g -w 1
`)
	want := l4test.Parse(t, `
-A -t 192.0.2.10:80 -s sh
-a -t 192.0.2.10:80 -r 10.0.0.1:80 -g -w 1
-a -t 192.0.2.10:80 -r 10.0.0.2:80 -g -w 1
-a -t 192.0.2.10:80 -r 10.0.0.3:80 -g -w 1
`)
	have.Sysctls = map[string]int{"expire_nodest_conn": 1}
	var ops []string
	for _, op := range l4.Diff(have, want, all) {
		ops = append(ops, op.String())
	}
	if diff := cmp.Diff([]string{
		"set net.ipv4.vs.expire_nodest_conn = 0",
		"add tcp 192.0.2.10:80 -> 10.0.0.2:80 weight 1",
		"delete tcp 192.0.2.10:80 -> 10.0.0.1:80",
		"add tcp 192.0.2.10:80 -> 10.0.0.1:80 weight 1",
		"set net.ipv4.vs.expire_nodest_conn = 1",
		"delete tcp 192.0.2.10:80 -> 10.0.0.4:80",
	}, ops); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A base that is not known is set anew, and the server stays at 0.
func TestDiffBase(t *testing.T) {
	dest := func(weight, base int) l4.State {
		v := l4.VirtualService{Key: key(80), Scheduler: "mh", Destinations: []l4.Destination{
			{Addr: server("10.0.0.1").Addr, Forward: l4.DirectRoute, Weight: weight, Base: base},
		}}
		return l4.State{Services: []l4.VirtualService{v}}
	}
	for name, tt := range map[string]struct {
		have, want l4.State
		ops        string
	}{
		"known":             {dest(0, 5), dest(0, 5), "[]"},
		"not known":         {dest(0, 0), dest(0, 5), "[set tcp 192.0.2.10:80 -> 10.0.0.1:80 weight 5 set tcp 192.0.2.10:80 -> 10.0.0.1:80 weight 0]"},
		"fails":             {dest(5, 5), dest(0, 5), "[set tcp 192.0.2.10:80 -> 10.0.0.1:80 weight 0]"},
		"back, not known":   {dest(0, 0), dest(5, 5), "[set tcp 192.0.2.10:80 -> 10.0.0.1:80 weight 5]"},
		"another, and down": {dest(5, 5), dest(0, 7), "[set tcp 192.0.2.10:80 -> 10.0.0.1:80 weight 7 set tcp 192.0.2.10:80 -> 10.0.0.1:80 weight 0]"},
		"added while down":  {l4.State{}, dest(0, 7), "[add tcp 192.0.2.10:80 mh with servers: 1 set tcp 192.0.2.10:80 -> 10.0.0.1:80 weight 0]"},
	} {
		if got := fmt.Sprint(l4.Diff(tt.have, tt.want, all)); got != tt.ops {
			t.Errorf("%s: got %s, want %s", name, got, tt.ops)
		}
	}
}

func key(port uint16) l4.Key {
	k, err := l4.ParseKey(fmt.Sprintf("tcp 192.0.2.10:%d", port))
	if err != nil {
		panic(err)
	}
	return k
}

// From any state to any other: what is wanted comes out, in order where order
// matters, and in between there is always somebody to send to.
func TestDiffRandom(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		fake := l4test.NewFake()
		apply(t, fake, random(rng), func(l4.Op) {})
		want := random(rng)
		open := serves(t, fake) && sumWeights(want) > 0
		apply(t, fake, want, func(op l4.Op) {
			if open && !serves(t, fake) && !moves(t, fake, op, want) {
				t.Fatalf("nobody to send to on the way to\n%s", want)
			}
		})
		got := read(t, fake)
		if v := want.Services[0]; v.Scheduler == "mh" || v.Scheduler == "sh" {
			if diff := cmp.Diff(want.String(), got.String()); diff != "" {
				t.Fatalf("(-want +got):\n%s", diff)
			}
		}
		if ops := l4.Diff(got, want, all); len(ops) > 0 {
			t.Fatalf("still to do: %v", ops)
		}
	}
}

// moves reports whether op took away a server that is about to come back, and
// no other that stands is wanted with a weight.
func moves(t *testing.T, fake *l4test.Fake, op l4.Op, want l4.State) bool {
	v := &want.Services[0]
	for _, d := range read(t, fake).Services[0].Destinations {
		if w := v.Find(d.Addr); w != nil && w.Weight > 0 {
			return false
		}
	}
	return op.Kind == l4.DelDest && v.Find(op.Dest.Addr) != nil
}

func random(rng *rand.Rand) l4.State {
	v := l4.VirtualService{Key: key(80), Scheduler: []string{"rr", "sh", "mh"}[rng.IntN(3)]}
	for n := range 6 {
		if rng.IntN(2) == 0 {
			d := l4.Destination{Addr: server(fmt.Sprintf("10.0.0.%d", n)).Addr, Forward: l4.DirectRoute, Weight: rng.IntN(3)}
			v.Destinations = append(v.Destinations, d)
		}
	}
	return l4.State{Services: []l4.VirtualService{v}}
}

func apply(t *testing.T, fake *l4test.Fake, want l4.State, after func(l4.Op)) {
	t.Helper()
	for _, op := range l4.Diff(read(t, fake), want, all) {
		if err := fake.Apply(op); err != nil {
			t.Fatalf("%s: %v", op, err)
		}
		after(op)
	}
}

func read(t *testing.T, dp l4.Dataplane) l4.State {
	t.Helper()
	s, err := dp.Read()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func serves(t *testing.T, dp l4.Dataplane) bool { return sumWeights(read(t, dp)) > 0 }

func sumWeights(s l4.State) (n int) {
	for _, v := range s.Services {
		for _, d := range v.Destinations {
			n += d.Weight
		}
	}
	return n
}
