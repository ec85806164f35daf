// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

// Package podfeed tells a capacity.Tracker which pods are on which nodes, and
// when they started and ended, from the events of a pod informer.
//
// In: pods, of all schedulers. Out: calls of Place, Started and Remove.
//
// A start that the informer saw happen is timed by this process' clock; one
// that had happened before by the pod's status, that is by its kubelet's clock.
package podfeed

import (
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"

	"auriga.dev/auriga/pkg/capacity"
)

// Feed implements cache.ResourceEventHandler for pods.
type Feed struct {
	tracker   *capacity.Tracker
	estimator capacity.Estimator
	clock     clock.PassiveClock

	mu      sync.Mutex
	waiting map[types.UID]bool // seen on a node, not running
}

var _ cache.ResourceEventHandler = &Feed{}

// New makes a feed.
func New(tracker *capacity.Tracker, estimator capacity.Estimator, clock clock.PassiveClock) *Feed {
	return &Feed{tracker: tracker, estimator: estimator, clock: clock, waiting: map[types.UID]bool{}}
}

// OnAdd implements cache.ResourceEventHandler.
func (f *Feed) OnAdd(obj any, _ bool) { f.see(obj) }

// OnUpdate implements cache.ResourceEventHandler.
func (f *Feed) OnUpdate(_, obj any) { f.see(obj) }

// OnDelete implements cache.ResourceEventHandler.
func (f *Feed) OnDelete(obj any) {
	if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = gone.Obj
	}
	if pod, ok := obj.(*corev1.Pod); ok {
		f.remove(pod.UID)
	}
}

func (f *Feed) see(obj any) {
	pod, ok := obj.(*corev1.Pod)
	if !ok || pod.Spec.NodeName == "" {
		return
	}
	if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		f.remove(pod.UID)
		return
	}
	// A declaration that is wrong is the scheduler's to complain about.
	expected, _ := f.estimator.Expect(pod)
	f.tracker.Place(capacity.Placement{Pod: pod.UID, Node: pod.Spec.NodeName, Expected: expected})
	if pod.Status.Phase != corev1.PodRunning {
		f.mu.Lock()
		f.waiting[pod.UID] = true
		f.mu.Unlock()
		return
	}
	f.mu.Lock()
	sawWait := f.waiting[pod.UID]
	delete(f.waiting, pod.UID)
	f.mu.Unlock()
	switch {
	case sawWait:
		f.tracker.Started(pod.UID, f.clock.Now())
	case pod.Status.StartTime != nil:
		f.tracker.Started(pod.UID, pod.Status.StartTime.Time)
	}
}

func (f *Feed) remove(uid types.UID) {
	f.mu.Lock()
	delete(f.waiting, uid)
	f.mu.Unlock()
	f.tracker.Remove(uid)
}
