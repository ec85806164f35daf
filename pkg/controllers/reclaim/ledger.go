// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package reclaim

import (
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"

	"auriga.dev/auriga/pkg/capacity"
)

// ledger knows the reclaimed pods of every worker, those that ended so lately
// that the measurement may still contain them, and the ordinary pods that are in
// flight. It follows the pods on every replica.
type ledger struct {
	expect     func(*corev1.Pod) capacity.Expected
	schedulers sets.Set[string]
	clock      clock.PassiveClock
	// ramp is how long after its start an ordinary pod is in flight, keep how long
	// after that, or after its end, a sample that is older may be looked at. If
	// nothing is measured, keep is 0, and neither is of interest.
	ramp, keep time.Duration

	mu    sync.Mutex
	nodes map[string]map[types.UID]*Pod
	// look is told of workers with reclaimed pods that should be looked at.
	look func(node string)
}

var _ toolscache.ResourceEventHandler = &ledger{}

// OnAdd implements toolscache.ResourceEventHandler.
func (l *ledger) OnAdd(object any, _ bool) {
	if pod, ok := object.(*corev1.Pod); ok && pod.Spec.NodeName != "" {
		l.place(pod)
	}
}

// OnUpdate implements toolscache.ResourceEventHandler.
func (l *ledger) OnUpdate(before, after any) {
	was, ok := before.(*corev1.Pod)
	pod, ok2 := after.(*corev1.Pod)
	switch {
	case !ok || !ok2 || pod.Spec.NodeName == "":
	case was.Spec.NodeName == "":
		l.place(pod)
	default:
		l.update(pod)
	}
}

// OnDelete implements toolscache.ResourceEventHandler.
func (l *ledger) OnDelete(object any) {
	if gone, ok := object.(toolscache.DeletedFinalStateUnknown); ok {
		object = gone.Obj
	}
	if pod, ok := object.(*corev1.Pod); ok && pod.Spec.NodeName != "" {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.end(pod)
	}
}

// place takes a pod in that is on a worker, and has the worker looked at.
func (l *ledger) place(pod *corev1.Pod) {
	if hasEnded(pod) {
		return
	}
	expected := l.expect(pod)
	l.mu.Lock()
	defer l.mu.Unlock()
	node := pod.Spec.NodeName
	if expected.Reclaimed || l.keep > 0 {
		entry := &Pod{
			Candidate: Candidate{
				NamespacedName: types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}, UID: pod.UID, Use: expected.Use,
			},
			Reclaimed: expected.Reclaimed, Ours: l.schedulers.Has(pod.Spec.SchedulerName),
		}
		l.follow(entry, pod)
		if !l.useless(entry) {
			pods := l.nodes[node]
			if pods == nil {
				pods = map[types.UID]*Pod{}
				l.nodes[node] = pods
			}
			pods[pod.UID] = entry
		}
	}
	if l.look != nil && l.lends(node) {
		l.look(node)
	}
}

// update follows a pod that is known.
func (l *ledger) update(pod *corev1.Pod) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if entry := l.nodes[pod.Spec.NodeName][pod.UID]; entry != nil {
		l.follow(entry, pod)
		if hasEnded(pod) {
			l.end(pod)
		}
	}
}

// follow notes the start of a pod, and that it was told to end. The start is what
// the tracker takes it for (podfeed). Under the lock.
func (l *ledger) follow(entry *Pod, pod *corev1.Pod) {
	switch {
	case pod.Status.Phase != corev1.PodRunning:
		entry.waited = true
	case !entry.Started.IsZero():
	case entry.waited:
		entry.Started = l.clock.Now()
	case pod.Status.StartTime != nil:
		entry.Started = pod.Status.StartTime.Time
	}
	if pod.DeletionTimestamp != nil {
		entry.Told, entry.Until = true, pod.DeletionTimestamp.Time
	}
}

// end notes that a pod has ended. Under the lock.
func (l *ledger) end(pod *corev1.Pod) {
	node := pod.Spec.NodeName
	entry := l.nodes[node][pod.UID]
	if entry == nil {
		return
	}
	if entry.Ended.IsZero() {
		entry.Ended = l.clock.Now()
	}
	if l.useless(entry) {
		l.remove(node, entry)
	}
}

func (l *ledger) remove(node string, entry *Pod) {
	delete(l.nodes[node], entry.UID)
	if len(l.nodes[node]) == 0 {
		delete(l.nodes, node)
	}
}

// useless says whether a pod has no influence any more, or never had. What an
// ordinary pod used that ended is not known well enough. Under the lock.
func (l *ledger) useless(p *Pod) bool {
	now := l.clock.Now()
	switch {
	case !p.Ended.IsZero():
		return !p.Reclaimed || !now.Before(p.Ended.Add(l.keep))
	case p.Reclaimed || p.Started.IsZero():
		return false
	}
	return !now.Before(p.Started.Add(l.ramp + l.keep))
}

// lends says whether reclaimed pods are on a worker. Under the lock.
func (l *ledger) lends(node string) bool {
	for _, p := range l.nodes[node] {
		if p.Reclaimed && p.Ended.IsZero() {
			return true
		}
	}
	return false
}

// lent says whether there is anything to take back on a worker.
func (l *ledger) lent(node string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lends(node)
}

// told notes that a pod has been evicted, before the API server's word arrives.
func (l *ledger) told(node string, pod types.UID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if entry := l.nodes[node][pod]; entry != nil {
		entry.Told = true
	}
}

// on lists the pods of a worker, in no order.
func (l *ledger) on(node string) []Pod {
	l.mu.Lock()
	defer l.mu.Unlock()
	pods := make([]Pod, 0, len(l.nodes[node]))
	for _, p := range l.nodes[node] {
		pods = append(pods, *p)
	}
	return pods
}

// count is how many reclaimed pods there are of Auriga's.
func (l *ledger) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, pods := range l.nodes {
		for _, p := range pods {
			if p.Reclaimed && p.Ours && p.Ended.IsZero() {
				n++
			}
		}
	}
	return n
}

// watch has look called with every worker with reclaimed pods, now and whenever
// there is news of it. nil ends that.
func (l *ledger) watch(look func(node string)) {
	l.mu.Lock()
	l.look = look
	l.mu.Unlock()
	l.lookAtAll()
}

// lookAtAll has all workers with reclaimed pods looked at, and forgets what has
// no influence any more.
func (l *ledger) lookAtAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for node, pods := range l.nodes {
		for _, p := range pods {
			if l.useless(p) {
				l.remove(node, p)
			}
		}
		if l.look != nil && l.lends(node) {
			l.look(node)
		}
	}
}

func hasEnded(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}
