package l7

import (
	"time"

	"github.com/portico-lb/portico/l7/http1"
	"github.com/portico-lb/portico/l7/proxy"
	"github.com/portico-lb/portico/l7/value"
)

// A ClientSection is [l7.client]: what clients may do and take.
type ClientSection struct {
	HeaderTimeout           string `toml:"header_timeout"`
	BodyTimeout             string `toml:"body_timeout"`
	IdleTimeout             string `toml:"idle_timeout"`
	MinBodyRate             *int   `toml:"min_body_rate"`
	MaxHeader               string `toml:"max_header"`
	MaxHeaderFields         *int   `toml:"max_header_fields"`
	MaxBody                 string `toml:"max_body"`
	KeepAliveRequests       *int   `toml:"keep_alive_requests"`
	MaxConnections          *int   `toml:"max_connections"`
	MaxConnectionsPerSource *int   `toml:"max_connections_per_source"`
}

// rateAfter is how long a body may be slow before its rate counts: a client
// may lose a packet or two, and wait for its disk.
const rateAfter = 30 * time.Second

// parseClient checks s.
func parseClient(s ClientSection, bad func(key, problem string)) proxy.Bounds {
	c := value.Parser{Bad: bad}.In("l7.client")
	head := int(c.Size(s.MaxHeader, "max_header", int64(http1.DefaultLimits.Head), 4<<10, 1<<20))
	return proxy.Bounds{
		Timeouts: proxy.Timeouts{
			Head:  c.Span(s.HeaderTimeout, "header_timeout", 10*time.Second, time.Second, time.Hour),
			Stall: c.Span(s.BodyTimeout, "body_timeout", time.Minute, time.Second, time.Hour),
			Idle:  c.Span(s.IdleTimeout, "idle_timeout", 75*time.Second, time.Second, 24*time.Hour),
		},
		Head: http1.Limits{
			Head:   head,
			Line:   min(head, http1.DefaultLimits.Line),
			Fields: value.Number(c, s.MaxHeaderFields, "max_header_fields", http1.DefaultLimits.Fields, 16, 10000),
		},
		Caps: proxy.Caps{
			Body:        c.Size(s.MaxBody, "max_body", 0, 0, 1<<50),
			Rate:        int64(value.Number(c, s.MinBodyRate, "min_body_rate", 256, 0, 1<<30)),
			RateAfter:   rateAfter,
			Requests:    value.Number(c, s.KeepAliveRequests, "keep_alive_requests", 0, 0, 1<<30),
			Connections: value.Number(c, s.MaxConnections, "max_connections", 0, 0, 1<<24),
			PerSource:   value.Number(c, s.MaxConnectionsPerSource, "max_connections_per_source", 0, 0, 1<<24),
		},
	}
}
