// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package realcapacity

import (
	"context"
	"fmt"
	"maps"
	"sync/atomic"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/resource"
	fwk "k8s.io/kube-scheduler/framework"

	"auriga.dev/auriga/pkg/apis/config"
	"auriga.dev/auriga/pkg/apis/names"
	"auriga.dev/auriga/pkg/capacity"
	"auriga.dev/auriga/pkg/score"
)

// stateKey finds this plugin's data in the cycle state.
const stateKey fwk.StateKey = "PreFilter" + Name

// cycle is what one scheduling cycle knows: the pinned snapshot and the pod.
type cycle struct {
	snapshot *capacity.Snapshot
	now      time.Time
	need     capacity.Expected
	// asked is what the pod requests: cores, bytes.
	asked capacity.Use
	// whatIf is, by node, the use of pods that a simulation put there (positive)
	// or took away (negative). nil outside simulations.
	whatIf map[string]capacity.Use
	*met
}

// met is what a cycle met in Filter, which runs for many nodes at once.
type met struct {
	stale      atomic.Bool
	unmeasured atomic.Bool
	hot        nodeSet
	rejectedBy [capacity.NumResources]atomic.Int32
}

// Clone implements fwk.StateData: a simulation has a what-if of its own.
func (s *cycle) Clone() fwk.StateData {
	c := *s
	c.whatIf = maps.Clone(s.whatIf)
	return &c
}

func cycleOf(state fwk.CycleState) (*cycle, error) {
	data, err := state.Read(stateKey)
	if err != nil {
		return nil, fmt.Errorf("%s has no data from PreFilter (enable it under multiPoint, or at preFilter as well): %w", Name, err)
	}
	s, ok := data.(*cycle)
	if !ok {
		return nil, fmt.Errorf("%s found %T in the cycle state, want %T", Name, data, s)
	}
	return s, nil
}

// PreFilter pins the snapshot and estimates what the pod will use.
func (pl *RealCapacity) PreFilter(_ context.Context, state fwk.CycleState, pod *v1.Pod, _ []fwk.NodeInfo) (*fwk.PreFilterResult, *fwk.Status) {
	need, err := pl.source.estimator.Expect(pod)
	s := &cycle{snapshot: pl.source.tracker.Snapshot(), now: pl.clock.Now(), need: need, asked: asked(pod)}
	s.met = &met{hot: newNodeSet(s.snapshot.IDs())}
	if err != nil {
		if s.asked == (capacity.Use{}) && pod.Spec.PriorityClassName == names.PriorityBatch {
			return nil, fwk.NewStatus(fwk.UnschedulableAndUnresolvable, err.Error())
		}
		pl.logger.Error(err, "What the pod declares is not used", "pod", pod.Namespace+"/"+pod.Name)
	}
	state.Write(stateKey, s)
	if pl.source.Informer == nil && !need.Reclaimed && pl.args.OnStale != config.StaleReject {
		return nil, fwk.NewStatus(fwk.Skip)
	}
	return nil, nil
}

// asked is what the pod requests.
func asked(pod *v1.Pod) capacity.Use {
	requests := resource.PodRequests(pod, resource.PodResourcesOptions{})
	cpu, memory := requests[v1.ResourceCPU], requests[v1.ResourceMemory]
	return capacity.Use{CPU: cpu.AsApproximateFloat64(), Memory: memory.AsApproximateFloat64()}
}

// PreFilterExtensions implements fwk.PreFilterPlugin.
func (pl *RealCapacity) PreFilterExtensions() fwk.PreFilterExtensions { return pl }

// AddPod counts a pod that is simulated to be on the node.
func (pl *RealCapacity) AddPod(_ context.Context, state fwk.CycleState, _ *v1.Pod, added fwk.PodInfo, node fwk.NodeInfo) *fwk.Status {
	return pl.simulate(state, added.GetPod(), node, +1)
}

// RemovePod counts a pod that is simulated to be gone from the node: its use is
// taken for what it is expected to be, because nobody measures single pods.
func (pl *RealCapacity) RemovePod(_ context.Context, state fwk.CycleState, _ *v1.Pod, removed fwk.PodInfo, node fwk.NodeInfo) *fwk.Status {
	return pl.simulate(state, removed.GetPod(), node, -1)
}

