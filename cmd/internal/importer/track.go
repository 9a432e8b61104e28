package importer

import (
	"path"
	"regexp"
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
	weight, given, ok := k.weight(t, kind, l, def)
	if !ok {
		return ""
	}
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
		keepalivedPace(def, add)
	case "track_process":
		process, _ := def.first("process")
		if process.word(1) == "" {
			k.doc.note(t, Wrong, def.at, "vrrp_track_process %s names no process", name)
			return ""
		}
		k.doc.note(t, Changed, def.at, "process %s is looked for every second by pgrep, of the package procps", process.word(1))
		k.lostTrack(t, def, "process")
		add("command", []string{"/usr/bin/pgrep", "-x", pattern(process.word(1))})
		keepalivedPace(def, add)
	case "track_file":
		file, _ := def.first("file")
		if file.word(1) == "" || !path.IsAbs(file.word(1)) {
			k.doc.note(t, Wrong, def.at, "file of %s is no absolute path", name)
			return ""
		}
		k.lostTrack(t, def, "file")
		add("file", file.word(1))
	}
	if given {
		add("weight", weight)
	}
	return "{ " + strings.Join(parts, ", ") + " }"
}

// maxName is how much of a process's name the kernel keeps (TASK_COMM_LEN in
// include/linux/sched.h, without the last byte).
const maxName = 15

// pattern is what pgrep finds a program by.
func pattern(program string) string {
	name := path.Base(program)
	return regexp.QuoteMeta(name[:min(len(name), maxName)])
}

// lostTrack tells of what else stands in the definition of a process or a file,
// where kind is the directive that names it.
func (k *keepalived) lostTrack(t *table, def node, kind string) {
	for _, d := range def.body {
		switch d.name() {
		case "weight":
		case kind:
			if len(d.words) > 2 {
				k.doc.note(t, Lost, d.at, "%s: a process is known by its name, its arguments are not looked at", strings.Join(d.words[2:], " "))
			}
		case "init_file":
			k.doc.note(t, Lost, d.at, "init_file: a file that is missing holds 0; tmpfiles.d writes files at a boot")
		default:
			k.doc.note(t, Lost, d.at, "%s of %s: one process of the name is enough, at once", d.name(), def.word(1))
		}
	}
}

// weight is that of the line or of the definition. One that is not given makes
// a failure a fault, and so does 0, which has no effect on the priority; but of
// files and processes it is 1 (keepalived.conf(5)). ok says that the rule has a
// counterpart.
func (k *keepalived) weight(t *table, kind string, l, def node) (weight int, given, ok bool) {
	text, at, reverse := "", l.at, false
	take := func(words []string, from Origin) {
		i := slices.Index(words, "weight")
		if i >= 0 && i+1 < len(words) {
			text, at, reverse = words[i+1], from, false
		}
		if slices.Contains(words, "reverse") {
			reverse = true
		}
		if slices.Contains(words, "noreverse") || slices.Contains(words, "no_reverse") {
			reverse = false
		}
	}
	if d, has := def.first("weight"); has {
		take(d.words, d.at)
	}
	take(l.words[min(1, len(l.words)):], l.at)
	for _, d := range l.body {
		take(d.words, d.at)
	}
	if text == "" && (kind == "track_file" || kind == "track_process") {
		text = "1"
	}
	n := 0
	if text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil || n < -253 || n > 253 {
			k.doc.note(t, Wrong, at, "weight %s is not within -253 to 253", text)
			return 0, false, true
		}
	}
	switch {
	case reverse && kind == "track_file" && n != 0:
		n = -n // its number is subtracted
	case reverse:
		k.doc.note(t, Lost, at, "%s %s with reverse: a rule takes away while it fails or adds while it holds, not the other way round: it is left out", kind, l.word(0))
		return 0, false, false
	}
	return n, n != 0, true
}

// keepalivedPace adds what keepalived takes where a script says nothing, and
// portico is slower: every second, and one result is enough.
func keepalivedPace(def node, add func(string, any)) {
	for _, d := range []struct {
		name  string
		value any
	}{{"interval", "1s"}, {"fall", 1}, {"rise", 1}} {
		if !def.has(d.name) {
			add(d.name, d.value)
		}
	}
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
		k.doc.note(t, Lost, d.at, "init_fail: a rule is taken to hold until its first result, which a node that does not hold the addresses waits for")
	default:
		k.doc.note(t, Wrong, d.at, "%s is no directive of a vrrp_script", name)
	}
}
