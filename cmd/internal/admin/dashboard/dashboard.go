// Package dashboard is the page that the admin listener shows people: files
// that web/ is built into, which ask the API beside them and nobody else.
package dashboard

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"time"
)

// files is what `make dashboard` builds.
//
//go:embed files
var files embed.FS

// kinds are the types of the files by their extensions: what the host knows of
// types, or not, must not matter.
var kinds = map[string]string{
	".html": "text/html; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".svg":  "image/svg+xml",
}

// A file is one answer.
type file struct {
	data      []byte
	kind, tag string
}

// Handler answers / with the page, and the paths of its files. A browser keeps
// them and asks whether they are the same still: after an upgrade of the node
// they are not.
func Handler() (http.Handler, error) {
	answers, err := load()
	if err != nil {
		return nil, fmt.Errorf("dashboard: %w", err)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := r.URL.Path
		if name == "/" {
			name = "/index.html"
		}
		f, ok := answers[name]
		switch {
		case !ok:
			http.NotFound(w, r)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "the page is only read", http.StatusMethodNotAllowed)
		default:
			h := w.Header()
			h.Set("Content-Type", f.kind)
			h.Set("Cache-Control", "no-cache")
			h.Set("ETag", f.tag)
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.data))
		}
	}), nil
}

// load reads all files, by their paths in a URL.
func load() (map[string]file, error) {
	answers := map[string]file{}
	err := fs.WalkDir(files, "files", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		kind, known := kinds[path.Ext(name)]
		if !known {
			return fmt.Errorf("%s: no type is known for it", name)
		}
		data, err := files.ReadFile(name)
		if err != nil {
			return err
		}
		answers[name[len("files"):]] = file{data, kind, fmt.Sprintf(`"%x"`, sha256.Sum256(data))}
		return nil
	})
	return answers, err
}
