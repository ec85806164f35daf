// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package realcapacity

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/klog/v2"
	"k8s.io/klog/v2/ktesting"
	fwk "k8s.io/kube-scheduler/framework"
	schedconfig "k8s.io/kubernetes/pkg/scheduler/apis/config"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	frameworkruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"
	schedmetrics "k8s.io/kubernetes/pkg/scheduler/metrics"
	clocktesting "k8s.io/utils/clock/testing"

	"auriga.dev/auriga/pkg/apis/config"
	"auriga.dev/auriga/pkg/apis/names"
	"auriga.dev/auriga/pkg/capacity"
)

const gib = 1 << 30

// epoch is the time of the tests.
func epoch() time.Time { return time.Unix(1_700_000_000, 0) }

func arguments(changes ...func(*config.RealCapacityArgs)) *config.RealCapacityArgs {
	duration := func(d time.Duration) metav1.Duration { return metav1.Duration{Duration: d} }
	args := &config.RealCapacityArgs{
		Ceilings: []config.ResourceCeiling{{Name: "cpu", Percent: 90}, {Name: "memory", Percent: 85}},
		OnStale:  config.StaleRequests, MaxAge: duration(time.Minute),
		Resources:    []schedconfig.ResourceSpec{{Name: "cpu", Weight: 1}, {Name: "memory", Weight: 1}},
		BurstPercent: 30, NetworkBytesPerSecond: 1000,
		InFlight: config.InFlightEstimate{Ramp: duration(30 * time.Second), CPUPercent: 50, MemoryPercent: 100},
		Prometheus: config.PrometheusSource{
			PollInterval: duration(15 * time.Second), QueryTimeout: duration(time.Second), MaxResponseBytes: 1 << 20,
			RateWindow: duration(time.Minute), BurstWindow: duration(5 * time.Minute),
			NodeMapping: config.NodeMapping{Label: "instance", Match: config.MatchNameOrInternalIP},
			History:     config.WorkloadHistory{Interval: duration(5 * time.Minute)},
		},
	}
	for _, change := range changes {
		change(args)
	}
	return args
}

func onStale(p config.StalePolicy) func(*config.RealCapacityArgs) {
	return func(a *config.RealCapacityArgs) { a.OnStale = p }
}

// activator keeps what is tried again.
type activator struct{ pods []string }

func (a *activator) Activate(_ klog.Logger, pods map[string]*v1.Pod) {
	a.pods = slices.Sorted(maps.Keys(pods))
}

// fixture is a plugin on a framework without a cluster.
type fixture struct {
	*RealCapacity
	ctx       context.Context
	clock     *clocktesting.FakeClock
	activated *activator
}

func newHandle(ctx context.Context, t testing.TB, a *activator) fwk.Handle {
	t.Helper()
	schedmetrics.Register()
	client := fake.NewClientset()
	handle, err := frameworkruntime.NewFramework(ctx, nil, nil,
		frameworkruntime.WithClientSet(client),
		frameworkruntime.WithInformerFactory(informers.NewSharedInformerFactory(client, 0)),
		frameworkruntime.WithPodActivator(a))
	if err != nil {
		t.Fatal(err)
	}
	return handle
}

func newFixture(t testing.TB, changes ...func(*config.RealCapacityArgs)) *fixture {
	t.Helper()
	_, ctx := ktesting.NewTestContext(t)
	ctx, cancel := context.WithCancel(ctx)
	t.Cleanup(cancel)
	f := &fixture{ctx: ctx, clock: clocktesting.NewFakeClock(epoch()), activated: &activator{}}
	pl, err := newWithClock(ctx, arguments(changes...), newHandle(ctx, t, f.activated), f.clock)
	if err != nil {
		t.Fatal(err)
	}
	f.RealCapacity = pl
	return f
}

// node is a worker of 10 cores and 100 GiB.
func node(name string) fwk.NodeInfo {
	info := framework.NewNodeInfo()
	size := v1.ResourceList{v1.ResourceCPU: resource.MustParse("10"), v1.ResourceMemory: resource.MustParse("100Gi"), v1.ResourcePods: resource.MustParse("110")}
	info.SetNode(&v1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid-" + name)},
		Status:     v1.NodeStatus{Capacity: size, Allocatable: size},
	})
	return info
}

