// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package capacity

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"

	"auriga.dev/auriga/pkg/apis/names"
	usage "auriga.dev/auriga/pkg/capacity"
)

// seen is what the observer knows of a pod.
type seen struct {
	name, kind, node string
	cores, requested float64
	running          bool
	// goneAt is when it was evicted.
	goneAt time.Time
}

// point is a worker's true use from a time on.
type point struct {
	at    time.Time
	cores float64
}

// observer follows the pods of the experiment, as a handler of an informer.
type observer struct {
	clock clock.PassiveClock

	mu      sync.Mutex
	pods    map[types.UID]seen
	ours    map[string]bool // names of the pods that the experiment deletes
	lines   map[string][]point
	evicted Evictions
	// from is how many reclaimed pods were evicted from each worker.
	from map[string]int
	// placed counts placements of reclaimed pods, placedAt is the last one's time.
	placed   int
	placedAt time.Time
	// changedAt is when a reclaimed pod was placed or evicted last.
	changedAt time.Time
	errs      []error
	// again gets the reclaimed pods that were evicted; it is drained all the time.
	again chan seen
}

var _ cache.ResourceEventHandler = &observer{}

func newObserver(c clock.PassiveClock) *observer {
	return &observer{clock: c, pods: map[types.UID]seen{}, ours: map[string]bool{}, from: map[string]int{}, lines: map[string][]point{}, again: make(chan seen, 10000)}
}

// OnAdd implements cache.ResourceEventHandler.
func (o *observer) OnAdd(obj any, _ bool) { o.see(obj) }

// OnUpdate implements cache.ResourceEventHandler.
func (o *observer) OnUpdate(_, obj any) { o.see(obj) }

func (o *observer) see(obj any) {
	pod, ok := obj.(*corev1.Pod)
	if !ok || pod.Labels[labelKind] == "" {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	use, err := usage.ParseUsage(pod.Annotations[names.AnnotationUsage])
	if err != nil {
		o.errs = append(o.errs, fmt.Errorf("pod %s: %w", pod.Name, err))
	}
	before := o.pods[pod.UID]
	now := seen{
		name: pod.Name, kind: pod.Labels[labelKind], node: pod.Spec.NodeName,
		cores: use.CPU, requested: pod.Spec.Containers[0].Resources.Requests.Cpu().AsApproximateFloat64(),
		running: pod.Status.Phase == corev1.PodRunning,
	}
	if now.kind == reclaimed && before.node == "" && now.node != "" {
		o.placed++
		o.placedAt = o.clock.Now()
		o.changedAt = o.placedAt
	}
	o.pods[pod.UID] = now
	o.count(before, now)
}

// OnDelete implements cache.ResourceEventHandler.
func (o *observer) OnDelete(obj any) {
	if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = gone.Obj
	}
	pod, ok := obj.(*corev1.Pod)
	if !ok || pod.Labels[labelKind] == "" {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	before := o.pods[pod.UID]
	delete(o.pods, pod.UID)
	o.count(before, seen{node: before.node})
	if o.ours[pod.Name] {
		return
	}
	if before.kind == reclaimed {
		o.evicted.Reclaimed++
		o.from[before.node]++
		o.changedAt = o.clock.Now()
		before.goneAt = o.changedAt
		o.again <- before
	} else {
		o.evicted.Ordinary++
	}
}

// count brings the worker's line up to date. Under the lock.
func (o *observer) count(before, now seen) {
	var more float64
	if before.running {
		more -= before.cores
	}
	if now.running {
		more += now.cores
	}
	if more == 0 {
		return
	}
	line := o.lines[now.node]
	var cores float64
	if len(line) > 0 {
		cores = line[len(line)-1].cores
	}
	o.lines[now.node] = append(line, point{o.clock.Now(), cores + more})
}

// deletes announces that the experiment deletes a pod itself.
func (o *observer) deletes(name string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ours[name] = true
}

// running are the pods of a kind that run, by name.
func (o *observer) running(kind string) []seen {
	o.mu.Lock()
	defer o.mu.Unlock()
	var pods []seen
	for _, p := range o.pods {
		if p.kind == kind && p.running {
			pods = append(pods, p)
		}
	}
	slices.SortFunc(pods, func(a, b seen) int { return strings.Compare(a.name, b.name) })
	return pods
}

// waiting are the reclaimed pods without a worker.
func (o *observer) waiting() []seen {
	o.mu.Lock()
	defer o.mu.Unlock()
	var pods []seen
	for _, p := range o.pods {
		if p.kind == reclaimed && p.node == "" {
			pods = append(pods, p)
		}
	}
	return pods
}

// state is what changes as reclaimed pods come and go.
func (o *observer) state() (placed int, placedAt, changedAt time.Time, evicted Evictions) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.placed, o.placedAt, o.changedAt, o.evicted
}

