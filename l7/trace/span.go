package trace

import (
	"context"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/portico-lb/portico/l7/accesslog"
)

// Ended makes the span of a request.
func (t *Tracer) Ended(r *accesslog.Record) {
	tracer := t.tracer.Load()
	if !r.Trace.Sampled || tracer == nil {
		return
	}
	t.spans.Add(1)
	identified := r.Trace
	ctx := context.WithValue(context.Background(), identity{}, &identified)
	if r.Trace.Continued {
		ctx = trace.ContextWithRemoteSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{
			TraceID: r.Trace.ID, SpanID: r.Trace.Parent, TraceFlags: trace.FlagsSampled, Remote: true,
		}))
	}
	_, span := (*tracer).Start(ctx, name(r), trace.WithSpanKind(trace.SpanKindServer),
		trace.WithTimestamp(r.Start), trace.WithAttributes(attributes(r)...))
	if r.Status >= 500 || r.Status == 0 {
		span.SetStatus(codes.Error, r.Reason)
	}
	span.End(trace.WithTimestamp(r.Start.Add(r.Duration)))
}

// name is the method and the route: a path would make as many names as there
// are requests (OpenTelemetry semantic conventions, HTTP spans).
func name(r *accesslog.Record) string {
	if r.Route == nil {
		return method(r)
	}
	return method(r) + " " + r.Route.Path
}

// method returns "HTTP" for one that is not in the list of the conventions, so
// that strangers cannot make names.
func method(r *accesslog.Record) string {
	switch m := string(r.Method); m {
	case "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "QUERY":
		return m
	}
	return "HTTP"
}

// version is that of a protocol, as the conventions write it.
func version(protocol string) string {
	switch v := strings.TrimPrefix(protocol, "HTTP/"); v {
	case "2.0", "3.0":
		return v[:1]
	default:
		return v
	}
}

// attributes are those of the semantic conventions for HTTP servers, and what
// tells of the endpoint.
func attributes(r *accesslog.Record) []attribute.KeyValue {
	client := r.Client
	if !client.IsValid() {
		client = r.Peer.Addr()
	}
	host, port, err := net.SplitHostPort(string(r.Host))
	if err != nil {
		host = string(r.Host)
	}
	out := []attribute.KeyValue{
		attribute.String("url.scheme", r.Scheme),
		attribute.String("url.path", valid(r.Path)),
		attribute.String("server.address", valid([]byte(host))),
		attribute.String("client.address", client.String()),
		attribute.String("network.peer.address", r.Peer.Addr().String()),
		attribute.Int("network.peer.port", int(r.Peer.Port())),
		attribute.String("network.protocol.version", version(r.Protocol)),
		attribute.Int64("http.request.body.size", r.RequestSize),
		attribute.Int64("http.response.body.size", r.Size),
		attribute.String("portico.entrypoint", r.Entrypoint),
	}
	if n, err := strconv.ParseUint(port, 10, 16); err == nil {
		out = append(out, attribute.Int("server.port", int(n)))
	}
	if m := method(r); m != "HTTP" {
		out = append(out, attribute.String("http.request.method", m))
	} else {
		out = append(out, attribute.String("http.request.method", "_OTHER"), attribute.String("http.request.method_original", valid(r.Method)))
	}
	if len(r.Query) > 1 {
		out = append(out, attribute.String("url.query", valid(queries.Append(nil, r.Query[1:]))))
	}
	if r.Status > 0 {
		out = append(out, attribute.Int("http.response.status_code", r.Status))
	}
	switch {
	case r.Status >= 500:
		out = append(out, attribute.String("error.type", strconv.Itoa(r.Status)))
	case r.Status == 0:
		out = append(out, attribute.String("error.type", "client_gone"))
	}
	if r.Route != nil {
		out = append(out, attribute.String("http.route", r.Route.Path), attribute.String("portico.route", r.Route.Origin.String()))
	}
	if r.Endpoint != (netip.AddrPort{}) {
		out = append(out,
			attribute.String("portico.backend", r.Backend.String()),
			attribute.String("portico.endpoint", r.Endpoint.String()),
			attribute.Int("http.request.resend_count", r.Retries),
			attribute.Int64("portico.endpoint.duration_us", r.Origin.Microseconds()))
	}
	for _, f := range r.Request {
		if strings.EqualFold(string(f.Name), "user-agent") {
			out = append(out, attribute.String("user_agent.original", valid(f.Value)))
		}
	}
	return out
}

// queries hides what is secret in a URL: whoever knows it may do what the URL is
// for.
var queries = &accesslog.Queries{Others: accesslog.Keep}

// valid makes UTF-8 of what a stranger sent: the protocol's encoding refuses a
// whole batch for anything else.
func valid(b []byte) string { return strings.ToValidUTF8(string(b), "\ufffd") }
