// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package reclaim

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"auriga.dev/auriga/pkg/apis/names"
	"auriga.dev/auriga/pkg/capacity"
	"auriga.dev/auriga/pkg/capacity/podfeed"
)

// bench is a Reconciler of the worker n, which has 16 cores and 64 GiB, and what
// is around it. Readings and windows reach a minute back.
type bench struct {
	*Reconciler
	t       *testing.T
	clock   *clocktesting.FakePassiveClock
	tracker *capacity.Tracker
	feed    *podfeed.Feed
	pods    map[string]*corev1.Pod
	looks   int
	// evicted are the pods evicted, in this order; refuse is what the API server
	// answers about a pod.
	evicted []string
	refuse  map[string]error
}

func newBench(t *testing.T, isMeasured bool) *bench {
	t.Helper()
	b := &bench{
		t: t, clock: clocktesting.NewFakePassiveClock(epoch), tracker: capacity.NewTracker(time.Minute),
		pods: map[string]*corev1.Pod{}, refuse: map[string]error{},
	}
	estimator := capacity.Estimator{CPUShare: 0.7, MemoryShare: 0.8}
	b.feed = podfeed.New(b.tracker, estimator, b.clock)
	room := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("16"), corev1.ResourceMemory: resource.MustParse("64Gi")}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n", UID: "uid"}, Status: corev1.NodeStatus{Allocatable: room}}
	api := fake.NewClientBuilder().WithScheme(scheme.Scheme).WithObjects(node).
		WithIndex(&corev1.Pod{}, nodeIndex, func(o client.Object) []string { return []string{o.(*corev1.Pod).Spec.NodeName} }).
		WithInterceptorFuncs(interceptor.Funcs{SubResourceCreate: b.answer}).Build()
	b.Reconciler = &Reconciler{
		client: api, snapshot: b.tracker.Snapshot, clock: b.clock, metrics: newMetrics(),
		recorder: events.NewFakeRecorder(100),
		policy:   Policy{Ceilings: [numLevels]float64{0.9, 0.85}, MaxAge: time.Minute, Ramp: time.Minute, CPUWindow: time.Minute},
		ledger: &ledger{
			expect:     func(pod *corev1.Pod) capacity.Expected { e, _ := estimator.Expect(pod); return e },
			schedulers: sets.New(names.Scheduler), clock: b.clock, ramp: time.Minute, nodes: map[string]map[types.UID]*Pod{},
			look: func(string) { b.looks++ },
		},
	}
	if isMeasured {
		b.ledger.keep = 2 * time.Minute
	}
	return b
}

// answer is the eviction API's.
func (b *bench) answer(_ context.Context, _ client.Client, subresource string, pod, object client.Object, _ ...client.SubResourceCreateOption) error {
	eviction, ok := object.(*policyv1.Eviction)
	if !ok || subresource != "eviction" || eviction.Name != pod.GetName() || *eviction.DeleteOptions.Preconditions.UID != types.UID(pod.GetName()) {
		b.t.Errorf("not an eviction of that pod: %s %+v", subresource, object)
	}
	if err := b.refuse[pod.GetName()]; err != nil {
		return err
	}
	b.evicted = append(b.evicted, pod.GetName())
	return nil
}

// at turns the clock to some seconds after the beginning.
func (b *bench) at(seconds float64) { b.clock.SetTime(at(seconds)) }

// put places a pod that declares its use; it runs since some seconds after the
// beginning, or not yet (negative).
func (b *bench) put(name string, cores, memory string, started float64, change ...func(*corev1.Pod)) {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, UID: types.UID(name),
			Annotations: map[string]string{names.AnnotationUsage: "cpu=" + cores + ",memory=" + memory}},
		Spec: corev1.PodSpec{NodeName: "n", SchedulerName: names.Scheduler, PriorityClassName: names.PriorityBatch},
	}
	if started >= 0 {
		pod.Status.Phase = corev1.PodRunning
		pod.Status.StartTime = &metav1.Time{Time: at(started)}
	}
	for _, f := range change {
		f(pod)
	}
	if err := b.client.Create(b.t.Context(), pod.DeepCopy()); err != nil {
		b.t.Fatal(err)
	}
	b.pods[name] = pod
	b.feed.OnAdd(pod, false)
	b.ledger.OnAdd(pod, false)
}

// requests makes a pod ordinary.
func requests(cores, memory string) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		pod.Spec.PriorityClassName = names.PriorityHigh
		pod.Spec.Containers = []corev1.Container{{Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse(cores), corev1.ResourceMemory: resource.MustParse(memory)}}}}
	}
}

