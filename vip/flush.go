package vip

import (
	"errors"

	"github.com/portico-lb/portico/vip/addr"
)

// Flush removes every address that a Manager put up, on lo and on interfaces,
// and restores the settings it changed. No Manager may run.
func Flush(o Options) error {
	memory, err := addr.Recall(o.memoryFile())
	if err != nil {
		return err
	}
	have, err := addr.Read()
	if err != nil {
		return err
	}
	var errs []error
	for _, op := range addr.Diff(have.Addrs, nil, addr.Ours(nil, memory.Addresses())) {
		if err := addr.Apply(op); err != nil {
			errs = append(errs, err)
			continue
		}
		o.Log.Info("virtual address changed", "op", op)
	}
	if len(errs) > 0 {
		// An address may still stand on lo, so it must go on to answer no ARP.
		return errors.Join(errs...)
	}
	for _, s := range memory.Sysctls() {
		errs = append(errs, restore(s))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return memory.Forget(func(addr.Address) bool { return false }, func(addr.Sysctl) bool { return false })
}

// restore writes the value found before ours, unless somebody changed it since
// or the interface is gone.
func restore(s addr.Sysctl) error {
	if now, err := addr.ReadSysctl(s.Name); err == nil && addr.IsOurs(addr.Sysctl{Name: s.Name, Value: now}) {
		return addr.WriteSysctl(s)
	}
	return nil
}
