package importer

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// middleware writes one [[l7.middleware]] and tells use its name.
func (t *traefik) middleware(at Origin, name, kind, value string, use func(name string)) {
	name = t.free(name)
	m := t.doc.table("[[l7.middleware]]", at)
	m.set(at, "name", name)
	m.set(at, kind, raw(value))
	use(name)
}

// free is a name of letters, digits, - and _ that nothing else has.
func (t *traefik) free(name string) string {
	name = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_':
			return r
		}
		return '-'
	}, name)
	one := name
	for i := 2; t.names[one]; i++ {
		one = fmt.Sprintf("%s-%d", name, i)
	}
	t.names[one] = true
	return one
}

// guard writes the middlewares that an entrypoint or a frontend asks for, in
// the order in which Traefik 1.7 has requests pass them, and returns their
// names.
func (t *traefik) guard(name string, path []string) []string {
	var used []string
	use := func(n string) { used = append(used, n) }
	at := func(names ...string) []string { return append(slices.Clone(path), names...) }
	if o, has := t.newer(at("whiteList", "sourceRange"), at("whitelistSourceRange")); has && len(o.list()) > 0 {
		t.middleware(o.at, name+"-allow", "allow", "{ sources = "+toTOML(o.list())+" }", use)
	}
	t.redirect(name, path, use)
	t.auth(name, path, use)
	return used
}

func (t *traefik) redirect(name string, path []string, use func(string)) {
	get := func(n string) (option, bool) { return t.get(append(slices.Clone(path), "redirect", n)...) }
	permanent := false
	if o, has := get("permanent"); has {
		permanent = o.truth()
		t.doc.note(nil, Changed, o.at, "permanent: of the redirect")
	}
	if o, has := get("entryPoint"); has {
		if path[0] == "frontends" {
			to, _ := t.get("entryPoints", o.text(), "address")
			_, port, _ := strings.Cut(to.text(), ":")
			value := "{ scheme = \"http\""
			if t.has("entryPoints", o.text(), "tls") {
				value = "{ scheme = \"https\""
			}
			if n, err := strconv.Atoi(port); err == nil && n != 80 && n != 443 {
				value += fmt.Sprintf(", port = %d", n)
			}
			t.middleware(o.at, name+"-redirect", "redirect", fmt.Sprintf("%s, permanent = %t }", value, permanent), use)
		}
		if r, has := get("regex"); has {
			t.doc.note(nil, Wrong, r.at, "regex beside entryPoint, which counts")
		}
		if r, has := get("replacement"); has {
			t.doc.note(nil, Wrong, r.at, "replacement beside entryPoint, which counts")
		}
		return // that of an entrypoint is redirect_to
	}
	regex, has1 := get("regex")
	replacement, has2 := get("replacement")
	if has1 != has2 {
		t.doc.note(nil, Wrong, regex.at, "a redirect needs both regex and replacement")
	}
	if has1 && has2 {
		t.doc.note(nil, Changed, replacement.at, "replacement: it is no template here, $1 and ${name} are what the expression took")
		t.middleware(regex.at, name+"-redirect", "redirect", fmt.Sprintf("{ regex = %s, replacement = %s, permanent = %t }", quote(regex.whole()), quote(replacement.whole()), permanent), use)
	}
}

func (t *traefik) auth(name string, path []string, use func(string)) {
	get := func(names ...string) (option, bool) {
		return t.get(append(append(slices.Clone(path), "auth"), names...)...)
	}
	user := ""
	if o, has := get("headerField"); has {
		user = o.text()
		t.doc.note(nil, Changed, o.at, "headerField: user_header of the middleware")
	}
	for _, kind := range []string{"basic", "digest"} {
		section := kind + "_auth"
		users, hasUsers := get(kind, "users")
		file, hasFile := get(kind, "usersFile")
		if kind == "basic" {
			users, hasUsers = t.newer(append(slices.Clone(path), "auth", "basic", "users"), append(slices.Clone(path), "basicAuth"))
		}
		if !hasUsers && !hasFile {
			continue
		}
		origin := users.at
		var parts []string
		if hasFile {
			origin = file.at
			parts = append(parts, "users_file = "+quote(t.beside(file.text())))
		}
		if hasUsers {
			if own := t.secret(name+"-"+kind+".users", strings.Join(users.list(), "\n")); own != "" && !hasFile {
				parts = append(parts, "users_file = "+quote(own))
			} else {
				parts = append(parts, "users = "+toTOML(users.list()))
			}
			t.doc.note(nil, Changed, users.at, "users of %s", section)
		}
		if o, has := get(kind, "removeHeader"); has {
			parts = append(parts, fmt.Sprintf("remove_header = %t", o.truth()))
			t.doc.note(nil, Changed, o.at, "removeHeader: of %s", section)
		}
		if user != "" {
			parts = append(parts, "user_header = "+quote(user))
		}
		t.middleware(origin, name+"-"+kind, section, "{ "+strings.Join(parts, ", ")+" }", use)
	}
	t.forward(name, user, get, use)
}

func (t *traefik) forward(name, user string, get func(...string) (option, bool), use func(string)) {
	address, has := get("forward", "address")
	if !has {
		return
	}
	parts := []string{"url = " + quote(address.text())}
	if o, has := get("forward", "trustForwardHeader"); has {
		parts = append(parts, fmt.Sprintf("trust_header = %t", o.truth()))
		t.doc.note(nil, Changed, o.at, "trustForwardHeader: trust_header, for trusted_proxies alone")
	}
	if o, has := get("forward", "authResponseHeaders"); has {
		parts = append(parts, "response_headers = "+toTOML(o.list()))
		t.doc.note(nil, Changed, o.at, "authResponseHeaders: response_headers")
	}
	if user != "" {
		parts = append(parts, "user_header = "+quote(user))
	}
	var tls []string
	for _, k := range []struct{ from, to, file string }{{"ca", "ca_file", "ca.crt"}, {"cert", "cert_file", "client.crt"}, {"key", "key_file", "client.key"}} {
		if o, has := get("forward", "tls", k.from); has {
			tls = append(tls, k.to+" = "+quote(t.pemFile(name+"-"+k.file, o.whole())))
			t.doc.note(nil, Changed, o.at, "%s: %s", k.from, k.to)
		}
	}
	if o, has := get("forward", "tls", "insecureSkipVerify"); has {
		t.doc.note(nil, Changed, o.at, "insecureSkipVerify: of forward_auth, where no ca is named")
		if o.truth() && !slices.ContainsFunc(tls, func(s string) bool { return strings.HasPrefix(s, "ca_file") }) {
			tls = append(tls, "insecure_skip_verify = true")
		}
	}
	if len(tls) > 0 {
		parts = append(parts, "tls = { "+strings.Join(tls, ", ")+" }")
	}
	t.middleware(address.at, name+"-forward", "forward_auth", "{ "+strings.Join(parts, ", ")+" }", use)
}
