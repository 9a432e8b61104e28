package main

import (
	"errors"
	"net/url"

	"go.etcd.io/etcd/server/v3/embed"
)

// etcd runs a single member until it breaks. It listens on unix sockets and on
// no address at all: clients in every network namespace reach it, and two of
// them never fight over a port.
func etcd(args []string) error {
	if len(args) != 2 {
		return errors.New("needs a folder for its data and a path for its socket")
	}
	cfg := embed.NewConfig()
	cfg.Dir = args[0]
	cfg.ListenClientUrls = []url.URL{socket(args[1])}
	cfg.ListenPeerUrls = []url.URL{socket(args[1] + ".peer")}
	cfg.LogLevel = "error" // it writes a line for every request at "warn"
	cfg.UnsafeNoFsync = true

	member, err := embed.StartEtcd(cfg)
	if err != nil {
		return err
	}
	return <-member.Err()
}

// socket is the form etcd wants: a relative path stands where a host would.
func socket(path string) url.URL {
	return url.URL{Scheme: "unix", Host: path}
}