// measure lets a poll find the uses of CPU (cores) and memory (GiB) on a node.
func (f *fixture) measure(name string, cpu, memory float64) {
	n := &capacity.NodeCapacity{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid-" + name)}}
	n.Capacity[capacity.CPU], n.Capacity[capacity.Memory] = 10, 100*gib
	n.Measured[capacity.CPU].Mean = capacity.Reading{Value: cpu, Sampled: f.clock.Now()}
	n.Measured[capacity.Memory].Mean = capacity.Reading{Value: memory * gib, Sampled: f.clock.Now()}
	f.source.tracker.Set(n)
}

func (f *fixture) publish() { f.source.tracker.Publish(f.clock.Now()) }

// pod requests cores and GiB.
func pod(name, cpu, memory string) *v1.Pod {
	p := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: name, UID: types.UID("uid-" + name)}}
	p.Spec.Containers = []v1.Container{{Resources: v1.ResourceRequirements{Requests: v1.ResourceList{
		v1.ResourceCPU: resource.MustParse(cpu), v1.ResourceMemory: resource.MustParse(memory + "Gi"),
	}}}}
	return p
}

// reclaimed lives on what others leave.
func reclaimed(usage string) *v1.Pod {
	p := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ci", Name: "p", UID: "uid-p"}}
	p.Annotations = map[string]string{names.AnnotationUsage: usage}
	p.Spec.PriorityClassName = names.PriorityBatch
	p.Spec.Containers = []v1.Container{{}}
	return p
}

// preFilter begins a cycle; Skip is fine.
func (f *fixture) preFilter(t testing.TB, p *v1.Pod) fwk.CycleState {
	t.Helper()
	state := framework.NewCycleState()
	if _, status := f.PreFilter(f.ctx, state, p, nil); !status.IsSuccess() && !status.IsSkip() {
		t.Fatalf("PreFilter: %v", status)
	}
	return state
}

func TestFilter(t *testing.T) {
	for name, tc := range map[string]struct {
		args   func(*config.RealCapacityArgs)
		before func(*fixture)
		pod    *v1.Pod
		want   string // part of the rejection; empty: passes
	}{
		// A pod that requests 2 cores is expected to use half of them.
		"room":                            {nil, func(f *fixture) { f.measure("n", 8, 10); f.publish() }, pod("p", "2", "1"), ""},
		"hot though little is requested":  {nil, func(f *fixture) { f.measure("n", 8.1, 10); f.publish() }, pod("p", "2", "1"), "more than 90 % of their cpu"},
		"memory":                          {nil, func(f *fixture) { f.measure("n", 0, 85); f.publish() }, pod("p", "1", "1"), "more than 85 % of their memory"},
		"in flight":                       {nil, func(f *fixture) { f.measure("n", 7, 10); f.publish(); f.place(1.5, false) }, pod("p", "2", "1"), "cpu"},
		"reclaimed gives way":             {nil, func(f *fixture) { f.measure("n", 7, 10); f.publish(); f.place(1.5, true) }, pod("p", "2", "1"), ""},
		"reclaimed pods count themselves": {nil, func(f *fixture) { f.measure("n", 7, 10); f.publish(); f.place(1.5, true) }, reclaimed("cpu=1,memory=1Gi"), "cpu"},
		"reclaimed fits":                  {nil, func(f *fixture) { f.measure("n", 7, 10); f.publish() }, reclaimed("cpu=1800m,memory=1Gi"), ""},
		"reclaimed, too near the ceiling": {nil, func(f *fixture) { f.measure("n", 7, 10); f.publish() }, reclaimed("cpu=1900m,memory=1Gi"), "cpu"},
		"never measured: requests":        {nil, nil, pod("p", "2", "1"), ""},
		"never measured: reject":          {onStale(config.StaleReject), nil, pod("p", "2", "1"), "without a fresh reading of their cpu"},
		"never measured: ignore":          {onStale(config.StaleIgnore), nil, pod("p", "2", "1"), ""},
		"too old: requests":               {nil, func(f *fixture) { f.measure("n", 9.9, 99); f.publish(); f.clock.Step(61 * time.Second) }, pod("p", "2", "1"), ""},
		"as old as may be":                {nil, func(f *fixture) { f.measure("n", 9.9, 99); f.publish(); f.clock.Step(60 * time.Second) }, pod("p", "2", "1"), "cpu"},
		"another node of the name": {nil, func(f *fixture) {
			n := &capacity.NodeCapacity{ObjectMeta: metav1.ObjectMeta{Name: "n", UID: "gone"}}
			n.Capacity[capacity.CPU] = 10
			n.Measured[capacity.CPU].Mean = capacity.Reading{Value: 9.9, Sampled: f.clock.Now()}
			f.source.tracker.Set(n)
			f.publish()
		}, pod("p", "2", "1"), ""},
		"reclaimed, never measured: by requests":  {nil, nil, reclaimed("cpu=9,memory=1Gi"), ""},
		"reclaimed, never measured, others there": {nil, func(f *fixture) { f.place(1, true) }, reclaimed("cpu=9,memory=1Gi"), "cpu"},
		"reclaimed, never measured: ignore":       {onStale(config.StaleIgnore), nil, reclaimed("cpu=99,memory=1Gi"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			var changes []func(*config.RealCapacityArgs)
			if tc.args != nil {
				changes = append(changes, tc.args)
			}
			f := newFixture(t, changes...)
			if tc.before != nil {
				tc.before(f)
			}
			status := f.Filter(f.ctx, f.preFilter(t, tc.pod), tc.pod, node("n"))
			switch {
			case tc.want == "" && !status.IsSuccess():
				t.Errorf("rejected: %v", status)
			case tc.want != "" && (status.Code() != fwk.Unschedulable || !strings.Contains(status.Message(), tc.want)):
				t.Errorf("status = %v, want Unschedulable with %q", status, tc.want)
			}
		})
	}
}

