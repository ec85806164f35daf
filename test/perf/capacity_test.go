// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package perf

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	corev1listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	"k8s.io/klog/v2/ktesting"
	fwk "k8s.io/kube-scheduler/framework"
	schedconfig "k8s.io/kubernetes/pkg/scheduler/apis/config"
	schedscheme "k8s.io/kubernetes/pkg/scheduler/apis/config/scheme"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	frameworkruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"
	schedmetrics "k8s.io/kubernetes/pkg/scheduler/metrics"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/yaml"

	"auriga.dev/auriga/pkg/capacity"
	"auriga.dev/auriga/pkg/capacity/prometheus"
	"auriga.dev/auriga/plugins/realcapacity"
)

// capacityOptions are the flags of what `make bench-capacity` measures. The
// comparison with a Prometheus that hangs has -repeat, too.
type capacityOptions struct {
	report       string
	nodes, polls int
	filterTime   string
	hangNodes    int
	hangTime     time.Duration
}

func (o *capacityOptions) addFlags(fs *flag.FlagSet) {
	fs.StringVar(&o.report, "capacity", "", "where the JSON report of the figures of measured load goes; empty measures none")
	fs.IntVar(&o.nodes, "capacity-nodes", 5000, "nodes that are polled and filtered")
	fs.IntVar(&o.polls, "capacity-polls", 20, "polls that are timed")
	fs.StringVar(&o.filterTime, "filter-time", "300ms", "test.benchtime of a run of Filter")
	fs.IntVar(&o.hangNodes, "hang-nodes", 500, "nodes of the cluster in which Prometheus hangs")
	fs.DurationVar(&o.hangTime, "hang-time", 10*time.Second, "how long pods are scheduled in a run in which Prometheus hangs, or does not")
}

// TestCapacityFigures begins the report with all figures but that of a
// Prometheus that hangs. It fails if one cannot be measured, not if one is bad.
func TestCapacityFigures(t *testing.T) {
	o := opts.capacity
	if o.report == "" {
		t.Skip("runs with the flag -capacity: see make bench-capacity")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	// What is logged matters when something fails.
	logger := ktesting.NewLogger(t, ktesting.DefaultConfig)
	klog.SetLogger(logger)
	defer klog.ClearLogger()
	ctx = klog.NewContext(ctx, logger)
	root, _, kubernetesVersion, err := modules()
	if err != nil {
		t.Fatal(err)
	}
	report := CapacityReport{Machine: thisMachine(), Versions: theseVersions(kubernetesVersion), LoadAverage: loadAverage()}
	if report.PollToSnapshot, report.Memory, err = measurePolls(ctx, o.nodes, o.polls); err != nil {
		t.Fatalf("polls: %v", err)
	}
	profile := opts.config
	if profile == "" {
		profile = filepath.Join(root, "config", "scheduler.yaml")
	}
	if report.Filter, err = measureFilter(ctx, profile, o.nodes, o.filterTime); err != nil {
		t.Fatalf("filter: %v", err)
	}
	if err := report.writeFile(o.report); err != nil {
		t.Fatal(err)
	}
	// Otherwise the benchmark that comes next prints it.
	if f := flag.Lookup("test.bench"); f == nil || f.Value.String() == "" {
		_, _ = fmt.Fprintf(os.Stderr, "\n%s\nReport: %s\n", report.table(), o.report)
	}
}

// loadAverage is the machine's of the last minute, 0 where that is unknown.
func loadAverage() float64 {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(text), " ")
	average, err := strconv.ParseFloat(first, 64)
	if err != nil {
		return 0
	}
	return average
}

// publisher joins an informer and a tracker, as the plugin does.
type publisher struct {
	*capacity.Tracker
	clock clock.PassiveClock
}

func (p publisher) Delete(name string, _ bool) { p.Tracker.Delete(name) }
func (p publisher) Publish()                   { p.Tracker.Publish(p.clock.Now()) }

// steppedClock stands still, and tells for how long the informer waits until the
// next poll.
type steppedClock struct {
	*clocktesting.FakeClock
	waits chan time.Duration
}

