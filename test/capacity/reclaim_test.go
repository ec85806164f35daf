// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package capacity

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	"auriga.dev/auriga/pkg/apis/names"
	"auriga.dev/auriga/pkg/localcluster"
	"auriga.dev/auriga/test/fixtures"
)

var (
	workers = flag.Int("workers", 8, "simulated workers")
	scrape  = flag.Int("scrape", 2, "seconds between two scrapes")
	seed    = flag.Uint64("seed", 1, "seed of the pods' sizes and uses")
	evict   = flag.Bool("controller", true, "run auriga-controller; without it there is no phase C")
	out     = flag.String("out", "", "file for the report, JSON; the table is written to standard output then")
)

const (
	// deadline bounds every single wait; generous, for a busy machine.
	deadline = 3 * time.Minute
	// settleIntervals is for how long nothing may change until a phase is taken
	// for steady: longer than a pod is in flight and its end takes to be noticed.
	settleIntervals = 9
	// settleWithin is for how many intervals that is waited for.
	settleWithin = 30
	// backoff is after which time an evicted pod is submitted again: that of Jobs.
	backoff = 10 * time.Second
	// writers is how many requests are under way when many objects are created.
	writers = 8
)

// bench is one run of the experiment.
type bench struct {
	*testing.T
	Config
	cluster *localcluster.Cluster
	client  kubernetes.Interface
	pods    *observer
	prom    *measurements
	report  Report
}

// TestReclaim is the experiment: small in `make test`, full size by hack/bench-reclaim.sh.
func TestReclaim(t *testing.T) {
	begin := time.Now()
	b := &bench{T: t, Config: DefaultConfig(*workers, *scrape, *seed), pods: newObserver(clock.RealClock{})}
	b.report.Config = b.Config
	b.startCluster()
	b.createWorkers()
	b.startScheduler()
	b.startController()
	b.resubmit()
	b.plain()
	b.fill()
	b.shrink()
	b.report.Seconds = time.Since(begin).Seconds()

	table := t.Output()
	if *out != "" {
		table = os.Stdout
		b.must(b.report.Write(*out))
	}
	b.must(b.report.Table(table))
	for _, err := range b.pods.errs {
		t.Error(err)
	}
	for _, missed := range b.report.Violations() {
		t.Error(missed)
	}
}

func (b *bench) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// await waits until a condition holds.
func (b *bench) await(what string, condition func(context.Context) (bool, error)) {
	b.Helper()
	var last error
	err := wait.PollUntilContextTimeout(b.Context(), 100*time.Millisecond, deadline, true, func(ctx context.Context) (bool, error) {
		if err := b.cluster.Err(); err != nil {
			return false, err
		}
		done, err := condition(ctx)
		last = err
		return done, nil
	})
	if err != nil {
		b.Fatalf("%s: %v, %v", what, err, last)
	}
}

func (b *bench) startCluster() {
	fixtures.Binary(b, "tools/prometheus") // auriga-local looks for it there
	ctx, cancel := context.WithTimeout(b.Context(), deadline)
	defer cancel()
	var err error
	b.cluster, err = localcluster.Start(ctx, localcluster.Options{
		Binary: fixtures.Binary(b, "auriga-local"), DataDir: filepath.Join(b.TempDir(), "data"), Log: b.Output(), ScrapeInterval: b.Interval(),
	})
	b.must(err)
	b.Cleanup(func() {
		if dir := os.Getenv("ARTIFACTS"); dir != "" {
			if err := os.CopyFS(filepath.Join(dir, time.Now().Format("150405")), os.DirFS(filepath.Join(b.cluster.DataDir(), "logs"))); err != nil {
				b.Error(err)
			}
		}
		ctx, cancel := context.WithTimeout(context.Background(), deadline)
		defer cancel()
		if err := b.cluster.Stop(ctx); err != nil {
			b.Error(err)
		}
	})
	config, err := b.cluster.RESTConfig()
	b.must(err)
	b.client, err = kubernetes.NewForConfig(config)
	b.must(err)
	b.prom, err = newMeasurements(b.cluster.PrometheusURL(), b.Config)
	b.must(err)

	_, err = b.client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: names.Namespace}}, metav1.CreateOptions{})
	b.must(err)
	b.createClasses(ctx)
	factory := informers.NewSharedInformerFactoryWithOptions(b.client, 0, informers.WithNamespace(namespace))
	informer := factory.Core().V1().Pods().Informer()
	_, err = informer.AddEventHandler(b.pods)
	b.must(err)
	factory.Start(b.Context().Done())
	if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
		b.Fatal("the pods' watch did not start")
	}
}

