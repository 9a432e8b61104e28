package main

import (
	"bufio"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
)

// bootModules are what the guest needs to reach its root file system and its
// caller; everything else is loaded from there.
var bootModules = []string{"virtio_pci", "9pnet_virtio", "9p", "overlay", "virtio_console"}

// loadOrder returns the files of the wanted modules and all they need, each
// after what it needs, since insmod resolves nothing. dep is the modules.dep
// of depmod, builtin the kernel's modules.builtin.
func loadOrder(dep, builtin io.Reader, want []string) ([]string, error) {
	files := map[string]string{}
	needs := map[string][]string{}
	for s := bufio.NewScanner(dep); s.Scan(); {
		file, rest, ok := strings.Cut(s.Text(), ":")
		if !ok {
			return nil, fmt.Errorf("modules.dep: %q has no colon", s.Text())
		}
		name := moduleName(file)
		files[name] = file
		for _, f := range strings.Fields(rest) {
			needs[name] = append(needs[name], moduleName(f))
		}
	}
	inKernel := map[string]bool{}
	for s := bufio.NewScanner(builtin); s.Scan(); {
		inKernel[moduleName(s.Text())] = true
	}

	var order []string
	seen := map[string]bool{}
	var add func(name string) error
	add = func(name string) error {
		if seen[name] || inKernel[name] {
			return nil
		}
		seen[name] = true
		file, ok := files[name]
		if !ok {
			return fmt.Errorf("kernel has no module %s", name)
		}
		// depmod lists the direct needs first and theirs behind them.
		for _, n := range slices.Backward(needs[name]) {
			if err := add(n); err != nil {
				return err
			}
		}
		order = append(order, file)
		return nil
	}
	for _, name := range want {
		if err := add(moduleName(name)); err != nil {
			return nil, err
		}
	}
	return order, nil
}

// moduleName is how the kernel calls the module in a file.
func moduleName(file string) string {
	name, _, _ := strings.Cut(path.Base(strings.TrimSpace(file)), ".ko")
	return strings.ReplaceAll(name, "-", "_")
}
