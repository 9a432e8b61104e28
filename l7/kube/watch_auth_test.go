package kube_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"github.com/portico-lb/portico/l7/kube"
)

// TestTokenIsRenewed is about a token that is replaced in its file and then is
// good for nothing, as projected tokens are.
func TestTokenIsRenewed(t *testing.T) {
	c := startCluster(t)
	apply(t, c, rbac(t))
	o := withToken(t, c)
	w := runReady(t, o)

	accounts := c.Client().CoreV1().ServiceAccounts("portico")
	if err := accounts.Delete(t.Context(), "portico", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "portico"}}
	if _, err := accounts.Create(t.Context(), account, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := c.Stop(); err != nil { // all begin anew, and what it had remembered of tokens is gone
		t.Fatal(err)
	}
	if err := c.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	awaitStatus(t, w, "the old token is refused", func(s kube.SourceStatus) bool {
		return s.Err != "" && s.Synced
	})
	token, err := c.Token(t.Context(), "portico", "portico")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(o.TokenFile, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	renewed := time.Now()
	awaitStatus(t, w, "the new one is taken", func(s kube.SourceStatus) bool { return s.Err == "" })
	t.Logf("figure: the renewed token is used after %v", time.Since(renewed))
}

// TestExecPlugin takes the credentials from a program that the kubeconfig names.
func TestExecPlugin(t *testing.T) {
	c := startCluster(t)
	config, err := clientcmd.LoadFromFile(c.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, user := range config.AuthInfos {
		program := filepath.Join(dir, "credentials")
		text := fmt.Sprintf("#!/bin/sh\necho '{\"apiVersion\": \"client.authentication.k8s.io/v1\", \"kind\": \"ExecCredential\", \"status\": {\"token\": \"%s\"}}'\n", user.Token)
		if err := os.WriteFile(program, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
		config.AuthInfos[name] = &api.AuthInfo{Exec: &api.ExecConfig{
			APIVersion: "client.authentication.k8s.io/v1", Command: program, InteractiveMode: api.NeverExecInteractiveMode,
		}}
	}
	file := filepath.Join(dir, "kubeconfig")
	if err := clientcmd.WriteToFile(*config, file); err != nil {
		t.Fatal(err)
	}
	w := runReady(t, kube.WatchOptions{Kubeconfig: file})
	if s := w.Status(); s.Err != "" || s.Counts.Ingresses != 2 {
		t.Errorf("the status is %+v", s)
	}
}