// change shows a change of a pod.
func (b *bench) change(name string, f func(*corev1.Pod)) {
	before := b.pods[name]
	after := before.DeepCopy()
	f(after)
	b.pods[name] = after
	b.feed.OnUpdate(before, after)
	b.ledger.OnUpdate(before, after)
}

// terminate shows that a pod was told to end until some seconds after the beginning.
func (b *bench) terminate(name string, until float64) {
	b.change(name, func(pod *corev1.Pod) { pod.DeletionTimestamp = &metav1.Time{Time: at(until)} })
}

// end shows that a pod has failed, then that it is gone.
func (b *bench) end(name string) {
	b.change(name, func(pod *corev1.Pod) { pod.Status.Phase = corev1.PodFailed })
	b.feed.OnDelete(b.pods[name])
	b.ledger.OnDelete(b.pods[name])
}

// sample shows what was measured at some seconds after the beginning.
func (b *bench) sample(cores, gib, sampled float64) {
	b.tracker.Set(measured("n", cores, gib, sampled))
	b.tracker.Publish(b.clock.Now())
	b.ledger.lookAtAll()
}

// want does a pass and compares what was evicted since the last.
func (b *bench) want(evicted ...string) reconcile.Result {
	b.t.Helper()
	b.evicted = nil
	result, err := b.Reconcile(b.t.Context(), reconcile.Request{NamespacedName: types.NamespacedName{Name: "n"}})
	if err != nil {
		b.t.Fatal(err)
	}
	if diff := cmp.Diff(evicted, b.evicted); diff != "" {
		b.t.Errorf("at %v: evicted (-want +got):\n%s", b.clock.Now().Sub(epoch), diff)
	}
	return result
}

// TestOneOverloadOneAnswer: after an eviction nothing more happens, with and
// without new samples, until there is a new overload.
func TestOneOverloadOneAnswer(t *testing.T) {
	b := newBench(t, true)
	b.put("base", "6", "8Gi", 0, requests("6", "8Gi"))
	for _, p := range []struct {
		name    string
		started float64
	}{{"a", 10}, {"b", 20}, {"c", 30}, {"d", 40}} {
		b.put(p.name, "2", "1Gi", p.started)
	}
	b.at(300)
	b.sample(14, 12, 299)
	b.want() // 14 of 14.4

	// An ordinary pod is bound: 14 + 3 = 17, so 2.6 too many.
	looks := b.looks
	b.put("job", "3", "1Gi", -1, requests("4", "4Gi"))
	if b.looks != looks+1 {
		t.Errorf("looked at the worker %d times, want once", b.looks-looks)
	}
	b.want("d", "c")
	for i := range 5 { // No new sample, and the API server's word is not here yet.
		b.at(301 + float64(i))
		b.want()
	}
	b.terminate("d", 336)
	b.terminate("c", 336)
	b.change("job", func(pod *corev1.Pod) {
		pod.Status.Phase = corev1.PodRunning
		pod.Status.StartTime = &metav1.Time{Time: at(306)}
	})
	b.at(306)
	b.want()
	b.end("d") // Its end is in no sample yet.
	b.at(307)
	b.want()
	b.end("c")
	b.want()
	// Samples that contain a part of all three: after 15 s of a minute, d and c
	// have 45 of 60 s in it (3 of 4 cores), and the job 15 s (0.75 of 3).
	b.at(322)
	b.sample(10+3+0.75, 12, 321.5)
	b.want()
	b.at(352)
	b.sample(10+1+2.25, 11, 351.5)
	b.want()
	b.at(368)
	b.sample(13, 11, 367.5)
	b.want()
	if n := len(b.ledger.on("n")); n != 5 {
		t.Errorf("the ledger has %d pods, want a, b, job, and c and d, whose ends a sample of a minute ago contains: %+v", n, b.ledger.on("n"))
	}

	// The base grows, unforeseen: 15 measured is 0.6 too many.
	b.at(400)
	b.sample(15, 11, 399)
	b.want("b")
	b.want()
	b.at(600)
	b.sample(13, 10, 599)
	b.want()
	if got := testutil.ToFloat64(b.metrics.evictions.WithLabelValues("cpu")); got != 3 {
		t.Errorf("%v evictions counted, want 3", got)
	}
	if n := b.ledger.count(); n != 2 {
		t.Errorf("%d reclaimed pods, want a and b, which does not end", n)
	}
}

// TestStuck: a pod that outstays its grace period no longer counts as gone.
func TestStuck(t *testing.T) {
	b := newBench(t, true)
	b.put("a", "2", "1Gi", 0)
	b.put("b", "2", "1Gi", 10)
	b.at(300)
	b.sample(15, 8, 299)
	b.want("b")
	b.terminate("b", 310)
	b.at(339)
	b.sample(15, 8, 338)
	b.want()
	b.at(341)
	b.want("a")
}