// NewTimer implements clock.Clock. A poll is at most 16.5 s away; the self-check
// and the history are a minute and more.
func (c *steppedClock) NewTimer(d time.Duration) clock.Timer {
	timer := c.FakeClock.NewTimer(d)
	if d < time.Minute {
		select {
		case c.waits <- d:
		default: // Nobody steps any more.
		}
	}
	return timer
}

// fleet are nodes of 64 cores and 256 GiB.
func fleet(count int) []*v1.Node {
	size := v1.ResourceList{
		v1.ResourceCPU: resource.MustParse("64"), v1.ResourceMemory: resource.MustParse("256Gi"), v1.ResourcePods: resource.MustParse("110"),
	}
	nodes := make([]*v1.Node, count)
	for i := range nodes {
		name := fmt.Sprintf("node-%05d", i)
		nodes[i] = &v1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid-of-" + name)},
			Status: v1.NodeStatus{
				Capacity: size, Allocatable: size,
				Addresses: []v1.NodeAddress{{Type: v1.NodeInternalIP, Address: fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255)}},
			},
		}
	}
	return nodes
}

// await receives, or gives up when ctx ends.
func await[T any](ctx context.Context, from <-chan T) (T, error) {
	select {
	case got := <-from:
		return got, nil
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}

// measurePolls lets an informer poll until its burst windows are full, and then
// times polls and weighs what it keeps.
func measurePolls(ctx context.Context, count, polls int) (*PollFigure, *MemoryFigure, error) {
	nodes := fleet(count)
	indexer := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{})
	for _, n := range nodes {
		if err := indexer.Add(n); err != nil {
			return nil, nil, err
		}
	}
	bodies := render(nodes)
	server := newPrometheusServer(always(bodies))
	defer server.stop()
	clock := &steppedClock{clocktesting.NewFakeClock(time.Now()), make(chan time.Duration, 16)}

	without := liveHeap()
	informer, err := prometheus.NewInformer(prometheus.Config{Address: server.URL}, prometheus.Deps{
		Nodes: corev1listers.NewNodeLister(indexer), Logger: klog.FromContext(ctx), Clock: clock,
	})
	if err != nil {
		return nil, nil, err
	}
	type publication struct {
		at    time.Time
		nodes int
	}
	published := make(chan publication, 1)
	tracker := capacity.NewTracker(time.Minute)
	running, stop := context.WithCancel(ctx)
	defer stop()
	tracker.OnPublish(func(s *capacity.Snapshot) {
		select {
		case published <- publication{time.Now(), s.Len()}:
		case <-running.Done():
		}
	})
	if _, err := informer.Track(publisher{tracker, clock}); err != nil {
		return nil, nil, err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		informer.RunWithContext(running)
	}()
	defer func() {
		stop()
		<-ended
	}()

	config := informer.Config()
	window := int(config.BurstWindow / config.PollInterval)
	warmUp := window + window/4 // The interval has a jitter of a tenth.
	var seconds []float64
	for i := range warmUp + polls {
		got, err := await(ctx, published)
		if err != nil {
			return nil, nil, fmt.Errorf("no snapshot of poll %d: %w", i+1, err)
		}
		if got.nodes != count || server.mistakes.Load() != 0 {
			return nil, nil, fmt.Errorf("poll %d: %d of %d nodes in the snapshot, %d queries refused", i+1, got.nodes, count, server.mistakes.Load())
		}
		if i >= warmUp {
			seconds = append(seconds, got.at.Sub(server.pollBegan()).Seconds())
		}
		next, err := await(ctx, clock.waits)
		if err != nil {
			return nil, nil, fmt.Errorf("poll %d does not end: %w", i+1, err)
		}
		if i+1 < warmUp+polls {
			server.newPoll()
			clock.Step(next)
		}
	}
	with := liveHeap()
	runtime.KeepAlive(tracker)

	queries, length := 0, 0
	for query, body := range bodies {
		if query != config.History.CPU && query != config.History.Memory {
			queries++
			length += len(body)
		}
	}
	poll := newPollFigure(count, queries, length, seconds)
	poll.Method = fmt.Sprintf("the real informer and tracker in one process with a loopback HTTP server that has its answers ready; "+
		"from the arrival of a poll's first query to Tracker.OnPublish; burst windows full; every node has all signals, GPU and power too; "+
		"the clock of the informer is stepped from poll to poll, after %d polls that are not timed", warmUp)
	memory := newMemoryFigure(count, window, without, with)
	memory.Method = "live heap after garbage collections, with the informer and the tracker after their polls minus without; " +
		"the Node objects, which the scheduler has anyway, and the server's answers are in both"
	return poll, memory, nil
}