func (pl *RealCapacity) simulate(state fwk.CycleState, pod *v1.Pod, node fwk.NodeInfo, sign float64) *fwk.Status {
	s, err := cycleOf(state)
	if err != nil {
		return fwk.AsStatus(err)
	}
	use, _ := pl.source.estimator.Expect(pod)
	if use.Reclaimed && !s.need.Reclaimed {
		return nil // ordinary pods do not see it
	}
	if s.whatIf == nil {
		s.whatIf = map[string]capacity.Use{}
	}
	sum := s.whatIf[node.Node().Name]
	sum.CPU += sign * use.CPU
	sum.Memory += sign * use.Memory
	s.whatIf[node.Node().Name] = sum
	return nil
}

// of is the amount of a resource: 0 for those that pods state nothing about.
func of(u capacity.Use, r capacity.Resource) float64 {
	switch r {
	case capacity.CPU:
		return u.CPU
	case capacity.Memory:
		return u.Memory
	default:
		return 0
	}
}

// full is the node's capacity of a resource, in its unit; 0 is unknown.
func (pl *RealCapacity) full(e *capacity.Estimate, r capacity.Resource) float64 {
	switch r {
	case capacity.Disk:
		return 1
	case capacity.Network:
		return float64(pl.args.NetworkBytesPerSecond)
	default:
		return e.Capacity[r]
	}
}

// use is what counts against the ceiling before the pod comes.
func (pl *RealCapacity) use(e *capacity.Estimate, r capacity.Resource, reclaimed bool, now time.Time) (float64, bool) {
	if e == nil || pl.full(e, r) <= 0 {
		return 0, false
	}
	if reclaimed {
		return e.Predicted(r, now, pl.args.MaxAge.Duration)
	}
	return e.Firm(r, now, pl.args.MaxAge.Duration)
}

// reclaimedMargin is the share of a worker's capacity that reclaimed pods leave
// free below the ceiling: repeated scrapes of a constant load differ by about
// half of it, and a pod that the noise lifts over the ceiling is evicted.
const reclaimedMargin = 0.02

// limit is up to where a measured worker may be used by a pod.
func (pl *RealCapacity) limit(e *capacity.Estimate, c *ceiling, reclaimed bool) float64 {
	if reclaimed {
		return (c.share - reclaimedMargin) * pl.full(e, c.resource)
	}
	return c.share * pl.full(e, c.resource)
}

// hasRoom says whether the pod stays under all ceilings, by fresh readings only.
func (pl *RealCapacity) hasRoom(e *capacity.Estimate, need capacity.Expected, now time.Time) bool {
	for i := range pl.ceilings {
		c := &pl.ceilings[i]
		use, ok := pl.use(e, c.resource, need.Reclaimed, now)
		if !ok || use+of(need.Use, c.resource) > pl.limit(e, c, need.Reclaimed) {
			return false
		}
	}
	return true
}

// Filter keeps the node's predicted use under the ceilings.
func (pl *RealCapacity) Filter(_ context.Context, state fwk.CycleState, _ *v1.Pod, info fwk.NodeInfo) *fwk.Status {
	s, err := cycleOf(state)
	if err != nil {
		return fwk.AsStatus(err)
	}
	node := info.Node()
	e := s.snapshot.Node(node.Name, node.UID)
	var whatIf capacity.Use
	if s.whatIf != nil {
		whatIf = s.whatIf[node.Name]
	}
	for i := range pl.ceilings {
		c := &pl.ceilings[i]
		more := of(s.need.Use, c.resource) + of(whatIf, c.resource)
		use, ok := pl.use(e, c.resource, s.need.Reclaimed, s.now)
		limit := 0.0
		if ok {
			limit = pl.limit(e, c, s.need.Reclaimed)
		} else {
			s.stale.Store(true)
			switch {
			case pl.args.OnStale == config.StaleReject:
				return pl.reject(s, e, c.unknown)
			case pl.args.OnStale == config.StaleIgnore || !s.need.Reclaimed || c.resource > capacity.Memory:
				continue
			}
			use, limit = pl.byRequests(e, info, c)
		}
		if use+more > limit {
			s.rejectedBy[c.resource].Add(1)
			return pl.reject(s, e, c.full)
		}
	}
	return nil
}

// byRequests is what a reclaimed pod shares a node with that is not measured:
// what is requested, and the other reclaimed pods.
func (pl *RealCapacity) byRequests(e *capacity.Estimate, info fwk.NodeInfo, c *ceiling) (use, limit float64) {
	use, limit = requestedAndAllocatable(info, c.resource)
	if e != nil {
		return use + e.Reclaimed(c.resource), limit * c.share
	}
	_, reclaimed := pl.source.tracker.On(info.Node().Name)
	return use + of(reclaimed, c.resource), limit * c.share
}

