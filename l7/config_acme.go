package l7

import (
	"path/filepath"

	"github.com/portico-lb/portico/l7/acme"
)

// parseACME checks [l7.acme]; nil where it is not there. k and stateDir are
// those of the same configuration.
func parseACME(s *acme.Section, k Kubernetes, stateDir string, readFile func(string) ([]byte, error), bad func(key, problem string)) *acme.Config {
	if s == nil {
		return nil
	}
	c := s.Parse(filepath.Join(stateDir, "acme"), readFile, bad)
	if c.Storage == acme.InKubernetes && !k.API() {
		bad("l7.acme.storage", `"kubernetes" stands without l7.kubernetes.kubeconfig or endpoints, which say where the API server is: set one, or write "file"`)
	}
	return &c
}
