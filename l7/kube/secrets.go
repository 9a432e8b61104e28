package kube

import (
	"bytes"
	"maps"

	corev1 "k8s.io/api/core/v1"

	"github.com/portico-lb/portico/l7/middleware"
)

// trimData forgets what of a Secret's data no Ingress can have a use for: what
// is not in memory cannot leak.
func trimData(data map[string][]byte) {
	maps.DeleteFunc(data, func(key string, value []byte) bool { return !useful(key, value) })
}

// useful reports whether a value of a Secret is part of a certificate, or holds
// users with the hashes of their passwords.
func useful(key string, value []byte) bool {
	switch key {
	case corev1.TLSCertKey, corev1.TLSPrivateKeyKey, "ca.crt", "ca.crl":
		return true
	}
	if len(value) > 1<<20 {
		return false // longer than any Secret
	}
	if middleware.CheckHash(string(bytes.TrimSpace(value))) == nil {
		return true
	}
	for line := range bytes.Lines(value) {
		// One line that is right is enough: what is wrong with the others is
		// for somebody to be told.
		if users, err := middleware.Htpasswd(line); err == nil && len(users) > 0 {
			return true
		}
		if users, _, err := middleware.Htdigest(line); err == nil && len(users) > 0 {
			return true
		}
	}
	return false
}
