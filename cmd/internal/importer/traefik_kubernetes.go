package importer

import (
	"cmp"
	"strings"
)

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
