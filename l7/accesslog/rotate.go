package accesslog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"
)

// settle is how long an old file is left alone: whoever else has it open
// notices at the next write that it has moved.
const settle = 3 * time.Second

// keep compresses old files and removes the oldest ones, after each rotation
// and for what an earlier process has left.
func (l *Log) keep(ctx context.Context) {
	for {
		wait := time.NewTimer(settle)
		select {
		case <-ctx.Done():
			wait.Stop()
			return
		case <-wait.C:
		}
		if err := tidy(ctx, l.config.File, l.config.Rotate); err != nil && ctx.Err() == nil {
			l.log.Warn("old access logs not tidied", "file", l.config.File, "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-l.filled:
		}
	}
}

// tidy makes the old files of path what r wants.
func tidy(ctx context.Context, path string, r Rotate) error {
	old, err := oldFiles(path)
	if err != nil {
		return err
	}
	var errs []error
	for len(old) > r.Keep {
		errs = append(errs, os.Remove(old[0]))
		old = old[1:]
	}
	for _, name := range old {
		if r.Suffix != "" && filepath.Ext(name) != ".gz" && filepath.Ext(name) != ".zst" {
			errs = append(errs, compress(ctx, name, r.Suffix))
		}
	}
	return errors.Join(errs...)
}

// oldFiles lists the old files of path, the oldest one first. What merely looks
// alike is not ours.
func oldFiles(path string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	var old []string
	for _, e := range entries {
		stamp, ok := strings.CutPrefix(e.Name(), filepath.Base(path)+".")
		stamp = strings.TrimSuffix(strings.TrimSuffix(stamp, ".gz"), ".zst")
		if _, err := time.Parse(stampFormat, stamp); ok && err == nil && e.Type().IsRegular() {
			old = append(old, filepath.Join(filepath.Dir(path), e.Name()))
		}
	}
	slices.Sort(old)
	return old, nil
}

// compress replaces the file by a compressed one. Another process that is at it
// already is left to it.
func compress(ctx context.Context, name, suffix string) (err error) {
	in, err := os.Open(name)
	if err != nil {
		return err
	}
	defer in.Close()
	if err := unix.Flock(int(in.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil
	}
	partial := filepath.Join(filepath.Dir(name), "."+filepath.Base(name)+suffix+".partial")
	out, err := os.OpenFile(partial, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, fileMode)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(partial)
		}
	}()
	if err := errors.Join(squeeze(ctx, out, in, suffix), out.Chmod(fileMode), out.Sync(), out.Close()); err != nil {
		return fmt.Errorf("compress %s: %w", name, err)
	}
	if err := os.Rename(partial, name+suffix); err != nil {
		return err
	}
	return os.Remove(name)
}

// squeeze compresses in to out, at the least cost, and with a quarter of a
// processor at most: what is served now comes first.
func squeeze(ctx context.Context, out io.Writer, in io.Reader, suffix string) error {
	var z io.WriteCloser
	var err error
	if suffix == ".zst" {
		z, err = zstd.NewWriter(out, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest))
	} else {
		z, err = gzip.NewWriterLevel(out, gzip.BestSpeed)
	}
	if err != nil {
		return err
	}
	buf := make([]byte, 128<<10)
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		begun := time.Now()
		n, err := in.Read(buf)
		if _, werr := z.Write(buf[:n]); werr != nil {
			return werr
		}
		switch {
		case errors.Is(err, io.EOF):
			return z.Close()
		case err != nil:
			return err
		}
		pause.Reset(3 * time.Since(begun))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-pause.C:
		}
	}
}
