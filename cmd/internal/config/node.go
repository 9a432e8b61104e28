package config

import (
	"fmt"
	"log/slog"
	"os"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation"
)

// A NodeSection is [node] as the operator writes it.
type NodeSection struct {
	Name      string `toml:"name"`
	Interface string `toml:"interface"`
	RunDir    string `toml:"run_dir"`
	StateDir  string `toml:"state_dir"`
	Zone      string `toml:"zone"`
}

// A Node says who this node is.
type Node struct {
	// Name is the node's name in logs and status. Default: the host name.
	Name string
	// Interface carries every VIP that names none. Default: the interface of
	// the default route; "" where there is no such route either.
	Interface string
	// RunDir holds what must outlive the process but not a reboot: which
	// services are ours, the sysctls to restore. Default /run/portico.
	RunDir string
	// StateDir holds what should outlive a reboot too: which Nodes served
	// last. Default /var/lib/portico/director.
	StateDir string
	// Zone is where the node is: the topology.kubernetes.io/zone of the Pods
	// beside it, "" where it is of no importance.
	Zone string
}

func (s NodeSection) parse(bad func(key, problem string)) Node {
	n := Node(s)
	if len(validation.IsValidLabelValue(n.Zone)) > 0 {
		bad("node.zone", fmt.Sprintf("%q is no zone: want the value of topology.kubernetes.io/zone of the Nodes there, such as \"eu-central-1a\"", n.Zone))
	}
	if n.Name == "" {
		host, err := os.Hostname()
		if err != nil {
			bad("node.name", "missing, and the host has no name: "+err.Error())
		}
		n.Name = host
	}
	if n.Interface == "" {
		n.Interface = defaultInterface()
	}
	if n.RunDir == "" {
		n.RunDir = "/run/portico"
	}
	if n.StateDir == "" {
		n.StateDir = "/var/lib/portico/director"
	}
	return n
}

// A LogSection is [log] as the operator writes it.
type LogSection struct {
	Level  string `toml:"level"`
	Format string `toml:"format"`
}

// A Log says what the daemon writes to stderr.
type Log struct {
	// Level is the least severe that is written. Default info.
	Level slog.Level
	// Text is logfmt for people; otherwise a line is a JSON object.
	Text bool
}

func (s LogSection) parse(bad func(key, problem string)) Log {
	var l Log
	if s.Level != "" && l.Level.UnmarshalText([]byte(s.Level)) != nil {
		bad("log.level", fmt.Sprintf("%q is no level: allowed are \"debug\", \"info\", \"warn\", \"error\"", s.Level))
	}
	if !slices.Contains([]string{"", "json", "text"}, s.Format) {
		bad("log.format", fmt.Sprintf("%q is no format: allowed are \"json\", \"text\"", s.Format))
	}
	l.Text = s.Format == "text"
	return l
}
