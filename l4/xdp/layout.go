package xdp

import (
	"fmt"
	"hash/fnv"
	"maps"
	"slices"

	"github.com/cilium/ebpf"

	"github.com/portico-lb/portico/bpf"
)

// Maps that user space alone reads: who the backends are, and what the tables
// were made of. Under the id 0 the builds have the latest generation.
const (
	mapTenants = "tenants"
	mapBuilds  = "builds"
)

// Sizes are what the maps are made for.
type Sizes struct {
	Rows  int // of a table
	Flows int // connections that are remembered, of IPv4 and of IPv6
}

// load returns the program and its maps as they are to be made.
func load(s Sizes) (*ebpf.CollectionSpec, error) {
	spec, err := bpf.LoadL4()
	if err != nil {
		return nil, err
	}
	// A variable that the program lost is an error here and not a silence there.
	if err := spec.Variables[bpf.L4VarTableRows].Set(uint32(s.Rows)); err != nil {
		return nil, fmt.Errorf("set %s: %w", bpf.L4VarTableRows, err)
	}
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return nil, err
	}
	flows := uint32(evenly(s.Flows, cpus))
	spec.Maps[bpf.L4MapFlows4].MaxEntries, spec.Maps[bpf.L4MapFlows6].MaxEntries = flows, flows
	spec.Maps[bpf.L4MapTables].InnerMap.MaxEntries = uint32(s.Rows)
	spec.Maps[mapTenants] = &ebpf.MapSpec{Name: mapTenants, Type: ebpf.Hash, KeySize: 4, ValueSize: 32, MaxEntries: maxBackends}
	spec.Maps[mapBuilds] = &ebpf.MapSpec{Name: mapBuilds, Type: ebpf.Hash, KeySize: 4, ValueSize: 8, MaxEntries: maxServices + 1}
	return spec, nil
}

// evenly rounds the number of flows up to where each CPU has as many. So does
// the kernel (kernel/bpf/hashtab.c, htab_map_alloc), and a map that has been
// made is adopted by who would make just such a one.
func evenly(flows, cpus int) int { return (flows + cpus - 1) / cpus * cpus }

// layout tells whether one program's maps may be another's: it stands for
// everything that both must agree on.
func layout(spec *ebpf.CollectionSpec) string {
	h := fnv.New32a()
	fmt.Fprintf(h, "%#v", tenant{})
	for _, name := range slices.Sorted(maps.Keys(spec.Maps)) {
		if m := spec.Maps[name]; outlives(name) {
			fmt.Fprintln(h, name, shape(m))
			if m.InnerMap != nil {
				fmt.Fprintln(h, shape(m.InnerMap))
			}
		}
	}
	return fmt.Sprintf("%08x", h.Sum32())
}

func shape(m *ebpf.MapSpec) string {
	// The fields of a value matter as well as its size: three levels of them
	// are more than there are.
	return fmt.Sprintf("%v %d %d %d %d %4v %4v", m.Type, m.KeySize, m.ValueSize, m.MaxEntries, m.Flags, m.Key, m.Value)
}

// outlives tells the maps that are pinned from those that belong to a program,
// as its constants do.
func outlives(name string) bool { return name[0] != '.' }
