package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// clearScreen puts the cursor home and clears what is below it.
const clearScreen = "\x1b[H\x1b[2J"

// watch shows something again and again until ctx ends, which is how it ends
// well. A daemon that is being restarted is shown as such, not an end. Each
// picture is written whole, so that a screen does not flicker.
func watch(ctx context.Context, w io.Writer, every time.Duration, clear bool, show func(io.Writer) error) error {
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		var picture bytes.Buffer
		if clear {
			fmt.Fprintf(&picture, "%severy %v, %s\n\n", clearScreen, every, time.Now().Format(time.TimeOnly))
		}
		if err := show(&picture); err != nil && !errors.Is(err, errSilent) && ctx.Err() == nil {
			if !clear {
				return err
			}
			fmt.Fprintf(&picture, "portico: %v\n", err)
		}
		if _, err := w.Write(picture.Bytes()); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}
