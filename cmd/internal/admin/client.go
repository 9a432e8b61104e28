package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"strings"
	"syscall"
)

// maxAnswer bounds what is read of an answer, in bytes: a director asks a proxy,
// which may have been led astray by what it reads.
const maxAnswer = 64 << 20

// ErrNotRunning says that nobody listens on the socket.
var ErrNotRunning = errors.New("portico is not running: systemctl start portico")

// Get asks the server on socket for path and decodes the answer into v.
func Get(ctx context.Context, socket, path string, v any) error {
	body, err := Fetch(ctx, socket, path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, v); err != nil {
		return fmt.Errorf("%s of %s: %w", path, socket, err)
	}
	return nil
}

// Ask asks the server on socket q, and decodes the answer into v.
func Ask(ctx context.Context, socket, path string, q, v any) error {
	body, err := json.Marshal(q)
	if err != nil {
		return err
	}
	answer, err := ask(ctx, http.MethodPost, socket, path, body)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(answer, v); err != nil {
		return fmt.Errorf("%s of %s: %w", path, socket, err)
	}
	return nil
}

// Order sends v to path of the server on socket. The error is what the server
// refuses it with.
func Order(ctx context.Context, socket, path string, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = ask(ctx, http.MethodPost, socket, path, body)
	return err
}

// Fetch asks the server on socket for path and returns the answer as it is.
func Fetch(ctx context.Context, socket, path string) ([]byte, error) {
	return ask(ctx, http.MethodGet, socket, path, nil)
}

// unreached says why nobody answers on socket.
func unreached(socket string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%s: %w", socket, ErrNotRunning)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s: %w: be root or in the group portico", socket, fs.ErrPermission)
	}
	return fmt.Errorf("%s: %w", socket, err)
}

func ask(ctx context.Context, method, socket, path string, order []byte) ([]byte, error) {
	var d net.Dialer
	c := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return d.DialContext(ctx, "unix", socket)
		},
	}}
	req, err := http.NewRequestWithContext(ctx, method, "http://portico"+path, bytes.NewReader(order))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.Do(req)
	if err != nil {
		return nil, unreached(socket, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(http.MaxBytesReader(nil, resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("%s of %s: %w", path, socket, err)
	}
	if resp.StatusCode == http.StatusUnprocessableEntity {
		return nil, errors.New(strings.TrimSpace(string(body)))
	}
	if resp.StatusCode >= 300 {
		return nil, fmt.Errorf("%s of %s: %s", path, socket, strings.TrimSpace(string(body)))
	}
	return body, nil
}
