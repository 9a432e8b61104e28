package mh

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
)

func dest(i, weight, last int) Dest {
	addr := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
	return Dest{Addr: netip.AddrPortFrom(addr, 80), Weight: weight, LastWeight: last}
}

func dests(lasts ...int) (d []Dest) {
	for i, last := range lasts {
		d = append(d, dest(i+1, last, last))
	}
	return d
}

// rows counts the rows of each server.
func rows(table []uint16, servers int) []int {
	n := make([]int, servers)
	for _, i := range table {
		if i != Empty {
			n[i]++
		}
	}
	return n
}

func TestSizeOf(t *testing.T) {
	for index, want := range map[int]int{7: 0, 8: 251, 12: Size, 17: 131071, 18: 0, -1: 0} {
		if got, ok := SizeOf(index); got != want || ok != (want != 0) {
			t.Errorf("%d: %d, %v, want %d", index, got, ok, want)
		}
	}
}

func TestNoTable(t *testing.T) {
	for name, table := range map[string][]uint16{
		"no such size":  Table(dests(1), 4092),
		"no size":       Table(dests(1), 0),
		"many servers":  Table(dests(make([]int, 252)...), 251),
		"no such index": Table(make([]Dest, 65536), 131071),
	} {
		if table != nil {
			t.Errorf("%s: %d rows", name, len(table))
		}
	}
	if _, ok := Pick(nil, nil, netip.IPv4Unspecified(), 0, true); ok {
		t.Error("a choice without a table")
	}
}

func TestShares(t *testing.T) {
	for _, tt := range []struct {
		name  string
		size  int
		lasts []int
		turns []int // rows are as these
	}{
		{"none", Size, nil, nil},
		{"all 0", Size, []int{0, 0}, []int{0, 0}},
		{"alike", Size, []int{1, 1, 1}, []int{1, 1, 1}},
		{"one added at 0", Size, []int{1, 0, 1}, []int{1, 0, 1}},
		{"as weighed", Size, []int{1, 2, 5}, []int{1, 2, 5}},
		{"common divisor", Size, []int{300, 100, 0, 200}, []int{3, 1, 0, 2}},
		{"the largest of six bits", Size, []int{63, 1}, []int{63, 1}},
		{"seven bits", Size, []int{64, 3, 1}, []int{32, 1, 1}},
		{"1 to 1000", Size, []int{1000, 1}, []int{62, 1}},
		{"beyond", Size, []int{1<<31 - 1, 1 << 30, 1}, []int{63, 32, 1}},
		{"four bits", 251, []int{16, 15, 2}, []int{8, 7, 1}},
		{"eight bits", 131071, []int{255, 16, 2}, []int{255, 16, 2}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			table := Table(dests(tt.lasts...), tt.size)
			got := rows(table, len(tt.lasts))
			all, taken := 0, 0
			for i, n := range tt.turns {
				all, taken = all+n, taken+got[i]
			}
			if want := min(all, 1) * tt.size; taken != want || len(table) != tt.size {
				t.Fatalf("%d of %d rows are taken, want %d", taken, len(table), want)
			}
			for i, n := range tt.turns {
				// The last round is not whole.
				if rounds := tt.size / max(1, all); got[i] < rounds*n || got[i] > rounds*n+n {
					t.Errorf("%d: %d rows, want %d to %d", i, got[i], rounds*n, rounds*n+n)
				}
			}
		})
	}
}

// A server at weight 0 keeps its rows, and with fallback those who met it go
// to all others, and nobody else moves.
func TestFallback(t *testing.T) {
	up := dests(1, 2, 3, 4)
	down := slices.Clone(up)
	down[1].Weight = 0
	table := Table(up, Size)
	if !slices.Equal(table, Table(down, Size)) {
		t.Fatal("a weight of 0 changes the table")
	}
	met, moved := 0, map[int]int{}
	for i := range 10000 {
		src := netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)})
		was, _ := Pick(table, up, src, 1000, true)
		if without, ok := Pick(table, down, src, 1000, false); ok != (was != 1) || ok && without != was {
			t.Fatalf("%v: %d, %v without fallback, was %d", src, without, ok, was)
		}
		now, ok := Pick(table, down, src, 1000, true)
		switch {
		case !ok || was != 1 && now != was:
			t.Fatalf("%v: %d, %v, was %d", src, now, ok, was)
		case was == 1:
			met++
			moved[now]++
		}
	}
	t.Logf("%d met it, moved to %v", met, moved)
	if met < 1500 || met > 2500 || len(moved) != 3 || moved[1] != 0 {
		t.Errorf("%d met it, moved to %v", met, moved)
	}
	for i := range down {
		down[i].Weight = 0
	}
	if i, ok := Pick(table, down, netip.MustParseAddr("192.0.2.1"), 0, true); ok {
		t.Errorf("%d is chosen, at weight 0", i)
	}
}

