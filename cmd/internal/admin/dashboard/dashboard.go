// Package dashboard is the page that the admin listener shows people: files
// that web/ is built into, which ask the API beside them and nobody else.
package dashboard

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // of what `make dashboard` builds
	"fmt"
	"net/http"
	"time"
)

var (
	//go:embed files/index.html
	page []byte
	//go:embed files/app.js
	script []byte
	//go:embed files/app.css
	style []byte
	//go:embed files/icon.svg
	icon []byte
	//go:embed files/licenses.md
	licenses []byte
)

// Handler answers / with the page, and the paths of its files. A browser keeps
// them and asks whether they are the same still: after an upgrade of the node
// they are not.
func Handler() http.Handler {
	mux := http.NewServeMux()
	// What the host knows of types, or not, must not matter.
	mux.Handle("GET /{$}", file("text/html; charset=utf-8", page))
	mux.Handle("GET /app.js", file("text/javascript; charset=utf-8", script))
	mux.Handle("GET /app.css", file("text/css; charset=utf-8", style))
	mux.Handle("GET /icon.svg", file("image/svg+xml", icon))
	mux.Handle("GET /licenses.md", file("text/plain; charset=utf-8", licenses))
	return mux
}

func file(kind string, data []byte) http.Handler {
	tag := fmt.Sprintf(`"%x"`, sha256.Sum256(data))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Type", kind)
		h.Set("Cache-Control", "no-cache")
		h.Set("ETag", tag)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	})
}
