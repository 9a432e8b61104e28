package kube

import "context"

// Nothing is the Source of a node without a cluster.
type Nothing struct{}

var _ Source = Nothing{}

// Run is ready at once.
func (Nothing) Run(ctx context.Context, ready func()) error {
	ready()
	<-ctx.Done()
	return nil
}

// Objects returns none.
func (Nothing) Objects() *Objects { return &Objects{} }

// Changed never rings.
func (Nothing) Changed() <-chan struct{} { return nil }

// Status says where the routes come from instead.
func (Nothing) Status() SourceStatus { return SourceStatus{From: "the configuration", Synced: true} }