// createClasses creates the chart's priority classes.
func (b *bench) createClasses(ctx context.Context) {
	data, err := os.ReadFile(filepath.Join(fixtures.Root(b), "manifests/chart/auriga/values.yaml"))
	b.must(err)
	var values struct {
		PriorityClasses struct {
			Classes map[string]struct {
				Value            int32                   `json:"value"`
				PreemptionPolicy corev1.PreemptionPolicy `json:"preemptionPolicy"`
			} `json:"classes"`
		} `json:"priorityClasses"`
	}
	b.must(yaml.Unmarshal(data, &values))
	for _, name := range []string{names.PriorityMedium, names.PriorityBatch} {
		class, ok := values.PriorityClasses.Classes[name]
		if !ok {
			b.Fatalf("the chart has no priority class %s", name)
		}
		_, err := b.client.SchedulingV1().PriorityClasses().Create(ctx, &schedulingv1.PriorityClass{
			ObjectMeta: metav1.ObjectMeta{Name: name}, Value: class.Value, PreemptionPolicy: ptr.To(class.PreemptionPolicy),
		}, metav1.CreateOptions{})
		b.must(err)
	}
}

// createWorkers returns when all are ready and measured.
func (b *bench) createWorkers() {
	group, ctx := errgroup.WithContext(b.Context())
	group.SetLimit(writers)
	for _, node := range b.nodes() {
		group.Go(func() error {
			_, err := b.client.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{})
			return err
		})
	}
	b.must(group.Wait())
	b.await("all workers are ready", func(ctx context.Context) (bool, error) {
		nodes, err := b.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{ResourceVersion: "0"})
		if err != nil {
			return false, err
		}
		ready := 0
		for i := range nodes.Items {
			if len(nodes.Items[i].Spec.Taints) == 0 && slices.ContainsFunc(nodes.Items[i].Status.Conditions, func(c corev1.NodeCondition) bool {
				return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
			}) {
				ready++
			}
		}
		return ready == b.Workers, nil
	})
	b.await("all workers are measured", func(ctx context.Context) (bool, error) {
		err := b.prom.all(ctx, b.prom.windowedCPU())
		return err == nil, err
	})
}

// schedulerConfig is config/scheduler.yaml with the cluster's Prometheus and the
// experiment's times.
func (b *bench) schedulerConfig() []byte {
	data, err := os.ReadFile(filepath.Join(fixtures.Root(b), "config/scheduler.yaml"))
	b.must(err)
	var config map[string]any
	b.must(yaml.Unmarshal(data, &config))
	b.must(unstructured.SetNestedField(config, b.cluster.Kubeconfig(), "clientConnection", "kubeconfig"))
	profile := config["profiles"].([]any)[0].(map[string]any)
	for _, entry := range profile["pluginConfig"].([]any) {
		plugin := entry.(map[string]any)
		if plugin["name"] != "RealCapacity" {
			continue
		}
		args := plugin["args"].(map[string]any)
		args["prometheus"] = map[string]any{
			"address": b.cluster.PrometheusURL(), "pollInterval": b.Interval().String(), "rateWindow": b.Window().String(),
		}
		args["inFlight"] = map[string]any{"ramp": b.Window().String()}
		for _, c := range args["ceilings"].([]any) {
			if c := c.(map[string]any); c["name"] == "cpu" && c["percent"] != float64(b.CeilingPercent) {
				b.Fatalf("the ceiling is %v %%, the experiment is for %d %%", c["percent"], b.CeilingPercent)
			}
		}
	}
	data, err = yaml.Marshal(config)
	b.must(err)
	return data
}

