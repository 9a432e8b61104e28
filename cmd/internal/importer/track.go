package importer

import (
	"path"
	"slices"
	"strconv"
	"strings"
)

// rule writes one of the track list: what a line of track_interface and its
// like names. It is "" where there is no counterpart.
func (k *keepalived) rule(t *table, kind string, l node) string {
	name := l.word(0)
	def := k.scripts[name]
	if kind != "track_interface" && def.words == nil {
		k.doc.note(t, Wrong, l.at, "%s %s is defined nowhere", kind, name)
		return ""
	}
	weight, given := k.weight(t, l, def)
	var parts []string
	add := func(key string, value any) { parts = append(parts, key+" = "+toTOML(value)) }
	switch kind {
	case "track_interface":
		add("interface", name)
	case "track_script":
		command := k.script(t, def)
		if command == nil {
			return ""
		}
		add("command", command)
		for _, d := range def.body {
			k.scriptOption(t, d, add)
		}
	case "track_process":
		process, _ := def.first("process")
		if process.word(1) == "" {
			k.doc.note(t, Wrong, def.at, "vrrp_track_process %s names no process", name)
			return ""
		}
		k.doc.note(t, Changed, def.at, "process %s is looked for every second by pgrep, of the package procps", process.word(1))
		add("command", []string{"/usr/bin/pgrep", "-x", path.Base(process.word(1))})
	case "track_file":
		file, _ := def.first("file")
		if file.word(1) == "" || !path.IsAbs(file.word(1)) {
			k.doc.note(t, Wrong, def.at, "file of %s is no absolute path", name)
			return ""
		}
		add("file", file.word(1))
	}
	if given {
		add("weight", weight)
	}
	return "{ " + strings.Join(parts, ", ") + " }"
}

// weight is that of the line or of the definition; none makes a failure a
// fault. 0, which has no effect on the priority, is the same as none.
func (k *keepalived) weight(t *table, l, def node) (int, bool) {
	text, at := "", l.at
	if d, has := def.first("weight"); has {
		text, at = d.word(1), d.at
	}
	if i := slices.Index(l.words, "weight"); i > 0 && i+1 < len(l.words) {
		text = l.words[i+1]
	}
	for _, d := range l.body {
		if d.name() == "weight" {
			text = d.word(1)
		}
	}
	if text == "" {
		return 0, false
	}
	n, err := strconv.Atoi(text)
	if err == nil && n == 0 {
		return 0, false
	}
	if err != nil || n < -253 || n > 253 {
		k.doc.note(t, Wrong, at, "weight %s is not within -253 to 253", text)
		return 0, false
	}
	return n, true
}

func (k *keepalived) script(t *table, def node) []string {
	script, _ := def.first("script")
	if len(script.words) < 2 {
		k.doc.note(t, Wrong, def.at, "vrrp_script %s has no script", def.word(1))
		return nil
	}
	return k.command(t, script.at, script.words[1:])
}

func (k *keepalived) scriptOption(t *table, d node, add func(string, any)) {
	switch name := d.name(); name {
	case "interval", "timeout":
		if s, err := strconv.ParseFloat(d.word(1), 64); err == nil && s > 0 && s < 1e5 {
			add(name, duration(s))
		}
	case "fall", "rise":
		if n, ok := number(d.word(1), 1, 1000); ok {
			add(name, n)
		}
	case "user":
		add("user", d.word(1))
	case "script", "weight":
	case "init_fail":
		k.doc.note(t, Lost, d.at, "init_fail: a command counts as failed until it has been run")
	default:
		k.doc.note(t, Wrong, d.at, "%s is no directive of a vrrp_script", name)
	}
}