// evictedFrom is how many reclaimed pods were evicted from each worker so far.
func (o *observer) evictedFrom() map[string]int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return maps.Clone(o.from)
}

// over is for how long workers' true use was above the ceiling from a time on.
func (o *observer) over(from, to time.Time, ceiling, cores float64, interval time.Duration) Run {
	o.mu.Lock()
	defer o.mu.Unlock()
	var run Run
	for _, name := range slices.Sorted(maps.Keys(o.lines)) {
		longest, peak := longestAbove(o.lines[name], from, to, ceiling)
		run.add(name, longest.Seconds()/interval.Seconds(), peak/cores)
	}
	return run
}

// at is a worker's true use at a time, in cores.
func (o *observer) at(worker string, t time.Time) float64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	line := o.lines[worker]
	i, _ := slices.BinarySearchFunc(line, t, func(p point, t time.Time) int { return p.at.Compare(t) })
	if i < len(line) && line[i].at.Equal(t) {
		return line[i].cores
	}
	if i == 0 {
		return 0
	}
	return line[i-1].cores
}

// story tells a worker's true use from a time on, a line a change.
func (o *observer) story(worker string, from time.Time) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var b strings.Builder
	for _, p := range o.lines[worker] {
		if !p.at.Before(from) {
			fmt.Fprintf(&b, "%6.2f s  %6.2f cores\n", p.at.Sub(from).Seconds(), p.cores)
		}
	}
	return b.String()
}

// add counts a worker that was above its ceiling for some intervals at the most.
func (r *Run) add(worker string, intervals, peak float64) {
	r.Peak = max(r.Peak, peak)
	if intervals == 0 {
		return
	}
	r.Workers++
	if intervals > r.Intervals {
		r.Intervals, r.Worker = intervals, worker
	}
}

// rounding is what sums of the same amounts in different order differ by.
const rounding = 1e-6

// longestAbove is the longest time without interruption, between two times, that
// a line was above a level, and the highest value.
func longestAbove(line []point, from, to time.Time, level float64) (longest time.Duration, peak float64) {
	var since time.Time // zero: not above
	for i, p := range line {
		if i+1 < len(line) && !line[i+1].at.After(from) || p.at.After(to) {
			continue
		}
		at := p.at
		if at.Before(from) {
			at = from
		}
		peak = max(peak, p.cores)
		above := p.cores > level+rounding
		switch {
		case above && since.IsZero():
			since = at
		case !above && !since.IsZero():
			longest = max(longest, at.Sub(since))
			since = time.Time{}
		}
	}
	if !since.IsZero() {
		longest = max(longest, to.Sub(since))
	}
	return longest, peak
}

// needed is the least number of reclaimed pods that must go from a worker so
// that what is left stays under the ceiling.
func needed(firm float64, reclaimed []float64, ceiling float64) int {
	use := firm
	for _, cores := range reclaimed {
		use += cores
	}
	sorted := slices.Sorted(slices.Values(reclaimed))
	n := 0
	for _, cores := range slices.Backward(sorted) {
		if use <= ceiling+rounding {
			break
		}
		use -= cores
		n++
	}
	return n
}