func (b *bench) startScheduler() {
	ports, err := localcluster.FreePorts(1)
	b.must(err)
	config := filepath.Join(b.TempDir(), "scheduler.yaml")
	b.must(os.WriteFile(config, b.schedulerConfig(), 0o600))
	cert, key := b.cluster.ServingCertificate()
	address := fmt.Sprintf("127.0.0.1:%d", ports[0])
	b.start(localcluster.ProcessSpec{
		Name: "auriga-scheduler", Path: fixtures.Binary(b, "auriga-scheduler"), Port: ports[0], HealthURL: "https://" + address + "/healthz",
		Args: []string{
			"--config=" + config, "--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", ports[0]),
			"--tls-cert-file=" + cert, "--tls-private-key-file=" + key,
			"--authentication-kubeconfig=" + b.cluster.Kubeconfig(), "--authorization-kubeconfig=" + b.cluster.Kubeconfig(), "--v=3",
		},
	})
	b.await("the scheduler leads", func(ctx context.Context) (bool, error) {
		lease, err := b.client.CoordinationV1().Leases(names.Namespace).Get(ctx, names.Lease, metav1.GetOptions{})
		return err == nil && ptr.Deref(lease.Spec.HolderIdentity, "") != "", err
	})
}

func (b *bench) start(spec localcluster.ProcessSpec) {
	ctx, cancel := context.WithTimeout(b.Context(), deadline)
	defer cancel()
	_, err := b.cluster.StartProcess(ctx, spec)
	b.must(err)
}

// startController starts auriga-controller if it knows how to reclaim.
func (b *bench) startController() {
	binary := fixtures.Binary(b, "auriga-controller")
	ctx, cancel := context.WithTimeout(b.Context(), deadline)
	defer cancel()
	help, err := exec.CommandContext(ctx, binary, "--help").CombinedOutput()
	b.must(err)
	switch {
	case !*evict:
		b.report.Controller = "no controller, as asked"
		b.report.Shrink.Skipped = "nobody evicts reclaimed pods without the controller"
		return
	case !strings.Contains(string(help), "--reclaim-cpu-ceiling"):
		b.report.Controller = "no controller: bin/auriga-controller has no --reclaim-cpu-ceiling"
		b.report.Shrink.Skipped = "bin/auriga-controller does not evict reclaimed pods yet"
		return
	}
	ports, err := localcluster.FreePorts(1)
	b.must(err)
	probes := fmt.Sprintf("127.0.0.1:%d", ports[0])
	b.start(localcluster.ProcessSpec{
		Name: "auriga-controller", Path: binary, Port: ports[0], HealthURL: "http://" + probes + "/readyz",
		Args: []string{
			"--kubeconfig=" + b.cluster.Kubeconfig(), "--metrics-bind-address=0", "--health-probe-bind-address=" + probes,
			"--prometheus-address=" + b.cluster.PrometheusURL(), "--poll-interval=" + b.Interval().String(),
			"--rate-window=" + b.Window().String(), "--in-flight-ramp=" + b.Window().String(),
			fmt.Sprintf("--reclaim-cpu-ceiling=%d", b.CeilingPercent),
		},
	})
	b.await("the controller leads", func(ctx context.Context) (bool, error) {
		lease, err := b.client.CoordinationV1().Leases(names.Namespace).Get(ctx, names.ControllerLease, metav1.GetOptions{})
		return err == nil && ptr.Deref(lease.Spec.HolderIdentity, "") != "", err
	})
	b.report.Controller = "auriga-controller evicts"
}

// resubmit submits reclaimed pods that were evicted anew, until the test ends, as
// the controller of Jobs would: there is always more to do than fits.
func (b *bench) resubmit() {
	ctx := b.Context()
	done := make(chan error, 1)
	go func() {
		for n := 0; ; n++ {
			select {
			case <-ctx.Done():
				done <- nil
				return
			case p := <-b.pods.again:
				select {
				case <-ctx.Done():
					done <- nil
					return
				case <-time.After(time.Until(p.goneAt.Add(backoff))):
				}
				again := pod(fmt.Sprintf("again-%05d", n), reclaimed, names.PriorityBatch, p.cores, p.cores*gibPerUsedCore)
				if _, err := b.client.CoreV1().Pods(namespace).Create(ctx, again, metav1.CreateOptions{}); err != nil && ctx.Err() == nil {
					done <- fmt.Errorf("submit an evicted pod again: %w", err)
					return
				}
			}
		}
	}()
	b.Cleanup(func() {
		if err := <-done; err != nil {
			b.Error(err)
		}
	})
}

// create creates pods, a few at once, in order.
func (b *bench) create(pods []*corev1.Pod) {
	group, ctx := errgroup.WithContext(b.Context())
	group.SetLimit(writers)
	for _, pod := range pods {
		group.Go(func() error {
			_, err := b.client.CoreV1().Pods(namespace).Create(ctx, pod, metav1.CreateOptions{})
			return err
		})
	}
	b.must(group.Wait())
}

