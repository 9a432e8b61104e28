package kube

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	netv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/portico-lb/portico/l7/route"
)

func meta(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name, UID: "u-1", ResourceVersion: "7", Generation: 2}
}

// shop is what one Ingress of a cluster needs, and more.
func shop() *Objects {
	in := &netv1.Ingress{ObjectMeta: meta("shop", "web")}
	in.Annotations = map[string]string{"portico.io/auth-secret": "users", "other": "say \"shop/quoted\""}
	in.OwnerReferences = []metav1.OwnerReference{{Name: "somebody"}}
	in.Spec.TLS = []netv1.IngressTLS{{SecretName: "cert"}}
	in.Status.LoadBalancer.Ingress = []netv1.IngressLoadBalancerIngress{{IP: "192.0.2.1"}}
	slice := func(namespace, service string) *discoveryv1.EndpointSlice {
		s := &discoveryv1.EndpointSlice{ObjectMeta: meta(namespace, service+"-1")}
		s.Labels = map[string]string{discoveryv1.LabelServiceName: service}
		s.Endpoints = []discoveryv1.Endpoint{{Addresses: []string{"10.244.0.5"}}}
		return s
	}
	secret := func(namespace, name string) *corev1.Secret {
		return &corev1.Secret{ObjectMeta: meta(namespace, name), Data: map[string][]byte{"tls.key": []byte("secret")}}
	}
	return &Objects{
		Ingresses: []*netv1.Ingress{in},
		Classes:   []*netv1.IngressClass{{ObjectMeta: meta("", "portico"), Spec: netv1.IngressClassSpec{Controller: Controller}}},
		Services: []*corev1.Service{
			{ObjectMeta: meta("shop", "web"), Spec: corev1.ServiceSpec{ClusterIP: "10.96.0.1"}},
			{ObjectMeta: meta("shop", "other")},
			{ObjectMeta: meta("bank", "web")},
		},
		Slices:  []*discoveryv1.EndpointSlice{slice("shop", "web"), slice("shop", "other"), slice("bank", "web")},
		Secrets: []*corev1.Secret{secret("shop", "cert"), secret("shop", "users"), secret("shop", "quoted"), secret("shop", "other"), secret("bank", "cert")},
	}
}

var web = []route.Backend{{}, {Namespace: "shop", Service: "web", Port: "http"}}

func TestSnapshotHoldsWhatIsNeeded(t *testing.T) {
	s := snapshot{[]string{"https://a:6443", "https://b:6443"}, needed(shop(), web)}
	b, err := s.encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := parseSnapshot(b)
	if err != nil {
		t.Fatal(err)
	}
	want := shop()
	want.Ingresses[0].OwnerReferences = nil
	want.Ingresses[0].Status = netv1.IngressStatus{}
	want.Services, want.Slices, want.Secrets = want.Services[:1], want.Slices[:1], want.Secrets[:3]
	if diff := cmp.Diff(want, &got.objects, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
	for servers, want := range map[string]bool{"https://b:6443": true, "https://c:6443": false} {
		if got.of([]string{servers}) != want {
			t.Errorf("of %s is %v", servers, !want)
		}
	}
}

func TestSnapshotRefusesWhatIsNotWhole(t *testing.T) {
	good, err := snapshot{[]string{"https://a"}, *shop()}.encode()
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		"empty":       nil,
		"another":     []byte("portico snapshot 2\nand more"),
		"no checksum": good[:len(snapshotMagic)+4],
		"cut":         good[:len(good)-1],
		"a bit":       append(slices.Clone(good[:len(good)-9]), append([]byte{good[len(good)-9] ^ 4}, good[len(good)-8:]...)...),
	} {
		if s, err := parseSnapshot(b); err == nil || len(s.servers) > 0 || s.objects.Ingresses != nil {
			t.Errorf("%s: %v, %v", name, s, err)
		}
	}
}

