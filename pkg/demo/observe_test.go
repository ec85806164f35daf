// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	clocktesting "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"

	"auriga.dev/auriga/pkg/apis/names"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// story tells the observer what happened to pods, second by second.
type story struct {
	*observer
	clock *clocktesting.FakePassiveClock
}

func newStory() story {
	clock := clocktesting.NewFakePassiveClock(start)
	return story{newObserver(clock), clock}
}

func (s story) at(second float64, pods ...*corev1.Pod) {
	s.clock.SetTime(start.Add(time.Duration(second * float64(time.Second))))
	for _, pod := range pods {
		s.OnUpdate(nil, pod)
	}
}

func pod(name, cores string, change ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "ns", UID: types.UID(name)},
		Spec: corev1.PodSpec{
			SchedulerName:     names.Scheduler,
			PriorityClassName: names.PriorityHigh,
			Containers: []corev1.Container{{Resources: corev1.ResourceRequirements{
				Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cores)},
			}}},
		},
	}
	for _, c := range change {
		c(p)
	}
	return p
}

func bound(p *corev1.Pod) { p.Spec.NodeName = "worker" }

func phase(phase corev1.PodPhase) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Status.Phase = phase }
}

func tenant(name string) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Labels = map[string]string{names.LabelTenant: name} }
}

func TestObserverUtilization(t *testing.T) {
	s := newStory()
	// a: 2 cores bound from 1 to 5. b: 6 cores bound from 3 to 5. 10 seconds.
	s.at(0, pod("a", "2"), pod("b", "6"))
	s.at(1, pod("a", "2", bound))
	s.at(3, pod("b", "6", bound))
	s.at(5, pod("a", "2", bound, phase(corev1.PodSucceeded)), pod("b", "6", bound, phase(corev1.PodFailed)))
	s.at(7, pod("a", "2", bound, phase(corev1.PodSucceeded))) // seen again: nothing is counted twice
	s.at(10)
	got := s.result(amounts{cpu: 16})
	// (2*2 + 8*2) / 10 / 16
	if want := 20.0 / 10 / 16; got.mean.cpu != want {
		t.Errorf("mean = %v, want %v", got.mean.cpu, want)
	}
	if want := 8.0 / 16; got.peak.cpu != want {
		t.Errorf("peak = %v, want %v", got.peak.cpu, want)
	}
	if got.mean.gpu != 0 {
		t.Errorf("mean of GPUs where there are none = %v, want 0", got.mean.gpu)
	}
	if took := got.lastBound.Sub(got.firstCreated); took != 3*time.Second {
		t.Errorf("first created to last bound = %v, want 3s", took)
	}
}

func TestObserverCounts(t *testing.T) {
	foreign := func(p *corev1.Pod) { p.Spec.SchedulerName = corev1.DefaultSchedulerName }
	unschedulable := func(p *corev1.Pod) {
		p.Status.Conditions = []corev1.PodCondition{{
			Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Message: "0/3 nodes are available",
		}}
	}
	s := newStory()
	s.at(0, pod("waits", "1", unschedulable), pod("new", "1"), pod("runs", "1", bound, phase(corev1.PodRunning)),
		pod("fine", "1", bound, phase(corev1.PodSucceeded)), pod("broken", "1", bound, phase(corev1.PodFailed)),
		pod("foreign", "1", foreign, bound))
	s.OnDelete(cache.DeletedFinalStateUnknown{Obj: pod("gone", "1", bound, phase(corev1.PodRunning))})

	want := counts{created: 6, scheduled: 4, running: 1, succeeded: 1, failed: 2}
	if diff := cmp.Diff(want, s.counts(names.Scheduler), cmp.AllowUnexported(counts{})); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
	if got := s.counts(corev1.DefaultSchedulerName).scheduled; got != 1 {
		t.Errorf("foreign pods scheduled = %d, want 1", got)
	}
	wantWaiting := map[string]int{"0/3 nodes are available": 1, "not tried yet": 1}
	if diff := cmp.Diff(wantWaiting, s.obstacles()); diff != "" {
		t.Errorf("obstacles (-want +got):\n%s", diff)
	}
}

