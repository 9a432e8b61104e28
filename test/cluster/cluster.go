package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes"
)

// Options say where a Cluster lives.
type Options struct {
	// Dir holds its data, logs and credentials. It must exist.
	Dir string

	// Addr is what the API server listens on and what URL and Kubeconfig name,
	// by default 127.0.0.1. The port is a free one.
	Addr netip.Addr

	// Do runs a function on a thread that stands where the API server shall
	// listen and be dialled, by default here. InNetNS makes one.
	Do func(func() error) error
}

// A Cluster is a running control plane. Its methods are for one goroutine at a
// time.
type Cluster struct {
	opts   Options
	binary string
	listen netip.AddrPort

	etcd, apiserver *process

	client *kubernetes.Clientset // nil until the API server has made its certificate
}

// Start gives a test a ready cluster that ends with it, in a temporary folder
// unless opts name one. It skips the test without PORTICO_CLUSTER=1, as the
// first build of the control plane takes minutes.
func Start(t testing.TB, opts Options) *Cluster {
	t.Helper()
	if os.Getenv("PORTICO_CLUSTER") != "1" {
		t.Skip("needs a control plane: run it by make test-cluster, or with PORTICO_CLUSTER=1")
	}
	if opts.Dir == "" {
		opts.Dir = t.TempDir()
	}
	// Minutes are for an emulated machine; a plain one needs four seconds.
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	c, err := New(ctx, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// New starts a cluster and returns when it is ready. It builds the control
// plane first if need be, and says so on stderr.
func New(ctx context.Context, opts Options) (*Cluster, error) {
	if !opts.Addr.IsValid() {
		opts.Addr = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	if opts.Do == nil {
		opts.Do = func(f func() error) error { return f() }
	}
	binary, err := Binary(ctx, os.Stderr)
	if err != nil {
		return nil, err
	}
	c := &Cluster{opts: opts, binary: binary}
	if err := c.boot(ctx); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func (c *Cluster) boot(ctx context.Context) (err error) {
	if c.listen, err = c.freePort(); err != nil {
		return fmt.Errorf("find a port on %s: %w", c.opts.Addr, err)
	}
	if err := writeCredentials(c.opts.Dir); err != nil {
		return err
	}
	if c.etcd, err = c.start("etcd", "etcd", etcdSocket); err != nil {
		return err
	}
	err = c.etcd.wait(ctx, func(context.Context) error {
		_, err := os.Stat(filepath.Join(c.opts.Dir, etcdSocket))
		return err
	})
	if err != nil {
		return err
	}
	if err := c.Restart(ctx); err != nil {
		return err
	}
	return c.writeKubeconfig()
}

// Stop kills the API server as a crash would. Its data stay, and so does its
// address for Restart.
func (c *Cluster) Stop() error {
	return c.apiserver.kill()
}

// Restart starts the API server after Stop, at the address it had, and returns
// when it is ready.
func (c *Cluster) Restart(ctx context.Context) (err error) {
	if c.apiserver, err = c.start("kube-apiserver", c.flags()...); err != nil {
		return err
	}
	return c.apiserver.wait(ctx, c.probe)
}

// Close kills everything. What it left in Dir is the caller's.
func (c *Cluster) Close() error {
	return errors.Join(c.apiserver.kill(), c.etcd.kill())
}

// flags are the fewest the API server takes. The advertised address ends up in
// the Endpoints of the Service "kubernetes" alone; it may not be loopback, and
// without it there would have to be a default route.
func (c *Cluster) flags() []string {
	return []string{
		"--etcd-servers=unix://" + etcdSocket,
		"--bind-address=" + c.listen.Addr().String(),
		fmt.Sprintf("--secure-port=%d", c.listen.Port()),
		"--advertise-address=10.245.0.1",
		"--cert-dir=.",
		"--token-auth-file=" + tokenFile,
		"--authorization-mode=RBAC",
		"--service-cluster-ip-range=10.96.0.0/16,fd00:96::/112",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + signingKeyFile,
		"--service-account-signing-key-file=" + signingKeyFile,
	}
}

// Files in Dir. Paths are relative to it, as the address of a unix socket has
// room for 107 bytes and the folder of a test may need more.
const (
	etcdSocket      = "etcd.sock"
	tokenFile       = "tokens.csv"
	signingKeyFile  = "sa.key"
	certificateFile = "apiserver.crt" // the API server writes it
	kubeconfigFile  = "kubeconfig"
)
