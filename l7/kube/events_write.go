package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// tell writes the Events that are due, those of more problems among them.
func (p *Publisher) tell(ctx context.Context, l *ledger, more []Problem) error {
	if !p.opt.Events {
		return nil
	}
	r := p.report.Load()
	due := l.due(slices.Concat(r.Problems, more), time.Now())
	if len(due) > 0 {
		l.err = nil
	}
	for _, d := range due {
		all := l.concerned(d, r.Objects)
		for _, about := range all {
			err := p.say(ctx, d, about, time.Now())
			if err != nil {
				l.err = fmt.Errorf("event of %s: %w", d.problem.Object, err)
			}
			if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsInvalid(err) {
				l.pause = time.Now().Add(eventPause)
				return l.err
			}
		}
		l.done(d, all, time.Now()) // what one object does not take must not hold up the others
	}
	return l.err
}

// say writes the Event of a report. One that is there already is counted on.
func (p *Publisher) say(ctx context.Context, r report, about corev1.ObjectReference, now time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	e := r.event(about, p.identity, now)
	events := p.client.EventsV1().Events(e.Namespace)
	_, err := events.Create(ctx, e, metav1.CreateOptions{FieldManager: manager})
	if !apierrors.IsAlreadyExists(err) {
		return err
	}
	old, err := events.Get(ctx, e.Name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	series := eventsv1.EventSeries{Count: 2, LastObservedTime: metav1.NewMicroTime(now)}
	if old.Series != nil {
		series.Count = old.Series.Count + 1
	}
	body, err := json.Marshal(map[string]any{"series": series})
	if err != nil {
		return err
	}
	_, err = events.Patch(ctx, e.Name, types.MergePatchType, body, metav1.PatchOptions{FieldManager: manager})
	return err
}
