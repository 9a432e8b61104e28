package vip

import (
	"bytes"
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	"github.com/portico-lb/portico/vip/vrrp"
)

// Bounds of hmac_window, those of keepalived. By default it is three adverts,
// and at least windowLeast.
const (
	windowLow   = time.Second
	windowHigh  = 300 * time.Second
	windowLeast = 5 * time.Second
)

// hmac reads the keys that begin so. The zero value is no authentication.
func (p parser) hmac(s VRRPSection, v VRRP) (h vrrp.HMAC) {
	if s.HMACKeyFile == "" {
		if s.HMACKeyID != nil || s.HMACMode != "" || s.HMACWindow != "" {
			p.fault("hmac_key_file", "missing: hmac_key_id, hmac_mode and hmac_window have no effect without it")
		}
		return h
	}
	if v.Version != 3 {
		p.fault("hmac_key_file", "version %d has no such authentication: use version 3", v.Version)
	}
	h.Active = uint8(p.number("hmac_key_id", s.HMACKeyID, 1, 1, 255))
	switch s.HMACMode {
	case "", "enforce":
	case "permissive":
		h.Mode = vrrp.HMACPermissive
	case "receive-only":
		h.Mode = vrrp.HMACReceiveOnly
	default:
		p.fault("hmac_mode", "%q is unknown: allowed are \"enforce\", \"permissive\" and \"receive-only\"", s.HMACMode)
	}
	h.Window = max(3*v.AdvertInterval, windowLeast)
	if s.HMACWindow != "" {
		d, err := time.ParseDuration(s.HMACWindow)
		if err != nil || d < windowLow || d > windowHigh {
			p.fault("hmac_window", "%q is no window: allowed are %v to %v", s.HMACWindow, windowLow, windowHigh)
		}
		h.Window = d
	}
	h.Keys = p.keys(s.HMACKeyFile, h.Active)
	return h
}

// keys reads a key file: a key a line, with its id before it or, where it has
// none, that of the key that signs. It never says what it found.
func (p parser) keys(file string, active uint8) (keys []vrrp.Key) {
	b, err := p.readFile(file)
	if err != nil {
		p.fault("hmac_key_file", "%v", err)
		return nil
	}
	signs := false
	n := 0
	for line := range bytes.Lines(b) {
		n++
		text := strings.TrimSpace(string(line))
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		id := uint64(active)
		if first, rest, ok := strings.Cut(text, " "); ok {
			if id, err = strconv.ParseUint(first, 10, 8); err != nil || id == 0 {
				p.fault("hmac_key_file", "%s: line %d: allowed are a key, or its id (1 to 255) and the key", file, n)
				continue
			}
			text = strings.TrimSpace(rest)
		}
		secret := []byte(text)
		if digits, ok := strings.CutPrefix(text, "hex:"); ok {
			if secret, err = hex.DecodeString(digits); err != nil {
				p.fault("hmac_key_file", "%s: line %d: after hex: there are characters that are no digits, or an odd number", file, n)
				continue
			}
		}
		k, ok := vrrp.NewKey(uint8(id), secret)
		if !ok {
			p.fault("hmac_key_file", "%s: line %d: a key of %d bytes: allowed are 32 to 64 bytes, or hex: and 64 to 128 digits", file, n, len(secret))
			continue
		}
		for _, other := range keys {
			if other.ID == k.ID {
				p.fault("hmac_key_file", "%s: line %d: a second key with id %d", file, n, id)
			}
		}
		signs = signs || k.ID == active
		keys = append(keys, k)
	}
	if !signs {
		p.fault("hmac_key_file", "%s: no usable key with id %d, which is to sign", file, active)
	}
	return keys
}
