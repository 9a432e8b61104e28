package acme

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

// The label of our Secrets, whose value is their kind, and the annotation with
// their name.
const (
	kindLabel      = "portico.io/acme"
	nameAnnotation = "portico.io/acme-name"
)

// SecretsOptions say where Secrets are.
type SecretsOptions struct {
	Log    *slog.Logger
	Client kubernetes.Interface
	// End ends the client's connections.
	End func()
	// Namespace holds the Secrets and the Lease.
	Namespace string
	// Identity tells this process from all others.
	Identity string
	// Copy is the folder of this edge's copy of the certificates, for a start
	// without an API server.
	Copy string
}

// Secrets is a Storage in a namespace of Kubernetes: an item is a Secret, and
// who holds a Lease orders.
type Secrets struct {
	SecretsOptions
	copy    *Files
	changed chan struct{}
	synced  chan struct{}
	once    sync.Once
	items   atomic.Pointer[Items]
	leader  atomic.Pointer[string]

	mu  sync.Mutex
	err error
}

var _ Storage = (*Secrets)(nil)

// NewSecrets returns a Storage that knows its copy and has connected to nothing
// yet.
func NewSecrets(o SecretsOptions) *Secrets {
	s := &Secrets{SecretsOptions: o, copy: NewFiles(o.Copy), changed: make(chan struct{}, 1), synced: make(chan struct{})}
	s.restore()
	return s
}

// Run follows the Secrets, and stands for election once it has read them.
func (s *Secrets) Run(ctx context.Context, lead func(context.Context)) error {
	defer s.End()
	quiet := klog.NewContext(ctx, klog.Logger{})
	var group sync.WaitGroup
	defer group.Wait()
	group.Go(func() { s.reflector().RunWithContext(quiet) })
	select {
	case <-s.synced:
	case <-ctx.Done():
		return nil
	}
	return s.contend(quiet, lead)
}

// restore begins with the copy.
func (s *Secrets) restore() {
	items := Items{}
	for key, item := range s.copy.Items() {
		if key.Kind == CertificateKind {
			items[key] = item
		}
	}
	if len(items) > 0 {
		s.publish(items)
	}
}

// Items is what the API server has told, or the copy until it has.
func (s *Secrets) Items() Items {
	if p := s.items.Load(); p != nil {
		return *p
	}
	return nil
}

// Changed rings after Items has changed.
func (s *Secrets) Changed() <-chan struct{} { return s.changed }

// Settle is many times what a watch takes.
func (s *Secrets) Settle() time.Duration { return time.Second }

