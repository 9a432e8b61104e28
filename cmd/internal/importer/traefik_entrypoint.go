package importer

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// entrypointText reads the form of the command line, "Address::80 TLS:a,b
// Redirect.EntryPoint:https", as options of their own.
func (t *traefik) entrypointText(o option) {
	keys := map[string][]string{
		"address": {"address"}, "compress": {"compress"}, "whitelistsourcerange": {"whiteList", "sourceRange"}, "whitelist.sourcerange": {"whiteList", "sourceRange"},
		"redirect.entrypoint": {"redirect", "entryPoint"}, "redirect.regex": {"redirect", "regex"}, "redirect.replacement": {"redirect", "replacement"}, "redirect.permanent": {"redirect", "permanent"},
		"tls.minversion": {"tls", "minVersion"}, "tls.ciphersuites": {"tls", "cipherSuites"}, "tls.snistrict": {"tls", "sniStrict"},
		"ca": {"tls", "clientCA", "files"}, "ca.optional": {"tls", "clientCA", "optional"},
		"proxyprotocol.trustedips": {"proxyProtocol", "trustedIPs"}, "proxyprotocol.insecure": {"proxyProtocol", "insecure"},
		"forwardedheaders.trustedips": {"forwardedHeaders", "trustedIPs"}, "forwardedheaders.insecure": {"forwardedHeaders", "insecure"},
		"auth.basic.users": {"auth", "basic", "users"}, "auth.basic.usersfile": {"auth", "basic", "usersFile"}, "auth.basic.removeheader": {"auth", "basic", "removeHeader"},
		"auth.digest.users": {"auth", "digest", "users"}, "auth.digest.usersfile": {"auth", "digest", "usersFile"}, "auth.digest.removeheader": {"auth", "digest", "removeHeader"},
		"auth.headerfield": {"auth", "headerField"}, "auth.forward.address": {"auth", "forward", "address"},
		"auth.forward.authresponseheaders": {"auth", "forward", "authResponseHeaders"}, "auth.forward.trustforwardheader": {"auth", "forward", "trustForwardHeader"},
		"auth.forward.tls.ca": {"auth", "forward", "tls", "ca"}, "auth.forward.tls.cert": {"auth", "forward", "tls", "cert"}, "auth.forward.tls.key": {"auth", "forward", "tls", "key"}, "auth.forward.tls.insecureskipverify": {"auth", "forward", "tls", "insecureSkipVerify"},
		"tls.defaultcertificate.cert": {"tls", "defaultCertificate", "certFile"}, "tls.defaultcertificate.key": {"tls", "defaultCertificate", "keyFile"},
	}
	add := func(value any, names ...string) {
		o := option{names: append(slices.Clone(o.names), names...), value: value, at: o.at}
		for _, n := range o.names {
			o.path = append(o.path, strings.ToLower(n))
		}
		t.options = append(t.options, o)
	}
	for word := range strings.FieldsSeq(o.whole()) {
		key, value, _ := strings.Cut(word, ":")
		switch names := keys[strings.ToLower(key)]; {
		case names != nil:
			add(value, names...)
		case strings.EqualFold(key, "name"):
		case strings.EqualFold(key, "tls"):
			add(nil, "tls")
			for i, pair := range strings.Split(value, ";") {
				if cert, key, ok := strings.Cut(pair, ","); ok {
					add(cert, "tls", "certificates", fmt.Sprint(i), "certFile")
					add(key, "tls", "certificates", fmt.Sprint(i), "keyFile")
				}
			}
		default:
			t.doc.note(nil, Wrong, o.at, "%s is no part of an entrypoint of Traefik 1.7", word)
		}
	}
}

// entrypoint writes one [[l7.entrypoint]].
func (t *traefik) entrypoint(name string) {
	ep := func(names ...string) []string { return append([]string{"entryPoints", name}, names...) }
	at := t.at(ep()...)
	e := t.doc.table("[[l7.entrypoint]]", at)
	e.set(at, "name", name)
	address, has := t.get(ep("address")...)
	e.set(cmp.Or(address.at, at), "listen", cmp.Or(address.text(), ":80"))
	if !has {
		t.doc.note(e, Changed, at, "entrypoint %s has no address: :80 is Traefik's default", name)
	}
	t.trusted(e, name)
	if o, has := t.get(ep("redirect", "entryPoint")...); has {
		e.set(o.at, "redirect_to", o.text())
		if o, has := t.get(ep("redirect", "permanent")...); has {
			t.doc.note(e, Changed, o.at, "permanent of a redirect to an entrypoint: portico says how long by itself")
		}
	}
	t.entrypointTLS(name)
	t.guards[strings.ToLower(name)] = t.guard("entrypoint-"+name, ep())
	if o, has := t.get(ep("compress")...); has {
		if o.truth() {
			t.middleware(o.at, name+"-compress", "compress", "{}", func(n string) {
				t.guards[strings.ToLower(name)] = append(t.guards[strings.ToLower(name)], n)
			})
		} else {
			t.doc.note(nil, Changed, o.at, "compress = false is the default")
		}
	}
}

