package kube

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
)

// Check says what o names and is not there, or cannot be read. It reads files, and
// neither starts anything nor connects.
func Check(o WatchOptions) error {
	s, err := newServer(o)
	if err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), "l7.kubernetes: "))
	}
	p := s.config.ExecProvider
	if p == nil {
		return nil
	}
	if _, err := exec.LookPath(p.Command); err != nil {
		return fmt.Errorf("%s: its user has credentials by a program: %w: install it, or write its whole path", o.Kubeconfig, err)
	}
	return nil
}

// CheckFolder says why the manifests of a folder cannot be read.
func CheckFolder(dir string) error {
	_, err := list(dir)
	return err
}
