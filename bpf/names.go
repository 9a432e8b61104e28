package bpf

import (
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// Names returns the names of an enum's values in lower case, in their order:
// those of "verdict" are keys of the map verdicts, those of "event" of events.
// They are read from the program itself, which ends each enum with its count.
func Names(spec *ebpf.CollectionSpec, enum string) ([]string, error) {
	var e *btf.Enum
	if err := spec.Types.TypeByName(enum, &e); err != nil {
		return nil, err
	}
	var names []string
	for _, v := range e.Values[:len(e.Values)-1] {
		names = append(names, strings.ToLower(v.Name))
	}
	return names, nil
}