// pause lets measurements come in.
func (b *bench) pause(intervals int) {
	select {
	case <-time.After(time.Duration(intervals) * b.Interval()):
	case <-b.cluster.Done():
		b.Fatal(b.cluster.Err())
	case <-b.Context().Done():
		b.Fatal(context.Cause(b.Context()))
	}
}

// level is what was in use over the last intervals.
func (b *bench) level(intervals int) Level {
	ctx, cancel := context.WithTimeout(b.Context(), deadline)
	defer cancel()
	to := time.Now()
	from := to.Add(-time.Duration(intervals) * b.Interval())
	cpu, err := b.prom.mean(ctx, b.prom.windowedCPU(), from, to)
	b.must(err)
	bytes, err := b.prom.mean(ctx, memory, from, to)
	b.must(err)
	level := Level{CPU: cpu / b.Cores, Memory: bytes / float64(b.MemoryGiB<<30)}
	matrix, err := b.prom.matrix(ctx, b.prom.windowedCPU(), from, to)
	b.must(err)
	for _, series := range matrix {
		for _, sample := range series.Values {
			off := math.Abs(float64(sample.Value) - b.pods.at(string(series.Metric["instance"]), sample.Timestamp.Time()))
			level.MaxError = max(level.MaxError, off/b.Cores)
		}
	}
	for _, p := range slices.Concat(b.pods.running(ordinary), b.pods.running(reclaimed)) {
		level.TrueCPU += p.cores / b.Cores / float64(b.Workers)
		level.RequestedCPU += p.requested / b.Cores / float64(b.Workers)
		level.Pods++
	}
	return level
}

// over is for how long workers were above the ceiling since a time.
func (b *bench) over(from time.Time) Over {
	ctx, cancel := context.WithTimeout(b.Context(), deadline)
	defer cancel()
	to := time.Now()
	measured, err := b.prom.over(ctx, b.prom.intervalCPU(), from, to)
	b.must(err)
	windowed, err := b.prom.over(ctx, b.prom.windowedCPU(), from, to)
	b.must(err)
	over := Over{
		True:     b.pods.over(from, to, b.Ceiling(), b.Cores, b.Interval()),
		Clear:    b.pods.over(from, to, b.Ceiling()+Tolerance*b.Cores, b.Cores, b.Interval()),
		Measured: measured, Windowed: windowed,
	}
	if over.True.Intervals > TargetIntervals {
		b.tell(ctx, over.True.Worker, from, to)
	}
	return over
}

// tell logs what a worker used and what was measured.
func (b *bench) tell(ctx context.Context, worker string, from, to time.Time) {
	b.Logf("%s, true:\n%s", worker, b.pods.story(worker, from))
	matrix, err := b.prom.matrix(ctx, b.prom.windowedCPU(), from, to)
	b.must(err)
	for _, series := range matrix {
		if string(series.Metric["instance"]) != worker {
			continue
		}
		var lines strings.Builder
		for _, sample := range series.Values {
			fmt.Fprintf(&lines, "%6.2f s  %6.2f cores\n", sample.Timestamp.Time().Sub(from).Seconds(), float64(sample.Value))
		}
		b.Logf("%s, windowed:\n%s", worker, &lines)
	}
}

// settle waits until no reclaimed pod has been placed or evicted for some time;
// false if that does not happen in time.
func (b *bench) settle(since time.Time) bool {
	for end := time.Now().Add(settleWithin * b.Interval()); time.Now().Before(end); b.pause(1) {
		_, _, changed, _ := b.pods.state()
		if changed.Before(since) {
			changed = since
		}
		if time.Since(changed) >= settleIntervals*b.Interval() {
			return true
		}
	}
	return false
}

// plain is phase A.
func (b *bench) plain() {
	pods := b.ordinaryPods()
	b.create(pods)
	b.await("all ordinary pods run", func(context.Context) (bool, error) {
		n := len(b.pods.running(ordinary))
		return n == len(pods), fmt.Errorf("%d of %d do", n, len(pods))
	})
	b.pause(2*b.WindowScrapes + 1) // the window must fill, and another be taken
	b.report.Plain = b.level(b.WindowScrapes)
	b.Logf("plain: %+v", b.report.Plain)
}

