package l7

import (
	"context"
	"reflect"
	"sync"

	"github.com/portico-lb/portico/l7/accesslog"
	"github.com/portico-lb/portico/l7/trace"
	"github.com/portico-lb/portico/l7/value"
)

// observers are those who are told of requests: the access log and the tracer.
// Only Run's goroutine touches them.
type observers struct {
	access    accesslog.Config
	trace     trace.Config
	stopLog   context.CancelFunc // nil where none runs
	stopTrace context.CancelFunc
	group     sync.WaitGroup
}

// parseObservers checks what [l7] says of the two.
func parseObservers(s Section, p value.Parser) (accesslog.Config, trace.Config) {
	return s.AccessLog.Parse(p.In("access_log")), s.Trace.Parse(p.In("trace"))
}

// observe makes those of c the observers. One that stays keeps its file, or its
// spans; one that is replaced ends behind its successor's begin, so that no
// request goes untold.
func (r *runner) observe(c Config) {
	w := &r.observers
	if !reflect.DeepEqual(c.AccessLog, w.access) {
		old := w.stopLog
		w.access, w.stopLog = c.AccessLog, nil
		var log *accesslog.Log
		if c.AccessLog.File != "" {
			log = accesslog.New(c.AccessLog, r.l.log)
			w.stopLog = w.run(log.Run)
		}
		r.l.accessLog.Store(log)
		defer end(old)
	}
	if !reflect.DeepEqual(c.Trace, w.trace) {
		old := w.stopTrace
		w.trace, w.stopTrace = c.Trace, nil
		var tracer *trace.Tracer
		if c.Trace.Endpoint != "" {
			tracer = trace.New(c.Trace, r.l.node, r.l.log)
			w.stopTrace = w.run(func(ctx context.Context) error {
				if err := tracer.Run(ctx); err != nil {
					r.l.log.Error("no spans are sent", "err", err)
				}
				return nil
			})
		}
		r.l.tracer.Store(tracer)
		defer end(old)
	}
	r.l.engine.Observe(r.l.observer())
}

// run starts f, which the returned function ends.
func (w *observers) run(f func(context.Context) error) context.CancelFunc {
	ctx, stop := context.WithCancel(context.Background()) // ended by stop, in its order
	w.group.Go(func() { _ = f(ctx) })
	return stop
}

func end(stop context.CancelFunc) {
	if stop != nil {
		stop()
	}
}

// stop ends both, and returns when all that they know is written and sent.
func (w *observers) stop() {
	end(w.stopLog)
	end(w.stopTrace)
	w.group.Wait()
}

// observer is both in one, nil without any.
func (l *L7) observer() *accesslog.Observer {
	var both accesslog.Observer
	var ended []func(*accesslog.Record)
	if log := l.accessLog.Load(); log != nil {
		o := log.Observer()
		both.Fields = o.Fields
		ended = append(ended, o.Ended)
	}
	if tracer := l.tracer.Load(); tracer != nil {
		o := tracer.Observer()
		both.Begin = o.Begin
		ended = append(ended, o.Ended)
	}
	switch len(ended) {
	case 0:
		return nil
	case 1:
		both.Ended = ended[0]
	default:
		both.Ended = func(r *accesslog.Record) {
			ended[0](r)
			ended[1](r)
		}
	}
	return &both
}

// Reopen has the access log's file opened anew.
func (l *L7) Reopen() {
	if log := l.accessLog.Load(); log != nil {
		log.Reopen()
	}
}
