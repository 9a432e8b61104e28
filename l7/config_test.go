package l7_test

import (
	"crypto/tls"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pelletier/go-toml/v2"

	"github.com/portico-lb/portico/l7"
	"github.com/portico-lb/portico/l7/kube"
)

func TestParse(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"empty", "", ""},
		{"entrypoint", "[[entrypoint]]\nname = 'http'\nlisten = ':80'\ntrusted_proxies = ['10.0.0.0/8', '192.0.2.1']", ""},
		{"entrypoint without name and address", "[[entrypoint]]",
			"l7.entrypoint[0].name: missing: an entrypoint needs a name, such as \"http\"\n" +
				"l7.entrypoint[0].listen: missing: an entrypoint needs an address, such as \":80\""},
		{"same name", "[[entrypoint]]\nname = 'a'\nlisten = ':80'\n[[entrypoint]]\nname = 'a'\nlisten = ':81'",
			"l7.entrypoint[1].name: \"a\" is taken by another entrypoint: names must differ"},
		{"same address", "[[entrypoint]]\nname = 'a'\nlisten = ':80'\n[[entrypoint]]\nname = 'b'\nlisten = ':80'",
			"l7.entrypoint[1].listen: \":80\" is taken by entrypoint \"a\": addresses must differ"},
		{"address of /ready", "[[entrypoint]]\nname = 'a'\nlisten = ':9181'",
			"l7.entrypoint[0].listen: \":9181\" is taken by l7.ready_listen: addresses must differ"},
		{"bad addresses", "ready_listen = 'x'\n[[entrypoint]]\nname = 'a'\nlisten = 'example.com:80'\n[[entrypoint]]\nname = 'b'\nlisten = ':99999'",
			"l7.ready_listen: \"x\" is no TCP address: want ADDRESS:PORT or :PORT\n" +
				"l7.entrypoint[0].listen: \"example.com:80\" is no TCP address: want ADDRESS:PORT or :PORT\n" +
				"l7.entrypoint[1].listen: \":99999\" is no TCP address: want ADDRESS:PORT or :PORT"},
		{"PROXY protocol", "[[entrypoint]]\nname = 'http'\nlisten = ':80'\ntrusted_proxies = ['10.0.0.0/8']\nproxy_protocol = true", ""},
		{"PROXY protocol of nobody", "[[entrypoint]]\nname = 'http'\nlisten = ':80'\nproxy_protocol = true",
			"l7.entrypoint[0].proxy_protocol: nobody may speak it: it needs trusted_proxies, whose connections begin with it"},
		{"bad network", "[[entrypoint]]\nname = 'a'\nlisten = ':80'\ntrusted_proxies = ['10.0.0.0/8', 'all']",
			"l7.entrypoint[0].trusted_proxies[1]: \"all\" is no address and no network: want one such as \"10.0.0.0/8\""},
		{"bad drain", "drain = '-1s'", "l7.drain: \"-1s\" is no time to wait: allowed are durations from 0s to 1h"},
		{"bad version", "[[entrypoint]]\nname = 'a'\nlisten = ':443'\ntls = { min_version = '1.1' }",
			"l7.entrypoint[0].tls.min_version: \"1.1\" is no supported TLS version: allowed are \"1.2\", \"1.3\""},
		{"certificate file missing", "[[entrypoint]]\nname = 'a'\nlisten = ':443'\ntls = { certificates = [ { cert_file = '/c' } ] }",
			"l7.entrypoint[0].tls.certificates[0].cert_file: open /c: file does not exist\n" +
				"l7.entrypoint[0].tls.certificates[0].key_file: missing: a certificate needs cert_file and key_file"},
		{"versions", "[[entrypoint]]\nname = 'a'\nlisten = ':80'\nh2c = false\n[[entrypoint]]\nname = 'b'\nlisten = ':443'\nhttp2 = false\ntls = {}", ""},
		{"HTTP/3", "[[entrypoint]]\nname = 'a'\nlisten = ':443'\nhttp3 = true\ntls = {}", ""},
		{"HTTP/3 where it cannot be", "[[entrypoint]]\nname = 'a'\nlisten = ':80'\nhttp3 = true\n[[entrypoint]]\nname = 'b'\nlisten = ':443'\nhttp3 = true\nproxy_protocol = true\ntrusted_proxies = ['10.0.0.0/8']\ntls = {}",
			"l7.entrypoint[0].http3: needs tls: there is no HTTP/3 in clear\n" +
				"l7.entrypoint[1].http3: stands beside proxy_protocol: HTTP/3 comes without a header that names the client"},
		{"versions of the other kind", "[[entrypoint]]\nname = 'a'\nlisten = ':80'\nhttp2 = true\n[[entrypoint]]\nname = 'b'\nlisten = ':443'\nh2c = true\ntls = {}",
			"l7.entrypoint[0].http2: is HTTP/2 over TLS, which this entrypoint does not speak: its key is h2c\n" +
				"l7.entrypoint[1].h2c: is HTTP/2 without TLS, which this entrypoint speaks: its key is http2"},
		{"cipher suites", "[[entrypoint]]\nname = 'a'\nlisten = ':443'\ntls = { cipher_suites = ['TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256', 'TLS_RSA_WITH_RC4_128_SHA'] }",
			"l7.entrypoint[0].tls.cipher_suites[1]: \"TLS_RSA_WITH_RC4_128_SHA\" is no cipher suite to choose: allowed are " +
				"TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA, " +
				"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, " +
				"TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256; those of TLS 1.3 are always on"},
		{"client certificates without a CA", "[[entrypoint]]\nname = 'a'\nlisten = ':443'\ntls = { client_auth = 'required' }",
			"l7.entrypoint[0].tls.client_ca_file: missing: client_auth needs the certificates of those who sign clients'"},
		{"a CA without client certificates", "[[entrypoint]]\nname = 'a'\nlisten = ':443'\ntls = { client_ca_file = '/c' }",
			"l7.entrypoint[0].tls.client_auth: missing beside client_ca_file: allowed are \"optional\", \"required\""},
		{"no way to ask", "[[entrypoint]]\nname = 'a'\nlisten = ':443'\ntls = { client_auth = 'yes' }",
			"l7.entrypoint[0].tls.client_auth: \"yes\" is no way to ask for certificates: allowed are \"optional\", \"required\""},
		{"ticket key missing", "[tls]\nticket_key_file = '/k'", "l7.tls.ticket_key_file: open /k: file does not exist"},
		{"two sources", "[kubernetes]\nkubeconfig = '/k'\nmanifests = '/m'",
			"l7.kubernetes.manifests: stands beside kubeconfig: routes come from one of kubeconfig, endpoints, manifests"},
		{"token without endpoints", "[kubernetes]\ntoken_file = '/t'",
			"l7.kubernetes: token_file and ca_file belong to endpoints, which is missing"},
		{"malformed selector", "[kubernetes]\nkubeconfig = '/k'\nlabel_selector = 'a in in (b'",
			"l7.kubernetes.label_selector: \"a in in (b\": unable to parse requirement: found 'in' expected: '(': want one such as \"team=web,stage!=test\""},
		{"selection among manifests", "[kubernetes]\nmanifests = '/m'\nlabel_selector = 'a=b'\nnamespaces = ['n']",
			"l7.kubernetes.label_selector: selects at an API server: leave out of manifests what is not to be served\n" +
				"l7.kubernetes.namespaces: selects at an API server: leave out of manifests what is not to be served"},
		{"names of nobody", "[kubernetes]\nallow_external_names = ['*', 'API.example', 'a:80']",
			"l7.kubernetes.allow_external_names[0]: \"*\" is no DNS name: want one such as \"api.example.com\", or \"*.example.com\" for all below it\n" +
				"l7.kubernetes.allow_external_names[2]: \"a:80\" is no DNS name: want one such as \"api.example.com\", or \"*.example.com\" for all below it"},
		{"owners of no host", "[kubernetes.host_owners]\n'a b' = ['n']\n'*.x.example' = []\n'ok.example' = ['n', '*', 'N_1']",
			"l7.kubernetes.host_owners.*.x.example: names no namespace: want a list of them, \"*\" for all\n" +
				"l7.kubernetes.host_owners.a b: is no host: want one such as \"shop.example.com\", \"*.example.com\" for all below it, or \"*\"\n" +
				"l7.kubernetes.host_owners.ok.example: \"N_1\" is no namespace: want one such as \"shop\", or \"*\" for all"},
		{"addresses of nobody", "[kubernetes]\nkubeconfig = '/k'\npublish = ['192.0.2.1', '2001:db8::1', 'edge.example', '999.1.1.1', 'a b']",
			"l7.kubernetes.publish[3]: \"999.1.1.1\" is no address and no host name: want one such as \"192.0.2.10\" or \"edge.example.com\"\n" +
				"l7.kubernetes.publish[4]: \"a b\" is no address and no host name: want one such as \"192.0.2.10\" or \"edge.example.com\""},
		{"dialect of nobody", "[kubernetes]\ndialect = 'envoy'",
			"l7.kubernetes.dialect: \"envoy\" is not allowed: want one of " + strings.Join(kube.Dialects(), ", ")},
		{"unknown default", "[[entrypoint]]\nname = 'http'\nlisten = ':80'\n[kubernetes]\ndefault_entrypoints = ['http', 'https']",
			"l7.kubernetes.default_entrypoints[1]: \"https\" is no entrypoint: name one of [[l7.entrypoint]]"},
		{"endpoint without TLS", "[kubernetes]\nendpoints = ['http://172.16.0.36:8080']",
			"l7.kubernetes.endpoints[0]: \"http://172.16.0.36:8080\" is no API server: want one such as \"https://172.16.0.36:6443\""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, got := parse(t, c.in); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func TestParseDefaults(t *testing.T) {
	c, faults := parse(t, "[[entrypoint]]\nname = 'https'\nlisten = ':443'\ntls = {}")
	if faults != "" {
		t.Fatal(faults)
	}
	if c.ReadyListen != ":9181" || c.StopDelay != 8*time.Second || c.Drain != 30*time.Second || c.Kubernetes.IngressClass != "portico" {
		t.Errorf("defaults are %+v", c)
	}
	if e := c.Entrypoints[0]; e.TLS == nil || e.TLS.MinVersion != tls.VersionTLS12 {
		t.Errorf("an empty tls table gives %+v", e)
	}
	if v := c.Entrypoints[0].HTTP; v != (l7.HTTP{HTTP2: true}) {
		t.Errorf("with TLS: %+v", v)
	}
	if c, _ = parse(t, "[[entrypoint]]\nname = 'http'\nlisten = ':80'"); c.Entrypoints[0].HTTP != (l7.HTTP{H2C: true}) {
		t.Errorf("without TLS: %+v", c.Entrypoints[0].HTTP)
	}
	if c, _ = parse(t, "ready_listen = ''"); c.ReadyListen != "" {
		t.Errorf("an empty ready_listen gives %q, want off", c.ReadyListen)
	}
}

func TestReadyAddr(t *testing.T) {
	for listen, want := range map[string]string{
		":9181": "127.0.0.1:9181", "0.0.0.0:80": "127.0.0.1:80", "[::]:80": "[::1]:80", "192.0.2.7:9181": "192.0.2.7:9181",
		"[2001:db8::7]:http": "[2001:db8::7]:80", "": "", "x": "", "host:80": "", "127.0.0.1:0": "", ":none": "",
	} {
		got := l7.Section{ReadyListen: &listen}.ReadyAddr()
		if want == "" && got.IsValid() || want != "" && got.String() != want {
			t.Errorf("%q is asked at %v, want %q", listen, got, want)
		}
	}
	if got := (l7.Section{}).ReadyAddr().String(); got != "127.0.0.1:9181" {
		t.Errorf("the default is asked at %s", got)
	}
}

// parse parses TOML as [l7]. Of the files it names only those exist whose names
// say what they hold.
func parse(t *testing.T, in string) (l7.Config, string) {
	t.Helper()
	var s l7.Section
	if err := toml.NewDecoder(strings.NewReader(in)).DisallowUnknownFields().Decode(&s); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"/short": "short", "/text": "short", "/secret": "0123456789abcdef"}
	var faults []string
	c := l7.Parse(s,
		func(path string) ([]byte, error) {
			if text, ok := files[path]; ok {
				return []byte(text), nil
			}
			return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
		},
		func(key, problem string) { faults = append(faults, key+": "+problem) })
	return c, strings.Join(slices.Compact(faults), "\n")
}
