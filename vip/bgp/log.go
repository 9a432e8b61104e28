package bgp

import (
	"context"
	"log/slog"
)

// demote is gobgp's way into our log: what it calls info is chatter to an
// operator, who is told of sessions by the Speaker.
type demote struct{ slog.Handler }

func level(l slog.Level) slog.Level {
	if l == slog.LevelInfo {
		return slog.LevelDebug
	}
	return l
}

func (d demote) Enabled(ctx context.Context, l slog.Level) bool {
	return d.Handler.Enabled(ctx, level(l))
}

func (d demote) Handle(ctx context.Context, r slog.Record) error {
	r.Level = level(r.Level)
	return d.Handler.Handle(ctx, r)
}

func (d demote) WithAttrs(as []slog.Attr) slog.Handler { return demote{d.Handler.WithAttrs(as)} }

func (d demote) WithGroup(name string) slog.Handler { return demote{d.Handler.WithGroup(name)} }
