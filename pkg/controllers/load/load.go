// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package load

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"auriga.dev/auriga/pkg/capacity"
	"auriga.dev/auriga/pkg/capacity/podfeed"
	"auriga.dev/auriga/pkg/capacity/prometheus"
	"auriga.dev/auriga/pkg/controllers/utilization"
)

// Config says how the load is measured and estimated. The plugin RealCapacity
// has arguments of the same meaning.
type Config struct {
	// Prometheus says whom to ask. Without an Address nothing is measured.
	Prometheus prometheus.Config
	// MaxAge is how old a reading may be; positive.
	MaxAge time.Duration
	// Ramp is how long after its start a pod's use may take to show in a sample.
	Ramp time.Duration
	// CPUShare and MemoryShare are the shares of a request, 0 to 1, that a pod
	// uses of which nothing better is known.
	CPUShare, MemoryShare float64
	// PoolLabel is the node label that names the pool.
	PoolLabel string
	// Lease is the object that events about measuring are about.
	Lease types.NamespacedName
}

// Source keeps a capacity.Tracker up to date.
type Source struct {
	config    Config
	nodes     client.Reader
	clock     clock.PassiveClock
	tracker   *capacity.Tracker
	estimator capacity.Estimator
	informer  *prometheus.Informer // nil: nothing is measured
	followers []toolscache.ResourceEventHandler
	synced    []toolscache.InformerSynced
}

// Add makes a Source that starts with the manager.
func Add(mgr manager.Manager, c Config) (*Source, error) {
	if c.MaxAge <= 0 || c.Ramp < 0 {
		return nil, fmt.Errorf("max age %v, ramp %v: must be positive, and not negative", c.MaxAge, c.Ramp)
	}
	clk := clock.RealClock{}
	s := &Source{
		config: c, nodes: mgr.GetCache(), clock: clk, tracker: capacity.NewTracker(c.Ramp),
		estimator: capacity.Estimator{CPUShare: c.CPUShare, MemoryShare: c.MemoryShare},
	}
	if err := s.measure(mgr, clk); err != nil {
		return nil, err
	}
	s.followers = []toolscache.ResourceEventHandler{podfeed.New(s.tracker, s.estimator, clk)}
	// The manager is not running, so that nothing is waited for.
	pods, err := mgr.GetCache().GetInformer(context.Background(), &corev1.Pod{}, cache.BlockUntilSynced(false))
	if err != nil {
		return nil, fmt.Errorf("watch pods: %w", err)
	}
	registration, err := pods.AddEventHandler(follow{s})
	if err != nil {
		return nil, fmt.Errorf("watch pods: %w", err)
	}
	s.synced = append(s.synced, registration.HasSynced)
	return s, nil
}

// measure adds the informer of a Prometheus to the manager.
func (s *Source) measure(mgr manager.Manager, clk clock.WithTicker) error {
	logger := mgr.GetLogger().WithName("load")
	if !s.Measures() {
		logger.Info("No Prometheus is configured: nothing is measured, lent room is taken back by requests, and there is no utilization")
		return nil
	}
	informer, err := prometheus.NewInformer(s.config.Prometheus, prometheus.Deps{
		Nodes: nodeLister{s.nodes}, Recorder: s.recorder(mgr), Logger: logger, Clock: clk,
	})
	if err != nil {
		return fmt.Errorf("prometheus: %w", err)
	}
	registration, err := informer.Track(publisher{s.tracker, clk})
	if err != nil {
		return fmt.Errorf("follow the measurements: %w", err)
	}
	s.informer, s.estimator.History = informer, informer.History
	s.synced = append(s.synced, registration.HasSynced)
	return mgr.Add(everywhere{informer})
}

// recorder emits events about the controller, by its Lease.
func (s *Source) recorder(mgr manager.Manager) func(eventtype, reason, note string) {
	events := mgr.GetEventRecorder("auriga-load")
	lease := &corev1.ObjectReference{
		APIVersion: "coordination.k8s.io/v1", Kind: "Lease", Namespace: s.config.Lease.Namespace, Name: s.config.Lease.Name,
	}
	return func(eventtype, reason, note string) {
		events.Eventf(lease, nil, eventtype, reason, "Measuring", "%s", note)
	}
}

// everywhere runs an informer whether this replica leads or not.
type everywhere struct{ informer *prometheus.Informer }