// fill is phase B.
func (b *bench) fill() {
	backlog := b.reclaimedPods()
	begin := time.Now()
	b.create(backlog)
	r := &b.report.Reclaimed
	r.Submitted = len(backlog)
	r.Steady = b.settle(time.Now())
	r.Level = b.level(b.WindowScrapes)
	r.Over = b.over(begin)
	var last time.Time
	_, last, _, r.Evicted = b.pods.state()
	r.PlacingSeconds = max(0, last.Sub(begin).Seconds())

	waiting := b.pods.waiting()
	r.Waiting = len(waiting)
	for i, p := range waiting {
		if i == 0 || p.cores < r.SmallestWaitingCores {
			r.SmallestWaitingCores = p.cores
		}
	}
	use := map[string]float64{}
	for _, p := range slices.Concat(b.pods.running(ordinary), b.pods.running(reclaimed)) {
		use[p.node] += p.cores
	}
	for _, node := range b.nodes() {
		room := b.Ceiling() - use[node.Name]
		r.RoomCores += room / float64(b.Workers)
		r.MaxRoomCores = max(r.MaxRoomCores, room)
		if len(waiting) > 0 && room >= r.SmallestWaitingCores-rounding {
			r.WorkersWithRoom++
		}
	}
	b.Logf("reclaimed: %+v", *r)
}

// shrink is phase C.
func (b *bench) shrink() {
	s := &b.report.Shrink
	if s.Skipped != "" {
		return
	}
	before := map[string][]float64{}
	for _, p := range b.pods.running(reclaimed) {
		before[p.node] = append(before[p.node], p.cores)
	}
	placedBefore, _, _, evictedBefore := b.pods.state()
	fromBefore := b.pods.evictedFrom()
	victims := b.surge()
	surged := map[string]bool{}
	begin := time.Now()
	group, ctx := errgroup.WithContext(b.Context())
	group.SetLimit(writers)
	for _, p := range victims {
		surged[p.node] = true
		b.pods.deletes(p.name)
		group.Go(func() error {
			pods := b.client.CoreV1().Pods(namespace)
			if err := pods.Delete(ctx, p.name, metav1.DeleteOptions{}); err != nil {
				return err
			}
			_, err := pods.Create(ctx, onWorker(ordinaryPod("surge-"+p.name, p.requested, b.SurgeUse), p.node), metav1.CreateOptions{})
			return err
		})
		s.AddedCores += p.requested*b.SurgeUse - p.cores
	}
	b.must(group.Wait())
	s.Replaced = len(victims)
	total := len(b.ordinaryPods())
	b.await("the ordinary pods run that replace others", func(context.Context) (bool, error) {
		n := len(b.pods.running(ordinary))
		return n == total, fmt.Errorf("%d of %d ordinary pods do", n, total)
	})
	s.Steady = b.settle(time.Now())
	s.Level = b.level(b.WindowScrapes)
	s.Over = b.over(begin)
	placed, _, _, evicted := b.pods.state()
	s.PlacedReclaimed = placed - placedBefore
	s.Evicted = Evictions{Reclaimed: evicted.Reclaimed - evictedBefore.Reclaimed, Ordinary: evicted.Ordinary - evictedBefore.Ordinary}
	for node, n := range b.pods.evictedFrom() {
		if !surged[node] {
			s.Elsewhere += n - fromBefore[node]
		}
	}
	firm := map[string]float64{}
	for _, p := range b.pods.running(ordinary) {
		firm[p.node] += p.cores
	}
	for node, cores := range before {
		s.Needed += needed(firm[node], cores, b.Ceiling())
	}
	b.Logf("shrink: %+v", *s)
}

// surge chooses the ordinary pods to replace: on some workers, the one whose
// replacement adds most.
func (b *bench) surge() []seen {
	best := map[string]seen{}
	for _, p := range b.pods.running(ordinary) {
		if adds(p, b.SurgeUse) > adds(best[p.node], b.SurgeUse) {
			best[p.node] = p
		}
	}
	var victims []seen
	for i, node := range slices.Sorted(maps.Keys(best)) {
		if float64(len(victims)) < b.SurgeShare*float64(i+1) {
			victims = append(victims, best[node])
		}
	}
	return victims
}

func adds(p seen, share float64) float64 { return p.requested*share - p.cores }