// TestOwnBurst: a worker filled at once is not over its ceiling because the
// measurement contains already what is in flight.
func TestOwnBurst(t *testing.T) {
	b := newBench(t, true)
	b.at(100)
	b.sample(0, 0, 99)
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g"} {
		b.put(name, "2", "4Gi", -1)
		b.change(name, func(pod *corev1.Pod) { pod.Status.Phase = corev1.PodRunning })
	}
	b.want()
	for seconds := 15.0; seconds <= 90; seconds += 15 {
		b.at(100 + seconds)
		b.sample(14*min(seconds/60, 1), 28, 100+seconds)
		b.want()
	}
}

func TestOnlyReclaimedPodsOfOurs(t *testing.T) {
	b := newBench(t, true)
	b.put("ordinary", "4", "1Gi", 0, requests("4", "1Gi"))
	b.put("batch with requests", "4", "1Gi", 0, requests("1", "1Gi"), func(pod *corev1.Pod) { pod.Spec.PriorityClassName = names.PriorityBatch })
	b.put("no class", "4", "1Gi", 0, func(pod *corev1.Pod) { pod.Spec.PriorityClassName = "" })
	b.put("another scheduler's", "4", "1Gi", 0, func(pod *corev1.Pod) { pod.Spec.SchedulerName = corev1.DefaultSchedulerName })
	b.put("has ended", "4", "1Gi", 0, func(pod *corev1.Pod) { pod.Status.Phase = corev1.PodSucceeded })
	b.put("ends", "4", "1Gi", 0, func(pod *corev1.Pod) { pod.DeletionTimestamp = &metav1.Time{Time: at(310)} })
	b.put("lent", "1", "1Gi", 0)
	b.at(300)
	b.sample(30, 60, 299)
	b.want("lent")
}

// TestBlocked: the next candidate has to give way, and none more than without.
func TestBlocked(t *testing.T) {
	b := newBench(t, true)
	budget := apierrors.NewTooManyRequests("budget", 0)
	budget.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: policyv1.DisruptionBudgetCause}}
	for _, name := range []string{"a", "b", "c", "d"} {
		b.put(name, "2", "1Gi", 10)
	}
	b.refuse["a"] = budget
	b.refuse["b"] = apierrors.NewInternalError(errors.New("more than one budget"))
	b.at(300)
	b.sample(16, 8, 299) // 1.6 too many
	if result := b.want("c"); result.RequeueAfter != retry {
		t.Errorf("looks again after %v, want %v", result.RequeueAfter, retry)
	}
	if result := b.want(); result.RequeueAfter != 59*time.Second+time.Millisecond {
		t.Errorf("looks again after %v, want when the sample will be too old", result.RequeueAfter)
	}
	for reason, want := range map[string]float64{blockedByBudget: 1, blockedByError: 1} {
		if got := testutil.ToFloat64(b.metrics.blocked.WithLabelValues(reason)); got != want {
			t.Errorf("blocked by %s: %v, want %v", reason, got, want)
		}
	}
	// Gone already: that is as good.
	b.refuse["d"] = apierrors.NewNotFound(corev1.Resource("pods"), "d")
	b.sample(18, 8, 299) // 18 - c is 1.6 too many
	if result := b.want(); result.RequeueAfter != retry {
		t.Errorf("looks again after %v, want %v", result.RequeueAfter, retry)
	}

	// Nobody knows whether it was evicted: nobody else is, before the pods tell.
	b = newBench(t, true)
	b.put("a", "2", "1Gi", 10)
	b.put("b", "2", "1Gi", 10)
	b.refuse["a"] = context.DeadlineExceeded
	b.at(300)
	b.sample(16, 8, 299)
	_, err := b.Reconcile(t.Context(), reconcile.Request{NamespacedName: types.NamespacedName{Name: "n"}})
	if !errors.Is(err, context.DeadlineExceeded) || len(b.evicted) > 0 {
		t.Errorf("error %v, evicted %v", err, b.evicted)
	}
}