var _ manager.LeaderElectionRunnable = everywhere{}

func (e everywhere) NeedLeaderElection() bool { return false }

// Start implements manager.Runnable. Runnables start after the caches are filled.
func (e everywhere) Start(ctx context.Context) error {
	e.informer.RunWithContext(ctx)
	return nil
}

// publisher joins an informer and a tracker.
type publisher struct {
	*capacity.Tracker
	clock clock.PassiveClock
}

func (p publisher) Delete(name string, _ bool) { p.Tracker.Delete(name) }
func (p publisher) Publish()                   { p.Tracker.Publish(p.clock.Now()) }

// follow gives the events of pods to the tracker, then to the followers.
type follow struct{ source *Source }

func (f follow) OnAdd(obj any, initial bool) {
	for _, h := range f.source.followers {
		h.OnAdd(obj, initial)
	}
}

func (f follow) OnUpdate(before, after any) {
	was, ok := before.(*corev1.Pod)
	is, ok2 := after.(*corev1.Pod)
	if ok && ok2 && was.UID != is.UID {
		// A watch that was interrupted missed that it is another pod of that name.
		f.OnDelete(before)
		f.OnAdd(after, false)
		return
	}
	for _, h := range f.source.followers {
		h.OnUpdate(before, after)
	}
}

func (f follow) OnDelete(obj any) {
	for _, h := range f.source.followers {
		h.OnDelete(obj)
	}
}

// Follow has h see the events of pods, each after the tracker has. Call it
// before the manager starts.
func (s *Source) Follow(h toolscache.ResourceEventHandler) { s.followers = append(s.followers, h) }

// Tracker joins what is measured and what is placed.
func (s *Source) Tracker() *capacity.Tracker { return s.tracker }

// Expect is what a pod is expected to use.
func (s *Source) Expect(pod *corev1.Pod) capacity.Expected {
	// A declaration that is wrong is the scheduler's to complain about.
	expected, _ := s.estimator.Expect(pod)
	return expected
}

// Measures says whether there is a Prometheus.
func (s *Source) Measures() bool { return s.config.Prometheus.Address != "" }

// MaxAge is how old a reading may be.
func (s *Source) MaxAge() time.Duration { return s.config.MaxAge }

// Ramp is how long after its start a pod's use may take to show in a sample.
func (s *Source) Ramp() time.Duration { return s.config.Ramp }

// CPUWindow is how much of the past the measurement of the CPU is a mean of. The
// memory's is of one moment.
func (s *Source) CPUWindow() time.Duration {
	if !s.Measures() {
		return 0
	}
	return s.informer.Config().RateWindow
}

// WaitForSync waits until all pods and the answers of the first poll have
// arrived. It is false if ctx ends first.
func (s *Source) WaitForSync(ctx context.Context) bool {
	return toolscache.WaitForCacheSync(ctx.Done(), s.synced...)
}

// Readings implements utilization.Read.
func (s *Source) Readings(ctx context.Context) ([]utilization.Node, error) {
	var nodes corev1.NodeList
	if err := s.nodes.List(ctx, &nodes, client.UnsafeDisableDeepCopy); err != nil {
		return nil, err
	}
	snapshot, now := s.tracker.Snapshot(), s.clock.Now()
	readings := make([]utilization.Node, 0, len(nodes.Items))
	for i := range nodes.Items {
		node := &nodes.Items[i]
		reading := utilization.Node{
			Pool: node.Labels[s.config.PoolLabel],
			Capacity: utilization.Amounts{
				CPU: node.Status.Capacity.Cpu().AsApproximateFloat64(), Memory: node.Status.Capacity.Memory().AsApproximateFloat64(),
			},
			Used: utilization.Unknown(),
		}
		if e := snapshot.Node(node.Name, node.UID); e != nil {
			if cpu := e.Measured[capacity.CPU].Mean; cpu.Fresh(now, s.config.MaxAge) {
				reading.Used.CPU = cpu.Value
			}
			if memory := e.Measured[capacity.Memory].Mean; memory.Fresh(now, s.config.MaxAge) {
				reading.Used.Memory = memory.Value
			}
		}
		readings = append(readings, reading)
	}
	return readings, nil
}

var _ utilization.Read = (&Source{}).Readings
