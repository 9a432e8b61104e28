package importer

import (
	"cmp"
	"path/filepath"
	"slices"
	"strings"
)

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
