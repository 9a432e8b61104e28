package l7

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
)

// resetKeyFile is the file below l7.state_dir that keeps what the tokens of QUIC's
// stateless resets are made of.
const resetKeyFile = "quic-reset.key"

// newResetKey returns the key of this node: the same for the process after this
// one, so that clients whose connections have ended with this one learn of it at
// once. It is not the one of the other nodes: whoever saw a connection's
// identifier could have another node reveal the token that ends it (RFC 9000,
// section 10.3.2). A key comes with an error where it could not be kept; without
// stateDir it is of this process alone.
func newResetKey(stateDir string) (*[32]byte, error) {
	key := new([32]byte)
	rand.Read(key[:]) // never fails
	if stateDir == "" {
		return key, nil
	}
	path := filepath.Join(stateDir, resetKeyFile)
	b, err := os.ReadFile(path)
	switch {
	case err == nil && len(b) == len(key):
		copy(key[:], b)
		return key, nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return key, fmt.Errorf("key of stateless resets: %w", err)
	}
	if err := renameio.WriteFile(path, key[:], 0o600); err != nil {
		return key, fmt.Errorf("keep the key of stateless resets: %w", err)
	}
	return key, nil
}

// keyOfResets is newResetKey's, once.
func (r *runner) keyOfResets() *[32]byte {
	if r.resetKey == nil {
		var err error
		if r.resetKey, err = newResetKey(r.config.StateDir); err != nil {
			r.l.log.Warn("clients of HTTP/3 will find out late that this process has ended", "err", err)
		}
	}
	return r.resetKey
}
