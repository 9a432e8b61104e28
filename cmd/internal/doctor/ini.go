package doctor

import (
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
)

// An ini is a file of sections as systemd and NetworkManager write them: the
// last value of each "section/key", in small letters.
type ini map[string]string

// readINI adds what a file holds; one that is not there adds nothing.
func (v ini) read(files fs.FS, name string) {
	section := ""
	eachLine(files, name, func(line string) {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#' || line[0] == ';':
		case line[0] == '[':
			section = strings.ToLower(strings.Trim(line, "[]"))
		default:
			key, value, _ := strings.Cut(line, "=")
			v[section+"/"+strings.ToLower(strings.TrimSpace(key))] = strings.TrimSpace(value)
		}
	})
}

// readDropIns reads name and the files of name.d, from all of dirs; of two of
// the same name the one in the later directory counts.
func (v ini) readDropIns(files fs.FS, dirs []string, name string) {
	main, drops := "", map[string]string{}
	for _, dir := range dirs {
		if _, err := fs.Stat(files, path.Join(dir, name)); err == nil {
			main = path.Join(dir, name)
		}
		matches, _ := fs.Glob(files, path.Join(dir, name+".d", "*.conf")) // names of files hold no pattern
		for _, m := range matches {
			drops[path.Base(m)] = m
		}
	}
	if main != "" {
		v.read(files, main)
	}
	for _, base := range slices.Sorted(maps.Keys(drops)) {
		v.read(files, drops[base])
	}
}
