// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package load

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	toolscache "k8s.io/client-go/tools/cache"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"auriga.dev/auriga/pkg/apis/names"
	"auriga.dev/auriga/pkg/capacity"
	"auriga.dev/auriga/pkg/controllers/utilization"
)

func testNode(name, uid, pool string) *corev1.Node {
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(uid), Labels: map[string]string{"pool": pool}},
		Status: corev1.NodeStatus{Capacity: corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse("8"), corev1.ResourceMemory: resource.MustParse("16Gi"),
		}},
	}
}

// TestReadings: unknown is not zero, be it for want of a reading, for its age or
// because it is another node of the same name.
func TestReadings(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	tracker := capacity.NewTracker(time.Minute)
	for _, reading := range []struct {
		name string
		age  time.Duration
	}{{"fresh", time.Minute}, {"stale", time.Minute + 1}, {"new", 0}} {
		n := &capacity.NodeCapacity{ObjectMeta: metav1.ObjectMeta{Name: reading.name, UID: "1"}}
		n.Measured[capacity.CPU].Mean, _ = capacity.NewReading(2, now.Add(-reading.age))
		if reading.name != "stale" {
			n.Measured[capacity.Memory].Mean, _ = capacity.NewReading(4<<30, now)
		}
		tracker.Set(n)
	}
	nodes := fake.NewClientBuilder().WithScheme(scheme.Scheme).WithObjects(
		testNode("fresh", "1", "a"), testNode("stale", "1", "a"), testNode("new", "2", "b"), testNode("unknown", "1", "")).Build()
	s := &Source{
		config: Config{MaxAge: time.Minute, PoolLabel: "pool"}, nodes: nodes, tracker: tracker, clock: clocktesting.NewFakePassiveClock(now),
	}
	check := func(cpu, memory float64) {
		t.Helper()
		readings, err := s.Readings(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		unknown := utilization.Unknown()
		there := utilization.Amounts{CPU: 8, Memory: 16 << 30}
		want := []utilization.Node{ // by name
			{Pool: "a", Capacity: there, Used: utilization.Amounts{CPU: cpu, Memory: memory}},
			{Pool: "b", Capacity: there, Used: unknown},
			{Pool: "a", Capacity: there, Used: unknown},
			{Pool: "", Capacity: there, Used: unknown},
		}
		same := cmp.Comparer(func(a, b float64) bool { return a == b || math.IsNaN(a) && math.IsNaN(b) })
		if diff := cmp.Diff(want, readings, same); diff != "" {
			t.Errorf("readings (-want +got):\n%s", diff)
		}
	}
	check(math.NaN(), math.NaN()) // before the first snapshot
	tracker.Publish(now)
	check(2, 4<<30)

	lister := nodeLister{nodes}
	if list, err := lister.List(labels.Everything()); len(list) != 4 || err != nil {
		t.Errorf("%d nodes, %v", len(list), err)
	}
	if list, err := lister.List(labels.SelectorFromSet(labels.Set{"pool": "b"})); len(list) != 1 || err != nil {
		t.Errorf("%d nodes of pool b, %v", len(list), err)
	}
	if node, err := lister.Get("new"); err != nil || node.UID != "2" {
		t.Errorf("%v, %v", node, err)
	}
}

// TestTrim: what the controllers find out about a pod is the same as before.
func TestTrim(t *testing.T) {
	always := corev1.ContainerRestartPolicyAlways
	requests := func(cpu string) corev1.ResourceRequirements {
		return corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse("1Gi")}}
	}
	end := metav1.NewTime(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	full := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "ns", Name: "p", UID: "uid", Labels: map[string]string{names.LabelTenant: "blue"},
			Annotations:   map[string]string{names.AnnotationUsage: "cpu=2,memory=4Gi", "other": "x"},
			ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "m"}},
		},
		Spec: corev1.PodSpec{
			NodeName: "n", SchedulerName: names.Scheduler, PriorityClassName: names.PriorityBatch, RestartPolicy: corev1.RestartPolicyNever,
			Volumes:        []corev1.Volume{{Name: "v"}},
			Containers:     []corev1.Container{{Name: "c", Image: "i", Args: []string{"a"}, Resources: requests("1")}},
			InitContainers: []corev1.Container{{Name: "i", RestartPolicy: &always, Resources: requests("2")}},
			Overhead:       corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("250m")},
		},
		Status: corev1.PodStatus{
			Phase: corev1.PodFailed, StartTime: &end, Conditions: []corev1.PodCondition{{Type: corev1.PodReady}},
			ContainerStatuses: []corev1.ContainerStatus{
				{Name: "c", Image: "i", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{FinishedAt: end}}}, {Name: "d"},
			},
		},
	}
	object, err := Trim(full.DeepCopy())
	if err != nil {
		t.Fatal(err)
	}
	trimmed, ok := object.(*corev1.Pod)
	if !ok {
		t.Fatalf("%T", object)
	}
	for _, pod := range []*corev1.Pod{full, trimmed} {
		// 1 + 2 cores and 0.25.
		if e, err := (capacity.Estimator{CPUShare: 1, MemoryShare: 1}).Expect(withoutUsage(pod)); err != nil || e.Use != (capacity.Use{CPU: 3.25, Memory: 2 << 30}) {
			t.Errorf("%+v, %v", e, err)
		}
	}
	want := full.DeepCopy()
	want.ManagedFields, want.Annotations = nil, map[string]string{names.AnnotationUsage: "cpu=2,memory=4Gi"}
	want.Spec.Volumes, want.Spec.Containers[0].Image, want.Spec.Containers[0].Args = nil, "", nil
	want.Status.Conditions, want.Status.ContainerStatuses = nil, want.Status.ContainerStatuses[:1]
	want.Status.ContainerStatuses[0].Image = ""
	if diff := cmp.Diff(want, trimmed); diff != "" {
		t.Errorf("trimmed (-want +got):\n%s", diff)
	}
	if node, err := Trim(&corev1.Node{}); err != nil || node == nil {
		t.Errorf("%v, %v", node, err)
	}
}

func withoutUsage(pod *corev1.Pod) *corev1.Pod {
	pod = pod.DeepCopy()
	delete(pod.Annotations, names.AnnotationUsage)
	return pod
}

// TestFollow: the tracker comes first, and a pod that took another's name while
// nobody watched is another pod.
func TestFollow(t *testing.T) {
	s := &Source{}
	var seen []string
	note := func(who string) toolscache.ResourceEventHandler {
		say := func(what string, object any) {
			seen = append(seen, who+" "+what+" "+string(object.(*corev1.Pod).UID))
		}
		return toolscache.ResourceEventHandlerFuncs{
			AddFunc:    func(o any) { say("add", o) },
			UpdateFunc: func(_, o any) { say("update", o) },
			DeleteFunc: func(o any) { say("delete", o) },
		}
	}
	s.Follow(note("tracker"))
	s.Follow(note("other"))
	one, two := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "1"}}, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "2"}}
	f := follow{s}
	f.OnAdd(one, false)
	f.OnUpdate(one, one)
	f.OnUpdate(one, two)
	want := []string{
		"tracker add 1", "other add 1", "tracker update 1", "other update 1",
		"tracker delete 1", "other delete 1", "tracker add 2", "other add 2",
	}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}
