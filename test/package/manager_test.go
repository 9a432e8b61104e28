package package_test

import (
	"path/filepath"
	"testing"
)

// A manager installs and removes packages.
type manager interface {
	// install installs the version, over another one where there is one.
	install(t *testing.T, dir, version string)
	// remove removes the program and keeps what the operator wrote.
	remove(t *testing.T)
	// purge removes what was kept. kept is the configuration file's path
	// between the two.
	purge(t *testing.T)
	kept() string
}

type deb struct{}

func (deb) install(t *testing.T, dir, version string) {
	// As apt does when nobody sits before it: the operator's file stays. The
	// guest has no network, so all that portico needs must be there.
	run(t, "apt-get", "install", "--yes", "--allow-downgrades", "-o", "Dpkg::Options::=--force-confold",
		filepath.Join(dir, "portico_"+version+"_amd64.deb"))
}

func (deb) remove(t *testing.T) { run(t, "apt-get", "remove", "--yes", "portico") }
func (deb) purge(t *testing.T)  { run(t, "apt-get", "purge", "--yes", "portico") }
func (deb) kept() string        { return configFile }

type rpm struct{}

// The rpm of Debian knows none of the installed packages, so what portico
// depends on is not in its database.
func (rpm) install(t *testing.T, dir, version string) {
	run(t, "rpm", "--force-debian", "--nodeps", "--upgrade", "--oldpackage", "--verbose", filepath.Join(dir, "portico_"+version+"_amd64.rpm"))
}

func (rpm) remove(t *testing.T) { run(t, "rpm", "--force-debian", "--erase", "portico") }

// purge does by hand what rpm leaves to the operator: files of his.
func (rpm) purge(t *testing.T) { run(t, "rm", "-r", filepath.Dir(configFile), filepath.Dir(accessLog)) }
func (rpm) kept() string       { return configFile + ".rpmsave" }
