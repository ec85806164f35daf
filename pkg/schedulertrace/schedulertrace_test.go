// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package schedulertrace

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/events"
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/testutil"
	tracingapi "k8s.io/component-base/tracing/api/v1"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler"
	schedconfig "k8s.io/kubernetes/pkg/scheduler/apis/config"
	schedtesting "k8s.io/kubernetes/pkg/scheduler/apis/config/testing/defaults"
	frameworkruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"

	"auriga.dev/auriga/pkg/telemetry"
)

// deadline bounds every wait; generous, for a busy machine.
const deadline = time.Minute

// slow is a plugin that takes its time, and may fail to bind.
type slow struct {
	pause time.Duration
	fail  atomic.Int32 // so many PreBinds fail
}

var (
	_ fwk.FilterPlugin  = &slow{}
	_ fwk.ScorePlugin   = &slow{}
	_ fwk.PreBindPlugin = &slow{}
)

func (*slow) Name() string { return "Slow" }
func (p *slow) wait() {
	if p.pause > 0 {
		<-time.After(p.pause)
	}
}
func (p *slow) Filter(context.Context, fwk.CycleState, *corev1.Pod, fwk.NodeInfo) *fwk.Status {
	p.wait()
	return nil
}
func (p *slow) Score(context.Context, fwk.CycleState, *corev1.Pod, fwk.NodeInfo) (int64, *fwk.Status) {
	p.wait()
	return 1, nil
}
func (*slow) ScoreExtensions() fwk.ScoreExtensions { return nil }
func (*slow) PreBindPreFlight(context.Context, fwk.CycleState, *corev1.Pod, string) *fwk.Status {
	return nil
}
func (p *slow) PreBind(context.Context, fwk.CycleState, *corev1.Pod, string) *fwk.Status {
	if p.fail.Add(-1) >= 0 {
		return fwk.NewStatus(fwk.Error, "no luck")
	}
	return nil
}

// bench is a scheduler on a fake API server that schedules when it is told to.
type bench struct {
	*scheduler.Scheduler
	client   *fake.Clientset
	spans    *tracetest.InMemoryExporter
	registry metrics.KubeRegistry
	plugin   *slow
	recorder *recorder
}

type setup struct {
	nodes   int
	pause   time.Duration
	rate    int32 // per million
	off     bool  // no provider
	maxOpen int
}

func newBench(t testing.TB, s setup) *bench {
	t.Helper()
	b := &bench{client: fake.NewClientset(), spans: tracetest.NewInMemoryExporter(), registry: metrics.NewKubeRegistry(), plugin: &slow{pause: s.pause}}
	// The tracker does not know what a binding does.
	b.client.PrependReactor("create", "pods", func(a clienttesting.Action) (bool, runtime.Object, error) {
		return a.GetSubresource() == "binding", nil, nil
	})
	for i := range s.nodes {
		if err := b.client.Tracker().Add(newNode(fmt.Sprintf("node-%d", i))); err != nil {
			t.Fatal(err)
		}
	}
	plugins := schedtesting.PluginsV1.DeepCopy()
	plugins.MultiPoint.Enabled = append([]schedconfig.Plugin{{Name: "Slow", Weight: 1}}, plugins.MultiPoint.Enabled...)
	factory := informers.NewSharedInformerFactory(b.client, 0)
	ctx := t.Context()
	sched, err := scheduler.New(ctx, b.client, factory, nil,
		func(string) events.EventRecorder { return events.NewFakeRecorder(10_000) },
		scheduler.WithProfiles(schedconfig.KubeSchedulerProfile{SchedulerName: "auriga", Plugins: plugins, PluginConfig: schedtesting.PluginConfigsV1}),
		scheduler.WithFrameworkOutOfTreeRegistry(frameworkruntime.Registry{"Slow": func(context.Context, runtime.Object, fwk.Handle) (fwk.Plugin, error) {
			return b.plugin, nil
		}}),
		scheduler.WithPodInitialBackoffSeconds(0), scheduler.WithPodMaxBackoffSeconds(0))
	if err != nil {
		t.Fatal(err)
	}
	b.Scheduler = sched
	o := Options{Pods: factory.Core().V1().Pods(), Register: b.registry.Register, MaxOpen: s.maxOpen,
		Sampler: telemetry.NewSampler(&tracingapi.TracingConfiguration{SamplingRatePerMillion: &s.rate})}
	if !s.off {
		o.Provider = sdktrace.NewTracerProvider(sdktrace.WithSyncer(b.spans))
	}
	if err := Install(sched, o); err != nil {
		t.Fatal(err)
	}
	switch f := sched.Profiles["auriga"].(type) {
	case *timed:
		b.recorder = f.recorder
	case *traced:
		b.recorder = f.recorder
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	if err := sched.WaitForHandlersSync(ctx); err != nil {
		t.Fatal(err)
	}
	sched.SchedulingQueue.Run(klogDiscard())
	t.Cleanup(sched.SchedulingQueue.Close)
	return b
}

func newNode(name string) *corev1.Node {
	room := corev1.ResourceList{"cpu": resource.MustParse("8"), "memory": resource.MustParse("8Gi"), "pods": resource.MustParse("100000")}
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: corev1.NodeStatus{Capacity: room, Allocatable: room}}
}

