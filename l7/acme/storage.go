package acme

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"time"
)

// A Storage is what the edges share: certificates, the challenges that a CA is
// about to ask for, the account there, and what the CA refused. It also decides
// who orders.
type Storage interface {
	// Run follows what is stored until ctx ends, and calls lead whenever this
	// edge has become the one that may order; lead's context ends when it is so
	// no more, and Run returns after lead has. An edge that vanishes is replaced
	// by another one.
	Run(ctx context.Context, lead func(context.Context)) error
	// Items is what is stored as far as this edge knows: immutable, and had
	// without asking anybody. It is nil before the first reading.
	Items() Items
	// Changed rings after Items has changed.
	Changed() <-chan struct{}
	// Settle is how long it takes until every edge knows what was stored.
	Settle() time.Duration

	// Load asks the storage itself; an item that does not exist is nil.
	Load(ctx context.Context, key Key) (Item, error)
	Store(ctx context.Context, key Key, item Item) error
	// Delete is content with an item that does not exist.
	Delete(ctx context.Context, key Key) error
	// Status describes the storage.
	Status() StorageStatus
}

// A StorageStatus describes a Storage.
type StorageStatus struct {
	// Where is the folder, or the namespace at the API server.
	Where string `json:"where"`
	// Orders is the edge that orders, as far as this one knows.
	Orders string `json:"orders,omitempty"`
	// Err is why the storage cannot be read now.
	Err string `json:"error,omitempty"`
}

// A Kind says what an item is.
type Kind string

// The kinds of items.
const (
	CertificateKind Kind = "certificate"
	ChallengeKind   Kind = "challenge"
	AccountKind     Kind = "account"
	FaultKind       Kind = "fault" // why a host's last order failed
)

var kinds = []Kind{AccountKind, CertificateKind, ChallengeKind, FaultKind}

// A Key names an item.
type Key struct {
	Kind Kind
	// Name consists of lower-case letters, digits, hyphens and dots, begins and
	// ends with a letter or digit and has at most 200 bytes.
	Name string
}

// nameMost leaves room for what storages put before a name.
const nameMost = 200

// hostKey is the key of an item that belongs to a host.
func hostKey(kind Kind, host string) Key {
	if len(host) > nameMost {
		return Key{kind, digest(host)}
	}
	return Key{kind, host}
}

// challengeKey is the key of a challenge; tokens have capitals.
func challengeKey(token string) Key { return Key{ChallengeKind, digest(token)} }

// accountKey is the key of an account: one for each CA and address.
func accountKey(directory, email string) Key {
	return Key{AccountKind, digest(directory + " " + email)}
}

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:16])
}

// valid reports whether k may become the name of a file or a Secret.
func (k Key) valid() error {
	bad := func(c byte) bool { return (c < 'a' || c > 'z') && (c < '0' || c > '9') }
	n := k.Name
	if len(n) == 0 || len(n) > nameMost || bad(n[0]) || bad(n[len(n)-1]) {
		return fmt.Errorf("%q cannot name a stored %s", n, k.Kind)
	}
	for i := range len(n) {
		if bad(n[i]) && n[i] != '-' && n[i] != '.' {
			return fmt.Errorf("%q cannot name a stored %s", n, k.Kind)
		}
	}
	return nil
}

// An Item is a few named texts, some of them secret.
type Item map[string][]byte

// String keeps secrets out of logs.
func (i Item) String() string { return fmt.Sprintf("%d fields", len(i)) }

func (i Item) equal(o Item) bool { return maps.EqualFunc(i, o, bytes.Equal) }

// The fields of items. Those of certificates are Kubernetes' names.
const (
	certField    = "tls.crt" // PEM, the leaf first
	keyField     = "tls.key" // PEM; an account's as well
	caField      = "ca"      // URL of the directory that a certificate comes from
	hostField    = "host"
	tokenField   = "token"
	authField    = "key-authorization" // RFC 8555, section 8.1
	expiresField = "expires"           // RFC 3339; a challenge is litter from then on
	accountField = "account.json"
	faultField   = "fault.json"
)

// Items is everything that is stored.
type Items map[Key]Item