func FuzzSnapshot(f *testing.F) {
	var whole bytes.Buffer
	for _, server := range []string{"https://a", ""} {
		writeBlock(&whole, []byte(server))
	}
	ingresses, err := (&netv1.IngressList{Items: values(shop().Ingresses)}).Marshal()
	if err != nil {
		f.Fatal(err)
	}
	writeBlock(&whole, ingresses)
	f.Add(whole.Bytes())
	for range 4 {
		writeBlock(&whole, nil)
	}
	f.Add(whole.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parseBlocks(b)
		if err != nil {
			return
		}
		again, err := s.encode()
		if err != nil {
			t.Skip(err) // strings that are no UTF-8
		}
		got, err := parseSnapshot(again)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(s.objects, got.objects, cmpopts.EquateEmpty()); diff != "" || !slices.Equal(s.servers, got.servers) {
			t.Errorf("read again, it differs:\n%s", diff)
		}
	})
}

// A keeping is a keeper that runs in a bubble.
type keeping struct {
	*keeper
	confirmed atomic.Bool
	stop      func()
}

func startKeeping(t *testing.T, path string) *keeping {
	k := &keeping{
		keeper: &keeper{log: slog.New(slog.NewTextHandler(t.Output(), nil)), path: path, servers: []string{"https://a"}, latest: make(chan kept, 1)},
	}
	k.confirmed.Store(true)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		k.run(ctx, func() bool { return k.confirmed.Load() })
		close(done)
	}()
	k.stop = func() {
		cancel()
		<-done
	}
	return k
}

// ingresses is how many the file holds, -1 without one.
func (k *keeping) ingresses(t *testing.T) int {
	t.Helper()
	synctest.Wait()
	s, _, err := k.read()
	if errors.Is(err, fs.ErrNotExist) {
		return -1
	}
	if err != nil {
		t.Fatal(err)
	}
	return len(s.objects.Ingresses)
}

func withIngresses(n int) *Objects {
	o := &Objects{}
	for range n {
		o.Ingresses = append(o.Ingresses, shop().Ingresses[0])
	}
	return o
}

func TestKeeperSparesTheDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "l7", "snapshot")
	synctest.Test(t, func(t *testing.T) {
		k := startKeeping(t, path)
		expect := func(when string, want int) {
			t.Helper()
			if got := k.ingresses(t); got != want {
				t.Errorf("%s: the file has %d, want %d", when, got, want)
			}
		}
		expect("at first", -1)
		k.keep(withIngresses(1), noBackends)
		k.keep(withIngresses(2), noBackends)
		expect("before it settled", -1)
		time.Sleep(settle)
		expect("after", 2)
		if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
			t.Errorf("the file is %v, %v", info.Mode(), err)
		}
		for n := 3; n < 10; n++ { // without a pause
			time.Sleep(time.Second)
			k.keep(withIngresses(n), noBackends)
		}
		expect("while it changes", 2)
		time.Sleep(writeEvery)
		expect("in the end", 9)
		k.confirmed.Store(false)
		k.keep(withIngresses(10), noBackends)
		time.Sleep(2 * writeEvery)
		expect("while the API server is away", 9)
		k.confirmed.Store(true)
		time.Sleep(settle)
		expect("when it vouches for that", 10)
		k.keep(withIngresses(11), noBackends)
		k.stop()
		expect("after the stop", 11)
	})
}

