package notify

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
)

// Send makes one attempt to tell t of e. It returns when it succeeded, failed
// or ctx ended.
func Send(ctx context.Context, t Target, e Event) error {
	var err error
	switch t.Kind {
	case KindSMTP:
		err = t.SMTP.send(ctx, e)
	case KindWebhook:
		err = t.Webhook.send(ctx, e)
	case KindExec:
		return t.Exec.send(ctx, e) // which words a timeout itself
	default:
		return permanentError{fmt.Errorf("%q is no kind of target", t.Kind)}
	}
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		// How the network puts it depends on what it was about to do.
		return fmt.Errorf("not done within %s: %w", t.Timeout, err)
	}
	return err
}

// tlsConfig returns what both smtp and webhook verify a server with.
func (r Roots) tlsConfig(server string) *tls.Config {
	return &tls.Config{ServerName: server, RootCAs: r.pool, MinVersion: tls.VersionTLS12}
}
