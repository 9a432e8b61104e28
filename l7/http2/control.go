package http2

import "encoding/binary"

func (c *Conn) onSettings(f frame, p []byte) error {
	switch {
	case f.stream != 0:
		return connError(ProtocolError, "SETTINGS on a stream")
	case f.has(flagAck) && len(p) > 0 || len(p)%6 != 0:
		return connError(FrameSizeError, "SETTINGS")
	case f.has(flagAck):
		return c.strange()
	}
	before := c.peer.window
	for ; len(p) > 0; p = p[6:] {
		if err := c.setting(setting{binary.BigEndian.Uint16(p), binary.BigEndian.Uint32(p[2:])}); err != nil {
			return err
		}
	}
	if err := c.widen(c.peer.window - before); err != nil {
		return err
	}
	c.peer.known = true
	c.out.push(appendFrame(c.out.take(), frame{kind: kindSettings, flags: flagAck}))
	return c.strange()
}

func (c *Conn) setting(s setting) error {
	switch s.id {
	case settingHeaderTableSize:
		c.enc.limit(s.value)
	case settingEnablePush:
		if s.value > 1 {
			return connError(ProtocolError, "SETTINGS_ENABLE_PUSH")
		}
	case settingMaxFrameSize:
		if s.value < minFrame || s.value > maxFrame {
			return connError(ProtocolError, "SETTINGS_MAX_FRAME_SIZE")
		}
		c.peer.maxFrame = int(s.value)
	case settingInitialWindowSize:
		if s.value > maxWindow {
			return connError(FlowControlError, "SETTINGS_INITIAL_WINDOW_SIZE")
		}
		c.peer.window = int64(s.value)
	}
	return nil
}

// widen changes the windows of all streams by n, once a frame (section 6.9.2).
func (c *Conn) widen(n int64) error {
	if n == 0 {
		return nil
	}
	for _, s := range c.streams {
		if s.sendable += n; s.sendable > maxWindow {
			return connError(FlowControlError, "SETTINGS_INITIAL_WINDOW_SIZE")
		}
		s.wake.Broadcast()
	}
	return nil
}

func (c *Conn) onPing(f frame, p []byte) error {
	switch {
	case f.stream != 0:
		return connError(ProtocolError, "PING on a stream")
	case len(p) != 8:
		return connError(FrameSizeError, "PING")
	case f.has(flagAck):
		c.pinged = 0
		if [8]byte(p) == farewell && c.leaving == warned {
			c.goAway()
		}
		return c.strange()
	}
	c.out.push(appendPing(c.out.take(), flagAck, [8]byte(p)))
	return c.strange()
}

// onPriority checks what nobody heeds any more (section 5.3.2).
func (c *Conn) onPriority(f frame, p []byte) error {
	if f.stream == 0 {
		return connError(ProtocolError, "PRIORITY without a stream")
	}
	if len(p) != 5 {
		if s := c.streams[f.stream]; s != nil {
			return c.fault(s, FrameSizeError)
		}
		return connError(FrameSizeError, "PRIORITY")
	}
	if dependsOn(p) == f.stream {
		return connError(ProtocolError, "stream depends on itself")
	}
	return c.strange()
}

// dependsOn returns the stream dependency at the start of b (RFC 7540, section
// 5.3.1).
func dependsOn(b []byte) uint32 { return binary.BigEndian.Uint32(b) &^ (1 << 31) }

func (c *Conn) onGoAway(f frame, p []byte) error {
	switch {
	case f.stream != 0:
		return connError(ProtocolError, "GOAWAY on a stream")
	case len(p) < 8:
		return connError(FrameSizeError, "GOAWAY")
	}
	return c.strange() // the client closes when it has its answers
}
