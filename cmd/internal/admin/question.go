package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
)

// maxQuestion bounds the body of a question, in bytes: it may be all manifests
// of a cluster.
const maxQuestion = 256 << 20

// HandleQuestion answers POST path: answer gets the body, a Q as JSON, and
// changes nothing.
func HandleQuestion[Q, A any](s *Server, path string, answer func(Q) (A, error)) {
	s.mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
		dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxQuestion))
		dec.DisallowUnknownFields()
		var q Q
		if err := dec.Decode(&q); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		a, err := answer(q)
		if err != nil {
			http.Error(w, err.Error(), http.StatusUnprocessableEntity)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(a); err != nil {
			s.log.Warn("answer admin request", "path", path, "err", err)
		}
	})
}

// Ask asks the server on socket q, and decodes the answer into v.
func Ask(ctx context.Context, socket, path string, q, v any) error {
	body, err := json.Marshal(q)
	if err != nil {
		return err
	}
	answer, err := ask(ctx, http.MethodPost, socket, path, body)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(answer, v); err != nil {
		return fmt.Errorf("%s of %s: %w", path, socket, err)
	}
	return nil
}
