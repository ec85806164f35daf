// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/tools/cache"
	"k8s.io/component-helpers/resource"
	"k8s.io/utils/clock"

	"auriga.dev/auriga/pkg/apis/names"
)

// gpuResource is the extended resource under which the workers offer GPUs.
const gpuResource = corev1.ResourceName("nvidia.com/gpu")

// amounts are quantities of the resources that the report speaks of: cores,
// bytes and devices.
type amounts struct{ cpu, memory, gpu float64 }

func amountsOf(list corev1.ResourceList) amounts {
	gpus := list[gpuResource]
	return amounts{
		cpu:    list.Cpu().AsApproximateFloat64(),
		memory: list.Memory().AsApproximateFloat64(),
		gpu:    gpus.AsApproximateFloat64(),
	}
}

func (a amounts) plus(b amounts, factor float64) amounts {
	return amounts{a.cpu + factor*b.cpu, a.memory + factor*b.memory, a.gpu + factor*b.gpu}
}

// over is the share of each resource; what there is none of counts as zero.
func (a amounts) over(total amounts) amounts {
	share := func(part, whole float64) float64 {
		if whole <= 0 {
			return 0
		}
		return part / whole
	}
	return amounts{share(a.cpu, total.cpu), share(a.memory, total.memory), share(a.gpu, total.gpu)}
}

func (a amounts) max(b amounts) amounts {
	return amounts{max(a.cpu, b.cpu), max(a.memory, b.memory), max(a.gpu, b.gpu)}
}

// podLife is what was seen of one pod. A zero time means: not yet.
type podLife struct {
	scheduler, tenant, priority string
	// task is the job of the pod, or the pod itself where it has none. A pod
	// that is preempted ends, and its job makes another.
	task                  string
	worker                string // "" until it is bound
	requests              amounts
	created, bound, ended time.Time
	running               bool
	outcome               outcome
	// waitingFor is the message of the PodScheduled condition while it is false.
	waitingFor string
	// epitaph is what is known about a pod that failed.
	epitaph string
}

// outcome is how a pod ended.
type outcome int

const (
	unfinished outcome = iota
	succeeded
	failed
	// evicted to make room for another pod, or with its worker: not the job's fault.
	evicted
)

// observer follows the workload's pods through the API server's watch. Times
// are those at which this process saw the event.
//
// Invariant: used is the sum of the requests of the pods that are bound and
// have not ended, byWorker the same for each worker, with Auriga's own pods;
// area is the integral of used over time since start.
type observer struct {
	clock clock.PassiveClock

	mu       sync.Mutex
	pods     map[types.UID]*podLife
	used     amounts
	byWorker map[string]amounts
	peak     amounts
	area     amounts // in amounts x seconds
	start    time.Time
	last     time.Time // when area was last brought up to date
}

func newObserver(c clock.PassiveClock) *observer {
	return &observer{clock: c, pods: map[types.UID]*podLife{}, byWorker: map[string]amounts{}}
}

// OnAdd implements cache.ResourceEventHandler.
func (o *observer) OnAdd(obj any, _ bool) { o.see(obj, false) }

// OnUpdate implements cache.ResourceEventHandler.
func (o *observer) OnUpdate(_, obj any) { o.see(obj, false) }

// OnDelete implements cache.ResourceEventHandler. A pod whose last state was
// missed counts as gone: the informer hands it in a tombstone.
func (o *observer) OnDelete(obj any) {
	if tombstone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = tombstone.Obj
	}
	o.see(obj, true)
}

func (o *observer) see(obj any, deleted bool) {
	pod, ok := obj.(*corev1.Pod)
	if !ok {
		return // not a pod: the informer has no other kind
	}
	now := o.clock.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	life, known := o.pods[pod.UID]
	if !known {
		life = &podLife{
			scheduler: pod.Spec.SchedulerName,
			tenant:    tenantOf(pod),
			priority:  pod.Spec.PriorityClassName,
			task:      taskOf(pod),
			requests:  amountsOf(resource.PodRequests(pod, resource.PodResourcesOptions{})),
			created:   now,
		}
		o.pods[pod.UID] = life
	}
	o.advance(now)
	if pod.Spec.NodeName != "" && life.bound.IsZero() {
		life.bound, life.waitingFor, life.worker = now, "", pod.Spec.NodeName
		o.use(life, 1)
		o.peak = o.peak.max(o.used)
	}
	if life.bound.IsZero() {
		life.waitingFor = waitingFor(pod)
	}
	life.running = life.running || pod.Status.Phase == corev1.PodRunning
	if end := outcomeOf(pod, deleted); end != unfinished && life.outcome == unfinished {
		life.ended, life.outcome = now, end
		if end == failed {
			life.epitaph = epitaph(pod, deleted)
		}
		if !life.bound.IsZero() {
			o.use(life, -1)
		}
	}
}

// use adds the pod's requests, or takes them away, by the sign.
func (o *observer) use(life *podLife, sign float64) {
	o.used = o.used.plus(life.requests, sign)
	o.byWorker[life.worker] = o.byWorker[life.worker].plus(life.requests, sign)
}

// also counts pods that are not the workload's as requested, for good: Auriga's
// own, which are on the workers, too.
func (o *observer) also(pods []corev1.Pod) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := range pods {
		if worker := pods[i].Spec.NodeName; worker != "" {
			requests := amountsOf(resource.PodRequests(&pods[i], resource.PodResourcesOptions{}))
			o.byWorker[worker] = o.byWorker[worker].plus(requests, 1)
		}
	}
}

