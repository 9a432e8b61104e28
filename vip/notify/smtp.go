package notify

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"regexp"
	"slices"
	"strings"
	"time"

	mail "github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"
)

// An SMTP is a mail server that takes each event as a message.
type SMTP struct {
	// Server is host:port.
	Server string
	// From and To are bare addresses, user@domain.
	From string
	To   []string
	TLS  TLSMode
	// Username logs in where it is not empty.
	Username string
	Password Secret
	Roots    Roots
}

// TLSMode says how a connection to a mail server is protected.
type TLSMode string

// The modes.
const (
	TLSNone     TLSMode = "none"
	TLSStart    TLSMode = "starttls" // RFC 3207; a server that does not offer it gets no mail
	TLSImplicit TLSMode = "tls"      // RFC 8314, section 3.3
)

func (s SMTP) send(ctx context.Context, e Event) error {
	conn, err := s.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	// The conversation looks at no context, but it ends with its connection.
	defer context.AfterFunc(ctx, func() { conn.Close() })()

	c, err := s.greet(conn, e.Node)
	if err != nil {
		return classify(err)
	}
	if err := s.submit(c, e); err != nil {
		return classify(err)
	}
	// The message is the server's now: that it does not say goodbye is no
	// reason to send it twice, and nothing to wait for.
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	_ = c.Quit()
	return nil
}

// dial connects. With implicit TLS the connection returned is the TLS one.
func (s SMTP) dial(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	if s.TLS != TLSImplicit {
		return d.DialContext(ctx, "tcp", s.Server)
	}
	return (&tls.Dialer{NetDialer: &d, Config: s.Roots.tlsConfig(s.host())}).DialContext(ctx, "tcp", s.Server)
}

func (s SMTP) host() string {
	host, _, _ := net.SplitHostPort(s.Server) // Parse has checked it
	return host
}

// hostName is what may stand in EHLO.
var hostName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$`)

// greet begins the conversation, up to and including the login.
func (s SMTP) greet(conn net.Conn, node string) (*smtp.Client, error) {
	c, err := smtp.NewClient(conn, s.host())
	if err != nil {
		return nil, err
	}
	if !hostName.MatchString(node) {
		node = "localhost"
	}
	if err := c.Hello(node); err != nil {
		return nil, fmt.Errorf("hello: %w", err)
	}
	if s.TLS == TLSStart {
		if ok, _ := c.Extension("STARTTLS"); !ok {
			return nil, permanentError{errors.New(`the server offers no STARTTLS: tls = "none" sends without`)}
		}
		if err := c.StartTLS(s.Roots.tlsConfig(s.host())); err != nil {
			return nil, fmt.Errorf("starttls: %w", err)
		}
	}
	if s.Username != "" {
		if err := s.login(c); err != nil {
			return nil, fmt.Errorf("login: %w", err)
		}
	}
	return c, nil
}

// login takes the best mechanism that the server offers. The password is only
// sent over TLS, which Parse asks for.
func (s SMTP) login(c *smtp.Client) error {
	_, offer := c.Extension("AUTH")
	offered := strings.Fields(strings.ToUpper(offer))
	for _, m := range []struct {
		name string
		auth smtp.Auth
	}{
		{"SCRAM-SHA-256", smtp.ScramSHA256Auth(s.Username, string(s.Password))},
		{"PLAIN", smtp.PlainAuth("", s.Username, string(s.Password), s.host(), false)},
		{"LOGIN", smtp.LoginAuth(s.Username, string(s.Password), s.host(), false)},
	} {
		if slices.Contains(offered, m.name) {
			return c.Auth(m.auth)
		}
	}
	return permanentError{fmt.Errorf("the server offers %q: needed is SCRAM-SHA-256, PLAIN or LOGIN", offer)}
}

// submit hands over the message. A recipient that is refused does not keep it
// from the others; then the error is permanent, since they have got it.
func (s SMTP) submit(c *smtp.Client, e Event) error {
	if err := c.Mail("<" + s.From + ">"); err != nil {
		return fmt.Errorf("from %s: %w", s.From, err)
	}
	var refused []error
	for _, to := range s.To {
		if err := c.Rcpt("<" + to + ">"); err != nil {
			refused = append(refused, fmt.Errorf("to %s: %w", to, err))
		}
	}
	if len(refused) == len(s.To) {
		return errors.Join(refused...)
	}
	m, err := s.message(e)
	if err != nil {
		return permanentError{err}
	}
	w, err := c.Data()
	if err != nil {
		return fmt.Errorf("data: %w", err)
	}
	if _, err := m.WriteTo(w); err != nil {
		return fmt.Errorf("message: %w", err)
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("message: %w", err)
	}
	if len(refused) > 0 {
		return permanentError{fmt.Errorf("some recipients got nothing: %w", errors.Join(refused...))}
	}
	return nil
}

func (s SMTP) message(e Event) (*mail.Msg, error) {
	m := mail.NewMsg(mail.WithNoDefaultUserAgent())
	if err := m.From(s.From); err != nil {
		return nil, err
	}
	if err := m.To(s.To...); err != nil {
		return nil, err
	}
	_, domain, _ := strings.Cut(s.From, "@")
	m.SetMessageIDWithValue(e.id() + "@" + domain)
	m.SetDateWithValue(e.At)
	m.Subject(e.subject())
	// No vacation responder shall answer (RFC 3834, section 5).
	m.SetGenHeader("Auto-Submitted", "auto-generated")
	m.SetBodyString(mail.TypeTextPlain, e.text())
	return m, nil
}

// classify marks what the server answers with 5yz as permanent (RFC 5321,
// section 4.2.1).
func classify(err error) error {
	var answer *textproto.Error
	if errors.As(err, &answer) && answer.Code/100 == 5 {
		return permanentError{err}
	}
	return err
}