// liveHeap is what a garbage collection leaves.
func liveHeap() uint64 {
	var m runtime.MemStats
	for range 3 { // The second empties the sync.Pools, the third is after the finalizers.
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// withPrometheus sets RealCapacity's source in all profiles of a
// KubeSchedulerConfiguration. Zero durations stay what they were.
func withPrometheus(config []byte, address string, pollInterval, queryTimeout time.Duration) ([]byte, error) {
	var root map[string]any
	if err := yaml.UnmarshalStrict(config, &root); err != nil {
		return nil, fmt.Errorf("parse the scheduler configuration: %w", err)
	}
	found := false
	profiles, _ := root["profiles"].([]any)
	for _, profile := range profiles {
		p, _ := profile.(map[string]any)
		plugins, _ := p["pluginConfig"].([]any)
		for _, plugin := range plugins {
			c, _ := plugin.(map[string]any)
			args, ok := c["args"].(map[string]any)
			if c["name"] != realcapacity.Name || !ok {
				continue
			}
			source, ok := args["prometheus"].(map[string]any)
			if !ok {
				source = map[string]any{}
				args["prometheus"] = source
			}
			source["address"] = address
			if pollInterval != 0 {
				source["pollInterval"] = pollInterval.String()
			}
			if queryTimeout != 0 {
				source["queryTimeout"] = queryTimeout.String()
			}
			found = true
		}
	}
	if !found {
		return nil, fmt.Errorf("no profile has a pluginConfig of %s", realcapacity.Name)
	}
	return yaml.Marshal(root)
}

// capacityArgs are RealCapacity's arguments of a configuration, with defaults.
func capacityArgs(configuration []byte) (kruntime.Object, error) {
	object, _, err := schedscheme.Codecs.UniversalDecoder().Decode(configuration, nil, nil)
	if err != nil {
		return nil, fmt.Errorf("decode the scheduler configuration: %w", err)
	}
	config, ok := object.(*schedconfig.KubeSchedulerConfiguration)
	if !ok {
		return nil, fmt.Errorf("the scheduler configuration is %T", object)
	}
	for _, profile := range config.Profiles {
		for _, plugin := range profile.PluginConfig {
			if plugin.Name == realcapacity.Name {
				return plugin.Args, nil
			}
		}
	}
	return nil, fmt.Errorf("no profile has arguments of %s", realcapacity.Name)
}

// measureFilter lets RealCapacity measure nodes, and then stops everything and
// times its Filter.
func measureFilter(ctx context.Context, profile string, count int, benchtime string) (*FilterFigure, error) {
	nodes := fleet(count)
	server := newPrometheusServer(always(render(nodes)))
	defer server.stop()
	configuration, err := os.ReadFile(profile)
	if err != nil {
		return nil, err
	}
	if configuration, err = withPrometheus(configuration, server.URL, 0, 0); err != nil {
		return nil, err
	}
	args, err := capacityArgs(configuration)
	if err != nil {
		return nil, err
	}
	objects := make([]kruntime.Object, len(nodes))
	for i, n := range nodes {
		objects[i] = n
	}
	client := fake.NewClientset(objects...)
	factory := informers.NewSharedInformerFactory(client, 0)
	schedmetrics.Register()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	handle, err := frameworkruntime.NewFramework(ctx, nil, nil,
		frameworkruntime.WithClientSet(client), frameworkruntime.WithInformerFactory(factory))
	if err != nil {
		return nil, err
	}
	plugin, err := realcapacity.New(ctx, args, handle)
	if err != nil {
		return nil, err
	}
	f := filtering{plugin: plugin.(*realcapacity.RealCapacity)}
	for _, n := range nodes {
		info := framework.NewNodeInfo()
		info.SetNode(n)
		f.infos = append(f.infos, info)
	}
	factory.Start(ctx.Done())
	defer factory.Shutdown()
	defer stop()

	// Only what is measured rejects a pod of more than a node's cores, which
	// NodeResourcesFit would have rejected before. Nobody tells when the plugin,
	// which is one of several handlers, has its snapshot.
	passing, rejecting := plainPod("100m", "500Mi"), plainPod("128", "1Gi")
	err = wait.PollUntilContextTimeout(ctx, 10*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		if err := f.begin(ctx, rejecting); err != nil {
			return false, err
		}
		return f.passed(ctx) == 0, nil
	})
	if err != nil {
		return nil, fmt.Errorf("the plugin has not measured all nodes: %w", err)
	}
	// What is polled meanwhile would count as Filter's.
	stop()
	factory.Shutdown()
	server.stop()

	costOfRejecting, err := f.cost(benchtime, rejecting, 0)
	if err != nil {
		return nil, err
	}
	costOfPassing, err := f.cost(benchtime, passing, count)
	if err != nil {
		return nil, err
	}
	figure := newFilterFigure(count, costOfPassing, costOfRejecting)
	figure.Method = fmt.Sprintf("testing.Benchmark (benchtime %s, %d runs) of Filter of the plugin that realcapacity.New makes with the default profile's arguments, "+
		"one pod against all nodes in turn, all freshly measured, below the ceilings of CPU and memory (passing) or above (rejecting); nothing else runs in the process", benchtime, filterRuns)
	return figure, nil
}

// plainPod asks for CPU and memory.
func plainPod(cpu, memory string) *v1.Pod {
	pod := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "pod", UID: "uid-of-pod"}}
	pod.Spec.Containers = []v1.Container{{Name: "pause", Resources: v1.ResourceRequirements{Requests: v1.ResourceList{
		v1.ResourceCPU: resource.MustParse(cpu), v1.ResourceMemory: resource.MustParse(memory),
	}}}}
	return pod
}