func newPod(name string, cpu string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, UID: types.UID(name + "-uid"), Annotations: map[string]string{}, Labels: map[string]string{"auriga.dev/tenant": "team-a"}},
		Spec: corev1.PodSpec{SchedulerName: "auriga", PriorityClassName: "auriga-high", Containers: []corev1.Container{{Name: "c",
			Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{"cpu": resource.MustParse(cpu)}}}}},
	}
}

// submit creates a pod and waits until it is in the queue.
func (b *bench) submit(t testing.TB, pod *corev1.Pod) {
	t.Helper()
	if _, err := b.client.CoreV1().Pods(pod.Namespace).Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the pod is queued", func() bool { pods, _ := b.SchedulingQueue.PendingPods(); return len(pods) > 0 })
}

// root waits for the end of the tree.
func (b *bench) root(t testing.TB) tracetest.SpanStub {
	t.Helper()
	var root tracetest.SpanStub
	eventually(t, "the root span has ended", func() bool {
		i := slices.IndexFunc(b.spans.GetSpans(), func(s tracetest.SpanStub) bool { return s.Name == "schedule pod" })
		if i >= 0 {
			root = b.spans.GetSpans()[i]
		}
		return i >= 0
	})
	return root
}

func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	if err := wait.PollUntilContextTimeout(t.Context(), time.Millisecond, deadline, true,
		func(context.Context) (bool, error) { return condition(), nil }); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// tree is the names of the spans below one, in the order of their starts.
func tree(spans tracetest.SpanStubs, of trace.SpanID) string {
	var below tracetest.SpanStubs
	for _, s := range spans {
		if s.Parent.SpanID() == of {
			below = append(below, s)
		}
	}
	slices.SortStableFunc(below, func(a, b tracetest.SpanStub) int { return a.StartTime.Compare(b.StartTime) })
	var parts []string
	for _, s := range below {
		part := s.Name
		if children := tree(spans, s.SpanContext.SpanID()); children != "" {
			part += "(" + children + ")"
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, " ")
}

func attributes(s tracetest.SpanStub) map[string]any {
	m := map[string]any{}
	for _, a := range s.Attributes {
		m[string(a.Key)] = a.Value.AsInterface()
	}
	return m
}

func (b *bench) span(t testing.TB, name string) tracetest.SpanStub {
	t.Helper()
	for _, s := range b.spans.GetSpans() {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("no span %q", name)
	return tracetest.SpanStub{}
}

const bound = "attempt(PreFilter Filter PreScore Score Reserve Permit PreBind Bind PostBind)"

func TestBoundPod(t *testing.T) {
	const nodes, pause = 20, 2 * time.Millisecond
	b := newBench(t, setup{nodes: nodes, pause: pause})
	pod := newPod("p", "1")
	pod.Annotations["auriga.dev/traceparent"] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	b.submit(t, pod)
	b.ScheduleOne(t.Context())

	root := b.root(t)
	if got, want := tree(b.spans.GetSpans(), root.SpanContext.SpanID()), "queue "+bound; got != want {
		t.Errorf("tree\n%s\nwant\n%s", got, want)
	}
	if got := root.SpanContext.TraceID().String() + "-" + root.Parent.SpanID().String(); got != "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7" {
		t.Errorf("the root hangs below %s", got)
	}
	node := attributes(b.span(t, "Bind"))["k8s.node.name"]
	if diff := cmp.Diff(map[string]any{
		"k8s.namespace.name": "ns", "k8s.pod.name": "p", "k8s.pod.uid": "p-uid", "auriga.tenant": "team-a",
		"auriga.priority_class": "auriga-high", "auriga.scheduler": "auriga", "auriga.outcome": "bound", "auriga.attempts": int64(1),
		"k8s.node.name": node,
	}, attributes(root)); diff != "" {
		t.Errorf("the root's attributes (-want +got):\n%s", diff)
	}

	// The children follow each other.
	queue, attempt := b.span(t, "queue"), b.span(t, "attempt")
	if !queue.StartTime.Equal(root.StartTime) || !attempt.StartTime.Equal(queue.EndTime) || !root.EndTime.Equal(attempt.EndTime) {
		t.Errorf("root %v-%v, queue %v-%v, attempt %v-%v", root.StartTime, root.EndTime, queue.StartTime, queue.EndTime, attempt.StartTime, attempt.EndTime)
	}

	filter := attributes(b.span(t, "Filter"))
	if filter["nodes.evaluated"] != int64(nodes) || filter["nodes.feasible"] != int64(nodes) {
		t.Errorf("Filter: %v", filter)
	}
	for _, phase := range []string{"Filter", "Score"} {
		got := attributes(b.span(t, phase))
		seconds, calls := got["plugin.Slow.seconds"], got["plugin.Slow.calls"]
		if calls != int64(nodes) {
			t.Errorf("%s: %v calls of Slow, want %d", phase, calls, nodes)
		}
		if s, ok := seconds.(float64); !ok || s < (nodes*pause).Seconds() {
			t.Errorf("%s: Slow took %v s, want %v or more", phase, seconds, nodes*pause)
		}
	}
	unmeasured := 0
	for key := range attributes(b.span(t, "Score")) {
		if plugin, ok := strings.CutSuffix(key, ".calls"); ok && attributes(b.span(t, "Score"))[plugin+".seconds"] == nil {
			unmeasured++
		}
	}
	if unmeasured != 1 {
		t.Errorf("%d scoring plugins have no time, want only the last", unmeasured)
	}
	top, ok := attributes(b.span(t, "Score"))["scores.top"].([]string)
	if !ok || len(top) != topNodes || !strings.Contains(top[0], "Slow 1") || !strings.Contains(top[0], " = ") {
		t.Errorf("top scores %q, bound to %v", top, node)
	}
	eventually(t, "nothing is left", func() bool { return len(b.recorder.waitingUIDs()) == 0 })
	if got := queueTimes(t, b); got != `priority="auriga-high",tenant="team-a" 1` {
		t.Errorf("queue times: %s", got)
	}
}

func (r *recorder) waitingUIDs() (uids []types.UID) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for uid := range r.waiting {
		uids = append(uids, uid)
	}
	return uids
}

// queueTimes are the labels and counts of cicd_job_queue_time_seconds.
func queueTimes(t *testing.T, b *bench) string {
	t.Helper()
	families, err := b.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var series []string
	for _, f := range families {
		if f.GetName() != "cicd_job_queue_time_seconds" {
			continue
		}
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
			}
			series = append(series, fmt.Sprintf("%s %d", strings.Join(labels, ","), m.GetHistogram().GetSampleCount()))
		}
	}
	return strings.Join(series, "; ")
}