// requested is what the pods request now that are bound to each worker and have
// not ended.
func (o *observer) requested() map[string]amounts {
	o.mu.Lock()
	defer o.mu.Unlock()
	return maps.Clone(o.byWorker)
}

// advance adds the use since the last event to the area.
func (o *observer) advance(now time.Time) {
	if o.start.IsZero() {
		o.start, o.last = now, now
	}
	o.area = o.area.plus(o.used, now.Sub(o.last).Seconds())
	o.last = now
}

// counts says how far the pods of one scheduler are. A job whose pod was
// evicted has more than one pod, but succeeds or fails once.
type counts struct{ created, scheduled, running, succeeded, failed, evicted int }

// ended is the number of jobs that will get no other pod.
func (c counts) ended() int { return c.succeeded + c.failed }

func (o *observer) counts(scheduler string) counts {
	o.mu.Lock()
	defer o.mu.Unlock()
	var c counts
	// A pod that ends well while it is being evicted is replaced all the same.
	ended := map[outcome]sets.Set[string]{succeeded: {}, failed: {}}
	for _, life := range o.pods {
		if life.scheduler != scheduler {
			continue
		}
		c.created++
		if !life.bound.IsZero() {
			c.scheduled++
		}
		switch life.outcome {
		case unfinished:
			if life.running {
				c.running++
			}
		case evicted:
			c.evicted++
		default:
			ended[life.outcome].Insert(life.task)
		}
	}
	c.succeeded = len(ended[succeeded])
	c.failed = len(ended[failed].Difference(ended[succeeded]))
	return c
}

// obstacles counts why pods wait, by the scheduler's own words.
func (o *observer) obstacles() map[string]int {
	o.mu.Lock()
	defer o.mu.Unlock()
	reasons := map[string]int{}
	for _, life := range o.pods {
		if life.bound.IsZero() && life.outcome == unfinished {
			reasons[life.waitingFor]++
		}
	}
	return reasons
}

// epitaphs says how Auriga's pods failed, at most n of them.
func (o *observer) epitaphs(n int) []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var all []string
	for _, life := range o.pods {
		if life.scheduler == names.Scheduler && life.outcome == failed {
			all = append(all, life.epitaph)
		}
	}
	slices.Sort(all)
	return all[:min(n, len(all))]
}

// result is what the observer knows at the end about Auriga's pods.
type result struct {
	pods []podLife
	// firstCreated and lastBound bound the time in which pods were scheduled.
	firstCreated, lastBound time.Time
	// mean and peak are shares of capacity in use by all pods, from the first
	// pod to the last event.
	mean, peak amounts
}

func (o *observer) result(capacity amounts) result {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.advance(o.clock.Now())
	var r result
	for _, life := range o.pods {
		if life.scheduler != names.Scheduler {
			continue
		}
		r.pods = append(r.pods, *life)
		if r.firstCreated.IsZero() || life.created.Before(r.firstCreated) {
			r.firstCreated = life.created
		}
		if life.bound.After(r.lastBound) {
			r.lastBound = life.bound
		}
	}
	slices.SortFunc(r.pods, func(a, b podLife) int { return a.created.Compare(b.created) })
	if seconds := o.last.Sub(o.start).Seconds(); seconds > 0 {
		r.mean = amounts{}.plus(o.area, 1/seconds).over(capacity)
	}
	r.peak = o.peak.over(capacity)
	return r
}

// outcomeOf is how the pod ended, if it has.
func outcomeOf(pod *corev1.Pod, deleted bool) outcome {
	switch {
	case pod.Status.Phase == corev1.PodSucceeded:
		return succeeded
	case pod.Status.Phase != corev1.PodFailed && !deleted:
		return unfinished
	case condition(pod, corev1.DisruptionTarget, corev1.ConditionTrue) != nil:
		return evicted
	default:
		return failed
	}
}

// epitaph says how a pod failed.
func epitaph(pod *corev1.Pod, deleted bool) string {
	how := "failed"
	if deleted {
		how = "was deleted"
	}
	text := fmt.Sprintf("pod %s/%s %s on worker %q in phase %s", pod.Namespace, pod.Name, how, pod.Spec.NodeName, pod.Status.Phase)
	if pod.Status.Reason != "" || pod.Status.Message != "" {
		text += fmt.Sprintf(": %s %s", pod.Status.Reason, pod.Status.Message)
	}
	return text
}

// taskOf is the key of the pod's job.
func taskOf(pod *corev1.Pod) string {
	if owner := metav1.GetControllerOf(pod); owner != nil {
		return string(owner.UID)
	}
	return string(pod.UID)
}

// tenantOf is whose pod it is.
func tenantOf(pod *corev1.Pod) string {
	if tenant := pod.Labels[names.LabelTenant]; tenant != "" {
		return tenant
	}
	return pod.Namespace
}

// waitingFor is what the scheduler says of a pod that it could not place.
func waitingFor(pod *corev1.Pod) string {
	if c := condition(pod, corev1.PodScheduled, corev1.ConditionFalse); c != nil {
		return c.Message
	}
	return "not tried yet"
}

// condition is the pod's condition of this type and status, nil if it has none.
func condition(pod *corev1.Pod, kind corev1.PodConditionType, status corev1.ConditionStatus) *corev1.PodCondition {
	for i, c := range pod.Status.Conditions {
		if c.Type == kind && c.Status == status {
			return &pod.Status.Conditions[i]
		}
	}
	return nil
}
