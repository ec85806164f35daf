// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package workerselection

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/component-base/metrics/legacyregistry"
	"k8s.io/component-base/metrics/testutil"
	"k8s.io/klog/v2"
	"k8s.io/klog/v2/ktesting"
	fwk "k8s.io/kube-scheduler/framework"
	schedconfig "k8s.io/kubernetes/pkg/scheduler/apis/config"
	"k8s.io/kubernetes/pkg/scheduler/backend/cache"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/defaultbinder"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/queuesort"
	frameworkruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"
	schedmetrics "k8s.io/kubernetes/pkg/scheduler/metrics"
	st "k8s.io/kubernetes/pkg/scheduler/testing"

	"auriga.dev/auriga/pkg/apis/config"
	"auriga.dev/auriga/pkg/apis/names"
)

const gpu = "nvidia.com/gpu"

// argsFor are valid arguments: cpu and memory, weight 1 each.
func argsFor(strategy config.WorkerSelectionStrategy, changes ...func(*config.WorkerSelectionArgs)) *config.WorkerSelectionArgs {
	args := &config.WorkerSelectionArgs{
		Strategy:  strategy,
		Resources: []schedconfig.ResourceSpec{{Name: "cpu", Weight: 1}, {Name: "memory", Weight: 1}},
	}
	switch strategy {
	case config.LocalityAware:
		args.Locality = &config.LocalityOptions{ImageWeight: 1, ZoneWeight: 1}
	case config.Custom:
		args.Custom = &config.CustomOptions{Expression: "100.0 * (1.0 - load.cpu)", CostLimit: 10000}
	}
	for _, change := range changes {
		change(args)
	}
	return args
}

func withResources(resources ...schedconfig.ResourceSpec) func(*config.WorkerSelectionArgs) {
	return func(a *config.WorkerSelectionArgs) { a.Resources = resources }
}

func withExpression(e string) func(*config.WorkerSelectionArgs) {
	return func(a *config.WorkerSelectionArgs) { a.Custom.Expression = e }
}

func withLocality(image, zone int64) func(*config.WorkerSelectionArgs) {
	return func(a *config.WorkerSelectionArgs) {
		a.Locality = &config.LocalityOptions{ImageWeight: image, ZoneWeight: zone}
	}
}

// newProfile makes the real framework with this plugin alone at all its points.
func newProfile(tb testing.TB, name string, args runtime.Object, lister fwk.SharedLister) framework.Framework {
	tb.Helper()
	f, err := tryProfile(tb, name, args, lister, schedconfig.Plugins{
		MultiPoint: schedconfig.PluginSet{Enabled: []schedconfig.Plugin{{Name: Name}}},
	})
	if err != nil {
		tb.Fatal(err)
	}
	return f
}

func tryProfile(tb testing.TB, name string, args runtime.Object, lister fwk.SharedLister, plugins schedconfig.Plugins) (framework.Framework, error) {
	tb.Helper()
	schedmetrics.Register()
	plugins.QueueSort.Enabled = []schedconfig.Plugin{{Name: queuesort.Name}}
	plugins.Bind.Enabled = []schedconfig.Plugin{{Name: defaultbinder.Name}}
	profile := &schedconfig.KubeSchedulerProfile{
		SchedulerName: name,
		Plugins:       &plugins,
		PluginConfig:  []schedconfig.PluginConfig{{Name: Name, Args: args}},
	}
	registry := frameworkruntime.Registry{
		Name:               New,
		queuesort.Name:     queuesort.New,
		defaultbinder.Name: defaultbinder.New,
	}
	return frameworkruntime.NewFramework(tb.Context(), registry, profile, frameworkruntime.WithSnapshotSharedLister(lister))
}

// scores runs PreScore and Score for the pod on all nodes. It returns nil if
// the plugin skipped the pod.
func scores(tb testing.TB, f framework.Framework, pod *v1.Pod) map[string]int64 {
	tb.Helper()
	got, status := tryScores(tb.Context(), f, pod)
	if !status.IsSuccess() {
		tb.Fatal(status.AsError())
	}
	return got
}

func tryScores(ctx context.Context, f framework.Framework, pod *v1.Pod) (map[string]int64, *fwk.Status) {
	nodes, err := f.SnapshotSharedLister().NodeInfos().List()
	if err != nil {
		return nil, fwk.AsStatus(err)
	}
	state := framework.NewCycleState()
	if status := f.RunPreScorePlugins(ctx, state, pod, nodes); !status.IsSuccess() {
		return nil, status
	}
	if state.GetSkipScorePlugins().Has(Name) {
		return nil, nil
	}
	list, status := f.RunScorePlugins(ctx, state, pod, nodes)
	if !status.IsSuccess() {
		return nil, status
	}
	got := map[string]int64{}
	for _, n := range list {
		got[n.Name] = n.TotalScore
	}
	return got, nil
}

type res = map[v1.ResourceName]string

// threeWorkers have 10 cores and 10 GiB each; requested are
// w1: 2 cores, 6 GiB; w2: 7 cores, nothing; w3: 7 cores, 7 GiB.
func threeWorkers() *cache.Snapshot {
	capacity := res{"cpu": "10", "memory": "10Gi", "pods": "110"}
	return cache.NewSnapshot(
		[]*v1.Pod{
			st.MakePod().Name("p1").UID("p1").Node("w1").Req(res{"cpu": "2", "memory": "6Gi"}).Obj(),
			st.MakePod().Name("p2").UID("p2").Node("w2").Req(res{"cpu": "7"}).Obj(),
			st.MakePod().Name("p3").UID("p3").Node("w3").Req(res{"cpu": "7", "memory": "7Gi"}).Obj(),
		},
		[]*v1.Node{
			st.MakeNode().Name("w1").Capacity(capacity).Obj(),
			st.MakeNode().Name("w2").Capacity(capacity).Obj(),
			st.MakeNode().Name("w3").Capacity(capacity).Obj(),
		})
}