// place puts a pod onto node n.
func (f *fixture) place(cpu float64, reclaimed bool) {
	f.source.tracker.Place(capacity.Placement{Pod: "uid-a", Node: "n",
		Expected: capacity.Expected{Use: capacity.Use{CPU: cpu}, Reclaimed: reclaimed}})
}

func TestWrongDeclaration(t *testing.T) {
	f := newFixture(t)
	_, status := f.PreFilter(f.ctx, framework.NewCycleState(), reclaimed("cpu=many"), nil)
	if status.Code() != fwk.UnschedulableAndUnresolvable || !strings.Contains(status.Message(), names.AnnotationUsage) {
		t.Errorf("status = %v, want one that names the annotation", status)
	}
}

// Preemption simulates that pods are gone from a node: then it has room.
func TestWhatIf(t *testing.T) {
	f := newFixture(t)
	f.measure("n", 8.5, 10)
	f.publish()
	p := pod("p", "2", "1")
	state := f.preFilter(t, p)
	n := node("n")
	if status := f.Filter(f.ctx, state, p, n); status.IsSuccess() {
		t.Fatal("8.5 + 1 of 10 cores passed a ceiling of 90 %")
	}
	victim, err := framework.NewPodInfo(pod("victim", "1", "1"))
	if err != nil {
		t.Fatal(err)
	}
	simulated := state.Clone()
	if status := f.RemovePod(f.ctx, simulated, p, victim, n); !status.IsSuccess() {
		t.Fatal(status)
	}
	if status := f.Filter(f.ctx, simulated, p, n); !status.IsSuccess() {
		t.Errorf("without a pod of half a core: %v", status)
	}
	if status := f.Filter(f.ctx, state, p, n); status.IsSuccess() {
		t.Error("the simulation changed the cycle")
	}
	if status := f.AddPod(f.ctx, simulated, p, victim, n); !status.IsSuccess() {
		t.Fatal(status)
	}
	if status := f.Filter(f.ctx, simulated, p, n); status.IsSuccess() {
		t.Error("the pod came back, but passes")
	}
}

func TestScore(t *testing.T) {
	scoreOf := func(t *testing.T, f *fixture, p *v1.Pod) int64 {
		t.Helper()
		got, status := f.Score(f.ctx, f.preFilter(t, p), p, node("n"))
		if !status.IsSuccess() {
			t.Fatal(status)
		}
		return got
	}
	t.Run("measured", func(t *testing.T) {
		f := newFixture(t)
		f.measure("n", 3, 19)
		f.publish()
		// cpu (3+1)/10, memory (19+1)/100: without bursts 1 - (.4+.2)/2.
		if got := scoreOf(t, f, pod("p", "2", "1")); got != 70 {
			t.Errorf("score = %d, want 70", got)
		}
	})
	t.Run("bursts", func(t *testing.T) {
		f := newFixture(t, func(a *config.RealCapacityArgs) { a.Resources = a.Resources[:1] })
		n := &capacity.NodeCapacity{ObjectMeta: metav1.ObjectMeta{Name: "n", UID: "uid-n"}}
		n.Capacity[capacity.CPU] = 10
		n.Measured[capacity.CPU].Mean = capacity.Reading{Value: 3, Sampled: epoch()}
		n.Measured[capacity.CPU].Burst = capacity.Reading{Value: 8, Sampled: epoch()}
		f.source.tracker.Set(n)
		f.publish()
		// 0.7 * 0.4 + 0.3 * 0.9 = 0.55
		if got := scoreOf(t, f, pod("p", "2", "1")); got != 45 {
			t.Errorf("score = %d, want 45", got)
		}
	})
	t.Run("never measured: by requests", func(t *testing.T) {
		// (0+2)/10 and (0+10)/100.
		if got := scoreOf(t, newFixture(t), pod("p", "2", "10")); got != 85 {
			t.Errorf("score = %d, want 85", got)
		}
	})
	t.Run("never measured: ignored", func(t *testing.T) {
		if got := scoreOf(t, newFixture(t, onStale(config.StaleIgnore)), pod("p", "2", "10")); got != 0 {
			t.Errorf("score = %d, want 0", got)
		}
	})
}