// filtering is a plugin in a scheduling cycle.
type filtering struct {
	plugin *realcapacity.RealCapacity
	infos  []fwk.NodeInfo
	pod    *v1.Pod
	state  fwk.CycleState
}

// begin begins a cycle, which pins the snapshot and the time.
func (f *filtering) begin(ctx context.Context, pod *v1.Pod) error {
	f.pod, f.state = pod, framework.NewCycleState()
	if _, status := f.plugin.PreFilter(ctx, f.state, pod, f.infos); !status.IsSuccess() {
		return fmt.Errorf("PreFilter: %w", status.AsError())
	}
	return nil
}

// passed is how many nodes pass.
func (f *filtering) passed(ctx context.Context) int {
	passed := 0
	for _, info := range f.infos {
		if f.plugin.Filter(ctx, f.state, f.pod, info).IsSuccess() {
			passed++
		}
	}
	return passed
}

// filterRuns is how often Filter is measured.
const filterRuns = 5

// cost is that of a Filter call in a cycle in which want nodes pass.
func (f *filtering) cost(benchtime string, pod *v1.Pod, want int) (cost OpCost, err error) {
	ctx := context.Background()
	if err := f.begin(ctx, pod); err != nil {
		return OpCost{}, err
	}
	if got := f.passed(ctx); got != want {
		return OpCost{}, fmt.Errorf("%d of %d nodes pass, want %d", got, len(f.infos), want)
	}
	usual := flag.Lookup("test.benchtime").Value.String()
	if err := flag.Set("test.benchtime", benchtime); err != nil {
		return OpCost{}, err
	}
	defer func() { _ = flag.Set("test.benchtime", usual) }() // It was valid.
	var nanoseconds, ofCore []float64
	for range filterRuns {
		var before, after time.Duration
		r := testing.Benchmark(func(b *testing.B) {
			b.ReportAllocs()
			next := 0
			before = processTime()
			for b.Loop() {
				f.plugin.Filter(ctx, f.state, f.pod, f.infos[next])
				if next++; next == len(f.infos) {
					next = 0
				}
			}
			after = processTime()
		})
		nanoseconds = append(nanoseconds, float64(r.T.Nanoseconds())/float64(r.N))
		ofCore = append(ofCore, float64((after-before).Nanoseconds())/float64(r.N))
		cost.AllocationsPerOp = max(cost.AllocationsPerOp, r.AllocsPerOp())
		cost.BytesPerOp = max(cost.BytesPerOp, r.AllocedBytesPerOp())
	}
	cost.NanosecondsPerOp, cost.CPUNanosecondsPerOp = newSpread(nanoseconds), newSpread(ofCore)
	return cost, nil
}

