package importer

import (
	"fmt"
	"math"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A keepalived is a configuration of it on its way into a document.
type keepalived struct {
	doc *document
	// secrets are files to be written beside the document.
	secrets *[]Secret
	// folder is where they go, "" where there is none: nothing is written.
	folder string
	stat   func(path string) (mode uint32, err error)

	version   int // vrrp_version, 2 by default
	iface     string
	mail      mail
	scripts   map[string]node   // vrrp_script, vrrp_track_process, vrrp_track_file
	groups    map[string]string // sync group by instance
	instances []*instance
	// claimed are the names that are taken, of groups and services.
	claimed map[string]bool
	// virtual are groups of virtual servers.
	virtual map[string]node
}

// An instance is a vrrp_instance that became a [[vip]].
type instance struct {
	name      string
	addresses []netip.Addr
	routerID  int
	iface     string
	table     *table
	vrrp      *table
	// what members of a sync group must share
	priority, preempt, interval string
}

// A mail says where alerts go.
type mail struct {
	to           []string
	from, server string
	at           Origin
}

// keepalivedTo reads a file and what it includes into doc.
func keepalivedTo(doc *document, file string, src Sources, k *keepalived) {
	r := &reader{Sources: src, doc: doc, definitions: map[string]string{}}
	r.file(file, 0, Origin{File: file})
	k.doc, k.version = doc, 2
	k.scripts, k.groups, k.claimed, k.virtual = map[string]node{}, map[string]string{}, map[string]bool{}, map[string]node{}
	all := parseTree(r.lines, doc)
	for _, n := range all { // what others refer to, wherever it stands
		switch n.name() {
		case "global_defs":
			k.globals(n)
		case "vrrp_script", "vrrp_track_process", "vrrp_track_file", "track_file":
			k.scripts[n.word(1)] = n
		case "vrrp_sync_group":
			k.syncGroup(n)
		case "virtual_server_group":
			k.virtual[n.word(1)] = n
		}
	}
	k.soleMembers(all)
	for _, n := range all {
		if n.name() == "vrrp_instance" {
			k.instance(n)
		}
	}
	k.sameSync()
	for _, n := range all {
		switch n.name() {
		case "virtual_server":
			k.virtualServer(n)
		case "global_defs", "vrrp_script", "vrrp_track_process", "vrrp_track_file", "track_file", "vrrp_sync_group", "virtual_server_group", "vrrp_instance":
		default:
			why, known := lostBlocks[n.name()]
			if !known {
				doc.note(nil, Wrong, n.at, "%s is no directive of keepalived here", n.name())
				continue
			}
			doc.note(nil, Lost, n.at, "%s: %s", n.name(), why)
		}
	}
}

// lostBlocks are directives of the outermost level without a counterpart.
var lostBlocks = map[string]string{
	"static_ipaddress":      "give the node its own addresses in the system's network configuration",
	"static_routes":         "set routes in the system's network configuration",
	"static_rules":          "set rules in the system's network configuration",
	"track_group":           "addresses of the system are the system's",
	"garp_group":            "announcements are paced by portico itself",
	"bfd_instance":          `BFD is spoken beside BGP alone: owner = "bgp" with neighbors that have bfd = true`,
	"linkbeat_use_polling":  "the kernel tells of links",
	"net_namespace":         "start portico in the namespace: NetworkNamespacePath= in a drop-in of the unit",
	"net_namespace_ipvs":    "IPVS is programmed where portico runs",
	"namespace_with_ipsets": "no ipset is used",
	"instance":              "one portico runs on a node",
	"use_pid_dir":           "systemd knows the process",
	"SNMP":                  "metrics are served for Prometheus",
	"ssl":                   "give ca_file in the check of a service",
	"SSL":                   "give ca_file in the check of a service",
	"random_seed":           "no randomness is to be repeated",
	"child_wait_time":       "systemd waits: TimeoutStopSec= in a drop-in of the unit",
	"reload_time_file":      "a reload disturbs nothing and needs no moment of its own",
	"reload_repeat":         "a reload disturbs nothing and needs no moment of its own",
	"reload_date_specific":  "a reload disturbs nothing and needs no moment of its own",
	"reload_file":           "`systemctl reload portico` fails where the file has faults",
	"umask":                 "UMask= in a drop-in of the unit",
	"config_save_dir":       "`portico status` says what runs",
}

// globals reads global_defs.
func (k *keepalived) globals(n node) {
	for _, d := range n.body {
		switch name := d.name(); name {
		case "router_id":
			k.doc.once("[node]", Origin{}).set(d.at, "name", d.word(1))
		case "default_interface":
			k.iface = d.word(1)
			k.doc.once("[node]", Origin{}).set(d.at, "interface", d.word(1))
		case "vrrp_version":
			if d.word(1) == "3" {
				k.version = 3
			}
		case "notification_email":
			for _, m := range d.body {
				k.mail.to = append(k.mail.to, m.words...)
			}
			k.mail.at = d.at
		case "notification_email_from":
			k.mail.from = d.word(1)
		case "smtp_server":
			port := d.word(2)
			if port == "" {
				port = "25"
			}
			k.mail.server = strings.Trim(d.word(1), "[]") + ":" + port
			if strings.Contains(strings.Trim(d.word(1), "[]"), ":") {
				k.mail.server = "[" + strings.Trim(d.word(1), "[]") + "]:" + port
			}
		case "lvs_sync_daemon":
			k.syncDaemon(d)
		case "lvs_timeouts":
			k.timeouts(d)
		case "vrrp_strict":
			k.doc.note(nil, Wrong, d.at, "vrrp_strict has the firewall drop whatever goes to the virtual addresses but VRRP, refuses unicast and authentication, and priorities beside that of the owner: it is left out")
		case "lvs_flush", "lvs_flush_on_stop":
			k.doc.note(nil, Wrong, d.at, "%s removes the services of every other program, too: portico touches its own alone", name)
		case "enable_script_security", "script_user":
			k.doc.note(nil, Changed, d.at, "%s: commands run as user portico unless user = \"...\" says otherwise, and never in a shell", name)
		default:
			why, known := lostGlobals[name]
			if !known {
				why, known = lostFamily(name)
			}
			if !known {
				why = "portico has nothing of the kind, or no such directive exists"
			}
			k.doc.note(nil, Lost, d.at, "%s: %s", name, why)
		}
	}
}

// lostGlobals are directives of global_defs without a counterpart.
var lostGlobals = map[string]string{
	"smtp_connect_timeout":             "timeout in [[notify]] is of the whole attempt",
	"smtp_helo_name":                   "the host's name is said",
	"smtp_alert":                       "each instance says for itself",
	"smtp_alert_vrrp":                  "each instance says for itself",
	"smtp_alert_checker":               "mail tells of owners; servers that fail are in the journal and the metrics",
	"no_email_faults":                  `states = ["Active"] in [[notify]]`,
	"dynamic_interfaces":               "interfaces may come and go in any case",
	"allow_if_changes":                 "interfaces may come and go in any case",
	"disable_local_igmp":               "the kernel is left to answer IGMP",
	"startup_script":                   "ExecStartPre= in a drop-in of the unit",
	"shutdown_script":                  "ExecStopPost= in a drop-in of the unit",
	"nftables":                         "no firewall is written but the guard of [l4]",
	"use_symlink_paths":                "commands are named by their paths",
	"log_unknown_vrids":                "`portico status --json` counts them",
	"checker_log_all_failures":         "the journal has the first failure and the last",
	"rs_init_notifies":                 "servers have no scripts",
	"json_version":                     "`portico status --json` is documented",
	"fifo_write_vrrp_states_on_reload": "no FIFO is written: [[notify]] tells",
	"data_use_instance":                "`portico status` says what runs",
	"tmp_config_directory":             "nothing is copied",
	"config_save_dir":                  "`portico status` says what runs",
	"umask":                            "UMask= in a drop-in of the unit",
	"script_security":                  "commands never run in a shell",
	"max_auto_priority":                "the unit makes the director realtime, as far as the kernel lets it",
	"min_auto_priority_delay":          "the unit makes the director realtime, as far as the kernel lets it",
	"reload_check_config":              "a faulty file never changes anything",
}

// lostPrefixes are beginnings of families of directives.
var lostPrefixes = map[string]string{
	"vrrp_garp":        "announcements are made five times at once, five times after five seconds, and whenever another host claims the address",
	"vrrp_gna":         "announcements are made five times at once, five times after five seconds, and whenever another host claims the address",
	"garp_":            "announcements are made five times at once, five times after five seconds, and whenever another host claims the address",
	"gna_":             "announcements are made five times at once, five times after five seconds, and whenever another host claims the address",
	"vrrp_mcast":       "multicast goes to the groups of RFC 9568",
	"vrrp_iptables":    "no firewall is written: virtual addresses answer",
	"vrrp_ipsets":      "no firewall is written: virtual addresses answer",
	"nftables_":        "no firewall is written but the guard of [l4]",
	"vrrp_notify":      "[[notify]] tells, without a FIFO",
	"lvs_notify":       "[[notify]] tells of owners; servers that fail are in the journal and the metrics",
	"notify_fifo":      "[[notify]] tells, without a FIFO",
	"snmp_":            "metrics are served for Prometheus",
	"enable_snmp":      "metrics are served for Prometheus",
	"enable_traps":     "[[notify]] tells",
	"enable_dbus":      "the admin socket answers",
	"dbus_":            "the admin socket answers",
	"vrrp_rt":          "the unit makes the director realtime, as far as the kernel lets it",
	"checker_rt":       "the unit makes the director realtime, as far as the kernel lets it",
	"bfd_":             "BFD is spoken beside BGP alone",
	"vrrp_rlimit":      "LimitRTTIME= in a drop-in of the unit",
	"checker_rlimit":   "LimitRTTIME= in a drop-in of the unit",
	"vrrp_no_swap":     "portico is small",
	"checker_no_swap":  "portico is small",
	"vrrp_process":     "Nice= in a drop-in of the unit",
	"checker_process":  "Nice= in a drop-in of the unit",
	"vrrp_cpu":         "CPUAffinity= in a drop-in of the unit",
	"checker_cpu":      "CPUAffinity= in a drop-in of the unit",
	"vrrp_netlink":     "what the kernel's news lost is read again",
	"lvs_netlink":      "what the kernel's news lost is read again",
	"vrrp_rx_bufs":     "the socket's buffer holds what comes",
	"vrrp_lower":       "a lower priority is answered at once (RFC 9568)",
	"vrrp_higher":      "the next advert comes in time",
	"vrrp_skip":        "adverts are checked always",
	"vrrp_check":       "unicast comes from peers alone",
	"vrrp_startup":     "a start waits for what is heard",
	"vrrp_delay":       "a start waits for what is heard",
	"vrrp_priority":    "the unit makes the director realtime, as far as the kernel lets it",
	"checker_priority": "the unit makes the director realtime, as far as the kernel lets it",
	"vrrp_down":        "an Active is missed after three adverts, and what a lower priority adds",
	"vrrp_owner":       "the addresses of a node are its own",
	"vrrp_min_garp":    "announcements are made five times at once, and five times after five seconds",
	"vrrp_unicast":     "unicast_ttl in [vip.vrrp]",
	"vmac_":            "the interface's own hardware address is used",
	"default_":         "each instance says for itself",
	"disable_":         "not needed",
}

// lostFamily returns what is said of the longest beginning of a name.
func lostFamily(name string) (why string, known bool) {
	for i := len(name); i > 0; i-- {
		if why, known = lostPrefixes[name[:i]]; known {
			return why, true
		}
	}
	return "", false
}

func (k *keepalived) timeouts(d node) {
	t := k.doc.once("[l4.timeouts]", d.at)
	keys := map[string]string{"tcp": "tcp", "tcpfin": "tcp_fin", "udp": "udp"}
	for i := 1; i+1 < len(d.words); i += 2 {
		if seconds, ok := number(d.words[i+1], 1, math.MaxInt32); ok && keys[d.words[i]] != "" {
			t.set(d.at, keys[d.words[i]], duration(float64(seconds)))
		}
	}
}

// syncDaemon reads lvs_sync_daemon INTERFACE INSTANCE [id N] ...
func (k *keepalived) syncDaemon(d node) {
	t := k.doc.once("[l4.sync]", d.at)
	id := 51
	t.set(d.at, "interface", d.word(1))
	keys := map[string]string{"maxlen": "max_len", "port": "port", "ttl": "ttl", "group": "group"}
	rest := d.words[min(3, len(d.words)):]
	for i := 0; i+1 < len(rest); i += 2 {
		switch n, isNumber := number(rest[i+1], 0, 65535); {
		case (rest[i] == "id" || rest[i] == "syncid") && isNumber && n > 0 && n < 256:
			id = n
		case rest[i] == "group":
			t.set(d.at, "group", rest[i+1])
		case keys[rest[i]] != "" && isNumber:
			t.set(d.at, keys[rest[i]], n)
		}
	}
	t.set(d.at, "id", id)
	k.doc.note(t, Changed, d.at, "scheduler \"mh\" keeps connections over a change of owner without it")
}

// free returns a name that no other has, of what the source has.
func (k *keepalived) free(name string) string {
	name = strings.Map(func(r rune) rune {
		if r <= ' ' || r == '/' || r == 0x7f {
			return '-'
		}
		return r
	}, strings.ToValidUTF8(name, "-"))
	if name == "" {
		name = "edge"
	}
	one := name
	for i := 2; k.claimed[one]; i++ {
		one = fmt.Sprintf("%s-%d", name, i)
	}
	k.claimed[one] = true
	return one
}

// number reads a whole number within bounds.
func number(s string, low, high int) (int, bool) {
	n, err := strconv.Atoi(s)
	if err != nil || n < low || n > high {
		return 0, false
	}
	return n, true
}

// duration writes seconds as Go does, "1m30s" without what is 0.
func duration(seconds float64) string {
	d := time.Duration(math.Round(seconds*1000)) * time.Millisecond
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// command splits one as keepalived does, which runs it without a shell, and
// says what is wrong with its file.
func (k *keepalived) command(t *table, at Origin, words []string) []string {
	if len(words) == 1 {
		words = strings.Fields(words[0])
	}
	if len(words) == 0 {
		return nil
	}
	words = slices.Clone(words)
	if !path.IsAbs(words[0]) {
		k.doc.note(t, Changed, at, "%s is found by /usr/bin/env here: commands are named by their paths", words[0])
		words = append([]string{"/usr/bin/env"}, words...)
	}
	if mode, err := k.stat(words[0]); err == nil && mode&0o022 != 0 {
		k.doc.note(t, Wrong, at, "%s has mode %#o: others than its owner can change what root runs: chmod go-w %s", words[0], mode, words[0])
	}
	return words
}
