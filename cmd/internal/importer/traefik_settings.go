package importer

import (
	"cmp"
	"strconv"
	"strings"
)

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