// processTime is what this process has had of the cores.
func processTime() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// TestCapacitySmoke measures the figures as a user would, on a small scale.
func TestCapacitySmoke(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "capacity.json")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, self, "-test.run=^TestCapacityFigures$", "-test.bench=^BenchmarkHangingPrometheus$", "-capacity="+path,
		"-capacity-nodes=50", "-capacity-polls=3", "-filter-time=100x", "-hang-nodes=20", "-hang-time=4s", "-repeat=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("benchmark: %v\n%s", err, out)
	}
	if !strings.Contains(string(out), "VERDICT") {
		t.Errorf("no table:\n%s", out)
	}
	report, err := readCapacityReport(path)
	if err != nil {
		t.Fatal(err)
	}
	poll, filter, memory, hang := report.PollToSnapshot, report.Filter, report.Memory, report.Hang
	if poll == nil || filter == nil || memory == nil || hang == nil {
		t.Fatalf("a figure is missing: %+v", report)
	}
	got := map[string]int{
		"nodes polled": poll.Nodes, "queries": poll.Queries, "polls": len(poll.Seconds.Runs),
		"nodes filtered": filter.Nodes, "allocations": int(filter.Passing.AllocationsPerOp),
		"nodes weighed": memory.Nodes, "polls in the window": memory.WindowPolls,
		"nodes of the cluster": hang.Nodes, "nodes measured": hang.Healthy.NodesMeasured, "nodes measured by none": hang.Hanging.NodesMeasured,
		"pairs": len(hang.P99RatioOfPairs.Runs),
	}
	want := map[string]int{
		"nodes polled": 50, "queries": 8, "polls": 3, // Seven resources and the age.
		"nodes filtered": 50, "allocations": 0,
		"nodes weighed": 50, "polls in the window": 20,
		"nodes of the cluster": 20, "nodes measured": 20, "nodes measured by none": 0,
		"pairs": 1,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
	for name, value := range map[string]float64{
		"time of a poll": poll.Seconds.Min, "time of a Filter call": filter.Passing.NanosecondsPerOp.Min, "memory": memory.BytesPer1000Nodes,
		"p50": hang.P50Ratio, "p99": hang.P99Ratio, "p99 without binding": hang.AlgorithmP99Ratio, "queries that hung": float64(hang.Hanging.QueriesHung),
		"cores": float64(report.Machine.Cores),
	} {
		if value <= 0 {
			t.Errorf("%s: %v, want more than 0", name, value)
		}
	}
}

func TestWithPrometheus(t *testing.T) {
	const config = `
profiles:
- schedulerName: auriga
  pluginConfig:
  - name: WorkerSelection
    args: {strategy: RoundRobin}
  - name: RealCapacity
    args:
      onStale: Reject
      prometheus: {address: "", rateWindow: 2m}
`
	for name, tc := range map[string]struct {
		config        string
		poll          time.Duration
		want, wantErr string
	}{
		"address alone": {config, 0, `profiles:
- pluginConfig:
  - args:
      strategy: RoundRobin
    name: WorkerSelection
  - args:
      onStale: Reject
      prometheus:
        address: http://127.0.0.1:1
        rateWindow: 2m
    name: RealCapacity
  schedulerName: auriga
`, ""},
		"with durations": {"profiles: [{pluginConfig: [{name: RealCapacity, args: {}}]}]", time.Second, `profiles:
- pluginConfig:
  - args:
      prometheus:
        address: http://127.0.0.1:1
        pollInterval: 1s
        queryTimeout: 1s
    name: RealCapacity
`, ""},
		"without the plugin": {"profiles: [{schedulerName: x}]", 0, "", "no profile has a pluginConfig of RealCapacity"},
		"not YAML":           {"{", 0, "", "parse the scheduler configuration"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := withPrometheus([]byte(tc.config), "http://127.0.0.1:1", tc.poll, tc.poll)
			if tc.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tc.wantErr) {
					t.Fatalf("error %v, want %q", err, tc.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, string(got)); diff != "" {
				t.Errorf("configuration (-want +got):\n%s", diff)
			}
		})
	}
}
