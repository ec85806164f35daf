// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package prometheus

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

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

// resync is of handlers that do not state theirs. With 0, client-go would resync
// none of those that do either.
const resync = 10 * time.Hour

// Informer is a SharedIndexInformer of *capacity.NodeCapacity by node name.
type Informer struct {
	cache.SharedIndexInformer
	config    Config
	source    *source
	historian *historian
}

// NewInformer makes an informer of a Config, whose defaults it fills. It starts
// nothing and asks nobody.
func NewInformer(config Config, deps Deps) (*Informer, error) {
	config = config.WithDefaults()
	if err := config.Validate(); err != nil {
		return nil, err
	}
	if deps.Clock == nil {
		deps.Clock = clock.RealClock{}
	}
	m, err := newInformerMetrics()
	if err != nil {
		return nil, err
	}
	c, err := newClient(config, deps, m)
	if err != nil {
		return nil, err
	}
	// Replicas started at different moments poll at different moments.
	seed := uint64(deps.Clock.Now().UnixNano())
	s := &source{poller: &poller{
		client: c, nodes: deps.Nodes, clock: deps.Clock, metrics: m,
		report:       &reporter{client: c, address: config.Address, recorder: deps.Recorder},
		mapper:       newMapper(config.NodeMapping),
		age:          *config.AgeQuery,
		pollInterval: config.PollInterval,
		burstWindow:  config.BurstWindow,
		staleAfter:   max(4*config.PollInterval, time.Minute),
		jitter:       rand.New(rand.NewPCG(seed, 0)),
		known:        map[string]*nodeState{},
		matchable:    make(chan struct{}),
	}}
	for r := range capacity.NumResources {
		if query := config.Queries[r]; query != "" {
			s.queries = append(s.queries, resourceQuery{r, query})
		}
	}
	return &Informer{
		SharedIndexInformer: cache.NewSharedIndexInformer(s, &capacity.NodeCapacity{}, resync, cache.Indexers{}),
		config:              config,
		source:              s,
		historian: &historian{
			History: config.History, client: c, clock: deps.Clock, metrics: m, jitter: rand.New(rand.NewPCG(seed, 1)),
		},
	}, nil
}

// Config is the informer's, with defaults.
func (i *Informer) Config() Config { return i.config }

// History is what workloads used, as of the last refresh; nil before the first.
func (i *Informer) History() *capacity.History { return i.historian.latest.Load() }

// Run runs the informer until stopCh is closed.
func (i *Informer) Run(stopCh <-chan struct{}) { i.RunWithContext(wait.ContextForChannel(stopCh)) }

// RunWithContext runs the informer, the refresh of the history and the
// self-check; all have ended when it returns, which is when ctx ends.
func (i *Informer) RunWithContext(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() { i.historian.run(ctx) })
	wg.Go(func() { i.source.selfCheck(ctx) })
	i.SharedIndexInformer.RunWithContext(ctx)
	cancel()
	wg.Wait()
	// A list that the reflector no longer waits for.
	i.source.mu.Lock()
	defer i.source.mu.Unlock()
	i.source.client.http.CloseIdleConnections()
}

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
