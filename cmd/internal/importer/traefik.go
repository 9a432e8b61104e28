package importer

import (
	"cmp"
	"path"
	"path/filepath"
	"slices"
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

// pemFile is a file that an option names, or one that gets the PEM which it
// holds itself.
func (t *traefik) pemFile(name, value string) string {
	if !strings.Contains(value, "-----BEGIN") {
		return t.beside(value)
	}
	return cmp.Or(t.secret(name, value), "/etc/portico/"+name)
}
