package notify

import (
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/pelletier/go-toml/v2"
)

// parse reads [[notify]] tables beside a group "edge" and these files, and
// returns the faults as "key: problem".
func parse(t *testing.T, text string) (Config, []string) {
	t.Helper()
	h := httptest.NewTLSServer(nil)
	defer h.Close()
	files := map[string]string{
		"password": "s3cret\n", "hook": "https://chat.example.com/t0ken\n", "bad-hook": "t0ken", "empty": "\n",
		"ca.pem": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.Certificate().Raw})),
	}
	readFile := func(path string) ([]byte, error) {
		if content, ok := files[path]; ok {
			return []byte(content), nil
		}
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}
	var file struct{ Notify []Section }
	if err := toml.Unmarshal([]byte(text), &file); err != nil {
		t.Fatal(err)
	}
	var faults []string
	c := Parse(file.Notify, []string{"edge"}, readFile, func(key, problem string) { faults = append(faults, key+": "+problem) })
	return c, faults
}

func TestParse(t *testing.T) {
	c, faults := parse(t, `
[[notify]]
kind = "smtp"
server = "mail.example.com:587"
from = "portico@example.com"
to = ["ops@example.com"]
username = "portico"
password_file = "password"
ca_file = "ca.pem"
[[notify]]
name = "chat"
kind = "webhook"
url_file = "hook"
groups = ["edge"]
states = ["Active", "Fault"]
timeout = "3s"
retries = 0
headers = { X-Team = "edge" }
secret_file = "password"
[[notify]]
kind = "exec"
command = ["/bin/true", "x"]
user = "nobody"
keepalived_args = true
[[notify]]
kind = "webhook"
url = "http://127.0.0.1:8080/hook"
`)
	if faults != nil {
		t.Fatal(faults)
	}
	want := Config{[]Target{
		{
			Name: "smtp mail.example.com:587", Kind: KindSMTP, Timeout: 10 * time.Second, Retries: 3,
			SMTP: SMTP{Server: "mail.example.com:587", From: "portico@example.com", To: []string{"ops@example.com"}, TLS: TLSStart, Username: "portico", Password: "s3cret"},
		},
		{
			Name: "chat", Kind: KindWebhook, Groups: []string{"edge"}, States: []string{"Active", "Fault"}, Timeout: 3 * time.Second,
			Webhook: Webhook{URL: "https://chat.example.com/t0ken", Headers: map[string]Secret{"X-Team": "edge"}, Secret: "s3cret"},
		},
		{
			Name: "exec /bin/true", Kind: KindExec, Timeout: 10 * time.Second,
			Exec: Exec{Command: []string{"/bin/true", "x"}, User: "nobody", KeepalivedArgs: true},
		},
		{
			Name: "webhook 127.0.0.1:8080", Kind: KindWebhook, Timeout: 10 * time.Second, Retries: 3,
			Webhook: Webhook{URL: "http://127.0.0.1:8080/hook"},
		},
	}}
	if diff := cmp.Diff(want, c, cmpopts.IgnoreTypes(Roots{})); diff != "" {
		t.Error(diff)
	}
	if c.Targets[0].SMTP.Roots.pool == nil {
		t.Error("ca_file was not read")
	}
	if s := fmt.Sprintf("%v %+v %#v", c, c, c); strings.Contains(s, "s3cret") || strings.Contains(s, "t0ken") {
		t.Errorf("printing shows a secret: %s", s)
	}
}