// TestUnmeasured: by requests, but with patience where a reading may be under way.
func TestUnmeasured(t *testing.T) {
	b := newBench(t, false)
	b.put("ordinary", "1", "1Gi", 0, requests("10", "20Gi"))
	b.put("done", "1", "1Gi", 0, requests("10", "20Gi"), func(pod *corev1.Pod) { pod.Status.Phase = corev1.PodSucceeded })
	b.put("a", "2", "4Gi", 10)
	b.put("b", "2", "4Gi", 20)
	b.want() // 14 of 14.4
	b.patience = at(60)
	b.put("more", "1", "1Gi", 0, requests("2", "1Gi"))
	if result := b.want(); result.RequeueAfter != time.Minute {
		t.Errorf("looks again after %v, want 1m", result.RequeueAfter)
	}
	b.at(60)
	b.want("b") // 16: 1.6 too many
	b.end("b")
	b.want()
	if n := len(b.ledger.on("n")); n != 1 {
		t.Errorf("the ledger has %d pods, want a alone", n)
	}
	recorder, ok := b.recorder.(*events.FakeRecorder)
	if !ok || len(recorder.Events) != 1 {
		t.Fatal("want one event")
	}
	const note = "Normal Reclaimed Reclaimed: node n requested (nothing is measured) cpu 16 of 16 cores, ceiling 90 %: the pod gives back 2 cores"
	if got := <-recorder.Events; got != note {
		t.Errorf("event %q, want %q", got, note)
	}
}

// TestSilence: when Prometheus is silent, readings grow old without news, and
// requests decide.
func TestSilence(t *testing.T) {
	b := newBench(t, true)
	b.put("ordinary", "1", "1Gi", 0, requests("13", "1Gi"))
	b.put("a", "2", "1Gi", 10)
	b.at(300)
	b.sample(3, 2, 290)
	if result := b.want(); result.RequeueAfter != 50*time.Second+time.Millisecond {
		t.Errorf("looks again after %v, want 50s, when the sample is too old", result.RequeueAfter)
	}
	b.at(350)
	b.want()
	b.at(350.001)
	b.want("a") // 15 of 14.4
	b.end("a")
	if result := b.want(); result.RequeueAfter != 0 {
		t.Errorf("looks again after %v, though nothing is lent", result.RequeueAfter)
	}
}

func TestNote(t *testing.T) {
	v := Victim{Candidate: candidate("p", 2, 4, 0), Resource: capacity.CPU}
	if got, want := note("n1", v, Level{Use: 15.2, Full: 16, Ceiling: 0.9, Measured: true}),
		"Reclaimed: node n1 predicted cpu 15.2 of 16 cores, ceiling 90 %: the pod gives back 2 cores"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	v.Resource = capacity.Memory
	if got, want := note("n1", v, Level{Use: 60.51 * gi, Full: 64 * gi, Ceiling: 0.85, Measured: true}),
		"Reclaimed: node n1 predicted memory 60.51 of 64 GiB, ceiling 85 %: the pod gives back 4 GiB"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestWatch: whoever becomes the leader looks at every worker with reclaimed pods.
func TestWatch(t *testing.T) {
	b := newBench(t, true)
	b.put("lent", "1", "1Gi", 0)
	b.put("ordinary", "1", "1Gi", 0, requests("1", "1Gi"))
	b.put("elsewhere", "1", "1Gi", 0, requests("1", "1Gi"), func(pod *corev1.Pod) { pod.Spec.NodeName = "other" })
	var seen []string
	b.ledger.watch(func(node string) { seen = append(seen, node) })
	if !slices.Equal(seen, []string{"n"}) {
		t.Errorf("looked at %s, want n", strings.Join(seen, ", "))
	}
	b.end("lent")
	b.put("more", "1", "1Gi", 0, requests("1", "1Gi"))
	if len(seen) != 1 {
		t.Errorf("looked at %s, want nothing more: there is nothing to take back", strings.Join(seen, ", "))
	}
	b.at(1000)
	b.ledger.lookAtAll()
	if len(b.ledger.nodes) != 0 {
		t.Errorf("the ledger still has %v", b.ledger.nodes)
	}
}

// TestConcurrently is for the race detector: pods come and go while snapshots
// are published and passes are made.
func TestConcurrently(t *testing.T) {
	b := newBench(t, true)
	pods := make([]*corev1.Pod, 20)
	for i := range pods {
		name := "p" + strconv.Itoa(i)
		b.put(name, "1", "1Gi", 0)
		pods[i] = b.pods[name]
	}
	var group sync.WaitGroup
	for _, do := range []func(i int){
		func(i int) {
			b.feed.OnAdd(pods[i%len(pods)], false)
			b.ledger.OnAdd(pods[i%len(pods)], false)
		},
		func(i int) {
			b.feed.OnDelete(pods[i%len(pods)])
			b.ledger.OnDelete(pods[i%len(pods)])
		},
		func(i int) { b.sample(float64(i%20), 8, 0) },
		func(int) {
			if _, err := b.Reconcile(t.Context(), reconcile.Request{NamespacedName: types.NamespacedName{Name: "n"}}); err != nil {
				t.Error(err)
			}
		},
		func(int) { b.ledger.count() },
	} {
		group.Go(func() {
			for i := range 100 {
				do(i)
			}
		})
	}
	group.Wait()
}
