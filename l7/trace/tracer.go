package trace

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/portico-lb/portico/l7/accesslog"
)

// A Tracer makes a span of each sampled request and sends them in batches. It
// keeps a bounded number of them: where the collector is slower, or away, spans
// are lost, and no request waits. New starts nothing; Run blocks.
type Tracer struct {
	config Config
	node   string
	log    *slog.Logger
	// tracer is nil while Run does not run.
	tracer atomic.Pointer[trace.Tracer]
	spans  atomic.Uint64
	sent   atomic.Uint64
	fault  atomic.Pointer[string]
}

// A Status is what `portico status` shows of tracing.
type Status struct {
	Endpoint string `json:"endpoint"`
	// Spans were made, Sent reached the collector. Those between wait, or are
	// lost.
	Spans uint64 `json:"spans"`
	Sent  uint64 `json:"sent"`
	// Error is why the latest batch did not arrive.
	Error string `json:"error,omitempty"`
}

// New returns a Tracer for a configuration that has an endpoint. The node's name
// stands in each span.
func New(c Config, node string, log *slog.Logger) *Tracer {
	return &Tracer{config: c, node: node, log: log}
}

// Status returns what the tracer has done.
func (t *Tracer) Status() Status {
	s := Status{Endpoint: t.config.Endpoint, Spans: t.spans.Load(), Sent: t.sent.Load()}
	if f := t.fault.Load(); f != nil {
		s.Error = *f
	}
	return s
}

// farewell is how long the last spans may take.
const farewell = 2 * time.Second

// Run sends spans until ctx ends. It calls ready when it takes them.
func (t *Tracer) Run(ctx context.Context, ready func()) error {
	exporter, err := t.exporter()
	if err != nil {
		return err
	}
	provider := sdk.NewTracerProvider(
		sdk.WithBatcher(&told{exporter, t}),
		sdk.WithIDGenerator(given{}),
		sdk.WithSampler(sdk.AlwaysSample()), // Begin has decided
		sdk.WithResource(resource.NewSchemaless(
			attribute.String("service.name", t.config.ServiceName),
			attribute.String("service.instance.id", t.node),
			attribute.String("host.name", t.node),
		)),
	)
	tracer := provider.Tracer("github.com/portico-lb/portico")
	t.tracer.Store(&tracer)
	ready()
	<-ctx.Done()
	t.tracer.Store(nil)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	if err := provider.Shutdown(ctx); err != nil {
		t.log.Warn("last spans not sent", "endpoint", t.config.Endpoint, "err", err)
	}
	return nil
}

func (t *Tracer) exporter() (sdk.SpanExporter, error) {
	options := []otlptracehttp.Option{
		otlptracehttp.WithEndpointURL(t.config.Endpoint),
		otlptracehttp.WithHeaders(t.config.Headers),
		otlptracehttp.WithCompression(otlptracehttp.GzipCompression),
	}
	if t.config.CA != "" {
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM([]byte(t.config.CA)) // Parse has done so
		options = append(options, otlptracehttp.WithTLSClientConfig(&tls.Config{RootCAs: pool}))
	}
	e, err := otlptracehttp.New(context.Background(), options...)
	if err != nil {
		return nil, fmt.Errorf("l7.trace: %w", err)
	}
	return e, nil
}

// told is an exporter that says how it went.
type told struct {
	sdk.SpanExporter
	t *Tracer
}

// ExportSpans sends spans.
func (e *told) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	err := e.SpanExporter.ExportSpans(ctx, spans)
	if err == nil {
		e.t.sent.Add(uint64(len(spans)))
		if e.t.fault.Swap(nil) != nil {
			e.t.log.Info("spans arrive again", "endpoint", e.t.config.Endpoint)
		}
		return nil
	}
	text := err.Error()
	if before := e.t.fault.Swap(&text); before == nil {
		e.t.log.Warn("spans not sent", "endpoint", e.t.config.Endpoint, "err", err)
	}
	return nil // it has been told
}

// given has the library use the identifiers that the endpoint was told.
type given struct{}

type identity struct{}

// NewIDs returns those of a trace that begins here.
func (g given) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	t := ctx.Value(identity{}).(*accesslog.Trace)
	return t.ID, t.Span
}

// NewSpanID returns that of a span in a trace that goes on.
func (g given) NewSpanID(ctx context.Context, _ trace.TraceID) trace.SpanID {
	_, span := g.NewIDs(ctx)
	return span
}
