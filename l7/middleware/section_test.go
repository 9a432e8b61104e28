package middleware_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"

	. "github.com/portico-lb/portico/l7/middleware"
	"github.com/portico-lb/portico/l7/value"
)

// TestSection: a middleware is of one kind, which is its key, its name in
// `portico routes` and the begin of what is said of it.
func TestSection(t *testing.T) {
	for _, c := range []struct{ in, kind, faults string }{
		{"allow = { sources = ['10.0.0.0/8'], denied = ['10.1.0.0/16'], depth = 1 }", "allow", ""},
		{"basic_auth = { users = ['a:{SHA}s4dJQpyOVUSs6mSUHZnRTLVXlAY='], realm = 'r', remove_header = true, user_header = 'X-User' }", "basic_auth", ""},
		{"buffering = { max_request = '10MB', whole = true, max_response = '1GB' }", "buffering", ""},
		{"circuit_breaker = { expression = 'NetworkErrorRatio() > 0.5', check = '1s', open = '1m', recovery = '1m' }", "circuit_breaker", ""},
		{"compress = { encodings = ['gzip'], min_size = '2KiB', types = ['text/*'], except = ['text/csv'], level = 3 }", "compress", ""},
		{"digest_auth = { users = ['a:r:00112233445566778899aabbccddeeff'], remove_header = true, user_header = 'X-User' }", "digest_auth", ""},
		{"errors = { status = ['404', '500-599'], service = 'shop/pages:80', query = '/{status}.html', timeout = '1s' }", "errors", ""},
		{"forward_auth = { url = 'https://a', method = 'POST', trust_header = true, request_headers = ['Cookie'], response_headers = ['X-A'], user_header = 'X-User', pass_cookies = true, sign_in = 'https://b', timeout = '1s', max_body = '1KiB', tls = { server_name = 'a', insecure_skip_verify = true } }", "forward_auth", ""},
		{"cors = { origins = ['https://a.example'], origin_patterns = ['b'], methods = ['GET'], headers = ['X-A'], expose = ['X-B'], credentials = true, max_age = '1h' }", "cors", ""},
		{"headers = { request = { set = { X-A = '1' }, add = { X-B = '2' }, remove = ['X-C'] }, response = { remove = ['Server'] } }", "headers", ""},
		{"in_flight = { most = 3, key = 'client', depth = 1 }", "in_flight", ""},
		{"mirror = { service = 'shop/copy:80', percent = 1.5, max_body = '1KiB' }", "mirror", ""},
		{"mirror = {}", "mirror", "m.mirror: want one of service, url and route: who gets the copies"},
		{"rate_limit = { key = 'header:X-Key', rates = [ { average = 1, period = '1s', burst = 2 } ] }", "rate_limit", ""},
		{"redirect = { scheme = 'https', port = 8443, permanent = true }", "redirect", ""},
		{"redirect = { host = 'a', status = 308 }", "redirect", ""},
		{"redirect = { regex = 'a', replacement = 'b' }", "redirect", ""},
		{"redirect = { from = '/', to = '/app' }", "redirect", ""},
		{"rewrite = { strip_prefix = ['/a'], redirect_to_slash = true, restore_prefix = true }", "rewrite", ""},
		{"rewrite = { add_prefix = '/a', path = '/b', regex = 'c', replacement = '/d' }", "rewrite", ""},
		{"security = { allowed_hosts = ['a'], hsts = { max_age = '1h', include_subdomains = true, preload = true }, frame_options = 'DENY', nosniff = true, xss_protection = '0', content_security_policy = 'x', referrer_policy = 'x', permissions_policy = 'x' }", "security", ""},
		{"name = 'a'", "", "m: is of no kind: want the table of one of "},
		{"allow = { sources = ['::1'] }\nin_flight = { most = 1 }", "", "m.in_flight: stands beside allow: a middleware is of one kind, put it in a table of its own"},
		{"in_flight = {}", "in_flight", "m.in_flight.most: 0 is out of range: allowed are 1 to 1000000"},
		{"allow = {}", "allow", "m.allow: lets nobody pass: want sources, or denied"},
	} {
		var s Section
		if err := toml.NewDecoder(strings.NewReader(c.in)).DisallowUnknownFields().Decode(&s); err != nil {
			t.Errorf("%s: %v", c.in, err)
			continue
		}
		var faults []string
		p := value.Parser{Bad: func(key, problem string) { faults = append(faults, fmt.Sprintf("%s: %s", key, problem)) }}
		step, kind := s.Parse(p.In("m")), ""
		if step != nil {
			kind = step.Kind()
		}
		if got := strings.Join(faults, "\n"); kind != c.kind || got != c.faults && (c.faults == "" || !strings.HasPrefix(got, c.faults)) {
			t.Errorf("%s: got %q and\n%s\nwant %q and\n%s", c.in, kind, got, c.kind, c.faults)
		}
		if step != nil && len(faults) == 0 {
			step.New(env()) // does not panic
		}
	}
}
