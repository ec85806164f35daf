// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package podfeed

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
	clocktesting "k8s.io/utils/clock/testing"

	"auriga.dev/auriga/pkg/capacity"
)

const ramp = 30 * time.Second

func epoch() time.Time { return time.Unix(1_700_000_000, 0) }

// pod is on a node in a phase and requests 2 cores, of which half is expected.
func pod(node string, phase corev1.PodPhase, started time.Time) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "p", UID: "uid-p"}}
	p.Spec.NodeName = node
	p.Spec.Containers = []corev1.Container{{Resources: corev1.ResourceRequirements{
		Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("2")},
	}}}
	p.Status.Phase = phase
	if !started.IsZero() {
		p.Status.StartTime = &metav1.Time{Time: started}
	}
	return p
}

func TestFeed(t *testing.T) {
	for name, tc := range map[string]struct {
		events func(*Feed, *clocktesting.FakeClock)
		// inFlight are the cores in flight when a sample of epoch + 60 s is there.
		inFlight float64
	}{
		"not on a node": {func(f *Feed, _ *clocktesting.FakeClock) { f.OnAdd(pod("", corev1.PodPending, time.Time{}), false) }, 0},
		"bound":         {func(f *Feed, _ *clocktesting.FakeClock) { f.OnAdd(pod("n", corev1.PodPending, time.Time{}), false) }, 1},
		"ran long before": {func(f *Feed, _ *clocktesting.FakeClock) {
			f.OnAdd(pod("n", corev1.PodRunning, epoch().Add(-time.Hour)), true)
		}, 0},
		"its kubelet's clock is an hour behind, but we saw it start": {func(f *Feed, c *clocktesting.FakeClock) {
			f.OnAdd(pod("n", corev1.PodPending, time.Time{}), false)
			c.SetTime(epoch().Add(45 * time.Second))
			f.OnUpdate(nil, pod("n", corev1.PodRunning, epoch().Add(-time.Hour)))
		}, 1},
		"saw it start in time": {func(f *Feed, c *clocktesting.FakeClock) {
			f.OnAdd(pod("n", corev1.PodPending, time.Time{}), false)
			c.SetTime(epoch().Add(30 * time.Second))
			f.OnUpdate(nil, pod("n", corev1.PodRunning, epoch().Add(time.Hour)))
		}, 0},
		"ended": {func(f *Feed, _ *clocktesting.FakeClock) {
			f.OnAdd(pod("n", corev1.PodPending, time.Time{}), false)
			f.OnUpdate(nil, pod("n", corev1.PodSucceeded, time.Time{}))
		}, 0},
		"deleted, seen late": {func(f *Feed, _ *clocktesting.FakeClock) {
			f.OnAdd(pod("n", corev1.PodPending, time.Time{}), false)
			f.OnDelete(cache.DeletedFinalStateUnknown{Key: "ci/p", Obj: pod("n", corev1.PodPending, time.Time{})})
		}, 0},
		"something else": {func(f *Feed, _ *clocktesting.FakeClock) { f.OnAdd(&corev1.Node{}, false); f.OnDelete("p") }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			clock := clocktesting.NewFakeClock(epoch())
			tracker := capacity.NewTracker(ramp)
			feed := New(tracker, capacity.Estimator{CPUShare: 0.5, MemoryShare: 1}, clock)
			tc.events(feed, clock)

			n := &capacity.NodeCapacity{ObjectMeta: metav1.ObjectMeta{Name: "n", UID: "uid-n"}}
			n.Measured[capacity.CPU].Mean = capacity.Reading{Value: 1, Sampled: epoch().Add(time.Minute)}
			tracker.Set(n)
			tracker.Publish(epoch().Add(time.Minute))
			if got := tracker.Snapshot().Node("n", "uid-n").InFlight(capacity.CPU); got != tc.inFlight {
				t.Errorf("%v cores are in flight, want %v", got, tc.inFlight)
			}
		})
	}
}
