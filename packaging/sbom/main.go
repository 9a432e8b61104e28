// Command sbom prints what a binary holds, as a CycloneDX document for scanners
// of vulnerabilities: Go modules, and the npm packages of the dashboard in it.
//
//	go run ./packaging/sbom BINARY VERSION
//
// It runs at the top of the repository. The same binary, version, files and
// SOURCE_DATE_EPOCH give the same document.
package main

import (
	"debug/buildinfo"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/CycloneDX/cyclonedx-go"
)

func main() {
	if err := run(os.Stdout, os.DirFS("."), os.Args[1:], os.Getenv("SOURCE_DATE_EPOCH")); err != nil {
		fmt.Fprintf(os.Stderr, "sbom: %v\n", err)
		os.Exit(1)
	}
}

func run(w io.Writer, repository fs.FS, args []string, epoch string) error {
	if len(args) != 2 {
		return fmt.Errorf("%d arguments: want a binary and its version", len(args))
	}
	info, err := buildinfo.ReadFile(args[0])
	if err != nil {
		return err
	}
	made, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil {
		return fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
	}
	packages, err := dashboard(repository)
	if err != nil {
		return fmt.Errorf("dashboard: %w", err)
	}
	enc := cyclonedx.NewBOMEncoder(w, cyclonedx.BOMFileFormatJSON).SetPretty(true)
	return enc.EncodeVersion(document(info, args[1], packages, time.Unix(made, 0)), cyclonedx.SpecVersion1_6)
}

// document lists the modules of a binary, the standard library as scanners know
// it, and the packages that it embeds.
func document(info *debug.BuildInfo, version string, embedded []cyclonedx.Component, made time.Time) *cyclonedx.BOM {
	program := module(cyclonedx.ComponentTypeApplication, info.Main.Path, version)
	parts := []cyclonedx.Component{module(cyclonedx.ComponentTypeLibrary, "std", strings.TrimPrefix(info.GoVersion, "go"))}
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		parts = append(parts, module(cyclonedx.ComponentTypeLibrary, m.Path, m.Version))
	}
	parts = append(parts, embedded...)
	refs := make([]string, len(parts))
	for i, p := range parts {
		refs[i] = p.BOMRef
	}
	bom := cyclonedx.NewBOM()
	bom.Metadata = &cyclonedx.Metadata{Timestamp: made.UTC().Format(time.RFC3339), Component: &program}
	bom.Components = &parts
	bom.Dependencies = &[]cyclonedx.Dependency{{Ref: program.BOMRef, Dependencies: &refs}}
	return bom
}

// module names a Go module the way vulnerability databases do: by package URL.
func module(kind cyclonedx.ComponentType, path, version string) cyclonedx.Component {
	purl := "pkg:golang/" + path + "@" + strings.ReplaceAll(version, "+", "%2B")
	return cyclonedx.Component{BOMRef: purl, Type: kind, Name: path, Version: version, PackageURL: purl}
}
