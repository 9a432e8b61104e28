package acme

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"
)

// orderMost is how long one order may take.
const orderMost = 5 * time.Minute

// An issuer orders at the CA. Only the edge that leads uses it.
type issuer struct {
	config  Config
	storage Storage
	client  *acmez.Client

	mu      sync.Mutex
	account *acme.Account // nil until it is needed
}

func newIssuer(c Config, s Storage, log *slog.Logger) *issuer {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if c.Roots != nil {
		transport.TLSClientConfig = &tls.Config{RootCAs: x509.NewCertPool()}
		transport.TLSClientConfig.RootCAs.AppendCertsFromPEM(c.Roots)
	}
	solver := solver{s}
	solvers := map[string]acmez.Solver{}
	for _, name := range c.Challenges {
		solvers[name] = solver
	}
	return &issuer{config: c, storage: s, client: &acmez.Client{
		Client: &acme.Client{
			Directory:   c.CA,
			HTTPClient:  &http.Client{Transport: transport, Timeout: 30 * time.Second},
			UserAgent:   "portico",
			PollTimeout: orderMost,
			Logger:      slog.New(atDebug{log.Handler()}),
		},
		ChallengeSolvers: solvers,
	}}
}

// order gets a certificate for host. replaces is the one that it takes the
// place of, or nil (RFC 9773, section 5).
func (i *issuer) order(ctx context.Context, host string, replaces *x509.Certificate) (Item, error) {
	ctx, cancel := context.WithTimeout(ctx, orderMost)
	defer cancel()
	account, err := i.login(ctx)
	if err != nil {
		return nil, fmt.Errorf("account at %s: %w", i.config.CA, err)
	}
	key, err := newKey(i.config.KeyType)
	if err != nil {
		return nil, err
	}
	csr, err := acmez.NewCSR(key, []string{host})
	if err != nil {
		return nil, err
	}
	params, err := acmez.OrderParametersFromCSR(account, csr)
	if err != nil {
		return nil, err
	}
	params.Profile, params.Replaces = i.config.Profile, replaces
	chains, err := i.client.ObtainCertificate(ctx, params)
	if problem := (acme.Problem{}); errors.As(err, &problem) && problem.Type == acme.ProblemTypeAccountDoesNotExist {
		// The CA has forgotten it: the next order registers a new one.
		return nil, errors.Join(err, i.forget(ctx))
	}
	if err != nil {
		return nil, err
	}
	if len(chains) == 0 {
		return nil, errors.New("the CA has issued nothing")
	}
	keyPEM, err := encodeKey(key)
	if err != nil {
		return nil, err
	}
	if _, err := tls.X509KeyPair(chains[0].ChainPEM, keyPEM); err != nil {
		return nil, fmt.Errorf("what the CA has issued: %w", err)
	}
	return Item{
		certField: chains[0].ChainPEM,
		keyField:  keyPEM,
		caField:   []byte(i.config.CA),
		hostField: []byte(host),
	}, nil
}

// reason is what an operator needs to know of an error. It is the same for the
// same cause, so that nobody is told twice.
func reason(err error) string {
	problem := acme.Problem{}
	if !errors.As(err, &problem) {
		return err.Error()
	}
	text := strings.TrimPrefix(problem.Type, "urn:ietf:params:acme:error:") + ": " + problem.Detail
	for _, s := range problem.Subproblems {
		text += "; " + s.Detail
	}
	// The token differs from one order to the next.
	const path = "/.well-known/acme-challenge/"
	before, rest, asked := strings.Cut(text, path)
	if !asked {
		return text
	}
	return before + path + "..." + strings.TrimLeft(rest, "-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz")
}

// ask asks the CA when it wants c to be renewed (RFC 9773).
func (i *issuer) ask(ctx context.Context, c *x509.Certificate) (acme.RenewalInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return i.client.GetRenewalInfo(ctx, c)
}

// login returns the account, which is registered the first time.
func (i *issuer) login(ctx context.Context) (acme.Account, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.account != nil {
		return *i.account, nil
	}
	key := accountKey(i.config.CA, i.config.Email)
	item, err := i.storage.Load(ctx, key)
	if err != nil {
		return acme.Account{}, err
	}
	var account acme.Account
	if item != nil {
		account, err = decodeAccount(item)
	} else {
		account, err = i.register(ctx, key)
	}
	if err != nil {
		return acme.Account{}, err
	}
	i.account = &account
	return account, nil
}

func (i *issuer) register(ctx context.Context, key Key) (acme.Account, error) {
	private, err := newKey("p256")
	if err != nil {
		return acme.Account{}, err
	}
	account := acme.Account{TermsOfServiceAgreed: true, PrivateKey: private}
	if i.config.Email != "" {
		account.Contact = []string{"mailto:" + i.config.Email}
	}
	if i.config.EABKeyID != "" {
		eab := acme.EAB{KeyID: i.config.EABKeyID, MACKey: i.config.EABKey}
		if err := account.SetExternalAccountBinding(ctx, i.client.Client, eab); err != nil {
			return account, err
		}
	}
	if account, err = i.client.NewAccount(ctx, account); err != nil {
		return account, err
	}
	text, err := json.Marshal(account)
	if err != nil {
		return account, err
	}
	keyPEM, err := encodeKey(private)
	if err != nil {
		return account, err
	}
	return account, i.storage.Store(ctx, key, Item{accountField: text, keyField: keyPEM, caField: []byte(i.config.CA)})
}

func (i *issuer) forget(ctx context.Context) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.account = nil
	return i.storage.Delete(ctx, accountKey(i.config.CA, i.config.Email))
}

func decodeAccount(item Item) (acme.Account, error) {
	var account acme.Account
	if err := json.Unmarshal(item[accountField], &account); err != nil {
		return account, fmt.Errorf("stored account: %w", err)
	}
	block, _ := pem.Decode(item[keyField])
	if block == nil {
		return account, errors.New("stored account has no key")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return account, fmt.Errorf("stored account: %w", err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return account, errors.New("the stored account's key signs nothing")
	}
	account.PrivateKey = signer
	return account, nil
}

func newKey(kind string) (crypto.Signer, error) {
	switch kind {
	case "p384":
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "rsa2048":
		return rsa.GenerateKey(rand.Reader, 2048)
	}
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}

func encodeKey(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// atDebug has the library's account of each step at the level of details:
// what matters of it, the Manager says once.
type atDebug struct{ slog.Handler }

func (h atDebug) Enabled(ctx context.Context, _ slog.Level) bool {
	return h.Handler.Enabled(ctx, slog.LevelDebug)
}

func (h atDebug) Handle(ctx context.Context, r slog.Record) error {
	r.Level = slog.LevelDebug
	return h.Handler.Handle(ctx, r)
}

func (h atDebug) WithAttrs(attrs []slog.Attr) slog.Handler {
	return atDebug{h.Handler.WithAttrs(attrs)}
}

func (h atDebug) WithGroup(name string) slog.Handler { return atDebug{h.Handler.WithGroup(name)} }
