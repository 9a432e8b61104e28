package notify

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"net"
	"net/http/httptest"
	"net/mail"
	"strings"
	"sync"
	"testing"
	"time"
)

// A mailServer speaks as much SMTP (RFC 5321) as a submission needs, and
// refuses what is out of order.
type mailServer struct {
	cert tls.Certificate

	implicit   bool     // TLS from the first byte
	noSTARTTLS bool     // not offered
	mechanisms string   // of AUTH; "" wants none
	refuse     []string // recipients
	hangAt     string   // the verb that gets no answer
	answerAt   [2]string

	mu       sync.Mutex
	messages []message
	logins   []string
}

type message struct {
	from string
	to   []string
	data string
	tls  bool
}

func (s *mailServer) start(t *testing.T) Target {
	// httptest's certificate is for 127.0.0.1.
	h := httptest.NewTLSServer(nil)
	s.cert = h.TLS.Certificates[0]
	pool := x509.NewCertPool()
	pool.AddCert(h.Certificate())
	h.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { s.serve(c) })
		}
	})
	t.Cleanup(func() { l.Close(); conns.Wait() })
	target := Target{Name: "mail", Kind: KindSMTP, Timeout: 10 * time.Second, SMTP: SMTP{
		Server: l.Addr().String(), From: "portico@example.com", To: []string{"ops@example.com", "night@example.com"},
		TLS: TLSStart, Roots: Roots{pool},
	}}
	if s.implicit {
		target.SMTP.TLS = TLSImplicit
	}
	return target
}

func (s *mailServer) config() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{s.cert}}
}

func (s *mailServer) serve(conn net.Conn) {
	defer func() { conn.Close() }()
	secure := s.implicit
	if secure {
		conn = tls.Server(conn, s.config())
	}
	r := bufio.NewReader(conn)
	say := func(line string) { _, _ = io.WriteString(conn, line+"\r\n") }
	read := func() string {
		line, _ := r.ReadString('\n')
		return strings.TrimRight(line, "\r\n")
	}
	var m message
	if s.hangAt == "greeting" {
		_, _ = io.Copy(io.Discard, conn)
		return
	}
	say("220 mail.example.com ESMTP")
	for loggedIn := s.mechanisms == ""; ; {
		line := read()
		verb, rest, _ := strings.Cut(line, " ")
		if verb == "" {
			return
		}
		if verb == s.hangAt {
			_, _ = io.Copy(io.Discard, r)
			return
		}
		if verb == s.answerAt[0] {
			say(s.answerAt[1])
			continue
		}
		path := strings.TrimPrefix(strings.TrimPrefix(rest, "FROM:"), "TO:")
		if path, _, _ = strings.Cut(path, " "); strings.HasPrefix(path, "<") && strings.HasSuffix(path, ">") {
			path = path[1 : len(path)-1]
		} else if verb == "MAIL" || verb == "RCPT" {
			say("501 syntax")
			continue
		}
		switch {
		case verb == "EHLO":
			say("250-" + rest)
			if !secure && !s.noSTARTTLS {
				say("250-STARTTLS")
			}
			if s.mechanisms != "" && secure {
				say("250-AUTH " + s.mechanisms)
			}
			say("250 8BITMIME")
		case verb == "STARTTLS":
			say("220 go on")
			conn = tls.Server(conn, s.config())
			r, secure = bufio.NewReader(conn), true
		case verb == "AUTH" && secure:
			s.mu.Lock()
			s.logins = append(s.logins, login(rest, say, read))
			loggedIn = s.logins[len(s.logins)-1] == "portico:s3cret"
			s.mu.Unlock()
			if loggedIn {
				say("235 welcome")
			} else {
				say("535 5.7.8 bad credentials")
			}
		case verb == "MAIL" && loggedIn:
			m = message{from: path, tls: secure}
			say("250 ok")
		case verb == "RCPT" && m.from != "":
			if strings.Contains(strings.Join(s.refuse, " "), path) {
				say("550 5.1.1 no such mailbox")
				continue
			}
			m.to = append(m.to, path)
			say("250 ok")
		case verb == "DATA" && len(m.to) > 0:
			say("354 go on")
			for line := read(); line != "."; line = read() {
				m.data += strings.TrimPrefix(line, ".") + "\r\n"
			}
			if s.hangAt == "message" {
				_, _ = io.Copy(io.Discard, r)
				return
			}
			s.mu.Lock()
			s.messages = append(s.messages, m)
			s.mu.Unlock()
			say("250 queued")
		case verb == "QUIT":
			say("221 bye")
			return
		default:
			say("503 bad sequence")
		}
	}
}

// login answers AUTH PLAIN and AUTH LOGIN and returns user:password.
func login(args string, say func(string), read func() string) string {
	plain := func(s string) string {
		b, _ := base64.StdEncoding.DecodeString(s)
		return string(b)
	}
	mechanism, initial, _ := strings.Cut(args, " ")
	if mechanism == "PLAIN" {
		return strings.ReplaceAll(strings.TrimPrefix(plain(initial), "\x00"), "\x00", ":")
	}
	say("334 VXNlcm5hbWU6")
	user := plain(read())
	say("334 UGFzc3dvcmQ6")
	return user + ":" + plain(read())
}

