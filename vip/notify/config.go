package notify

import (
	"crypto/x509"
	"slices"
	"time"
)

// A Section is one [[notify]] table as the operator writes it.
type Section struct {
	Name    string   `toml:"name"`
	Kind    string   `toml:"kind"`
	Groups  []string `toml:"groups"`
	States  []string `toml:"states"`
	Timeout string   `toml:"timeout"`
	Retries *int     `toml:"retries"`

	Server       string   `toml:"server"` // smtp
	From         string   `toml:"from"`
	To           []string `toml:"to"`
	TLS          string   `toml:"tls"`
	Username     string   `toml:"username"`
	PasswordFile string   `toml:"password_file"`

	URL        string            `toml:"url"` // webhook
	URLFile    string            `toml:"url_file"`
	Headers    map[string]string `toml:"headers"`
	SecretFile string            `toml:"secret_file"`

	CAFile string `toml:"ca_file"` // smtp and webhook

	Command        []string `toml:"command"` // exec
	User           string   `toml:"user"`
	KeepalivedArgs bool     `toml:"keepalived_args"`
}

// Config is who is told.
type Config struct{ Targets []Target }

// A Target is one receiver.
type Target struct {
	Name string // unique
	Kind Kind
	// Groups and States narrow what is sent; empty means all.
	Groups, States []string
	// Timeout bounds one attempt, 100 ms to 5 min.
	Timeout time.Duration
	// Retries is how many attempts follow a failed one, 0 to 10.
	Retries int

	SMTP    SMTP
	Webhook Webhook
	Exec    Exec
}

// Kind says how a target is told.
type Kind string

// The kinds.
const (
	KindSMTP    Kind = "smtp"
	KindWebhook Kind = "webhook"
	KindExec    Kind = "exec"
)

func (t Target) wants(e Event) bool {
	return t.wantsGroup(e.Group) && (len(t.States) == 0 || slices.Contains(t.States, e.To))
}

func (t Target) wantsGroup(name string) bool {
	return len(t.Groups) == 0 || slices.Contains(t.Groups, name)
}

// A Secret is a string that does not show in logs.
type Secret string

func (Secret) String() string { return "(secret)" }

// GoString keeps %#v from showing it.
func (s Secret) GoString() string { return s.String() }

// Roots are the authorities that a server's certificate may come from; the
// zero value means those of the system.
type Roots struct{ pool *x509.CertPool }
