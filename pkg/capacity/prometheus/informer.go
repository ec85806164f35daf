// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package prometheus

import (
	"context"
	"errors"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/util/wait"
	corev1listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"auriga.dev/auriga/pkg/capacity"
)

// Deps are what the informer needs of its surroundings.
type Deps struct {
	// Nodes are listed at each poll.
	Nodes corev1listers.NodeLister
	// Recorder emits events (types Normal and Warning). May be nil.
	Recorder func(eventtype, reason, note string)
	Logger   klog.Logger
	// Clock counts the ages. nil is the real one.
	Clock clock.WithTicker
}

// Informer is an informer of NodeCapacity objects.
type Informer struct {
	cache.SharedIndexInformer
	config  Config
	history atomic.Pointer[capacity.History]
}

// NewInformer makes an informer of a Config, whose defaults it fills. It starts
// nothing and asks nobody.
func NewInformer(config Config, deps Deps) (*Informer, error) {
	config = config.WithDefaults()
	if err := config.Validate(); err != nil {
		return nil, err
	}
	return &Informer{config: config}, errors.New("not yet")
}

// Config is the informer's, with defaults.
func (i *Informer) Config() Config { return i.config }

// History is what workloads used, as of the last refresh; nil before the first.
func (i *Informer) History() *capacity.History { return i.history.Load() }

// Run runs the informer until stopCh is closed.
func (i *Informer) Run(stopCh <-chan struct{}) { i.RunWithContext(wait.ContextForChannel(stopCh)) }

// RunWithContext runs the informer, the refresh of the history and the
// self-check; all have ended when it returns, which is when ctx ends.
func (i *Informer) RunWithContext(ctx context.Context) { i.SharedIndexInformer.RunWithContext(ctx) }

// Tracker gets what the informer finds: capacity's tracker of load.
type Tracker interface {
	Set(*capacity.NodeCapacity)
	Delete(name string, last bool)
	Publish()
}

// Track gives every event to t, and publishes at the end of each poll. Call it
// before Run: what a tracker that comes later missed, it has after the next poll.
func (i *Informer) Track(t Tracker) (cache.ResourceEventHandlerRegistration, error) {
	return i.AddEventHandler(handler{t})
}

// handler is a Tracker's.
type handler struct{ tracker Tracker }

func (h handler) OnAdd(obj any, _ bool) {
	if n, ok := obj.(*capacity.NodeCapacity); ok {
		h.set(n)
	}
}

func (h handler) OnUpdate(before, after any) {
	n, ok := after.(*capacity.NodeCapacity)
	if !ok {
		return
	}
	if b, ok := before.(*capacity.NodeCapacity); ok && b.ResourceVersion == n.ResourceVersion {
		return // A resync: nothing new, in no order.
	}
	h.set(n)
}

func (h handler) set(n *capacity.NodeCapacity) {
	h.tracker.Set(n)
	if n.Last {
		h.tracker.Publish()
	}
}

func (h handler) OnDelete(obj any) {
	name, last := "", true
	switch o := obj.(type) {
	case *capacity.NodeCapacity:
		name, last = o.Name, o.Last
	case cache.DeletedFinalStateUnknown:
		name = o.Key // A relist found it missing.
	default:
		return
	}
	h.tracker.Delete(name, last)
	if last {
		h.tracker.Publish()
	}
}
