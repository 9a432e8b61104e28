package main

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strings"

	"github.com/CycloneDX/cyclonedx-go"
)

const (
	// bundled is what the bundler wrote beside the dashboard's script: whose
	// code is in it, and nobody else's. It is built anew and compared by
	// `npm run verify`.
	bundled = "cmd/internal/admin/dashboard/files/licenses.md"
	locked  = "web/package-lock.json"
)

// part matches the heading of a package there, "## preact - 11.2.0 (MIT)".
var part = regexp.MustCompile(`(?m)^## (\S+) - (\S+) \(`)

// dashboard returns the npm packages whose code is in the dashboard, as the lock
// file has them.
func dashboard(repository fs.FS) ([]cyclonedx.Component, error) {
	text, err := fs.ReadFile(repository, bundled)
	if err != nil {
		return nil, err
	}
	data, err := fs.ReadFile(repository, locked)
	if err != nil {
		return nil, err
	}
	var lock struct {
		Packages map[string]struct{ Version, Integrity, License string }
	}
	if err := json.Unmarshal(data, &lock); err != nil {
		return nil, fmt.Errorf("%s: %w", locked, err)
	}
	var found []cyclonedx.Component
	for _, m := range part.FindAllStringSubmatch(string(text), -1) {
		name, version := m[1], m[2]
		p, ok := lock.Packages["node_modules/"+name]
		if !ok || p.Version != version {
			return nil, fmt.Errorf("%s is built with version %s, and %s has %q: make dashboard", name, version, locked, p.Version)
		}
		sum, err := sha512(p.Integrity)
		if err != nil {
			return nil, fmt.Errorf("%s: integrity of %s: %w", locked, name, err)
		}
		purl := "pkg:npm/" + strings.Replace(name, "@", "%40", 1) + "@" + version
		found = append(found, cyclonedx.Component{
			BOMRef: purl, Type: cyclonedx.ComponentTypeLibrary, Name: name, Version: version, PackageURL: purl,
			Hashes:   &[]cyclonedx.Hash{{Algorithm: cyclonedx.HashAlgoSHA512, Value: sum}},
			Licenses: &cyclonedx.Licenses{{License: &cyclonedx.License{ID: p.License}}},
		})
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%s names no package", bundled)
	}
	return found, nil
}

// sha512 reads a subresource integrity of one hash, "sha512-BASE64".
func sha512(integrity string) (string, error) {
	text, ok := strings.CutPrefix(integrity, "sha512-")
	if !ok {
		return "", errors.New("want sha512")
	}
	sum, err := base64.StdEncoding.DecodeString(text)
	return hex.EncodeToString(sum), err
}