// twin computes the table as the paper on Maglev tells it (Eisenbud et al.,
// NSDI 2016, section 3.4): all preferences first.
func twin(servers []Dest, size, bits int) []uint16 {
	largest := 0
	for _, d := range servers {
		largest = max(largest, d.LastWeight)
	}
	gcd := largest
	for ; gcd > 1; gcd-- {
		if !slices.ContainsFunc(servers, func(d Dest) bool { return d.LastWeight%gcd != 0 }) {
			break
		}
	}
	table := slices.Repeat([]uint16{Empty}, size)
	if gcd == 0 {
		return table
	}
	shift := 0
	for largest/gcd>>shift >= 1<<bits {
		shift++
	}
	prefer, at := make([][]int, len(servers)), make([]int, len(servers))
	for i, d := range servers {
		n := sum(d.Addr.Addr(), d.Addr.Port())
		from, skip := int(hash(first, n)%uint32(size)), int(hash(second, n)%uint32(size-1))+1
		for j := range size {
			prefer[i] = append(prefer[i], (from+j*skip)%size)
		}
	}
	for taken := 0; ; {
		for i, d := range servers {
			turns := d.LastWeight / gcd / (1 << shift)
			if d.LastWeight > 0 && turns == 0 {
				turns = 1
			}
			for range turns {
				for table[prefer[i][at[i]]] != Empty {
					at[i]++
				}
				table[prefer[i][at[i]]] = uint16(i)
				if taken++; taken == size {
					return table
				}
			}
		}
	}
}

func FuzzTable(f *testing.F) {
	f.Add(uint64(1), uint8(3), uint8(0), uint16(5))
	f.Add(uint64(2), uint8(200), uint8(1), uint16(1000))
	f.Add(uint64(3), uint8(1), uint8(4), uint16(0))
	f.Fuzz(func(t *testing.T, seed uint64, servers, index uint8, heaviest uint16) {
		i := 8 + int(index)%5
		size, _ := SizeOf(i)
		r := rand.New(rand.NewPCG(seed, 0))
		d := randomDests(r, min(int(servers), size), int(heaviest))
		got := Table(d, size)
		if want := twin(d, size, i/2); !slices.Equal(got, want) {
			t.Fatalf("%v: %v, want %v", d, got, want)
		}
		src := netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, r.Uint32())))
		n, ok := Pick(got, d, src, uint16(r.Uint32()), true)
		if ok && d[n].Weight == 0 {
			t.Fatalf("%v: %d is chosen", d, n)
		}
	})
}

func randomDests(r *rand.Rand, n, heaviest int) (d []Dest) {
	for i := range n {
		last := r.IntN(heaviest + 1)
		x := dest(i+1, last*r.IntN(2), last)
		if r.IntN(4) == 0 {
			b := [16]byte{0: 0x20, 1: 0x01, 15: byte(i)}
			binary.BigEndian.PutUint64(b[4:], r.Uint64())
			x.Addr = netip.AddrPortFrom(netip.AddrFrom16(b), uint16(r.Uint32()))
		}
		d = append(d, x)
	}
	return d
}

func BenchmarkTable(b *testing.B) {
	for _, n := range []int{3, 100, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			d := dests(slices.Repeat([]int{1}, n)...)
			for b.Loop() {
				Table(d, Size)
			}
		})
	}
}

func BenchmarkPick(b *testing.B) {
	d := dests(slices.Repeat([]int{1}, 100)...)
	table := Table(d, Size)
	src := netip.MustParseAddr("198.51.100.7")
	for port := uint16(0); b.Loop(); port++ {
		Pick(table, d, src, port, true)
	}
}