// An attempt that fails in the binding cycle, and the next that succeeds, are
// in one tree.
func TestSeveralAttempts(t *testing.T) {
	b := newBench(t, setup{nodes: 1, rate: 1_000_000}) // one node needs no score
	b.plugin.fail.Store(1)
	b.submit(t, newPod("p", "1"))
	b.ScheduleOne(t.Context())
	eventually(t, "the first attempt has ended", func() bool {
		return slices.ContainsFunc(b.spans.GetSpans(), func(s tracetest.SpanStub) bool { return s.Name == "attempt" })
	})
	b.ScheduleOne(t.Context()) // waits for the pod to come back
	root := b.root(t)
	want := "queue attempt(PreFilter Filter Reserve Permit PreBind Unreserve) queue attempt(PreFilter Filter Reserve Permit PreBind Bind PostBind)"
	if got := tree(b.spans.GetSpans(), root.SpanContext.SpanID()); got != want {
		t.Errorf("tree\n%s\nwant\n%s", got, want)
	}
	if got := attributes(root)["auriga.attempts"]; got != int64(2) {
		t.Errorf("%v attempts", got)
	}
	first := b.span(t, "attempt")
	if got := attributes(first); got["auriga.outcome"] != "error" || !strings.Contains(first.Status.Description, "no luck") {
		t.Errorf("the failed attempt: %v, status %v", got, first.Status)
	}
}

