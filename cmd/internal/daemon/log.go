package daemon

import (
	"io"
	"log/slog"

	"github.com/portico-lb/portico/cmd/internal/config"
)

func newLogger(w io.Writer, c config.Log, level slog.Leveler) *slog.Logger {
	o := &slog.HandlerOptions{Level: level}
	if c.Text {
		return slog.New(slog.NewTextHandler(w, o))
	}
	return slog.New(slog.NewJSONHandler(w, o))
}