// 200 pods in one second onto 50 nodes, one of them idle: no measurement can
// show them, and still they spread.
func TestBurstDoesNotHerd(t *testing.T) {
	f := newFixture(t)
	var workers []fwk.NodeInfo
	for i := range 50 {
		name := fmt.Sprintf("n%02d", i)
		workers = append(workers, node(name))
		if i == 0 {
			f.measure(name, 0, 10)
		} else {
			f.measure(name, 5, 10)
		}
	}
	f.publish()
	on := map[string]int{}
	for i := range 200 {
		f.clock.Step(5 * time.Millisecond)
		p := pod(fmt.Sprint("p", i), "1", "1") // expected to use half a core
		state := f.preFilter(t, p)
		best, highest := "", int64(-1)
		for _, w := range workers {
			if status := f.Filter(f.ctx, state, p, w); !status.IsSuccess() {
				continue
			}
			if s, _ := f.Score(f.ctx, state, p, w); s > highest {
				best, highest = w.Node().Name, s
			}
		}
		if status := f.Reserve(f.ctx, state, p, best); !status.IsSuccess() {
			t.Fatal(status)
		}
		on[best]++
	}
	if on["n00"] > 20 {
		t.Errorf("the idle node got %d of 200 pods, want about 10 + its share: %v", on["n00"], on)
	}
	for name, n := range on {
		if use := float64(n) / 2; name != "n00" && 5+use > 9 {
			t.Errorf("%s got %d pods: %v cores, over its ceiling", name, n, 5+use)
		}
	}
	if len(on) < 40 {
		t.Errorf("only %d of 50 nodes got pods", len(on))
	}
}

// reject lets the pod fail on the nodes, as a cycle without a feasible node does.
func (f *fixture) reject(t *testing.T, p *v1.Pod, nodes ...string) {
	t.Helper()
	state := f.preFilter(t, p)
	for _, n := range nodes {
		if status := f.Filter(f.ctx, state, p, node(n)); status.IsSuccess() {
			t.Fatalf("%s passes on %s", p.Name, n)
		}
	}
	if _, status := f.PostFilter(f.ctx, state, p, nil); status.Code() != fwk.Unschedulable {
		t.Fatalf("PostFilter: %v", status)
	}
}

func TestTriedAgainWhenTheLoadFalls(t *testing.T) {
	f := newFixture(t)
	f.measure("a", 9, 10)
	f.measure("b", 9, 10)
	f.measure("elsewhere", 0, 0)
	f.publish()
	f.reject(t, pod("small", "1", "1"), "a", "b")
	f.reject(t, pod("large", "8", "1"), "a", "b")
	f.reject(t, pod("gone", "1", "1"), "a", "b")
	f.forget(pod("gone", "1", "1"))

	f.publish()
	if len(f.activated.pods) != 0 {
		t.Errorf("tried again though nothing changed where they were rejected: %v", f.activated.pods)
	}
	f.measure("b", 7, 10)
	f.publish()
	if diff := cmp.Diff([]string{"ci/small"}, f.activated.pods); diff != "" {
		t.Errorf("tried again when b has 2 cores below its ceiling (-want +got):\n%s", diff)
	}
	f.activated.pods = nil
	f.measure("a", 1, 10)
	f.publish()
	if diff := cmp.Diff([]string{"ci/large"}, f.activated.pods); diff != "" {
		t.Errorf("tried again when a has 8 (-want +got):\n%s", diff)
	}
}

