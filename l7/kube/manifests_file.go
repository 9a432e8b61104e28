package kube

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
)

// A file is what a Folder knows of one of its files.
type file struct {
	// stamp is that of the content below; seen the one of the last look.
	stamp, seen stamp
	manifests   []manifest
	faults      []fault
}

// A stamp changes with a file's content. The inode's change time moves even
// where a tool sets the modification time back. The zero stamp is that of a
// file that is not there.
type stamp struct {
	inode uint64
	size  int64
	ctime syscall.Timespec
}

// unknown is the stamp of a file that refuses to be looked at. It differs from
// any other, so that the file is read, and what refuses is reported then.
var unknown = stamp{size: -1}

func newStamp(path string) stamp {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist): // gone since, or a link to nothing
		return stamp{}
	case err != nil:
		return unknown
	case !info.Mode().IsRegular(): // a folder, or a pipe that would never end
		return stamp{}
	}
	s := info.Sys().(*syscall.Stat_t)
	return stamp{inode: s.Ino, size: s.Size, ctime: s.Ctim}
}

// isManifest reports whether a file of that name is read.
func isManifest(name string) bool {
	switch filepath.Ext(name) {
	case ".yaml", ".yml", ".json":
		return !strings.HasPrefix(name, ".")
	}
	return false
}

// read replaces what is known of the file. s is its stamp from before the
// reading: if it changes meanwhile, the next look reads it again, and half of it
// takes nothing away.
func (f *file) read(dir, name string, s stamp) {
	f.stamp, f.seen = s, s
	path := filepath.Join(dir, name)
	p, size, err := readManifests(name, path)
	switch {
	case err != nil:
		f.faults = []fault{{place: place{file: name}, lost: true, text: fmt.Sprintf("%v: its objects stay as they were", err)}}
	case size == 0 && len(f.manifests) > 0:
		f.faults = []fault{{place: place{file: name}, lost: true, text: "is empty, its objects stay as they were: delete the file to remove them"}}
	case len(f.manifests) > 0 && newStamp(path) != s: // what was read may be half of it
	default:
		f.manifests, f.faults = keepGood(f.manifests, p), p.faults
	}
}

func readManifests(name, path string) (p parsed, size int, err error) {
	f, err := os.Open(path)
	if err != nil {
		return p, 0, err
	}
	defer f.Close()
	return parseFrom(name, f)
}

// keepGood returns the manifests of p with those of old that p lost. Objects
// that are equal stay the very same, so that nobody takes them for changed.
func keepGood(old []manifest, p parsed) []manifest {
	out := p.manifests
	if len(old) == 0 {
		return out
	}
	before := make(map[key]manifest, len(old))
	for _, m := range old {
		before[m.key()] = m
	}
	for i, m := range out {
		if b, ok := before[m.key()]; ok && reflect.DeepEqual(b.object, m.object) {
			out[i].object = b.object
		}
		delete(before, m.key())
	}
	lost := make(map[key]bool)
	for _, f := range p.faults {
		if f.lost {
			lost[f.key] = true
		}
	}
	for _, m := range old {
		_, missing := before[m.key()]
		// A document that says no more what it is may be any of the missing.
		if missing && (lost[m.key()] || lost[key{}]) {
			m.kept = true
			out = append(out, m)
		}
	}
	return out
}
