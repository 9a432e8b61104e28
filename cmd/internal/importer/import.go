package importer

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A Secret is a file to be written beside the configuration.
type Secret struct{ Path, Data string }

// A Result is what an import came to.
type Result struct {
	// Text is the configuration, Notes what is to be known of it; they stand in
	// it as comments, too.
	Text  string
	Notes []Note
	// Secrets are files that Text names.
	Secrets []Secret
	doc     *document
	title   []string
}

// Options say what to import.
type Options struct {
	// Keepalived and Traefik are files; either may be empty.
	Keepalived, Traefik string
	Sources
	// Stat returns the mode of a file's permissions.
	Stat func(path string) (mode uint32, err error)
	// Folder is where secrets go; empty has none written, and what names them
	// left out.
	Folder string
}

// OS are sources and modes of this machine.
func OS(o Options) Options {
	o.Read, o.Glob = os.ReadFile, filepath.Glob
	o.Stat = func(path string) (uint32, error) {
		info, err := os.Stat(path)
		if err != nil {
			return 0, err
		}
		return uint32(info.Mode().Perm()), nil
	}
	return o
}

// Import reads the sources. The error is that of a file that cannot be read;
// whatever is wrong in one is a note.
func Import(o Options) (*Result, error) {
	r := &Result{doc: &document{made: map[Note]bool{}}}
	var from []string
	if o.Keepalived != "" {
		if _, err := o.Read(o.Keepalived); err != nil {
			return nil, err
		}
		from = append(from, o.Keepalived)
		keepalivedTo(r.doc, o.Keepalived, o.Sources, &keepalived{secrets: &r.Secrets, folder: o.Folder, stat: o.Stat})
	}
	if o.Traefik != "" {
		data, err := o.Read(o.Traefik)
		if err != nil {
			return nil, err
		}
		from = append(from, o.Traefik)
		t := &traefik{Sources: o.Sources, doc: r.doc, secrets: &r.Secrets, folder: o.Folder, file: o.Traefik}
		if err := t.read(data); err != nil {
			return nil, err
		}
	}
	r.title = []string{
		"Written by portico import from " + strings.Join(from, " and ") + ".",
		"Behind each line stands where it comes from. Read the remarks, then:",
		"",
		"  portico check, portico doctor, and portico.toml(5) for each key",
		"",
	}
	r.Text, _ = r.doc.text(r.title)
	r.Notes = r.doc.notes
	return r, nil
}

// A Fault is what a checker has against a line of the text.
type Fault struct {
	Line         int
	Key, Problem string
}

// maxSettle bounds how often the checker is asked.
const maxSettle = 100

// Settle asks check for faults of the text, and turns lines that have one into
// comments until there is none: what the sources have and portico does not
// take must not keep the rest from being used. It says whether that came to an
// end.
func (r *Result) Settle(check func(text string) []Fault) bool {
	for range maxSettle {
		text, places := r.doc.text(r.title)
		faults := check(text)
		if len(faults) == 0 {
			r.Text, r.Notes = text, r.doc.notes
			return true
		}
		if !r.withdraw(faults, places) {
			break
		}
	}
	r.Text, _ = r.doc.text(r.title)
	r.Notes = r.doc.notes
	return false
}

// protective are keys without which the rest of a table would let more pass
// than the source did.
var protective = []string{"middlewares", "client_ca_file", "client_auth", "redirect_to"}

// withdraw turns the lines with faults into comments, and where one is with a
// whole table, the table and what belongs to it.
func (r *Result) withdraw(faults []Fault, places map[int]place) bool {
	done := false
	for _, f := range faults {
		p, known := places[f.Line]
		if !known {
			continue
		}
		done = true
		if p.key >= 0 {
			k := &p.table.keys[p.key]
			if slices.Contains(protective, k.name) {
				r.remove(p.table, f)
				break
			}
			if r.withdrawItem(p.table, k, f) {
				break // the lines have moved
			}
			if k.off == "" {
				k.off = f.Problem
				r.doc.notes = append(r.doc.notes, Note{k.at, Todo, oneLine(fmt.Sprintf("%s = %s is left out: %s", k.name, k.value, f.Problem))})
			}
			continue
		}
		r.remove(p.table, f)
		break // the lines have moved
	}
	return done
}

// withdrawItem leaves the one of a key's items out that has a fault, unless it is
// the only one: then the key has it.
func (r *Result) withdrawItem(t *table, k *key, f Fault) bool {
	_, behind, _ := strings.Cut(f.Key, "."+k.name+"[")
	number, _, _ := strings.Cut(behind, "]")
	i, err := strconv.Atoi(number)
	if err != nil || i < 0 || i >= len(k.items) || len(k.items) == 1 {
		return false
	}
	r.doc.note(t, Todo, k.items[i].at, "of %s, %s is left out: %s", k.name, k.items[i].value, f.Problem)
	k.items = slices.Delete(k.items, i, i+1)
	k.value = toTOML(k.items)
	return true
}

// remove turns a table and those below it into comments.
func (r *Result) remove(t *table, f Fault) {
	if t.header == "[l7.entrypoint.tls]" { // it would speak in clear
		for i := slices.Index(r.doc.tables, t); i >= 0 && t.header != "[[l7.entrypoint]]"; i-- {
			t = r.doc.tables[i]
		}
	}
	name := strings.Trim(t.header, "[]") + "."
	t.off = f.Key + ": " + f.Problem
	r.doc.notes = append(r.doc.notes, Note{t.at, Todo, oneLine(fmt.Sprintf("%s is left out: %s", t.header, t.off))})
	below := false
	for _, o := range r.doc.tables {
		if o == t {
			below = true
			continue
		}
		if below = below && strings.HasPrefix(strings.Trim(o.header, "[]"), name); below {
			o.off = "as what it belongs to"
		}
	}
}