// A pod that fits nowhere, deleted while it waits.
func TestUnschedulableAndDeletedPod(t *testing.T) {
	b := newBench(t, setup{nodes: 3, rate: 1_000_000})
	b.submit(t, newPod("p", "100"))
	b.ScheduleOne(t.Context())
	attempt := b.span(t, "attempt")
	if got := attributes(attempt); got["auriga.outcome"] != "unschedulable" || !strings.Contains(fmt.Sprint(got["auriga.message"]), "Insufficient cpu") {
		t.Errorf("the attempt: %v", got)
	}
	if got := attributes(b.span(t, "Filter")); got["rejected.NodeResourcesFit"] != int64(3) || got["nodes.feasible"] != int64(0) {
		t.Errorf("Filter: %v", got)
	}
	if err := b.client.CoreV1().Pods("ns").Delete(t.Context(), "p", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	root := b.root(t)
	if got, want := tree(b.spans.GetSpans(), root.SpanContext.SpanID()), "queue attempt(PreFilter Filter PostFilter) queue"; got != want {
		t.Errorf("tree %s, want %s", got, want)
	}
	if got := attributes(root)["auriga.outcome"]; got != "deleted" {
		t.Errorf("outcome %v", got)
	}
	if got := queueTimes(t, b); got != "" {
		t.Errorf("a queue time of a pod that was never bound: %s", got)
	}
}

// No spans, but the queue time, without sampling and without a provider.
func TestUntracedPods(t *testing.T) {
	for name, s := range map[string]setup{"not sampled": {nodes: 2}, "off": {nodes: 2, off: true, rate: 1_000_000}} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, s)
			b.submit(t, newPod("p", "1"))
			b.ScheduleOne(t.Context())
			eventually(t, "the pod is bound", func() bool { return queueTimes(t, b) != "" })
			if spans := b.spans.GetSpans(); len(spans) != 0 {
				t.Errorf("%d spans", len(spans))
			}
		})
	}
}

func TestMaxOpen(t *testing.T) {
	b := newBench(t, setup{nodes: 1, rate: 1_000_000, maxOpen: 1})
	now := time.Now()
	for i := range 3 {
		b.recorder.begin(newPod(fmt.Sprint(i), "1"), now, now)
	}
	if got, err := testutil.GetCounterMetricValue(b.recorder.untraced.WithLabelValues("too_many_open")); err != nil || got != 2 {
		t.Errorf("%v traces dropped (%v), want 2", got, err)
	}
	for i := range 3 {
		b.recorder.forget(newPod(fmt.Sprint(i), "1").UID, now)
	}
	if b.recorder.open != 0 || len(b.recorder.waiting) != 0 {
		t.Errorf("%d open, %d waiting after all were deleted", b.recorder.open, len(b.recorder.waiting))
	}
}

// A pod that is not sampled allocates nothing: not at its first attempt, not in
// a phase, not at its end.
func TestUnsampledAllocatesNothing(t *testing.T) {
	b := newBench(t, setup{nodes: 1, rate: 1})
	f := b.Profiles["auriga"].(*traced)
	pod, now := newPod("p", "1"), time.Now()
	b.recorder.bound(pod, "node", now) // makes nothing, but grows nothing later
	b.recorder.begin(pod, now, now)
	b.recorder.bound(pod, "node", now)
	if n := testing.AllocsPerRun(1000, func() {
		b.recorder.begin(pod, now, now)
		if f.start(pod, "PreFilter") != nil {
			t.Error("it is sampled")
		}
		b.recorder.failed(pod, nil, now)
		b.recorder.forget(pod.UID, now)
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func TestTopScores(t *testing.T) {
	scores := func(totals ...int64) (all []fwk.NodePluginScores) {
		for i, total := range totals {
			all = append(all, fwk.NodePluginScores{Name: fmt.Sprintf("n%d", i), TotalScore: total, Scores: []fwk.PluginScore{{Name: "A", Score: total - 1}, {Name: "B", Score: 1}}})
		}
		return all
	}
	for name, tc := range map[string]struct {
		in   []fwk.NodePluginScores
		want []string
	}{
		"none":  {nil, []string{}},
		"one":   {scores(5), []string{"n0 5 = A 4 + B 1"}},
		"five":  {scores(1, 5, 3, 4, 2), []string{"n1 5 = A 4 + B 1", "n3 4 = A 3 + B 1", "n2 3 = A 2 + B 1"}},
		"equal": {scores(5, 5, 5, 5), []string{"n0 5 = A 4 + B 1", "n1 5 = A 4 + B 1", "n2 5 = A 4 + B 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, topScores(tc.in)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// BenchmarkAttempt is one pod from the queue to its end on 100 nodes, without
// the binding: what a scheduling cycle costs with tracing off, on but not
// sampled, and sampled.
func BenchmarkAttempt(b *testing.B) {
	for _, bc := range []struct {
		name string
		setup
	}{{"off", setup{off: true}}, {"unsampled", setup{}}, {"sampled", setup{rate: 1_000_000}}} {
		b.Run(bc.name, func(b *testing.B) {
			bc.nodes = 100
			s := newBench(b, bc.setup)
			pod := newPod("p", "1m")
			f := s.Profiles["auriga"]
			b.ReportAllocs()
			for b.Loop() {
				now := time.Now()
				s.recorder.begin(pod, now, now)
				if _, err := s.SchedulePod(b.Context(), f, newState(), pod); err != nil {
					b.Fatal(err)
				}
				s.recorder.forget(pod.UID, now)
				s.spans.Reset()
			}
		})
	}
}
