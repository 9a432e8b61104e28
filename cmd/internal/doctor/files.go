package doctor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/user"
	"path"
	"strconv"
	"syscall"
)

// A fileFact is a file that the configuration names, or itself.
type fileFact struct {
	key, path string
	err       error
	mode      fs.FileMode
	uid, gid  int
	// public says that it holds certificates alone, or commands.
	public bool
	// unsearchable is a folder above it that portico-l7 may not enter.
	unsearchable string
}

// An account is a user that portico runs as.
type account struct{ uid, gid int }

// checkFiles: portico can read what the configuration names, and others
// cannot.
func checkFiles(_ context.Context, n *Node) []Finding {
	proxy, known := lookup("portico-l7", "portico")
	var facts []fileFact
	for _, f := range append([]NamedFile{{"", n.ConfigPath}}, n.Named...) {
		facts = append(facts, readFileFact(n.Files, f, proxy))
	}
	return judgeFiles(facts, proxy, known)
}

// lookup finds the user that the package makes; without the package portico
// runs as who starts it.
func lookup(name, group string) (account, bool) {
	u, err := user.Lookup(name)
	if err != nil {
		return account{}, false
	}
	g, err := user.LookupGroup(group)
	if err != nil {
		return account{}, false
	}
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(g.Gid)
	return account{uid, gid}, err1 == nil && err2 == nil
}

func readFileFact(files fs.FS, f NamedFile, who account) fileFact {
	out := fileFact{key: f.Key, path: f.Path}
	for dir := path.Dir(f.Path); dir != "/" && dir != "."; dir = path.Dir(dir) {
		info, err := fs.Stat(files, inFS(dir))
		if err == nil && !may(info, who, 1) {
			out.unsearchable = dir
		}
	}
	info, err := fs.Stat(files, inFS(f.Path))
	if err != nil {
		out.err = err
		return out
	}
	out.mode = info.Mode().Perm()
	if s, isUnix := info.Sys().(*syscall.Stat_t); isUnix {
		out.uid, out.gid = int(s.Uid), int(s.Gid)
	}
	if data, err := fs.ReadFile(files, inFS(f.Path)); err == nil {
		out.public = bytes.Contains(data, []byte("-----BEGIN CERTIFICATE")) && !bytes.Contains(data, []byte("PRIVATE KEY"))
	}
	return out
}

// may says whether somebody has a right of 4 (read), 2 or 1 (enter).
func may(info fs.FileInfo, who account, right fs.FileMode) bool {
	s, isUnix := info.Sys().(*syscall.Stat_t)
	if !isUnix {
		return true
	}
	return mode(info.Mode().Perm(), int(s.Uid), int(s.Gid), who)&right != 0
}

// mode is what a file's mode lets somebody do.
func mode(m fs.FileMode, uid, gid int, who account) fs.FileMode {
	switch {
	case uid == who.uid:
		return m >> 6 & 7
	case gid == who.gid:
		return m >> 3 & 7
	}
	return m & 7
}

func judgeFiles(facts []fileFact, proxy account, known bool) []Finding {
	var out []Finding
	unseen := 0
	for _, f := range facts {
		name := f.path
		if f.key != "" {
			name += " (" + f.key + ")"
		}
		switch {
		case errors.Is(f.err, fs.ErrPermission):
			unseen++
		case errors.Is(f.err, fs.ErrNotExist):
			out = append(out, fail(name+" does not exist", "what names it does not work", "ls -l "+path.Dir(f.path)))
		case f.err != nil:
			out = append(out, fail(f.err.Error(), "what names it does not work", "ls -l "+f.path))
		case f.mode&0o004 != 0 && !f.public && f.key != "":
			out = append(out, fail(fmt.Sprintf("%s has mode %#o: everybody may read the secret", name, f.mode), "it is refused", "chgrp portico "+f.path, "chmod 640 "+f.path))
		case f.mode&0o022 != 0:
			out = append(out, fail(fmt.Sprintf("%s has mode %#o: others than its owner may change it", name, f.mode), "who may write it commands the director", "chmod go-w "+f.path))
		case !known || !forProxy(f.key):
		case f.unsearchable != "":
			out = append(out, fail(fmt.Sprintf("user portico-l7 may not enter %s, where %s is", f.unsearchable, name), "the proxy does not start, or cannot read it after a change", "chgrp portico "+f.unsearchable, "chmod g+rx "+f.unsearchable))
		case mode(f.mode, f.uid, f.gid, proxy)&4 == 0:
			out = append(out, fail(fmt.Sprintf("user portico-l7 may not read %s: mode %#o", name, f.mode), "the proxy does not start, or cannot read it after a change", "chgrp portico "+f.path, "chmod 640 "+f.path))
		}
	}
	if unseen > 0 {
		out = append(out, skipped(fmt.Sprintf("%d of %d files are not to be seen by this user: run this as root", unseen, len(facts))))
	}
	return orOK(out, fmt.Sprintf("%d files have the right modes", len(facts)))
}

// forProxy says whether the proxy reads what a key names; the director reads
// the rest. The file itself is for both.
func forProxy(key string) bool {
	return key == "" || len(key) > 3 && key[:3] == "l7."
}