func TestFaults(t *testing.T) {
	const smtp = "kind = \"smtp\"\nserver = \"mail:25\"\nfrom = \"a@b\"\nto = [\"c@d\"]\n"
	const web = "kind = \"webhook\"\nurl = \"https://h/\"\n"
	const exec = "kind = \"exec\"\ncommand = [\"/bin/true\"]\n"
	for _, c := range []struct{ text, want string }{
		{``, "notify[0].kind: missing"},
		{`kind = "sms"`, `notify[0].kind: "sms" is no kind`},
		{smtp + `groups = ["edge", "egde"]`, `notify[0].groups[1]: no [[vip]] has the name "egde"`},
		{smtp + `states = ["Master"]`, `notify[0].states[0]: "Master" is no state: allowed are Active`},
		{smtp + `timeout = "soon"`, "notify[0].timeout: \"soon\" is not a duration"},
		{smtp + `timeout = "1h"`, "notify[0].timeout: 1h0m0s is out of range"},
		{smtp + `retries = 11`, "notify[0].retries: 11 is out of range"},
		{smtp + `url = "https://h/"`, `notify[0].url: belongs to kind = "webhook"`},
		{exec + `to = ["c@d"]`, `notify[0].to: belongs to kind = "smtp"`},
		{web + `keepalived_args = true`, `notify[0].keepalived_args: belongs to kind = "exec"`},
		{exec + `ca_file = "ca.pem"`, `notify[0].ca_file: belongs to kind = "smtp"`},

		{strings.Replace(smtp, "mail:25", "mail", 1), `notify[0].server: "mail" is no mail server`},
		{strings.Replace(smtp, "mail:25", "mail:smtp", 1), `notify[0].server: "mail:smtp" is no mail server`},
		{strings.Replace(smtp, "a@b", "Ops <a@b>", 1), `notify[0].from: "Ops <a@b>" is no mail address`},
		{strings.Replace(smtp, "c@d", `c@d>\r\nRCPT TO:<e@f`, 1), `notify[0].to[0]:`},
		{strings.Replace(smtp, `to = ["c@d"]`, "", 1), `notify[0].to: missing`},
		{smtp + `tls = "maybe"`, `notify[0].tls: "maybe" is unknown`},
		{smtp + "tls = \"none\"\nusername = \"u\"\npassword_file = \"password\"", `notify[0].username: the password would travel in clear`},
		{smtp + `username = "u"`, "notify[0].password_file: missing"},
		{smtp + `password_file = "password"`, "notify[0].username: missing"},
		{smtp + "username = \"u\"\npassword_file = \"none\"", "notify[0].password_file: open none: file does not exist"},
		{smtp + "username = \"u\"\npassword_file = \"empty\"", "notify[0].password_file: empty is empty"},
		{smtp + `ca_file = "password"`, "notify[0].ca_file: password holds no certificate"},

		{`kind = "webhook"`, "notify[0].url: name the receiver"},
		{web + `url_file = "hook"`, "notify[0].url: name the receiver"},
		{"kind = \"webhook\"\nurl = \"ftp://h/t0ken\"", "notify[0].url: is no URL"},
		{"kind = \"webhook\"\nurl = \"https://u:t0ken@h/\"", "notify[0].url: holds a password"},
		{"kind = \"webhook\"\nurl_file = \"bad-hook\"", "notify[0].url_file: is no URL"},
		{web + `headers = { "X y" = "z" }`, "notify[0].headers.X y: is no header field"},
		{web + `headers = { X-Y = "z\r\nX-Z: 1" }`, "notify[0].headers.X-Y: is no header field"},
		{web + `headers = { Content-Length = "3" }`, "notify[0].headers.Content-Length: is set by portico"},

		{`kind = "exec"`, "notify[0].command: missing: name a program"},
		{"kind = \"exec\"\ncommand = [\"notify\"]", `notify[0].command: "notify" is no absolute path`},
		{"kind = \"exec\"\ncommand = [\"/nonexistent\"]", "notify[0].command: stat /nonexistent: no such file"},
		{exec + "user = \"nosuchuser\"", `notify[0].user: "nosuchuser" is not known on this node`},
		{exec + "[[notify]]\n" + exec, `notify[1].name: "exec /bin/true" is the name of notify[0] already`},
	} {
		_, faults := parse(t, "[[notify]]\n"+c.text)
		if len(faults) != 1 || !strings.HasPrefix(faults[0], c.want) {
			t.Errorf("%s\ngot  %q\nwant %q", c.text, faults, c.want)
		}
		if strings.Contains(strings.Join(faults, ""), "t0ken") {
			t.Errorf("a fault shows a secret: %q", faults)
		}
	}
}

// A fault of readFile, such as that everybody may read the secret, is the
// operator's to see.
func TestReadFileFault(t *testing.T) {
	var got string
	Parse([]Section{{Kind: "webhook", URLFile: "/etc/portico/hook"}}, nil,
		func(string) ([]byte, error) { return nil, errors.New("everybody may read it") },
		func(key, problem string) { got += key + ": " + problem })
	if got != "notify[0].url_file: everybody may read it" {
		t.Error(got)
	}
}

func TestSecrets(t *testing.T) {
	s := Section{Headers: map[string]string{"authorization": "x", "X-Api-Key": "x", "X-Team": "x", "Private-Token": "x"}}
	if got := strings.Join(s.Secrets(), " "); got != "headers.Private-Token headers.X-Api-Key headers.authorization" {
		t.Error(got)
	}
}