// requestedAndAllocatable are in cores and bytes.
func requestedAndAllocatable(info fwk.NodeInfo, r capacity.Resource) (requested, allocatable float64) {
	if r == capacity.CPU {
		return float64(info.GetRequested().GetMilliCPU()) / 1000, float64(info.GetAllocatable().GetMilliCPU()) / 1000
	}
	return float64(info.GetRequested().GetMemory()), float64(info.GetAllocatable().GetMemory())
}

// reject remembers the node, so that the pod is tried again when its load falls.
func (pl *RealCapacity) reject(s *cycle, e *capacity.Estimate, reason string) *fwk.Status {
	if e != nil {
		s.hot.add(e.ID)
	} else {
		s.unmeasured.Store(true)
	}
	return fwk.NewStatus(fwk.Unschedulable, reason)
}

// PostFilter notes that the pod waits for a load to fall. It helps nothing by
// itself: preemption is another plugin's.
func (pl *RealCapacity) PostFilter(_ context.Context, state fwk.CycleState, pod *v1.Pod, _ fwk.NodeToStatusReader) (*fwk.PostFilterResult, *fwk.Status) {
	s, err := cycleOf(state)
	if err != nil {
		return nil, fwk.AsStatus(err)
	}
	pl.counters.cycle(s)
	if s.unmeasured.Load() || !s.hot.empty() {
		pl.waiting.add(waitingPod{pod: pod, need: s.need, hot: s.hot, unmeasured: s.unmeasured.Load()})
	}
	return nil, fwk.NewStatus(fwk.Unschedulable)
}

// Score prefers the worker with the most capacity really free, 0 to 100.
func (pl *RealCapacity) Score(_ context.Context, state fwk.CycleState, _ *v1.Pod, info fwk.NodeInfo) (int64, *fwk.Status) {
	s, err := cycleOf(state)
	if err != nil {
		return 0, fwk.AsStatus(err)
	}
	var buffer [capacity.NumResources]score.Load
	loads := buffer[:0]
	e := s.snapshot.Node(info.Node().Name, info.Node().UID)
	for i := range pl.weights {
		if load, ok := pl.load(s, e, info, &pl.weights[i]); ok {
			loads = append(loads, load)
		}
	}
	return score.LoadDistribution(loads, float64(pl.args.BurstPercent)/100), nil
}

// load is one resource with the pod; ok is false if nothing is known about it.
func (pl *RealCapacity) load(s *cycle, e *capacity.Estimate, info fwk.NodeInfo, w *weight) (score.Load, bool) {
	need := of(s.need.Use, w.resource)
	if use, ok := pl.use(e, w.resource, true, s.now); ok {
		full := pl.full(e, w.resource)
		load := score.Load{Mean: (use + need) / full, Weight: w.weight}
		if burst := e.Measured[w.resource].Burst; burst.Fresh(s.now, pl.args.MaxAge.Duration) {
			load.Burst = (burst.Value + e.InFlight(w.resource) + need) / full
		}
		return load, true
	}
	if w.resource > capacity.Memory {
		return score.Load{}, false // pods request neither disk time nor bandwidth
	}
	if pl.args.OnStale != config.StaleRequests {
		return score.Load{Mean: 1, Weight: w.weight}, true
	}
	requested, allocatable := requestedAndAllocatable(info, w.resource)
	if allocatable <= 0 {
		return score.Load{Mean: 1, Weight: w.weight}, true
	}
	return score.Load{Mean: (requested + max(of(s.asked, w.resource), need)) / allocatable, Weight: w.weight}, true
}

// ScoreExtensions implements fwk.ScorePlugin: scores are in range already.
func (pl *RealCapacity) ScoreExtensions() fwk.ScoreExtensions { return nil }

// Reserve counts the pod on the node until it has been measured there.
func (pl *RealCapacity) Reserve(_ context.Context, state fwk.CycleState, pod *v1.Pod, node string) *fwk.Status {
	s, err := cycleOf(state)
	if err != nil {
		return fwk.AsStatus(err)
	}
	pl.counters.cycle(s)
	pl.waiting.remove(pod.UID)
	pl.source.tracker.Place(capacity.Placement{Pod: pod.UID, Node: node, Expected: s.need})
	return nil
}

// Unreserve undoes Reserve.
func (pl *RealCapacity) Unreserve(_ context.Context, _ fwk.CycleState, pod *v1.Pod, _ string) {
	pl.source.tracker.Remove(pod.UID)
}