// trusted writes whose PROXY headers and X-Forwarded-* are believed.
func (t *traefik) trusted(e *table, name string) {
	var all []string
	var at Origin
	for _, kind := range []string{"proxyProtocol", "forwardedHeaders"} {
		if o, has := t.get("entryPoints", name, kind, "trustedIPs"); has {
			for _, ip := range o.list() {
				if !slices.Contains(all, ip) {
					all = append(all, ip)
				}
			}
			at = o.at
			t.doc.note(e, Changed, o.at, "trustedIPs of %s: in trusted_proxies, which is for both", kind)
		}
		if o, has := t.get("entryPoints", name, kind, "insecure"); has && o.truth() {
			t.doc.note(e, Wrong, o.at, "insecure of %s believes every client who it says it is, and lists of addresses keep nobody out: it is left out", kind)
			t.doc.note(e, Todo, o.at, "name the load balancers in trusted_proxies, and proxy_protocol = true where they speak that")
		} else if has {
			t.doc.note(e, Changed, o.at, "insecure = false is the default")
		}
	}
	if !t.has("entryPoints", name, "forwardedHeaders") {
		t.doc.note(e, Changed, t.at("entryPoints", name), "without forwardedHeaders Traefik believes X-Forwarded-* of every client, here nobody is believed: name the load balancers before this edge in trusted_proxies")
	}
	if len(all) > 0 {
		e.set(at, "trusted_proxies", all)
	}
	if o, has := t.get("entryPoints", name, "proxyProtocol", "trustedIPs"); has && len(o.list()) > 0 {
		e.set(t.at("entryPoints", name, "proxyProtocol"), "proxy_protocol", true)
		t.doc.note(e, Changed, t.at("entryPoints", name, "proxyProtocol"), "connections of trusted_proxies must begin with a PROXY header here, and are closed without")
	}
}

func (t *traefik) entrypointTLS(name string) {
	if !t.has("entryPoints", name, "tls") {
		return
	}
	ep := func(names ...string) []string { return append([]string{"entryPoints", name, "tls"}, names...) }
	s := t.doc.table("[l7.entrypoint.tls]", t.at(ep()...))
	if o, has := t.get(ep("minVersion")...); has {
		versions := map[string]string{"VersionTLS12": "1.2", "VersionTLS13": "1.3"}
		v := versions[o.text()]
		if v == "" {
			t.doc.note(s, Changed, o.at, "minVersion %s: TLS before 1.2 is not spoken (RFC 8996)", o.text())
			v = "1.2"
		}
		s.set(o.at, "min_version", v)
	}
	if o, has := t.get(ep("cipherSuites")...); has && len(o.list()) > 0 {
		s.set(o.at, "cipher_suites", o.list())
	}
	if o, has := t.get(ep("sniStrict")...); has {
		s.set(o.at, "strict_sni", o.truth())
	}
	t.certificates(s, name)
	files, has := t.newer(ep("clientCA", "files"), ep("clientCAFiles"))
	if has && len(files.list()) > 0 {
		s.set(files.at, "client_ca_file", t.pemFile(name+"-clients.crt", files.list()[0]))
		if len(files.list()) > 1 {
			t.doc.note(s, Todo, files.at, "client_ca_file is one file: put all of %s into it", strings.Join(files.list(), ", "))
		}
		how := "required"
		if o, has := t.get(ep("clientCA", "optional")...); has {
			if o.truth() {
				how = "optional"
			}
			files.at = o.at
		}
		s.set(files.at, "client_auth", how)
	}
}

// certificates lists the default certificate first: it answers clients that
// name no known host.
func (t *traefik) certificates(s *table, name string) {
	var pairs []string
	var at Origin
	add := func(path ...string) {
		cert, has1 := t.get(append(slices.Clone(path), "certFile")...)
		key, has2 := t.get(append(slices.Clone(path), "keyFile")...)
		if !has1 || !has2 {
			return
		}
		file := fmt.Sprintf("%s-%d", name, len(pairs))
		pairs = append(pairs, fmt.Sprintf("{ cert_file = %s, key_file = %s }", quote(t.pemFile(file+".crt", cert.whole())), quote(t.pemFile(file+".key", key.whole()))))
		at = key.at
		if cert.at != key.at {
			t.doc.note(s, Changed, cert.at, "certFile: one of certificates")
			t.doc.note(s, Changed, key.at, "keyFile: one of certificates")
		}
	}
	add("entryPoints", name, "tls", "defaultCertificate")
	for _, i := range t.under("entryPoints", name, "tls", "certificates") {
		add("entryPoints", name, "tls", "certificates", i)
	}
	if len(pairs) > 0 {
		s.set(at, "certificates", raw("["+strings.Join(pairs, ", ")+"]"))
	}
}

// tlsFiles adds the certificates of [[tls]] to the first entrypoint with TLS:
// here they are for all.
func (t *traefik) tlsFiles() {
	var s *table
	for _, table := range t.doc.tables {
		if table.header == "[l7.entrypoint.tls]" {
			s = table
			break
		}
	}
	var pairs []string
	var at Origin
	for _, i := range t.under("tls") {
		cert, has1 := t.get("tls", i, "certificate", "certFile")
		key, has2 := t.get("tls", i, "certificate", "keyFile")
		if !has1 || !has2 {
			continue
		}
		at = cert.at
		pairs = append(pairs, fmt.Sprintf("{ cert_file = %s, key_file = %s }", quote(t.pemFile("tls-"+i+".crt", cert.whole())), quote(t.pemFile("tls-"+i+".key", key.whole()))))
		t.doc.note(s, Changed, cert.at, "certFile: one of certificates of an entrypoint, which are for all")
		t.doc.note(s, Changed, key.at, "keyFile: one of certificates of an entrypoint, which are for all")
	}
	if len(pairs) == 0 || s == nil {
		return
	}
	for i := range s.keys {
		if k := &s.keys[i]; k.name == "certificates" {
			k.value = strings.TrimSuffix(k.value, "]") + ", " + strings.Join(pairs, ", ") + "]"
			return
		}
	}
	s.set(at, "certificates", raw("["+strings.Join(pairs, ", ")+"]"))
}
