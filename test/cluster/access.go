package cluster

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	authv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

// URL is where the API server answers, as clients write it.
func (c *Cluster) URL() string { return "https://" + c.listen.String() }

// CAFile is the certificate by which to know the API server.
func (c *Cluster) CAFile() string { return filepath.Join(c.opts.Dir, certificateFile) }

// Kubeconfig is a file, readable by its owner only, that makes its bearer the
// administrator.
func (c *Cluster) Kubeconfig() string { return filepath.Join(c.opts.Dir, kubeconfigFile) }

// Client acts as the administrator.
func (c *Cluster) Client() *kubernetes.Clientset { return c.client }

// Token returns a token, good for an hour, for an existing ServiceAccount.
// What it may do is what RBAC objects given to Apply say.
func (c *Cluster) Token(ctx context.Context, namespace, serviceAccount string) (string, error) {
	r, err := c.client.CoreV1().ServiceAccounts(namespace).
		CreateToken(ctx, serviceAccount, &authv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("token for %s/%s: %w", namespace, serviceAccount, err)
	}
	return r.Status.Token, nil
}

// writeCredentials makes the administrator's token and the key that signs the
// tokens of ServiceAccounts.
func writeCredentials(dir string) error {
	record := rand.Text() + ",admin,admin,system:masters\n"
	if err := os.WriteFile(filepath.Join(dir, tokenFile), []byte(record), 0o600); err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
	return os.WriteFile(filepath.Join(dir, signingKeyFile), text, 0o600)
}

// config is the administrator's.
func (c *Cluster) config() (*rest.Config, error) {
	ca, err := os.ReadFile(c.CAFile())
	if err != nil {
		return nil, err
	}
	record, err := os.ReadFile(filepath.Join(c.opts.Dir, tokenFile))
	if err != nil {
		return nil, err
	}
	token, _, _ := strings.Cut(string(record), ",")
	return &rest.Config{
		Host:            c.URL(),
		BearerToken:     token,
		TLSClientConfig: rest.TLSClientConfig{CAData: ca},
		QPS:             -1, // no limit
		Dial:            c.dial,
		WarningHandler:  rest.NoWarnings{},
	}, nil
}

// probe succeeds when the API server calls itself ready.
func (c *Cluster) probe(ctx context.Context) error {
	if c.client == nil {
		config, err := c.config()
		if err != nil {
			return err
		}
		if c.client, err = kubernetes.NewForConfig(config); err != nil {
			return err
		}
	}
	return c.client.RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
}

func (c *Cluster) writeKubeconfig() error {
	config, err := c.config()
	if err != nil {
		return err
	}
	const name = "cluster"
	return clientcmd.WriteToFile(api.Config{
		Clusters:       map[string]*api.Cluster{name: {Server: config.Host, CertificateAuthorityData: config.CAData}},
		AuthInfos:      map[string]*api.AuthInfo{name: {Token: config.BearerToken}},
		Contexts:       map[string]*api.Context{name: {Cluster: name, AuthInfo: name}},
		CurrentContext: name,
	}, c.Kubeconfig())
}