// TestKeeperSavesWhatWasSaidLast is about an API server that goes away before
// its latest news are on the disk: they get there as of then, by the next time
// it is written or by the stop, and nothing that it did not vouch for.
func TestKeeperSavesWhatWasSaidLast(t *testing.T) {
	for name, stop := range map[string]bool{"by the stop": true, "in time": false} {
		path := filepath.Join(t.TempDir(), "snapshot")
		synctest.Test(t, func(t *testing.T) {
			k := startKeeping(t, path)
			defer func() { k.stop() }()
			k.keep(withIngresses(1), noBackends)
			time.Sleep(settle)
			k.keep(withIngresses(2), noBackends)
			synctest.Wait()
			k.confirmed.Store(false)
			if stop {
				time.Sleep(writeEvery / 2)
				k.stop()
			} else {
				time.Sleep(writeEvery)
			}
			if got := k.ingresses(t); got != 2 {
				t.Errorf("%s: the file has %d, want the 2 it said last", name, got)
			}
			if _, at, err := k.read(); err != nil || time.Since(at) < writeEvery/2 {
				t.Errorf("%s: it looks %v old, %v", name, time.Since(at), err)
			}
		})
	}
	path := filepath.Join(t.TempDir(), "snapshot")
	synctest.Test(t, func(t *testing.T) {
		k := startKeeping(t, path)
		k.keep(withIngresses(1), noBackends)
		time.Sleep(settle)
		k.keep(withIngresses(2), noBackends)
		synctest.Wait()
		k.confirmed.Store(false)
		k.keep(withIngresses(3), noBackends)
		if got := k.ingresses(t); got != 2 {
			t.Errorf("with more that nobody vouches for, the file has %d, want 2", got)
		}
		k.stop()
		if got := k.ingresses(t); got != 2 {
			t.Errorf("after the stop the file has %d, want 2", got)
		}
	})
}

// TestKeeperTriesAgain has a disk that takes nothing for a while.
func TestKeeperTriesAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "l7")
	if err := os.WriteFile(dir, nil, 0o600); err != nil { // nothing can be below it
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		k := startKeeping(t, filepath.Join(dir, "snapshot"))
		k.keep(withIngresses(1), noBackends)
		time.Sleep(2 * touchEvery)
		synctest.Wait()
		if fault := k.fault.Load(); fault == nil || !strings.Contains(*fault, "snapshot: not a directory") {
			t.Errorf("the fault is %v", fault)
		}
		if err := os.Remove(dir); err != nil {
			t.Fatal(err)
		}
		time.Sleep(writeAgain)
		if got := k.ingresses(t); got != 1 {
			t.Errorf("once there is room, the file has %d", got)
		}
		if fault := k.fault.Load(); fault != nil {
			t.Errorf("written, the fault is still %q", *fault)
		}
		k.stop()
	})
}

func TestKeeperKnowsTheAge(t *testing.T) {
	path := filepath.Join(t.TempDir(), "snapshot")
	synctest.Test(t, func(t *testing.T) {
		k := startKeeping(t, path)
		k.keep(withIngresses(1), noBackends)
		time.Sleep(settle)
		age := func() time.Duration {
			synctest.Wait()
			_, at, err := k.read()
			if err != nil {
				t.Fatal(err)
			}
			return time.Since(at)
		}
		time.Sleep(time.Hour)
		if got := age(); got > touchEvery {
			t.Errorf("confirmed, it is %v old", got)
		}
		k.confirmed.Store(false)
		time.Sleep(time.Hour)
		if got := age(); got < time.Hour-touchEvery || got > time.Hour+touchEvery {
			t.Errorf("an hour after it was confirmed last, it is %v old", got)
		}
		k.stop()
		if got := age(); got < time.Hour-touchEvery {
			t.Errorf("the stop has made it %v old", got)
		}
	})
}

func TestKeeperRefusesAnotherCluster(t *testing.T) {
	path := filepath.Join(t.TempDir(), "snapshot")
	synctest.Test(t, func(t *testing.T) {
		k := startKeeping(t, path)
		k.keep(withIngresses(1), noBackends)
		k.stop()
		k.servers = []string{"https://b"}
		if _, _, err := k.read(); err == nil || !strings.Contains(err.Error(), "another cluster") {
			t.Errorf("it is read: %v", err)
		}
	})
}

func noBackends() []route.Backend { return nil }