func TestResourceStrategies(t *testing.T) {
	// 1 core and 1 GiB, so that afterwards u' is
	// w1: 0.3, 0.7; w2: 0.8, 0.1; w3: 0.8, 0.8.
	pod := st.MakePod().Name("p").Req(res{"cpu": "1", "memory": "1Gi"}).Obj()
	cpuOnly := st.MakePod().Name("p").Req(res{"cpu": "1"}).Obj()
	for _, tc := range []struct {
		name string
		args *config.WorkerSelectionArgs
		pod  *v1.Pod
		want map[string]int64
	}{
		// 1 - (0.3+0.7)/2, 1 - (0.8+0.1)/2, 1 - (0.8+0.8)/2
		{"LeastLoaded", argsFor(config.LeastLoaded), pod, map[string]int64{"w1": 50, "w2": 55, "w3": 20}},
		// 1 - 0.7, 1 - 0.8, 1 - 0.8
		{"MostFree", argsFor(config.MostFree), pod, map[string]int64{"w1": 30, "w2": 20, "w3": 20}},
		{"BinPacking", argsFor(config.BinPacking), pod, map[string]int64{"w1": 50, "w2": 45, "w3": 80}},
		// U = 16/30 = 0.5333 and 13/30 = 0.4333; equal shares
		// w1: within 0.2,  across (-0.2333+0.2667)/2 =  0.0167: 1 - (0.4 + 0.5083)/2 = 0.5458
		// w2: within 0.35, across (0.2667-0.3333)/2  = -0.0333: 1 - (0.7 + 0.4833)/2 = 0.4083
		// w3: within 0,    across (0.2667+0.3667)/2  =  0.3167: 1 - (0   + 0.6583)/2 = 0.6708
		{"ResourceBalance", argsFor(config.ResourceBalance), pod, map[string]int64{"w1": 55, "w2": 41, "w3": 67}},
		// (4*0.3+0.7)/5 = 0.38, (4*0.8+0.1)/5 = 0.66, 0.8
		{"weights", argsFor(config.LeastLoaded, withResources(schedconfig.ResourceSpec{Name: "cpu", Weight: 4}, schedconfig.ResourceSpec{Name: "memory", Weight: 1})),
			pod, map[string]int64{"w1": 62, "w2": 34, "w3": 20}},
		{"only what the pod asks for", argsFor(config.LeastLoaded), cpuOnly, map[string]int64{"w1": 70, "w2": 20, "w3": 20}},
		{"LeastLoaded skips a pod without requests", argsFor(config.LeastLoaded), st.MakePod().Name("p").Obj(), nil},
		{"BinPacking skips a pod without requests", argsFor(config.BinPacking), st.MakePod().Name("p").Obj(), nil},
		{"ResourceBalance skips a pod without requests", argsFor(config.ResourceBalance), st.MakePod().Name("p").Obj(), nil},
		{"MostFree skips a pod with zero requests", argsFor(config.MostFree), st.MakePod().Name("p").Req(res{"cpu": "0"}).Obj(), nil},
		{"skips a pod that asks for other resources", argsFor(config.MostFree, withResources(schedconfig.ResourceSpec{Name: "memory", Weight: 1})), cpuOnly, nil},
		{"more than any worker has", argsFor(config.LeastLoaded), st.MakePod().Name("p").Req(res{"cpu": "9223372036854775807", "memory": "9223372036854775807"}).Obj(),
			map[string]int64{"w1": 0, "w2": 0, "w3": 0}},
		// init containers run before: the larger of 2 and 1 cores, plus 1 of overhead: u' = 0.5, 1, 1
		{"init containers and overhead count", argsFor(config.LeastLoaded),
			st.MakePod().Name("p").Req(res{"cpu": "1"}).InitReq(res{"cpu": "2"}).Overhead(v1.ResourceList{"cpu": resource.MustParse("1")}).Obj(),
			map[string]int64{"w1": 50, "w2": 0, "w3": 0}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := scores(t, newProfile(t, "test", tc.args, threeWorkers()), tc.pod)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("scores (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEveryKindOfResource(t *testing.T) {
	capacity := res{"cpu": "4", "memory": "8Gi", "ephemeral-storage": "100Gi", gpu: "8", "hugepages-2Mi": "64Mi"}
	snapshot := cache.NewSnapshot(
		[]*v1.Pod{st.MakePod().Name("u").UID("u").Node("w").Req(res{"ephemeral-storage": "10Gi", gpu: "3", "hugepages-2Mi": "16Mi"}).Obj()},
		[]*v1.Node{
			st.MakeNode().Name("w").Capacity(capacity).Obj(),
			st.MakeNode().Name("without").Capacity(res{"cpu": "4", "memory": "8Gi"}).Obj(),
			st.MakeNode().Name("empty").Obj(),
		})
	for name, tc := range map[v1.ResourceName]struct {
		ask  string
		want int64
	}{
		"cpu":               {"1", 75},    // 1 of 4
		"memory":            {"2Gi", 75},  // 2 of 8
		"ephemeral-storage": {"30Gi", 60}, // 40 of 100
		gpu:                 {"1", 50},    // 4 of 8
		"hugepages-2Mi":     {"32Mi", 25}, // 48 of 64
	} {
		t.Run(string(name), func(t *testing.T) {
			args := argsFor(config.LeastLoaded, withResources(schedconfig.ResourceSpec{Name: string(name), Weight: 1}))
			got := scores(t, newProfile(t, "test", args, snapshot), st.MakePod().Name("p").Req(res{name: tc.ask}).Obj())
			if got["w"] != tc.want {
				t.Errorf("w: got %d, want %d", got["w"], tc.want)
			}
			if got["empty"] != 0 {
				t.Errorf("a worker without the resource got %d, want 0", got["empty"])
			}
		})
	}
}

func TestNoNodes(t *testing.T) {
	pod := st.MakePod().Name("p").Req(res{"cpu": "1"}).Annotation(names.AnnotationLocalityZone, "z").Obj()
	for strategy := range strategies() {
		got := scores(t, newProfile(t, "test", argsFor(strategy), cache.NewEmptySnapshot()), pod)
		if len(got) != 0 {
			t.Errorf("%s: scores on an empty cluster: %v", strategy, got)
		}
	}
}

func TestProfilesAreIndependent(t *testing.T) {
	pod := st.MakePod().Name("p").Req(res{"cpu": "1", "memory": "1Gi"}).Obj()
	snapshot := threeWorkers()
	args := argsFor(config.LeastLoaded)
	spread := newProfile(t, "spread", args, snapshot)
	pack := newProfile(t, "pack", argsFor(config.BinPacking, withResources(schedconfig.ResourceSpec{Name: "memory", Weight: 1})), snapshot)
	turnsA := newProfile(t, "turns-a", argsFor(config.RoundRobin), snapshot)
	turnsB := newProfile(t, "turns-b", argsFor(config.RoundRobin), snapshot)

	// What the caller does to the arguments afterwards is no concern of the plugin.
	args.Resources[0].Name, args.Strategy = "memory", config.BinPacking

	if diff := cmp.Diff(map[string]int64{"w1": 50, "w2": 55, "w3": 20}, scores(t, spread, pod)); diff != "" {
		t.Errorf("spread (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]int64{"w1": 70, "w2": 10, "w3": 80}, scores(t, pack, pod)); diff != "" {
		t.Errorf("pack (-want +got):\n%s", diff)
	}
	first := place(t, turnsA, pod)
	if got := scores(t, turnsA, pod)[first]; got != 0 {
		t.Errorf("turns-a: the worker just used scores %d, want 0", got)
	}
	before := scores(t, turnsB, pod)
	for range 2 {
		place(t, turnsA, pod)
	}
	if diff := cmp.Diff(before, scores(t, turnsB, pod)); diff != "" {
		t.Errorf("turns-b changed through turns-a:\n%s", diff)
	}
}

func TestNewRejects(t *testing.T) {
	for _, tc := range []struct {
		name string
		args runtime.Object
		want []string
	}{
		{"no arguments", nil, []string{"WorkerSelectionArgs", "<nil>"}},
		{"arguments of another plugin", &schedconfig.NodeResourcesFitArgs{}, []string{"must be of kind WorkerSelectionArgs", "NodeResourcesFitArgs"}},
		{"unknown strategy", argsFor("Best"), []string{"args.strategy", `"Best"`, "LeastLoaded"}},
		{"weight 0", argsFor(config.LeastLoaded, withResources(schedconfig.ResourceSpec{Name: "cpu"})), []string{"args.resources[0].weight", "1 to 100"}},
		{"weight 101", argsFor(config.LeastLoaded, withResources(schedconfig.ResourceSpec{Name: "cpu", Weight: 101})), []string{"args.resources[0].weight", "101"}},
		{"no locality", argsFor(config.LocalityAware, func(a *config.WorkerSelectionArgs) { a.Locality = nil }), []string{"args.locality"}},
		{"no weight for locality", argsFor(config.LocalityAware, withLocality(0, 0)), []string{"args.locality"}},
		{"no expression", argsFor(config.Custom, func(a *config.WorkerSelectionArgs) { a.Custom = nil }), []string{"args.custom"}},
		{"expression does not compile", argsFor(config.Custom, withExpression(`pod.lables["a"] == "b" ? 1 : 0`)), []string{"args.custom.expression", "undefined field 'lables'", "<input>:1:4"}},
		{"expression yields a string", argsFor(config.Custom, withExpression(`"best"`)), []string{"args.custom.expression", "yields string"}},
		{"expression divides by zero", argsFor(config.Custom, withExpression(`100 / 0`)), []string{"args.custom.expression", "division by zero"}},
		{"expression yields NaN", argsFor(config.Custom, withExpression(`0.0 / 0.0`)), []string{"args.custom.expression", "NaN"}},
		{"expression is too expensive", argsFor(config.Custom, withExpression(`node.labels.map(a, node.labels.map(b, a + b)).size()`),
			func(a *config.WorkerSelectionArgs) { a.Custom.CostLimit = 20 }), []string{"args.custom.expression", "cost limit"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := tryProfile(t, "test", tc.args, cache.NewEmptySnapshot(), schedconfig.Plugins{
				MultiPoint: schedconfig.PluginSet{Enabled: []schedconfig.Plugin{{Name: Name}}},
			})
			if err == nil {
				t.Fatal("accepted, want an error")
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error does not say %q:\n%v", want, err)
				}
			}
		})
	}
}

func TestPointsThatBelongTogether(t *testing.T) {
	only := func(name string) []schedconfig.Plugin { return []schedconfig.Plugin{{Name: name, Weight: 1}} }
	pod := st.MakePod().Name("p").Req(res{"cpu": "1"}).Obj()
	for _, tc := range []struct {
		name    string
		args    *config.WorkerSelectionArgs
		plugins schedconfig.Plugins
		want    string
	}{
		{"score without preScore", argsFor(config.LeastLoaded), schedconfig.Plugins{Score: schedconfig.PluginSet{Enabled: only(Name)}},
			"no data from PreScore"},
		{"RoundRobin without reserve", argsFor(config.RoundRobin),
			schedconfig.Plugins{PreScore: schedconfig.PluginSet{Enabled: only(Name)}, Score: schedconfig.PluginSet{Enabled: only(Name)}},
			"must also be enabled at reserve"},
		{"another strategy without reserve", argsFor(config.LeastLoaded),
			schedconfig.Plugins{PreScore: schedconfig.PluginSet{Enabled: only(Name)}, Score: schedconfig.PluginSet{Enabled: only(Name)}}, ""},
		{"RoundRobin at each point", argsFor(config.RoundRobin), schedconfig.Plugins{
			PreScore: schedconfig.PluginSet{Enabled: only(Name)}, Score: schedconfig.PluginSet{Enabled: only(Name)}, Reserve: schedconfig.PluginSet{Enabled: only(Name)}}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f, err := tryProfile(t, "test", tc.args, threeWorkers(), tc.plugins)
			if err != nil {
				t.Fatal(err)
			}
			_, status := tryScores(t.Context(), f, pod)
			switch {
			case tc.want == "" && !status.IsSuccess():
				t.Error(status.AsError())
			case tc.want != "" && (status.Code() != fwk.Error || !strings.Contains(status.Message(), tc.want)):
				t.Errorf("status %v, want Error: %s", status, tc.want)
			}
		})
	}
}

// place gives the pod to the best worker (the first by name of several).
func place(t *testing.T, f framework.Framework, pod *v1.Pod) string {
	t.Helper()
	node, _ := reserve(t, f, pod)
	return node
}

func reserve(t *testing.T, f framework.Framework, pod *v1.Pod) (string, fwk.CycleState) {
	t.Helper()
	best, high := "", int64(-1)
	for name, s := range scores(t, f, pod) {
		if s > high || s == high && name < best {
			best, high = name, s
		}
	}
	state := framework.NewCycleState()
	if status := f.RunReservePluginsReserve(t.Context(), state, pod, best); !status.IsSuccess() {
		t.Fatal(status.AsError())
	}
	return best, state
}

func TestRoundRobin(t *testing.T) {
	pod := st.MakePod().Name("p").Obj()
	f := newProfile(t, "test", argsFor(config.RoundRobin), threeWorkers())

	// Three turns use each worker once, and the next three go in the same order.
	var order []string
	for range 3 {
		order = append(order, place(t, f, pod))
	}
	if seen := map[string]bool{order[0]: true, order[1]: true, order[2]: true}; len(seen) != 3 {
		t.Fatalf("three pods went to %v, want three workers", order)
	}
	if diff := cmp.Diff(map[string]int64{order[0]: 100, order[1]: 49, order[2]: 0}, scores(t, f, pod)); diff != "" {
		t.Errorf("after one round (-want +got):\n%s", diff)
	}
	for i := range 6 {
		if got := place(t, f, pod); got != order[i%3] {
			t.Fatalf("turn %d went to %s, want %s", i, got, order[i%3])
		}
	}

	// A pod that is not bound gives its turn back, once.
	node, state := reserve(t, f, pod)
	if node != order[0] {
		t.Fatalf("went to %s, want %s", node, order[0])
	}
	f.RunReservePluginsUnreserve(t.Context(), state, pod, node)
	f.RunReservePluginsUnreserve(t.Context(), state, pod, node)
	if got := scores(t, f, pod)[order[0]]; got != 100 {
		t.Errorf("after Unreserve %s scores %d, want 100", order[0], got)
	}
	// Unreserve without Reserve changes nothing.
	f.RunReservePluginsUnreserve(t.Context(), framework.NewCycleState(), pod, order[2])
	if got := scores(t, f, pod)[order[2]]; got != 0 {
		t.Errorf("after Unreserve without Reserve %s scores %d, want 0", order[2], got)
	}
}

func TestLastUse(t *testing.T) {
	stateWith := func(u *use) fwk.CycleState {
		s := framework.NewCycleState()
		s.Write(usedKey, u)
		return s
	}
	l := &lastUse{stamps: map[string]int64{}}
	a := l.use("a")
	b := l.use("b")
	again := l.use("a")
	if diff := cmp.Diff(map[string]int64{"a": 3, "b": 2}, l.stamps); diff != "" {
		t.Errorf("after a, b, a (-want +got):\n%s", diff)
	}
	l.undo(stateWith(a)) // was used again since: stands
	if l.stamps["a"] != 3 {
		t.Errorf("undoing an older use changed the stamp to %d", l.stamps["a"])
	}
	l.undo(stateWith(again))
	if l.stamps["a"] != 1 {
		t.Errorf("stamp %d after undo, want 1", l.stamps["a"])
	}
	l.undo(stateWith(b))
	if _, ok := l.stamps["b"]; ok {
		t.Error("the only use was undone, but the node counts as used")
	}
}

func TestLastUseForgetsNodesThatAreGone(t *testing.T) {
	l := &lastUse{stamps: map[string]int64{}}
	for i := range 100 {
		l.use(fmt.Sprintf("gone-%d", i))
	}
	l.use("w1")
	all, err := threeWorkers().List()
	if err != nil {
		t.Fatal(err)
	}
	l.forget(all)
	if diff := cmp.Diff(map[string]int64{"w1": 101}, l.stamps); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLocalityAware(t *testing.T) {
	const mb = 1 << 20
	snapshot := cache.NewSnapshot(nil, []*v1.Node{
		st.MakeNode().Name("both").Label(v1.LabelTopologyZone, "a").Images(map[string]int64{
			"docker.io/library/builder:1": 300 * mb, "registry.example:5000/tools:latest": 100 * mb}).Obj(),
		st.MakeNode().Name("large").Label(v1.LabelTopologyZone, "b").Images(map[string]int64{
			"docker.io/library/builder:1": 300 * mb}).Obj(),
		st.MakeNode().Name("small").Label(v1.LabelTopologyZone, "a").Images(map[string]int64{
			"registry.example:5000/tools:latest": 100 * mb, "docker.io/library/other:1": 900 * mb}).Obj(),
		st.MakeNode().Name("bare").Obj(),
	})
	pod := func(images ...string) *st.PodWrapper {
		p := st.MakePod().Name("p")
		for i, image := range images {
			p.Obj().Spec.Containers = append(p.Obj().Spec.Containers, v1.Container{Name: fmt.Sprint(i), Image: image})
		}
		return p
	}
	for _, tc := range []struct {
		name string
		args *config.WorkerSelectionArgs
		pod  *v1.Pod
		want map[string]int64
	}{
		// (1 + 1)/2, (0.75 + 0)/2, (0.25 + 1)/2, 0
		{"images and zone", argsFor(config.LocalityAware), pod("builder:1", "registry.example:5000/tools").Annotation(names.AnnotationLocalityZone, "a").Obj(),
			map[string]int64{"both": 100, "large": 38, "small": 63, "bare": 0}},
		// 400/400, 300/400, 100/400
		{"no zone asked for", argsFor(config.LocalityAware), pod("builder:1", "registry.example:5000/tools").Obj(),
			map[string]int64{"both": 100, "large": 75, "small": 25, "bare": 0}},
		{"images only", argsFor(config.LocalityAware, withLocality(1, 0)), pod("builder:1").Annotation(names.AnnotationLocalityZone, "a").Obj(),
			map[string]int64{"both": 100, "large": 100, "small": 0, "bare": 0}},
		{"zone only", argsFor(config.LocalityAware, withLocality(0, 5)), pod("builder:1").Annotation(names.AnnotationLocalityZone, "b").Obj(),
			map[string]int64{"both": 0, "large": 100, "small": 0, "bare": 0}},
		// (3*0.75 + 1*0)/4 = 0.5625
		{"weights", argsFor(config.LocalityAware, withLocality(3, 1)), pod("builder:1", "registry.example:5000/tools").Annotation(names.AnnotationLocalityZone, "c").Obj(),
			map[string]int64{"both": 75, "large": 56, "small": 19, "bare": 0}},
		{"the same image twice is pulled once", argsFor(config.LocalityAware), pod("builder:1", "docker.io/library/builder:1", "builder:1", "registry.example:5000/tools").Obj(),
			map[string]int64{"both": 100, "large": 86, "small": 14, "bare": 0}}, // 600/700: two spellings count as two images
		{"unknown images leave the zone", argsFor(config.LocalityAware), pod("nobody/has:this").Annotation(names.AnnotationLocalityZone, "a").Obj(),
			map[string]int64{"both": 100, "large": 0, "small": 100, "bare": 0}},
		{"nothing to go by", argsFor(config.LocalityAware), pod("nobody/has:this").Obj(), nil},
		{"no images", argsFor(config.LocalityAware), pod("").Obj(), nil},
		{"a name by no book", argsFor(config.LocalityAware), pod("UPPER CASE").Obj(), nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := scores(t, newProfile(t, "test", tc.args, snapshot), tc.pod)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("scores (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReportedNames(t *testing.T) {
	for image, want := range map[string][]string{
		"busybox":                    {"docker.io/library/busybox:latest", "busybox:latest"},
		"busybox:1.36":               {"docker.io/library/busybox:1.36", "busybox:1.36"},
		"team/app":                   {"docker.io/team/app:latest", "team/app:latest"},
		"docker.io/library/busybox":  {"docker.io/library/busybox:latest"},
		"registry.k8s.io/pause:3.10": {"registry.k8s.io/pause:3.10"},
		"localhost:5000/app":         {"localhost:5000/app:latest"},
		"app@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855": {
			"docker.io/library/app@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
			"app@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
		"Not/A Name": {"Not/A Name:latest"},
		"":           nil,
	} {
		if diff := cmp.Diff(want, reportedNames(image)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", image, diff)
		}
	}
}

func TestCustom(t *testing.T) {
	snapshot := cache.NewSnapshot(
		[]*v1.Pod{st.MakePod().Name("u").UID("u").Node("fast").Req(res{"cpu": "1500m", "memory": "1Gi", gpu: "1"}).Obj()},
		[]*v1.Node{
			st.MakeNode().Name("fast").Capacity(res{"cpu": "4", "memory": "8Gi", gpu: "4"}).Label("disk", "ssd").Annotation("watts", "250").
				Taints([]v1.Taint{{Key: "dedicated", Value: "ci", Effect: v1.TaintEffectNoSchedule}}).Obj(),
			st.MakeNode().Name("slow").Capacity(res{"cpu": "4", "memory": "8Gi"}).Obj(),
			st.MakeNode().Name("empty").Obj(),
		})
	pod := st.MakePod().Namespace("ns").Name("p").Label("disk", "ssd").Annotation("note", "x").Priority(7).
		Req(res{"cpu": "500m", "memory": "1Gi"}).Obj()
	for _, tc := range []struct {
		expression string
		want       map[string]int64
	}{
		// fast: 1.5 + 0.5 of 4 cores; slow: 0.5 of 4; empty has no cpu: no such key
		{`100.0 * load.cpu`, map[string]int64{"fast": 50, "slow": 13, "empty": 0}},
		{`100.0 * free.cpu`, map[string]int64{"fast": 50, "slow": 88, "empty": 0}},
		{`requested.cpu * 10.0 + allocatable.cpu`, map[string]int64{"fast": 24, "slow": 9, "empty": 0}},
		{`requested.memory / 1073741824.0`, map[string]int64{"fast": 2, "slow": 1, "empty": 0}},
		// the pod asks for no GPU: 1 of 4
		{`100.0 * load[?"nvidia.com/gpu"].orValue(0.1)`, map[string]int64{"fast": 25, "slow": 10, "empty": 10}},
		{`node.labels[?"disk"] == pod.labels[?"disk"] ? 90 : 10`, map[string]int64{"fast": 90, "slow": 10, "empty": 10}},
		{`node.name == "slow" ? 1 : 2`, map[string]int64{"fast": 2, "slow": 1, "empty": 2}},
		{`node.taints.exists(t, t.key == "dedicated" && t.value == "ci") ? 0 : 100`, map[string]int64{"fast": 0, "slow": 100, "empty": 100}},
		{`"watts" in node.annotations ? double(node.annotations["watts"]) / 10.0 : 0.0`, map[string]int64{"fast": 25, "slow": 0, "empty": 0}},
		{`pod.namespace == "ns" && pod.name == "p" && "note" in pod.annotations ? pod.priority : 0`, map[string]int64{"fast": 7, "slow": 7, "empty": 7}},
		{`pod.requests.cpu * 100.0`, map[string]int64{"fast": 50, "slow": 50, "empty": 50}},
		{`-5`, map[string]int64{"fast": 0, "slow": 0, "empty": 0}},
		{`1.0e300`, map[string]int64{"fast": 100, "slow": 100, "empty": 100}},
	} {
		t.Run(tc.expression, func(t *testing.T) {
			got := scores(t, newProfile(t, "test", argsFor(config.Custom, withExpression(tc.expression)), snapshot), pod)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("scores (-want +got):\n%s", diff)
			}
		})
	}
}

// A failing expression scores 0, is counted for its profile and logged once a pod.
func TestCustomFailuresAreNotSilent(t *testing.T) {
	pod := st.MakePod().Name("p").Req(res{"cpu": "1"}).Obj()
	withLabel := st.MakePod().Name("q").Label("team", "a").Req(res{"cpu": "1"}).Obj()
	snapshot := threeWorkers()
	byLabel := newProfile(t, "failing-label", argsFor(config.Custom, withExpression(`pod.labels["team"] == "a" ? 80 : 20`)), snapshot)
	byZero := newProfile(t, "failing-division", argsFor(config.Custom, withExpression(`100 / size(pod.labels)`)), snapshot)

	logger := ktesting.NewLogger(t, ktesting.NewConfig(ktesting.BufferLogs(true), ktesting.AnyToString(func(v any) string { return fmt.Sprint(v) })))
	ctx := klog.NewContext(t.Context(), logger)
	zero := map[string]int64{"w1": 0, "w2": 0, "w3": 0}
	for range 2 {
		for _, f := range []framework.Framework{byLabel, byZero} {
			got, status := tryScores(ctx, f, pod)
			if !status.IsSuccess() {
				t.Fatalf("a failing expression stopped scheduling: %v", status)
			}
			if diff := cmp.Diff(zero, got); diff != "" {
				t.Errorf("scores (-want +got):\n%s", diff)
			}
		}
	}
	if diff := cmp.Diff(map[string]int64{"w1": 80, "w2": 80, "w3": 80}, scores(t, byLabel, withLabel)); diff != "" {
		t.Errorf("scores (-want +got):\n%s", diff)
	}

	for _, c := range []struct {
		profile, reason string
		want            float64
	}{
		{"failing-label", "no_such_key", 6}, {"failing-label", "division_by_zero", 0},
		{"failing-division", "division_by_zero", 6}, {"failing-division", "no_such_key", 0},
	} {
		if got := errorCount(t, c.profile, c.reason); got != c.want {
			t.Errorf("errors of %s for %s: %v, want %v", c.profile, c.reason, got, c.want)
		}
	}
	underlier, ok := logger.GetSink().(ktesting.Underlier)
	if !ok {
		t.Fatal("the test logger has no buffer")
	}
	if got := strings.Count(underlier.GetBuffer().String(), "The custom expression failed"); got != 4 {
		t.Errorf("logged %d times for 4 attempts:\n%s", got, underlier.GetBuffer())
	}
}

func errorCount(t *testing.T, profile, reason string) float64 {
	t.Helper()
	families, err := legacyregistry.DefaultGatherer.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != "auriga_worker_selection_expression_errors_total" {
			continue
		}
		for _, m := range family.GetMetric() {
			if testutil.LabelsMatch(m, map[string]string{"profile": profile, "reason": reason}) {
				return m.GetCounter().GetValue()
			}
		}
	}
	t.Fatalf("no metric for %s and %s", profile, reason)
	return 0
}

func TestSignPod(t *testing.T) {
	base := func() *st.PodWrapper {
		return st.MakePod().Namespace("ns").Name("p").Label("team", "a").Annotation("note", "x").
			Annotation(names.AnnotationLocalityZone, "z").Priority(1).Req(res{"cpu": "1", "memory": "1Gi"})
	}
	changes := map[string]func(*st.PodWrapper){
		"name":        func(p *st.PodWrapper) { p.Name("q") },
		"namespace":   func(p *st.PodWrapper) { p.Namespace("other") },
		"labels":      func(p *st.PodWrapper) { p.Label("team", "b") },
		"annotations": func(p *st.PodWrapper) { p.Annotation("note", "y") },
		"priority":    func(p *st.PodWrapper) { p.Priority(2) },
		"cpu":         func(p *st.PodWrapper) { p.Res(res{"cpu": "1"}) },
		"gpu":         func(p *st.PodWrapper) { p.Res(res{gpu: "1"}) },
		"image":       func(p *st.PodWrapper) { p.Obj().Spec.Containers[0].Image = "other" },
		"zone":        func(p *st.PodWrapper) { p.Annotation(names.AnnotationLocalityZone, "y") },
		"initImage": func(p *st.PodWrapper) {
			p.Obj().Spec.InitContainers = append(p.Obj().Spec.InitContainers, v1.Container{Image: "init"})
		},
	}
	for _, tc := range []struct {
		name string
		args *config.WorkerSelectionArgs
		// differs lists the changes that must change the signature; all others must not.
		differs string
	}{
		{"LeastLoaded", argsFor(config.LeastLoaded), "cpu"},
		{"MostFree", argsFor(config.MostFree), "cpu"},
		{"BinPacking", argsFor(config.BinPacking), "cpu"},
		{"ResourceBalance", argsFor(config.ResourceBalance), "cpu"},
		{"with GPUs", argsFor(config.LeastLoaded, withResources(schedconfig.ResourceSpec{Name: gpu, Weight: 1})), "gpu"},
		{"LocalityAware", argsFor(config.LocalityAware), "image initImage zone"},
		{"Custom on load", argsFor(config.Custom), "cpu gpu"},
		{"Custom on labels", argsFor(config.Custom, withExpression(`pod.labels["team"] == "a" ? 1 : 0`)), "cpu gpu labels"},
		{"Custom on all", argsFor(config.Custom, withExpression(
			`pod.namespace + pod.name + pod.annotations["note"] == "" && pod.priority > 1 ? 1 : 0`)), "cpu gpu namespace name annotations zone priority"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newProfile(t, "test", tc.args, threeWorkers())
			want := f.SignPod(t.Context(), base().Obj(), false)
			if want == nil {
				t.Fatal("not signed")
			}
			if got := f.SignPod(t.Context(), base().UID("other").Obj(), false); string(got) != string(want) {
				t.Errorf("two equal pods: %s and %s", got, want)
			}
			for name, change := range changes {
				pod := base()
				change(pod)
				got := f.SignPod(t.Context(), pod.Obj(), false)
				must := false
				for _, d := range strings.Fields(tc.differs) {
					must = must || d == name
				}
				if differs := string(got) != string(want); differs != must {
					t.Errorf("change of %s: signature differs: %v, want %v\n%s", name, differs, must, got)
				}
			}
		})
	}
	t.Run("RoundRobin", func(t *testing.T) {
		f := newProfile(t, "test", argsFor(config.RoundRobin), threeWorkers())
		if got := f.SignPod(t.Context(), base().Obj(), false); got != nil {
			t.Errorf("signed: %s", got)
		}
	})
}

// A ranking that is kept for the next pod must be what a new one would say
// about the nodes that have not changed: for every strategy that signs pods,
// placing a pod on one node moves all others alike, up to rounding.
func TestSignedRankingsStayTrue(t *testing.T) {
	pod := st.MakePod().Name("p").Req(res{"cpu": "1", "memory": "2Gi"}).Obj()
	nodes := []*v1.Node{}
	pods := []*v1.Pod{}
	for i := range 6 {
		name := fmt.Sprintf("w%d", i)
		nodes = append(nodes, st.MakeNode().Name(name).Capacity(res{"cpu": fmt.Sprint(8 + 8*(i%2)), "memory": "32Gi"}).Obj())
		pods = append(pods, st.MakePod().Name(name).UID(name).Node(name).Req(res{"cpu": fmt.Sprint(i), "memory": fmt.Sprintf("%dGi", 20-3*i)}).Obj())
	}
	placed := st.MakePod().Name("placed").UID("placed").Node("w0").Req(res{"cpu": "1", "memory": "2Gi"}).Obj()
	for _, strategy := range []config.WorkerSelectionStrategy{config.LeastLoaded, config.MostFree, config.BinPacking, config.ResourceBalance, config.Custom} {
		before := scores(t, newProfile(t, "test", argsFor(strategy), cache.NewSnapshot(pods, nodes)), pod)
		after := scores(t, newProfile(t, "test", argsFor(strategy), cache.NewSnapshot(append(pods[:len(pods):len(pods)], placed), nodes)), pod)
		shift := after["w1"] - before["w1"]
		for i := 1; i < 6; i++ {
			name := fmt.Sprintf("w%d", i)
			if d := after[name] - before[name] - shift; d < -1 || d > 1 {
				t.Errorf("%s: %s moved by %d, w1 by %d", strategy, name, after[name]-before[name], shift)
			}
		}
	}
}

// largeCluster has n workers of two sizes with some pods each, labelled by zone.
func largeCluster(n int) *cache.Snapshot {
	nodes := make([]*v1.Node, n)
	pods := make([]*v1.Pod, 0, 2*n)
	for i := range nodes {
		name := fmt.Sprintf("worker-%04d", i)
		nodes[i] = st.MakeNode().Name(name).Label(v1.LabelTopologyZone, fmt.Sprintf("zone-%d", i%3)).
			Capacity(res{"cpu": fmt.Sprint(16 + 16*(i%2)), "memory": "128Gi", "ephemeral-storage": "1Ti", gpu: fmt.Sprint(8 * (i % 2))}).
			Images(map[string]int64{"docker.io/library/base:1": 100 << 20, fmt.Sprintf("docker.io/library/app-%d:1", i%50): 900 << 20}).Obj()
		for k := range 2 {
			pods = append(pods, &v1.Pod{
				ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s-%d", name, k), UID: "x"},
				Spec: v1.PodSpec{NodeName: name, Containers: []v1.Container{{Resources: v1.ResourceRequirements{
					Requests: v1.ResourceList{"cpu": resource.MustParse(fmt.Sprint(1 + i%5)), "memory": resource.MustParse(fmt.Sprintf("%dGi", 1+i%7))}}}}},
			})
		}
	}
	return cache.NewSnapshot(pods, nodes)
}

func benchPod() *v1.Pod {
	pod := st.MakePod().Namespace("ns").Name("p").Label("app", "build").Annotation(names.AnnotationLocalityZone, "zone-1").
		Req(res{"cpu": "500m", "memory": "1Gi", gpu: "1"}).Obj()
	pod.Spec.Containers[0].Image = "app-7:1"
	pod.Spec.Containers = append(pod.Spec.Containers, v1.Container{Name: "base", Image: "base:1"})
	return pod
}

func benchArgs(strategy config.WorkerSelectionStrategy) *config.WorkerSelectionArgs {
	return argsFor(strategy, withResources(
		schedconfig.ResourceSpec{Name: "cpu", Weight: 1}, schedconfig.ResourceSpec{Name: "memory", Weight: 1}, schedconfig.ResourceSpec{Name: gpu, Weight: 1}))
}

// prepared returns Score as the framework calls it, and nodes to score.
func prepared(tb testing.TB, strategy config.WorkerSelectionStrategy, n int) (func(fwk.NodeInfo) int64, []fwk.NodeInfo) {
	tb.Helper()
	snapshot := largeCluster(n)
	nodes, err := snapshot.List()
	if err != nil {
		tb.Fatal(err)
	}
	f := newProfile(tb, "test", benchArgs(strategy), snapshot)
	plugin, err := New(tb.Context(), benchArgs(strategy), f)
	if err != nil {
		tb.Fatal(err)
	}
	pl, pod, ctx := plugin.(*WorkerSelection), benchPod(), tb.Context()
	var state fwk.CycleState = framework.NewCycleState()
	if status := pl.PreScore(ctx, state, pod, nodes); !status.IsSuccess() {
		tb.Fatal(status.AsError())
	}
	var scorePlugin fwk.ScorePlugin = pl
	return func(n fwk.NodeInfo) int64 {
		s, status := scorePlugin.Score(ctx, state, pod, n)
		if !status.IsSuccess() {
			tb.Fatal(status.AsError())
		}
		return s
	}, nodes
}

func TestScoreAllocatesNothing(t *testing.T) {
	for strategy := range strategies() {
		if strategy == config.Custom {
			continue // CEL's interpreter allocates; BenchmarkScore says how much
		}
		t.Run(string(strategy), func(t *testing.T) {
			score, nodes := prepared(t, strategy, 10)
			if n := testing.AllocsPerRun(100, func() {
				for _, node := range nodes {
					score(node)
				}
			}); n != 0 {
				t.Errorf("%v allocations for %d nodes", n, len(nodes))
			}
		})
	}
}

// BenchmarkScore is the time for one node.
func BenchmarkScore(b *testing.B) {
	for strategy := range strategies() {
		b.Run(string(strategy), func(b *testing.B) {
			score, nodes := prepared(b, strategy, 1000)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				score(nodes[i%len(nodes)])
			}
		})
	}
}

// BenchmarkPreScore is the time for one pod when all of 5000 nodes are feasible.
func BenchmarkPreScore(b *testing.B) {
	snapshot := largeCluster(5000)
	nodes, err := snapshot.List()
	if err != nil {
		b.Fatal(err)
	}
	for strategy := range strategies() {
		b.Run(string(strategy), func(b *testing.B) {
			f := newProfile(b, "test", benchArgs(strategy), snapshot)
			pod := benchPod()
			plugin, err := New(b.Context(), benchArgs(strategy), f)
			if err != nil {
				b.Fatal(err)
			}
			pl, ctx := plugin.(*WorkerSelection), b.Context()
			for _, n := range nodes {
				pl.Reserve(ctx, framework.NewCycleState(), pod, n.Node().Name)
			}
			b.ReportAllocs()
			for b.Loop() {
				if status := pl.PreScore(ctx, framework.NewCycleState(), pod, nodes); !status.IsSuccess() {
					b.Fatal(status.AsError())
				}
			}
		})
	}
}
