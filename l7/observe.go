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
			ready := make(chan struct{})
			taking := sync.OnceFunc(func() { close(ready) })
			w.stopTrace = w.run(func(ctx context.Context) error {
				defer taking() // or never
				if err := tracer.Run(ctx, taking); err != nil {
					r.l.log.Error("no spans are sent", "err", err)
				}
				return nil
			})
			<-ready // of those that come before nobody would hear
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

// observer is both in one, nil without any. Requests that began before a reload
// are told to those who are there when they end.
func (l *L7) observer() *accesslog.Observer {
	log, tracer := l.accessLog.Load(), l.tracer.Load()
	if log == nil && tracer == nil {
		return nil
	}
	o := &accesslog.Observer{Ended: l.ended}
	if log != nil {
		o.Fields, o.ResponseFields = log.Fields()
	}
	if tracer != nil {
		o.Begin = tracer.Begin
	}
	return o
}

func (l *L7) ended(r *accesslog.Record) {
	for log := l.accessLog.Load(); log != nil && !log.Ended(r); {
		next := l.accessLog.Load()
		if next == log {
			break // it was the last one
		}
		log = next
	}
	if tracer := l.tracer.Load(); tracer != nil {
		tracer.Ended(r)
	}
}

// Reopen has the access log's file opened anew.
func (l *L7) Reopen() {
	if log := l.accessLog.Load(); log != nil {
		log.Reopen()
	}
}
