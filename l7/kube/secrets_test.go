package kube

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTrimData(t *testing.T) {
	const hash = "{SHA}0DPiKuNIrrVmD8IUCuw1hQxNqZc="
	data := map[string][]byte{
		"tls.crt":  []byte("certificate"),
		"ca.crt":   []byte("certificate"),
		"users":    []byte("# people\nbroken\na:" + hash + "\n"),
		"digest":   []byte("a:realm:a2688e031edb4be6a3797f3882655c05"),
		"ann":      []byte(hash + "\n"), // a user's name is the key
		"password": []byte("secret"),
		"token":    []byte("name:token"),
		"empty":    nil,
	}
	trimData(data)
	if d := cmp.Diff([]string{"ann", "ca.crt", "digest", "tls.crt", "users"}, slices.Sorted(maps.Keys(data))); d != "" {
		t.Error(d)
	}
}