func TestReportFill(t *testing.T) {
	s := newStory()
	s.at(0, pod("a", "1", tenant("blue")), pod("b", "1", tenant("red")), pod("c", "1"), pod("d", "1", tenant("red")))
	s.at(1, pod("a", "1", tenant("blue"), bound))
	s.at(2, pod("b", "1", tenant("red"), bound))
	s.at(4, pod("c", "1", bound))
	s.at(5, pod("a", "1", tenant("blue"), bound, phase(corev1.PodSucceeded)), pod("b", "1", tenant("red"), bound, phase(corev1.PodFailed)),
		pod("c", "1", bound, phase(corev1.PodSucceeded)))

	var r Report
	r.fill(5, s.result(amounts{cpu: 4}), names.PriorityClasses()) // the fifth was never seen

	want := Report{
		Pods: 5, Scheduled: 3, Failed: 3, SuccessRate: 0.4, PodsPerSecond: 0.75,
		QueueWaitSeconds: Distribution{Mean: 7.0 / 3, P50: 2, P99: 4},
		Utilization:      Utilization{CPU: (1*1 + 2*2 + 3*1) / 5.0 / 4}, // one core from 1 to 2, two to 4, three to 5
		PeakUtilization:  Utilization{CPU: 0.75},
		ByTenant: []Group{
			{Name: "blue", Pods: 1, Scheduled: 1, QueueWaitSeconds: Distribution{1, 1, 1}},
			{Name: "ns", Pods: 1, Scheduled: 1, QueueWaitSeconds: Distribution{4, 4, 4}},
			{Name: "red", Pods: 2, Scheduled: 1, QueueWaitSeconds: Distribution{2, 2, 2}},
		},
		ByPriority: []Group{
			{Name: names.PriorityHigh, Pods: 4, Scheduled: 3, QueueWaitSeconds: Distribution{7.0 / 3, 2, 4}},
		},
	}
	if diff := cmp.Diff(want, r, cmpopts.EquateApprox(1e-12, 0)); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
}

// A preempted pod's job makes another pod: it counts once, and is not failed.
func TestReportPreempted(t *testing.T) {
	owned := func(p *corev1.Pod) {
		p.OwnerReferences = []metav1.OwnerReference{{UID: "job", Controller: ptr.To(true)}}
	}
	disrupted := func(p *corev1.Pod) {
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue}}
	}
	s := newStory()
	s.at(0, pod("first", "1", owned))
	s.at(1, pod("first", "1", owned, bound))
	s.at(2, pod("first", "1", owned, bound, disrupted, phase(corev1.PodFailed)), pod("second", "1", owned))
	s.at(4, pod("second", "1", owned, bound))
	if got := s.counts(names.Scheduler); got.ended() != 0 || got.evicted != 1 {
		t.Errorf("counts after the preemption = %+v, want none ended and one evicted", got)
	}
	s.at(5, pod("second", "1", owned, bound, phase(corev1.PodSucceeded)))

	var r Report
	r.fill(1, s.result(amounts{cpu: 1}), nil)
	if r.Scheduled != 1 || r.Failed != 0 || r.Preempted != 1 || r.SuccessRate != 1 || r.PodsPerSecond != 0.5 {
		t.Errorf("report = %+v, want one job scheduled and succeeded, one preemption, two bindings in four seconds", r)
	}
	if want := (Distribution{Mean: 1.5, P50: 1, P99: 2}); r.QueueWaitSeconds != want {
		t.Errorf("waits = %+v, want %+v", r.QueueWaitSeconds, want)
	}
}

func TestReportOfNothing(t *testing.T) {
	s := newStory()
	var r Report
	r.fill(0, s.result(amounts{}), nil)
	if diff := cmp.Diff(Report{}, r, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
}

func TestGroupOrder(t *testing.T) {
	var pods []podLife
	for _, name := range []string{"zeta", names.PriorityBatch, "alpha", names.PriorityCritical} {
		pods = append(pods, podLife{priority: name})
	}
	var got []string
	for _, g := range groupBy(pods, func(p podLife) string { return p.priority }, names.PriorityClasses()) {
		got = append(got, g.Name)
	}
	want := []string{names.PriorityCritical, names.PriorityBatch, "alpha", "zeta"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}
