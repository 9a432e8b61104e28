package backend

import (
	"math"
	"net/netip"
	"slices"
)

// A Strategy says whose turn it is.
type Strategy uint8

// The strategies.
const (
	// RoundRobin gives each endpoint its turn, heavier ones more often.
	RoundRobin Strategy = iota
	// LeastRequests looks at two endpoints at random and takes the one with
	// fewer requests in flight for its weight.
	LeastRequests
	// Hash takes the same endpoint for the same key as long as it is there,
	// on every node.
	Hash
)

// A Key is what of a request decides under Hash.
type Key uint8

// The keys.
const (
	Source Key = iota // the client's address
	URI               // host, path and query
	Header            // a field of the request
	Cookie            // a cookie
)

// Balance says how requests are spread over endpoints.
type Balance struct {
	Strategy Strategy
	Key      Key
	// Name is that of the Header or Cookie. A request without it counts by
	// its client's address.
	Name string
	// Bound is how many times the mean of the requests in flight an endpoint
	// may have under Hash; what comes beyond goes to the next in the key's
	// order. 1.25 evens out most, 0 is no bound.
	Bound float64
}

// KeyHash is a hash of a key, the same on every node.
func KeyHash(key []byte) uint64 {
	const offset, prime = 14695981039346656037, 1099511628211 // FNV-1a
	h := uint64(offset)
	for _, b := range key {
		h = (h ^ uint64(b)) * prime
	}
	return mix(h)
}

// mix spreads x over all bits (the finalizer of MurmurHash3).
func mix(x uint64) uint64 {
	x = (x ^ x>>33) * 0xff51afd7ed558ccd
	x = (x ^ x>>33) * 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}

// seed is what stands for an address under Hash.
func seed(a netip.AddrPort) uint64 {
	b, _ := a.MarshalBinary() // never fails
	return KeyHash(b)
}

// score is how much an endpoint of a seed and a weight is preferred for a key.
// The endpoint with the highest score wins, so that one that comes or goes
// moves no key but its own, and a weight gets its share: each score is the
// time of a Poisson process of that rate, turned around.
func score(key, seed uint64, weight int) float64 {
	u := (float64(mix(key^seed)>>11) + 0.5) / (1 << 53) // in (0, 1)
	return -float64(weight) / math.Log(u)
}

// turnsMost bounds the length of a round, and by that how fine the ratios of
// weights can be.
const turnsMost = 4096

// turns returns the order in which endpoints of those weights have their turns,
// nil where it is one after the other. Turns of one endpoint are spread over
// the round: each time, all gain their weight, and whoever has most has its
// turn and pays for all.
func turns(weights []int) []int32 {
	if !slices.ContainsFunc(weights, func(w int) bool { return w != weights[0] }) {
		return nil
	}
	weights = reduce(weights)
	sum := 0
	for _, w := range weights {
		sum += w
	}
	have := make([]int, len(weights))
	out := make([]int32, 0, sum)
	for range sum {
		most := 0
		for i, w := range weights {
			have[i] += w
			if have[i] > have[most] {
				most = i
			}
		}
		have[most] -= sum
		out = append(out, int32(most))
	}
	return out
}

// reduce returns the smallest weights of the same ratios, or such that are near
// to them where the sum would be above turnsMost.
func reduce(weights []int) []int {
	common, sum := 0, 0
	for _, w := range weights {
		sum += w
		common = divisor(common, w)
	}
	out := make([]int, len(weights))
	for i, w := range weights {
		if out[i] = w / common; sum/common > turnsMost {
			out[i] = max(1, int(float64(w)/float64(sum)*turnsMost))
		}
	}
	return out
}

// divisor returns the greatest common one.
func divisor(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
