package ipvs

import (
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/portico-lb/portico/l4"
)

// available reports why this kernel's IPVS cannot be used, after an attempt
// to load it.
func available() error {
	_, err := netlink.GenlFamilyGet("IPVS")
	if errors.Is(err, unix.ENOENT) {
		// Its outcome is seen in the second question.
		_ = exec.Command("modprobe", "-q", "ip_vs").Run()
		_, err = netlink.GenlFamilyGet("IPVS")
	}
	if errors.Is(err, unix.ENOENT) {
		return errors.New("ip_vs is not available in this kernel: modprobe ip_vs, or install the package that holds it (CONFIG_IP_VS)")
	}
	return err
}

// cure adds what to do about it to an error of the kernel.
func cure(err error) error {
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		return fmt.Errorf("%w: run as root, or with the capability CAP_NET_ADMIN", err)
	}
	return err
}

// cureOp is cure for the answers whose meaning depends on the question.
func cureOp(op l4.Op, err error) error {
	setsService := op.Kind == l4.AddService || op.Kind == l4.SetService
	switch {
	case setsService && errors.Is(err, unix.ENOENT):
		name := op.Service.Scheduler
		return fmt.Errorf("scheduler %[1]s is not available in this kernel: modprobe ip_vs_%[1]s, or install the package that holds it (CONFIG_IP_VS_%[2]s)", name, strings.ToUpper(name))
	case setsService && errors.Is(err, unix.EAFNOSUPPORT):
		return fmt.Errorf("ip_vs of this kernel has no IPv6 (CONFIG_IP_VS_IPV6): %w", err)
	}
	return cure(err)
}

// unlessGone takes the answer that something does not exist for success: no
// such destination, or no such service.
func unlessGone(err error) error {
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH) {
		return nil
	}
	return err
}

func cureSysctl(name string, err error) error {
	switch {
	case errors.Is(err, unix.EROFS), errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: set net.ipv4.vs.%s in a file under /etc/sysctl.d", err, name)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("this kernel has no net.ipv4.vs.%s: %w", name, err)
	}
	return err
}
