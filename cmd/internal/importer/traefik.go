package importer

import (
	"cmp"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A traefik is a configuration of Traefik 1.7 on its way into a document.
type traefik struct {
	Sources
	doc     *document
	secrets *[]Secret
	folder  string
	file    string
	options []option
	// entrypoints are in the order of the file.
	entrypoints []string
	// guards are middlewares of entrypoints, by their names in small letters.
	guards map[string][]string
	names  map[string]bool // of middlewares and routes
}

// read translates the file and what [file] names.
func (t *traefik) read(data []byte) error {
	var err error
	if t.options, err = readOptions(t.file, data); err != nil {
		return err
	}
	if err := t.readFiles(); err != nil {
		return err
	}
	t.guards, t.names = map[string][]string{}, map[string]bool{}
	for _, o := range t.options {
		switch lost, known := findOption(o.path); {
		case !known:
			t.doc.note(nil, Wrong, o.at, "%s is no option of Traefik 1.7", strings.Join(o.names, "."))
		case lost != "" && (o.value != nil || len(o.path) == 1):
			t.doc.note(nil, Lost, o.at, "%s: %s", strings.Join(o.names, "."), lost)
		case lost == "" && o.value != nil && len(o.path) > 1 && o.path[0] == "entrypoints" && len(o.path) == 2:
			t.entrypointText(o)
		}
	}
	t.log()
	t.process()
	for _, name := range t.under("entrypoints") {
		t.entrypoint(name)
	}
	t.kubernetes()
	t.timeouts()
	t.backendDefaults()
	t.accessLog()
	t.acme()
	t.tlsFiles()
	t.routes()
	return nil
}

// readFiles adds the options of the files that [file] names.
func (t *traefik) readFiles() error {
	var files []string
	if o, has := t.get("file", "filename"); has {
		files = append(files, t.beside(o.text()))
	}
	if o, has := t.get("file", "directory"); has {
		found, err := t.Glob(filepath.Join(t.beside(o.text()), "*.toml"))
		if err != nil {
			return err
		}
		files = append(files, found...)
	}
	for _, f := range files {
		data, err := t.Read(f)
		if err != nil {
			t.doc.note(nil, Wrong, t.at("file"), "%v", err)
			continue
		}
		more, err := readOptions(f, data)
		if err != nil {
			return err
		}
		t.options = append(t.options, more...)
	}
	return nil
}

// beside is a path as the file means it.
func (t *traefik) beside(name string) string {
	if path.IsAbs(name) {
		return name
	}
	return filepath.Join(filepath.Dir(t.file), name)
}

// get returns an option by its path; the last of two counts.
func (t *traefik) get(path ...string) (option, bool) {
	for i := range path {
		path[i] = strings.ToLower(path[i])
	}
	for _, o := range slices.Backward(t.options) {
		if slices.Equal(o.path, path) {
			return o, true
		}
	}
	return option{}, false
}

// newer returns an option that has an older name, too. Where both stand, the
// new one counts.
func (t *traefik) newer(name, older []string) (option, bool) {
	o, has := t.get(name...)
	old, hasOld := t.get(older...)
	if has && hasOld {
		t.doc.note(nil, Wrong, old.at, "%s beside %s, which counts", strings.Join(old.names, "."), strings.Join(o.names, "."))
		return o, true
	}
	if hasOld {
		return old, true
	}
	return o, has
}

// has says that something stands at a path or below.
func (t *traefik) has(path ...string) bool { return t.at(path...) != (Origin{}) }

// at is where the first of what stands at a path or below does.
func (t *traefik) at(path ...string) Origin {
	for _, o := range t.options {
		if len(o.path) >= len(path) && slices.EqualFunc(o.path[:len(path)], path, strings.EqualFold) {
			return o.at
		}
	}
	return Origin{}
}

// under lists the names below a path, as they are written and in order.
func (t *traefik) under(path ...string) []string {
	var out []string
	for _, o := range t.options {
		if len(o.path) > len(path) && slices.EqualFunc(o.path[:len(path)], path, strings.EqualFold) {
			name := o.names[len(path)]
			if !slices.ContainsFunc(out, func(n string) bool { return strings.EqualFold(n, name) }) {
				out = append(out, name)
			}
		}
	}
	return out
}

// secret puts a text into a file of its own and returns its path; "" where
// nothing may be written.
func (t *traefik) secret(name, text string) string {
	if t.folder == "" {
		return ""
	}
	p := filepath.Join(t.folder, name)
	*t.secrets = append(*t.secrets, Secret{Path: p, Data: strings.TrimRight(text, "\n") + "\n"})
	return p
}

func (t *traefik) log() {
	log := func(at Origin) *table { return t.doc.once("[log]", at) }
	if o, has := t.get("logLevel"); has {
		levels := map[string]string{"debug": "debug", "info": "info", "warn": "warn", "warning": "warn", "error": "error", "fatal": "error", "panic": "error"}
		log(o.at).set(o.at, "level", cmp.Or(levels[strings.ToLower(o.text())], "info"))
	}
	if o, has := t.get("debug"); has {
		if o.truth() {
			log(o.at).set(o.at, "level", "debug")
		} else {
			t.doc.note(nil, Changed, o.at, "debug = false is the default")
		}
	}
	if o, has := t.get("traefikLog", "format"); has {
		format := "text"
		if strings.EqualFold(o.text(), "json") {
			format = "json"
		}
		log(o.at).set(o.at, "format", format)
	}
}

// process is what [l7] itself says.
func (t *traefik) process() {
	l7 := t.doc.once("[l7]", Origin{})
	set := func(name string, path ...string) {
		if o, has := t.get(path...); has {
			if d, ok := o.duration(); ok {
				l7.set(o.at, name, d)
			}
		}
	}
	set("stop_delay", "lifeCycle", "requestAcceptGraceTimeout")
	set("drain", "lifeCycle", "graceTimeOut")
	if o, has := t.get("graceTimeOut"); has { // the old name, which overrides
		if d, ok := o.duration(); ok && d != "0s" {
			l7.set(o.at, "drain", d)
		} else {
			t.doc.note(l7, Changed, o.at, "graceTimeOut of 0 is the default of lifeCycle.graceTimeOut")
		}
	}
}

// kubernetes writes where Ingresses come from.
func (t *traefik) kubernetes() {
	if !t.has("kubernetes") {
		if t.has("defaultEntryPoints") {
			t.doc.note(nil, Changed, t.at("defaultEntryPoints"), "defaultEntryPoints concerns Ingresses: routes without entrypoints are served at all of them")
		}
		return
	}
	k := t.doc.table("[l7.kubernetes]", t.at("kubernetes"))
	t.apiServer(k)
	k.set(t.at("kubernetes"), "dialect", "traefik17")
	if o, has := t.get("kubernetes", "namespaces"); has {
		k.set(o.at, "namespaces", o.list())
	}
	if o, has := t.get("kubernetes", "labelSelector"); has {
		k.set(o.at, "label_selector", o.whole())
	}
	class, has := t.get("kubernetes", "ingressClass")
	if has && class.text() != "" {
		k.set(class.at, "ingress_class", class.text())
	} else {
		k.set(t.at("kubernetes"), "ingress_class", "traefik")
		t.doc.note(k, Changed, cmp.Or(class.at, t.at("kubernetes")), "Traefik without ingressClass serves Ingresses that name no class, too: give them kubernetes.io/ingress.class: traefik, or make that IngressClass the cluster's default")
	}
	if o, has := t.get("defaultEntryPoints"); has {
		k.set(o.at, "default_entrypoints", o.list())
	}
	t.publish(k)
	if t.doc.hasGuards(t.guards) {
		t.doc.note(k, Todo, t.at("entryPoints"), "an entrypoint has whitelist, auth, compress or a redirect of its own: Ingresses ask for them by the annotation portico.io/middlewares, with the names of the [[l7.middleware]] above; until then they go without")
	}
}

func (d *document) hasGuards(guards map[string][]string) bool {
	for _, g := range guards {
		if len(g) > 0 {
			return true
		}
	}
	return false
}

func (t *traefik) apiServer(k *table) {
	endpoint, has := t.get("kubernetes", "endpoint")
	if !has || endpoint.text() == "" {
		k.set(t.at("kubernetes"), "kubeconfig", "/etc/portico/kubeconfig")
		t.doc.note(k, Todo, cmp.Or(endpoint.at, t.at("kubernetes")), "Traefik found the API server by its Pod: put a kubeconfig there, with a token of packaging/kubernetes/rbac.yaml")
	} else {
		k.set(endpoint.at, "endpoints", []string{endpoint.text()})
	}
	if o, has := t.get("kubernetes", "certAuthFilePath"); has && k.has("endpoints") {
		k.set(o.at, "ca_file", t.beside(o.text()))
	} else if has {
		t.doc.note(k, Changed, o.at, "certAuthFilePath: the kubeconfig has it")
	}
	o, has := t.get("kubernetes", "token")
	if !has {
		return
	}
	t.doc.note(k, Wrong, o.at, "the token stands in clear in a file that is no secret: it goes to a file of its own; make a new one with the rights of packaging/kubernetes/rbac.yaml, and forget this one")
	switch name := t.secret("token", o.whole()); {
	case !k.has("endpoints"):
		t.doc.note(k, Todo, o.at, "put the token into the kubeconfig")
	case name == "":
		k.set(o.at, "token_file", "/etc/portico/token")
		t.doc.note(k, Todo, o.at, "the token is left out, for nothing but this text is written: use -o, or write it to /etc/portico/token, mode 0640 and group portico")
	default:
		k.set(o.at, "token_file", name)
	}
}

func (t *traefik) publish(k *table) {
	var all []string
	var at Origin
	for _, name := range []string{"ip", "hostname"} {
		if o, has := t.get("kubernetes", "ingressEndpoint", name); has && o.text() != "" {
			all, at = append(all, o.text()), o.at
			if name == "ip" && t.has("kubernetes", "ingressEndpoint", "hostname") {
				t.doc.note(k, Changed, o.at, "Traefik wrote one of ip and hostname: both are written here")
			}
		}
	}
	if len(all) > 0 {
		k.set(at, "publish", all)
	}
}

// timeouts are those of clients and of endpoints.
func (t *traefik) timeouts() {
	client := func(name, from string) {
		if o, has := t.get("respondingTimeouts", from); has {
			t.clientTimeout(name, o)
		}
	}
	if o, has := t.get("idleTimeout"); has {
		t.clientTimeout("idle_timeout", o)
	}
	client("idle_timeout", "idleTimeout")
	if o, has := t.get("respondingTimeouts", "readTimeout"); has {
		if d, ok := o.duration(); ok && d != "0s" {
			c := t.doc.once("[l7.client]", o.at)
			c.set(o.at, "header_timeout", d)
			t.doc.note(c, Changed, o.at, "readTimeout was for a whole request: a head has this long, and a body as long as it comes (body_timeout, min_body_rate)")
		} else {
			t.doc.note(nil, Changed, o.at, "readTimeout of 0 let a client take for ever: header_timeout and body_timeout of [l7.client] bound it")
		}
	}
}

func (t *traefik) clientTimeout(name string, o option) {
	if d, ok := o.duration(); ok && d != "0s" {
		t.doc.once("[l7.client]", o.at).set(o.at, name, d)
	} else {
		t.doc.note(nil, Changed, o.at, "%s of 0 would be for ever: the default of [l7.client] stays", strings.Join(o.names, "."))
	}
}

// backendDefaults is [l7.backend].
func (t *traefik) backendDefaults() {
	backend := func(at Origin) *table { return t.doc.once("[l7.backend]", at) }
	var parts []string
	var at Origin
	for _, p := range []struct{ key, from string }{{"dial", "dialTimeout"}, {"response", "responseHeaderTimeout"}} {
		o, has := t.get("forwardingTimeouts", p.from)
		if !has {
			continue
		}
		if d, ok := o.duration(); ok && d != "0s" {
			parts, at = append(parts, p.key+" = "+quote(d)), o.at
			t.doc.note(nil, Changed, o.at, "%s: %s of timeouts in [l7.backend]", p.from, p.key)
		} else {
			t.doc.note(nil, Changed, o.at, "%s of 0 is for ever: the default of [l7.backend] stays", p.from)
		}
	}
	if len(parts) > 0 {
		backend(at).set(at, "timeouts", raw("{ "+strings.Join(parts, ", ")+" }"))
	}
	if o, has := t.get("retry", "attempts"); has {
		if n, err := strconv.Atoi(o.text()); err == nil && n > 0 {
			backend(o.at).set(o.at, "retries", raw("{ attempts = "+strconv.Itoa(n)+" }"))
		}
	} else if t.has("retry") {
		t.doc.note(nil, Changed, t.at("retry"), "requests that no endpoint has got are tried again in any case")
	}
	t.backendTrust(backend)
}

// backendTrust says which certificates of endpoints are believed.
func (t *traefik) backendTrust(backend func(Origin) *table) {
	if o, has := t.get("insecureSkipVerify"); has && o.truth() {
		b := backend(o.at)
		b.set(o.at, "tls", raw("{ insecure_skip_verify = true }"))
		t.doc.note(b, Changed, o.at, "insecureSkipVerify believes every endpoint: name the authority as ca_file in its place")
	} else if has {
		t.doc.note(nil, Changed, o.at, "insecureSkipVerify = false is the default")
	}
	o, has := t.get("rootCAs")
	if !has || len(o.list()) == 0 {
		return
	}
	b := backend(o.at)
	if len(o.list()) > 1 {
		t.doc.note(b, Todo, o.at, "ca_file is one file: put all of %s into it", strings.Join(o.list(), ", "))
	}
	if b.has("tls") {
		t.doc.note(b, Wrong, o.at, "rootCAs beside insecureSkipVerify does nothing")
		return
	}
	b.set(o.at, "tls", raw("{ ca_file = "+quote(t.pemFile("roots.crt", o.list()[0]))+" }"))
}

// pemFile is a file that an option names, or one that gets the PEM which it
// holds itself.
func (t *traefik) pemFile(name, value string) string {
	if !strings.Contains(value, "-----BEGIN") {
		return t.beside(value)
	}
	return cmp.Or(t.secret(name, value), "/etc/portico/"+name)
}

// accessLog writes [l7.access_log].
func (t *traefik) accessLog() {
	file, hasFile := t.newer([]string{"accessLog", "filePath"}, []string{"accessLogsFile"})
	if !hasFile && !t.has("accessLog") {
		return
	}
	at := cmp.Or(file.at, t.at("accessLog"))
	a := t.doc.table("[l7.access_log]", at)
	switch name := file.text(); {
	case !hasFile || name == "":
		a.set(at, "file", "/var/log/portico/access.log")
		t.doc.note(a, Changed, at, "without filePath lines went to the standard output: they go to a file, which is rotated by size")
	case filepath.Dir(t.beside(name)) != "/var/log/portico":
		a.set(at, "file", "/var/log/portico/"+filepath.Base(name))
		t.doc.note(a, Changed, at, "the proxy may write to /var/log/portico; another folder needs ReadWritePaths= in portico-l7.service")
	default:
		a.set(at, "file", t.beside(name))
	}
	if o, has := t.get("accessLog", "format"); has {
		a.set(o.at, "format", map[bool]string{true: "json", false: "common"}[strings.EqualFold(o.text(), "json")])
	} else {
		a.set(at, "format", "common")
	}
	if o, has := t.get("accessLog", "filters", "statusCodes"); has {
		a.set(o.at, "status_codes", o.list())
	}
	if o, has := t.get("accessLog", "filters", "retryAttempts"); has {
		a.set(o.at, "retry_attempts", o.truth())
	}
	if o, has := t.get("accessLog", "filters", "minDuration"); has {
		if d, ok := o.duration(); ok {
			a.set(o.at, "min_duration", d)
		}
	}
	t.logFields(a, "fields", []string{"accessLog", "fields"})
	t.logFields(a, "headers", []string{"accessLog", "fields", "headers"})
}

// logFields writes which fields, or headers, a line has.
func (t *traefik) logFields(a *table, name string, path []string) {
	if !t.has(append(slices.Clone(path), "defaultMode")...) && !t.has(append(slices.Clone(path), "names")...) {
		return
	}
	mode := "keep"
	at := t.at(path...)
	if o, has := t.get(append(slices.Clone(path), "defaultMode")...); has {
		mode = strings.ToLower(o.text())
		at = o.at
	}
	if mode == "redact" || mode != "keep" && mode != "drop" {
		t.doc.note(a, Changed, at, "defaultMode %s: the credentials among the headers are redacted with keep", mode)
		mode = "keep"
	}
	lists := map[string][]string{}
	for _, field := range t.under(append(slices.Clone(path), "names")...) {
		o, _ := t.get(append(slices.Clone(path), "names", field)...)
		if m := strings.ToLower(o.text()); m == "keep" || m == "drop" || m == "redact" && name == "headers" {
			lists[m] = append(lists[m], field)
			t.doc.note(a, Changed, o.at, "%s: in %s of %s", field, m, name)
		} else {
			t.doc.note(a, Wrong, o.at, "%s is none of keep, drop and redact", o.text())
		}
	}
	parts := []string{"default = " + quote(mode)}
	for _, m := range []string{"keep", "drop", "redact"} {
		if len(lists[m]) > 0 {
			parts = append(parts, m+" = "+toTOML(lists[m]))
		}
	}
	a.set(at, name, raw("{ "+strings.Join(parts, ", ")+" }"))
}

// acme writes [l7.acme].
func (t *traefik) acme() {
	if !t.has("acme") {
		return
	}
	a := t.doc.table("[l7.acme]", t.at("acme"))
	if o, has := t.get("acme", "email"); has {
		a.set(o.at, "email", o.text())
	}
	if o, has := t.get("acme", "caServer"); has && o.text() != "" {
		a.set(o.at, "ca", o.text())
	}
	storage, has := t.newer([]string{"acme", "storage"}, []string{"acme", "storageFile"})
	if !t.has("kubernetes") {
		a.set(storage.at, "storage", "file")
	}
	if has {
		t.doc.note(a, Changed, storage.at, "%s is not read: certificates are ordered anew, and kept where all edges see them", storage.text())
	}
	if o, has := t.get("acme", "keyType"); has {
		types := map[string]string{"ec256": "p256", "ec384": "p384", "rsa2048": "rsa2048", "rsa4096": "rsa2048", "rsa8192": "rsa2048"}
		kind := cmp.Or(types[strings.ToLower(o.text())], "p256")
		a.set(o.at, "key_type", kind)
		if strings.HasSuffix(o.text(), "4096") || strings.HasSuffix(o.text(), "8192") {
			t.doc.note(a, Changed, o.at, "keys of RSA have 2048 bits; p256 is as strong as 3072 and much faster")
		}
	}
	var challenges []string
	var at Origin
	for _, c := range []struct{ from, to string }{{"httpChallenge", "http-01"}, {"tlsChallenge", "tls-alpn-01"}} {
		if t.has("acme", c.from) {
			challenges, at = append(challenges, c.to), t.at("acme", c.from)
			t.doc.note(a, Changed, at, "%s: %s of challenges", c.from, c.to)
		}
	}
	if len(challenges) > 0 {
		a.set(at, "challenges", challenges)
	}
}
