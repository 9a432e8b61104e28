package addr

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/google/renameio/v2"
)

// Memory is what must outlive the process, however it ends, until Flush undoes
// it: the addresses put up and the settings found. The file belongs into a
// directory that a reboot empties, as it does the kernel.
type Memory struct {
	path  string
	state memory
}

type memory struct {
	Addresses []Address `json:"addresses"`
	Sysctls   []Sysctl  `json:"sysctls"` // with the values found before ours
}

// Recall reads the memory at path; a missing file is an empty memory.
func Recall(path string) (*Memory, error) {
	m := &Memory{path: path}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(b, &m.state); err != nil {
		return nil, fmt.Errorf("%s: %w: remove the file; addresses left by an earlier configuration must then be removed by hand", path, err)
	}
	return m, nil
}

// Addresses returns those remembered.
func (m *Memory) Addresses() []Address { return slices.Clone(m.state.Addresses) }

// Sysctls returns the settings remembered, with the values to restore.
func (m *Memory) Sysctls() []Sysctl { return slices.Clone(m.state.Sysctls) }

// Note remembers addresses about to be put up and settings about to be
// replaced. A setting already remembered keeps its oldest value.
func (m *Memory) Note(addrs []Address, found []Sysctl) error {
	next := memory{m.Addresses(), m.Sysctls()}
	for _, a := range addrs {
		if !slices.Contains(next.Addresses, a) {
			next.Addresses = append(next.Addresses, a)
		}
	}
	for _, s := range found {
		if !slices.ContainsFunc(next.Sysctls, func(o Sysctl) bool { return o.Name == s.Name }) {
			next.Sysctls = append(next.Sysctls, s)
		}
	}
	return m.save(next)
}

// Forget drops what keep refuses.
func (m *Memory) Forget(keepAddress func(Address) bool, keepSysctl func(Sysctl) bool) error {
	return m.save(memory{
		slices.DeleteFunc(m.Addresses(), func(a Address) bool { return !keepAddress(a) }),
		slices.DeleteFunc(m.Sysctls(), func(s Sysctl) bool { return !keepSysctl(s) }),
	})
}

// save replaces the file, whole or not at all.
func (m *Memory) save(next memory) error {
	if slices.Equal(next.Addresses, m.state.Addresses) && slices.Equal(next.Sysctls, m.state.Sysctls) {
		return nil
	}
	b, err := json.Marshal(next)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(m.path), 0o755); err != nil {
		return err
	}
	if err := renameio.WriteFile(m.path, b, 0o600); err != nil {
		return err
	}
	m.state = next
	return nil
}