func TestMail(t *testing.T) {
	for name, c := range map[string]struct {
		server   *mailServer
		mode     TLSMode
		username string
		tls      bool
	}{
		"starttls":             {server: &mailServer{}, mode: TLSStart, tls: true},
		"starttls, AUTH PLAIN": {server: &mailServer{mechanisms: "LOGIN PLAIN"}, mode: TLSStart, username: "portico", tls: true},
		"tls, AUTH LOGIN":      {server: &mailServer{implicit: true, mechanisms: "LOGIN"}, mode: TLSImplicit, username: "portico", tls: true},
		"none":                 {server: &mailServer{}, mode: TLSNone},
		// The message is delivered by then: it must not be sent again.
		"no goodbye":      {server: &mailServer{hangAt: "QUIT"}, mode: TLSStart, tls: true},
		"refused goodbye": {server: &mailServer{answerAt: [2]string{"QUIT", "500 what"}}, mode: TLSStart, tls: true},
	} {
		t.Run(name, func(t *testing.T) {
			target := c.server.start(t)
			target.SMTP.TLS, target.SMTP.Username, target.SMTP.Password = c.mode, c.username, "s3cret"
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if err := Send(ctx, target, event("edge", 3, "Active")); err != nil {
				t.Fatal(err)
			}
			c.server.mu.Lock()
			defer c.server.mu.Unlock()
			if len(c.server.messages) != 1 {
				t.Fatalf("%d messages", len(c.server.messages))
			}
			m := c.server.messages[0]
			if m.from != "portico@example.com" || strings.Join(m.to, " ") != "ops@example.com night@example.com" || m.tls != c.tls {
				t.Errorf("%+v", m)
			}
			if c.username != "" && strings.Join(c.server.logins, " ") != "portico:s3cret" {
				t.Errorf("logins %q", c.server.logins)
			}
		})
	}
}

func TestMailMessage(t *testing.T) {
	var server mailServer
	e := event("kantine-köln\r\nBcc: all@example.com", 3, "Active")
	e.Reason = "."
	if err := Send(t.Context(), server.start(t), e); err != nil {
		t.Fatal(err)
	}
	m, err := mail.ReadMessage(strings.NewReader(server.messages[0].data))
	if err != nil {
		t.Fatalf("%v:\n%s", err, server.messages[0].data)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	if want := "portico: kantine-köln  Bcc: all@example.com is Active on edge-1"; err != nil || subject != want {
		t.Errorf("subject %q (%v), want %q", subject, err, want)
	}
	for name, want := range map[string]string{
		"Bcc": "", "Auto-Submitted": "auto-generated", "Message-Id": "<" + e.id() + "@example.com>",
		"From": "<portico@example.com>", "To": "<ops@example.com>, <night@example.com>", "Date": "Fri, 02 Jan 2026 03:04:08 +0000",
	} {
		if got := m.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	body, _ := io.ReadAll(m.Body)
	if !strings.Contains(string(body), "192.0.2.10/32 2001:db8::10/128") {
		t.Errorf("body:\n%s", body)
	}
}

func TestMailFails(t *testing.T) {
	for name, c := range map[string]struct {
		server    *mailServer
		username  string
		want      string
		permanent bool
		delivered int
	}{
		"no STARTTLS":       {server: &mailServer{noSTARTTLS: true}, want: "STARTTLS", permanent: true},
		"wrong password":    {server: &mailServer{mechanisms: "PLAIN"}, username: "other", want: "535", permanent: true},
		"unknown mechanism": {server: &mailServer{mechanisms: "GSSAPI"}, username: "portico", want: "GSSAPI", permanent: true},
		"busy":              {server: &mailServer{answerAt: [2]string{"MAIL", "451 later"}}, want: "451"},
		"one refused":       {server: &mailServer{refuse: []string{"ops@example.com"}}, want: "ops@example.com: 550", permanent: true, delivered: 1},
		"all refused":       {server: &mailServer{refuse: []string{"ops@example.com", "night@example.com"}}, want: "550", permanent: true},
		"hangs at once":     {server: &mailServer{hangAt: "greeting"}, want: "not done within"},
		"hangs at EHLO":     {server: &mailServer{hangAt: "EHLO"}, want: "not done within"},
		"hangs at RCPT":     {server: &mailServer{hangAt: "RCPT"}, want: "not done within"},
		"hangs at the end":  {server: &mailServer{hangAt: "message"}, want: "not done within"},
		"hangs before TLS":  {server: &mailServer{implicit: true, hangAt: "greeting"}, want: "not done within"},
	} {
		t.Run(name, func(t *testing.T) {
			target := c.server.start(t)
			target.SMTP.Username, target.SMTP.Password = c.username, "s3cret"
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			before := time.Now()
			err := Send(ctx, target, event("edge", 1, "Active"))
			var p permanentError
			if err == nil || !strings.Contains(err.Error(), c.want) || errors.As(err, &p) != c.permanent {
				t.Errorf("%v, want %q", err, c.want)
			} else if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("it shows the password: %v", err)
			}
			if d := time.Since(before); d > 3*time.Second {
				t.Errorf("took %v", d)
			}
			c.server.mu.Lock()
			defer c.server.mu.Unlock()
			if len(c.server.messages) != c.delivered {
				t.Errorf("%d messages, want %d", len(c.server.messages), c.delivered)
			}
		})
	}
}