// With onStale: Reject, a node's first reading is what the pod waits for.
func TestTriedAgainWhenMeasured(t *testing.T) {
	f := newFixture(t, onStale(config.StaleReject))
	f.reject(t, pod("p", "1", "1"), "a")
	f.measure("a", 1, 1)
	f.publish()
	if diff := cmp.Diff([]string{"ci/p"}, f.activated.pods); diff != "" {
		t.Errorf("tried again (-want +got):\n%s", diff)
	}
}

func TestProfilesShareTheSource(t *testing.T) {
	_, ctx := ktesting.NewTestContext(t)
	handle := newHandle(ctx, t, &activator{})
	build := func(changes ...func(*config.RealCapacityArgs)) (*RealCapacity, error) {
		changes = append(changes, func(a *config.RealCapacityArgs) {
			if a.Prometheus.Address == "" {
				a.Prometheus.Address = "http://prometheus.invalid:9090"
			}
		})
		return newWithClock(ctx, arguments(changes...), handle, clocktesting.NewFakeClock(epoch()))
	}
	first, err := build()
	if err != nil {
		t.Fatal(err)
	}
	second, err := build(onStale(config.StaleReject))
	if err != nil {
		t.Fatal(err)
	}
	if first.source != second.source {
		t.Error("two profiles with one Prometheus have two informers")
	}
	if _, err := build(func(a *config.RealCapacityArgs) { a.Prometheus.Address = "http://another.invalid:9090" }); err == nil ||
		!strings.Contains(err.Error(), "must be the same in all profiles") {
		t.Errorf("error = %v, want one that says that the profiles must agree", err)
	}
}

func TestNewRefuses(t *testing.T) {
	_, ctx := ktesting.NewTestContext(t)
	handle := newHandle(ctx, t, &activator{})
	if _, err := New(ctx, &config.WorkerSelectionArgs{}, handle); err == nil || !strings.Contains(err.Error(), "RealCapacityArgs") {
		t.Errorf("error = %v, want the kind", err)
	}
	_, err := New(ctx, arguments(onStale("Guess")), handle)
	if err == nil || !strings.Contains(err.Error(), "args.onStale") {
		t.Errorf("error = %v, want the field", err)
	}
}

func TestSignature(t *testing.T) {
	f := newFixture(t)
	sign := func(p *v1.Pod) any {
		fragments, status := f.SignPod(f.ctx, p)
		if !status.IsSuccess() || len(fragments) != 1 {
			t.Fatalf("SignPod = %v, %v", fragments, status)
		}
		return fragments[0].Value
	}
	before := sign(pod("p", "1", "1"))
	if before != sign(pod("q", "1", "1")) {
		t.Error("equal pods have different signatures")
	}
	if before == sign(pod("q", "2", "1")) {
		t.Error("different pods have equal signatures")
	}
	f.publish()
	if before == sign(pod("p", "1", "1")) {
		t.Error("the signature outlives the snapshot")
	}
}

func TestHotPathDoesNotAllocate(t *testing.T) {
	f := newFixture(t)
	f.measure("n", 1, 1)
	f.publish()
	p, n := pod("p", "1", "1"), node("n")
	state := f.preFilter(t, p)
	if got := testing.AllocsPerRun(100, func() { f.Filter(f.ctx, state, p, n) }); got != 0 {
		t.Errorf("Filter allocates %v times", got)
	}
	if got := testing.AllocsPerRun(100, func() { _, _ = f.Score(f.ctx, state, p, n) }); got != 0 {
		t.Errorf("Score allocates %v times", got)
	}
}

// BenchmarkFilter is one node's Filter among 5000 measured nodes.
func BenchmarkFilter(b *testing.B) {
	f := newFixture(b)
	workers := make([]fwk.NodeInfo, 5000)
	for i := range workers {
		name := fmt.Sprint("n", i)
		workers[i] = node(name)
		f.measure(name, 1, 1)
	}
	f.publish()
	p := pod("p", "1", "1")
	state := f.preFilter(b, p)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if status := f.Filter(f.ctx, state, p, workers[i%len(workers)]); !status.IsSuccess() {
			b.Fatal(status)
		}
		i++
	}
}

// BenchmarkScore is the same for Score.
func BenchmarkScore(b *testing.B) {
	f := newFixture(b)
	f.measure("n", 1, 1)
	f.publish()
	p, n := pod("p", "1", "1"), node("n")
	state := f.preFilter(b, p)
	b.ReportAllocs()
	for b.Loop() {
		if _, status := f.Score(f.ctx, state, p, n); !status.IsSuccess() {
			b.Fatal(status)
		}
	}
}
