package importer

import "slices"

// notifiers makes a [[notify]] of each notify script of an instance or a sync
// group, and of smtp_alert.
func (k *keepalived) notifiers(n node, names []string) {
	if len(names) == 0 {
		return // a group without members
	}
	states := map[string][]string{
		"notify": nil, "notify_master": {"Active"}, "notify_backup": {"Backup"}, "notify_fault": {"Fault"}, "notify_stop": {"Initialize"},
	}
	for _, d := range n.body {
		s, isScript := states[d.name()]
		switch {
		case isScript && len(d.words) > 1:
			k.notifyScript(d, names, s)
		case d.name() == "smtp_alert" && !slices.Contains([]string{"false", "off", "no"}, d.word(1)):
			k.notifyMail(d)
		}
	}
}

func (k *keepalived) notifyScript(d node, names, states []string) {
	words, user := d.words[1:], ""
	if len(words) > 1 { // the script is one word; behind it its user, and group
		words, user = words[:1], words[1]
	}
	t := k.doc.table("[[notify]]", d.at)
	t.set(d.at, "kind", "exec")
	t.set(d.at, "name", k.free(d.name()+" of "+names[0]))
	t.set(d.at, "groups", k.groupNames(names))
	if len(states) > 0 {
		t.set(d.at, "states", states)
	}
	t.set(d.at, "command", k.command(t, d.at, words))
	if user != "" {
		t.set(d.at, "user", user)
	}
	if d.name() == "notify" {
		t.set(d.at, "keepalived_args", true)
	}
	if user == "" {
		k.doc.note(t, Changed, d.at, "it runs as user portico unless user says otherwise")
	}
}

// notifyMail makes one [[notify]] of all smtp_alert: they go to the same
// people.
func (k *keepalived) notifyMail(d node) {
	if len(k.mail.to) == 0 || k.mail.server == "" {
		k.doc.note(nil, Wrong, d.at, "smtp_alert without notification_email or smtp_server in global_defs sends nothing")
		return
	}
	name := "mail"
	for _, t := range k.doc.tables {
		for i := range t.keys {
			if t.header == "[[notify]]" && t.keys[i].name == "name" && t.keys[i].value == quote(name) {
				return // there is one, for all groups
			}
		}
	}
	t := k.doc.table("[[notify]]", d.at)
	t.set(d.at, "kind", "smtp")
	t.set(d.at, "name", name)
	t.set(k.mail.at, "server", k.mail.server)
	from := k.mail.from
	if from == "" {
		from = "portico@localhost"
	}
	t.set(k.mail.at, "from", from)
	t.set(k.mail.at, "to", k.mail.to)
	t.set(k.mail.at, "tls", "none")
	k.doc.note(t, Changed, d.at, "alerts of servers are in the journal and the metrics; mail tells of owners, of all groups")
}

// groupNames are the names that instances got here.
func (k *keepalived) groupNames(names []string) []string {
	var out []string
	for _, n := range names {
		out = append(out, k.renamed(n))
	}
	return out
}