// Status names the namespace, and the edge that holds the Lease.
func (s *Secrets) Status() StorageStatus {
	out := StorageStatus{Where: "Secrets in namespace " + s.Namespace}
	if leader := s.leader.Load(); leader != nil {
		out.Orders = *leader
		if *leader == s.Identity {
			out.Orders = "this edge"
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		out.Err = s.err.Error()
	}
	return out
}

// publish makes items the ones that are known.
func (s *Secrets) publish(items Items) {
	s.items.Store(&items)
	ring(s.changed)
}

// change applies f to a copy of what is known. Only the reflector calls it.
func (s *Secrets) change(f func(Items)) {
	items := maps.Clone(s.Items())
	if items == nil {
		items = Items{}
	}
	f(items)
	s.publish(items)
}

// keep brings the copy of an item, which is before, up to date. That it cannot
// is no reason to serve less.
func (s *Secrets) keep(key Key, before, item Item) {
	if key.Kind != CertificateKind || item.equal(before) {
		return
	}
	var err error
	if item == nil {
		err = s.copy.remove(key)
	} else {
		err = s.copy.put(key, item)
	}
	if err != nil {
		s.Log.Warn("no copy of a certificate for a start without API server", "certificate", key.Name, "err", err)
	}
}

// A told is where the reflector puts what it is told.
type told struct{ *Secrets }

var _ cache.ReflectorStore = told{}

func (s told) Add(obj any) error { return s.Update(obj) }

func (s told) Update(obj any) error {
	if key, item, ok := decode(obj); ok {
		s.keep(key, s.Items()[key], item)
		s.change(func(items Items) { items[key] = item })
	}
	return nil
}

func (s told) Delete(obj any) error {
	if key, _, ok := decode(obj); ok {
		s.keep(key, s.Items()[key], nil)
		s.change(func(items Items) { delete(items, key) })
	}
	return nil
}

// Replace takes no certificate away. What a new reading does not show was
// deleted while nobody watched, or is missing by a fault of the API server: to
// serve it on is right in both cases.
func (s told) Replace(list []any, _ string) error {
	s.change(func(items Items) {
		maps.DeleteFunc(items, func(k Key, _ Item) bool { return k.Kind != CertificateKind })
		for _, obj := range list {
			if key, item, ok := decode(obj); ok {
				s.keep(key, items[key], item)
				items[key] = item
			}
		}
	})
	s.once.Do(func() { close(s.synced) })
	return nil
}

func (s told) Resync() error { return nil }

// decode reads a Secret.
func decode(obj any) (Key, Item, bool) {
	secret, ok := obj.(*corev1.Secret)
	if !ok {
		return Key{}, nil, false
	}
	key := Key{Kind(secret.Labels[kindLabel]), secret.Annotations[nameAnnotation]}
	return key, Item(secret.Data), key.valid() == nil && secret.Name == secretName(key)
}

func secretName(k Key) string { return "portico-acme-" + string(k.Kind) + "-" + k.Name }

func (s *Secrets) encode(k Key, item Item) *corev1.Secret {
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Name: secretName(k), Namespace: s.Namespace,
			Labels:      map[string]string{kindLabel: string(k.Kind), "app.kubernetes.io/managed-by": "portico"},
			Annotations: map[string]string{nameAnnotation: k.Name},
		},
		Type: corev1.SecretTypeOpaque,
		Data: item,
	}
	if k.Kind == CertificateKind {
		secret.Type = corev1.SecretTypeTLS
	}
	return secret
}

// writeMost bounds one request.
const writeMost = 10 * time.Second

// Load asks the API server.
func (s *Secrets) Load(ctx context.Context, key Key) (Item, error) {
	ctx, cancel := context.WithTimeout(ctx, writeMost)
	defer cancel()
	secret, err := s.Client.CoreV1().Secrets(s.Namespace).Get(ctx, secretName(key), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, explain(err)
	}
	_, item, ok := decode(secret)
	if !ok {
		return nil, fmt.Errorf("secret %s/%s is none of ours: remove it", s.Namespace, secret.Name)
	}
	return item, nil
}

// Store creates or replaces a Secret.
func (s *Secrets) Store(ctx context.Context, key Key, item Item) error {
	if err := key.valid(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, writeMost)
	defer cancel()
	secrets, secret := s.Client.CoreV1().Secrets(s.Namespace), s.encode(key, item)
	_, err := secrets.Update(ctx, secret, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		_, err = secrets.Create(ctx, secret, metav1.CreateOptions{})
	}
	return explain(err)
}

// Delete deletes a Secret.
func (s *Secrets) Delete(ctx context.Context, key Key) error {
	ctx, cancel := context.WithTimeout(ctx, writeMost)
	defer cancel()
	err := s.Client.CoreV1().Secrets(s.Namespace).Delete(ctx, secretName(key), metav1.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return explain(err)
}

// explain adds the cure to what the API server says.
func explain(err error) error {
	switch {
	case apierrors.IsForbidden(err):
		return fmt.Errorf("%w: apply packaging/kubernetes/acme.yaml", err)
	case apierrors.IsNotFound(err):
		return fmt.Errorf("%w: create the namespace that l7.acme.namespace names", err)
	}
	return err
}
