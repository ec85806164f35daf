// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package realcapacity

import (
	"context"
	"fmt"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	frameworkruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"
	"k8s.io/utils/clock"

	"auriga.dev/auriga/pkg/apis/config"
	"auriga.dev/auriga/pkg/apis/config/validation"
	"auriga.dev/auriga/pkg/capacity"
)

// Name is the plugin's name in the registry and in configurations.
const Name = "RealCapacity"

// RealCapacity filters and scores workers by their measured load.
type RealCapacity struct {
	handle   fwk.Handle
	logger   klog.Logger
	args     config.RealCapacityArgs
	ceilings []ceiling
	weights  []weight
	source   *source
	clock    clock.PassiveClock
	waiting  waiting
	counters counters
}

// ceiling is how full a worker may get, as a share of its capacity.
type ceiling struct {
	resource capacity.Resource
	share    float64
	// What Filter says of a node that is full or not measured: written once, it
	// says it often.
	full, unknown string
}

// weight is how much a resource counts in the score.
type weight struct {
	resource capacity.Resource
	weight   int64
}

var (
	_ frameworkruntime.PluginFactory = New
	_ fwk.PreFilterPlugin            = &RealCapacity{}
	_ fwk.PreFilterExtensions        = &RealCapacity{}
	_ fwk.FilterPlugin               = &RealCapacity{}
	_ fwk.PostFilterPlugin           = &RealCapacity{}
	_ fwk.ScorePlugin                = &RealCapacity{}
	_ fwk.ReservePlugin              = &RealCapacity{}
	_ fwk.EnqueueExtensions          = &RealCapacity{}
	_ fwk.SignPlugin                 = &RealCapacity{}
)

// New makes the plugin from *config.RealCapacityArgs, which it validates and
// does not keep. It adds an informer to the handle's factory and asks nobody
// before that is started.
func New(ctx context.Context, obj runtime.Object, handle fwk.Handle) (fwk.Plugin, error) {
	return newWithClock(ctx, obj, handle, clock.RealClock{})
}

func newWithClock(ctx context.Context, obj runtime.Object, handle fwk.Handle, clock clock.WithTicker) (*RealCapacity, error) {
	args, ok := obj.(*config.RealCapacityArgs)
	if !ok {
		return nil, fmt.Errorf("the arguments of %s must be of kind %sArgs, got %T", Name, Name, obj)
	}
	if err := validation.ValidateRealCapacityArgs(field.NewPath("args"), args); err != nil {
		return nil, fmt.Errorf("the arguments of %s are not valid: %w", Name, err)
	}
	pl := &RealCapacity{handle: handle, logger: klog.FromContext(ctx), args: *args.DeepCopy(), clock: clock}
	for _, c := range args.Ceilings {
		r, _ := capacity.ParseResource(c.Name) // the validation knows the names
		pl.ceilings = append(pl.ceilings, ceiling{
			resource: r, share: float64(c.Percent) / 100,
			full:    fmt.Sprintf("node(s) would use more than %d %% of their %s", c.Percent, r),
			unknown: fmt.Sprintf("node(s) without a fresh reading of their %s", r),
		})
	}
	for _, w := range args.Resources {
		r, _ := capacity.ParseResource(w.Name)
		pl.weights = append(pl.weights, weight{r, w.Weight})
	}
	var err error
	if pl.counters, err = newCounters(profileName(handle), args.OnStale, pl.ceilings); err != nil {
		return nil, err
	}
	if pl.source, err = sourceFor(pl.logger, handle, &pl.args, clock); err != nil {
		return nil, fmt.Errorf("preparing %s: %w", Name, err)
	}
	pl.source.tracker.OnPublish(pl.published)
	_, err = handle.SharedInformerFactory().Core().V1().Pods().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		DeleteFunc: pl.forget,
	})
	if err != nil {
		return nil, fmt.Errorf("following the pods: %w", err)
	}
	return pl, nil
}

// profileName is the profile's, empty for a handle without one.
func profileName(handle fwk.Handle) string {
	if named, ok := handle.(interface{ ProfileName() string }); ok {
		return named.ProfileName()
	}
	return ""
}

// Name implements fwk.Plugin.
func (pl *RealCapacity) Name() string { return Name }

// forget drops a pod that waited and is gone.
func (pl *RealCapacity) forget(obj any) {
	if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = gone.Obj
	}
	if pod, ok := obj.(*v1.Pod); ok {
		pl.waiting.remove(pod.UID)
	}
}

// published has the pods tried again for which the new snapshot shows room.
func (pl *RealCapacity) published(snapshot *capacity.Snapshot) {
	inFlight, _ := pl.source.tracker.Counts()
	pl.counters.inFlight.WithLabelValues(pl.counters.profile).Set(float64(inFlight))
	now := pl.clock.Now()
	woken := pl.waiting.wake(snapshot, func(e *capacity.Estimate, need capacity.Expected) bool {
		return pl.hasRoom(e, need, now)
	})
	if len(woken) == 0 {
		return
	}
	pl.logger.V(3).Info("The load of nodes fell: pods that they rejected are tried again", "pods", len(woken), "snapshot", snapshot.Generation)
	pl.counters.reactivated.WithLabelValues(pl.counters.profile).Add(float64(len(woken)))
	pl.handle.Activate(pl.logger, woken)
}

// EventsToRegister implements fwk.EnqueueExtensions. A load that falls is no
// event of the API server: see published.
func (pl *RealCapacity) EventsToRegister(context.Context) ([]fwk.ClusterEventWithHint, error) {
	return []fwk.ClusterEventWithHint{
		{Event: fwk.ClusterEvent{Resource: fwk.Node, ActionType: fwk.Add | fwk.UpdateNodeAllocatable}},
		{Event: fwk.ClusterEvent{Resource: fwk.Pod, ActionType: fwk.Delete}, QueueingHintFn: pl.podGone},
	}, nil
}

// podGone tells a deletion that frees room at once, because the pod was not
// part of the measurement or not of what ordinary pods see, from one that shows
// when the load falls.
func (pl *RealCapacity) podGone(_ klog.Logger, _ *v1.Pod, oldObj, _ any) (fwk.QueueingHint, error) {
	pod, ok := oldObj.(*v1.Pod)
	if !ok {
		return fwk.Queue, fmt.Errorf("the deleted object is %T, want %T", oldObj, pod)
	}
	if pl.source.Informer == nil || pl.source.tracker.LeftInFlight(pod.UID) {
		return fwk.Queue, nil
	}
	return fwk.QueueSkip, nil
}

// signature is what of a pod its scores depend on.
type signature struct {
	Need, Asked capacity.Use
	Reclaimed   bool
	Snapshot    int64
}

// SignPod gives what the pod is expected to use and the generation of the
// snapshot: measurements that change between two pods change their ranking.
func (pl *RealCapacity) SignPod(_ context.Context, pod *v1.Pod) ([]fwk.SignFragment, *fwk.Status) {
	need, _ := pl.source.estimator.Expect(pod) // PreFilter says what is wrong
	s := signature{Need: need.Use, Asked: asked(pod), Reclaimed: need.Reclaimed}
	if snapshot := pl.source.tracker.Snapshot(); snapshot != nil {
		s.Snapshot = snapshot.Generation
	}
	return []fwk.SignFragment{{Key: "auriga.dev/" + Name, Value: s}}, nil
}
