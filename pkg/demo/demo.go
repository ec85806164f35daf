// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/component-base/version"
	"k8s.io/utils/clock"

	"auriga.dev/auriga/pkg/apis/names"
	"auriga.dev/auriga/pkg/localcluster"
	"auriga.dev/auriga/pkg/trace"
	"auriga.dev/auriga/pkg/trace/cicd"
	"auriga.dev/auriga/pkg/trace/openb"
)

// shownFailures is how many failed pods are named when jobs failed.
const shownFailures = 5

// Options say what to run and where the parts are.
type Options struct {
	// Nodes and Jobs are how many of each; both positive.
	Nodes, Jobs int
	// Seed is the workload generator's, and that of what the jobs really use.
	Seed uint64
	// Trace is a folder with the openb trace; empty generates a workload.
	Trace string
	// ForeignPods is how many pods are submitted for the stock scheduler.
	ForeignPods int
	// Rate is the mean of the generated jobs' arrivals per second.
	Rate float64
	// Duration is the time in which a trace's jobs arrive and run, if nothing waits.
	Duration time.Duration
	// Timeout ends the demo whatever happens; StallTimeout ends it when no pod
	// made a step for so long.
	Timeout, StallTimeout time.Duration

	// Binary is auriga-local; the scheduler is beside it, kwok and helm in the
	// folder tools beside it.
	Binary string
	// Chart is the folder of Auriga's Helm chart.
	Chart string
	// OutDir gets report.json, index.html and, after a failure, the logs.
	OutDir string
	// Out gets what a person reads; Terminal says whether it is one.
	Out      io.Writer
	Terminal bool
}

// Validate says what is wrong with the options.
func (o *Options) Validate() error {
	var errs []error
	positive := func(flag string, n int) {
		if n < 1 {
			errs = append(errs, fmt.Errorf("--%s is %d: want at least 1", flag, n))
		}
	}
	positive("nodes", o.Nodes)
	positive("jobs", o.Jobs)
	if o.ForeignPods < 0 {
		errs = append(errs, fmt.Errorf("--foreign-pods is %d: want 0 or more", o.ForeignPods))
	}
	if o.Rate <= 0 {
		errs = append(errs, fmt.Errorf("--rate is %g: want more than 0", o.Rate))
	}
	for _, d := range []struct {
		flag string
		time.Duration
	}{{"duration", o.Duration}, {"timeout", o.Timeout}, {"stall-timeout", o.StallTimeout}} {
		if d.Duration <= 0 {
			errs = append(errs, fmt.Errorf("--%s is %v: want more than 0", d.flag, d.Duration))
		}
	}
	return errors.Join(errs...)
}

// run is one demo under way.
type run struct {
	Options
	workload trace.Workload
	report   Report
	cluster  *localcluster.Cluster
	// client makes single requests, each with a deadline; watches has none.
	client, watches *kubernetes.Clientset
	scheduler       schedulerProcess
	controllerLog   string // the file; "" without a controller
	observer        *observer
	sampler         *sampler
}

// Run runs the demo. The report is nil if the demo did not come to its end;
// it is complete, and the error not nil, if jobs failed.
func Run(ctx context.Context, o Options) (report *Report, err error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, o.Timeout, fmt.Errorf("the demo did not end within %v (--timeout)", o.Timeout))
	defer cancel()
	r := &run{Options: o, observer: newObserver(clock.RealClock{})}
	defer func() {
		if r.cluster != nil {
			err = errors.Join(err, r.tearDown(err != nil))
		}
	}()

	stages := []struct {
		name string
		do   func(context.Context) (string, error)
	}{
		{"read the workload", r.loadWorkload},
		{"start the control plane", r.startCluster},
		{"create the workers", r.startWorkers},
		{"install Auriga from its chart", r.installChart},
		{"start Auriga under the chart's account", r.startAuriga},
		{"let Prometheus measure the workers", r.prepareSampler},
		{"run the jobs", r.runJobs},
		{"read the scheduler's metrics", r.measure},
	}
	for i, stage := range stages {
		r.say("%d/%d  %s", i+1, len(stages), stage.name)
		start := time.Now()
		done, err := stage.do(ctx)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", stage.name, because(ctx, err))
		}
		took := time.Since(start)
		r.report.StageSeconds = append(r.report.StageSeconds, Stage{stage.name, took.Seconds()})
		r.say("      %s (%s)", done, seconds(took.Seconds()))
	}

	path, page := filepath.Join(o.OutDir, "report.json"), filepath.Join(o.OutDir, "index.html")
	if err := r.report.Write(path); err != nil {
		return nil, err
	}
	if err := r.report.WritePage(page); err != nil {
		return nil, err
	}
	if err := r.report.Render(o.Out); err != nil {
		return nil, err
	}
	r.say("\nThe same as a page:    %s", page)
	r.say("The same for programs: %s", path)
	if r.report.Failed > 0 {
		return &r.report, fmt.Errorf("%d of %d jobs did not run to a successful end:\n%s", r.report.Failed, r.report.Pods,
			strings.Join(r.observer.epitaphs(shownFailures), "\n"))
	}
	return &r.report, nil
}

func (r *run) say(format string, args ...any) {
	_, _ = fmt.Fprintf(r.Out, format+"\n", args...) // a lost line is no reason to end the demo
}

// because puts what ended ctx, if something did, before an error that may only
// be its consequence.
func because(ctx context.Context, err error) error {
	cause := context.Cause(ctx)
	switch {
	case cause == nil || errors.Is(err, cause):
		return err
	case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		return cause
	default:
		return errors.Join(cause, err)
	}
}

// loadWorkload reads the trace or generates a workload.
func (r *run) loadWorkload(context.Context) (string, error) {
	if r.Trace != "" {
		return r.readTrace()
	}
	nodes, err := cicd.Workers(r.Nodes, r.Seed)
	if err != nil {
		return "", err
	}
	config := cicd.DefaultConfig(r.Jobs, nodes, r.Seed)
	config.Rate = r.Rate
	generated, err := cicd.Generate(config)
	if err != nil {
		return "", err
	}
	r.workload = generated.Workload
	r.report.Workload = WorkloadReport{Source: "generated", Seed: r.Seed, ArrivalSeconds: generated.Span.Seconds()}
	return fmt.Sprintf("%d CI/CD jobs of seed %d arrive within %s and would use %s at their peak",
		len(r.workload.Jobs), r.Seed, seconds(generated.Span.Seconds()), percent(generated.Utilization)), nil
}

func (r *run) readTrace() (string, error) {
	read, err := openb.Read(r.Trace, openb.Options{Nodes: r.Nodes, Jobs: r.Jobs})
	if err != nil {
		return "", err
	}
	for _, note := range read.Notes {
		r.say("      note: %s", note)
	}
	r.workload = read.Workload
	if misfits := r.workload.Misfits(); len(misfits) > 0 {
		return "", fmt.Errorf("%d jobs fit on none of the %d workers, the first is %s: use more workers (--nodes)",
			len(misfits), len(r.workload.Nodes), misfits[0].Name)
	}
	jobs, compression, err := trace.Compress(r.workload.Jobs, r.Duration)
	if err != nil {
		return "", err
	}
	r.workload.Jobs = jobs
	r.report.Workload = WorkloadReport{Source: "openb", ArrivalSeconds: compression.Arrivals.Seconds()}
	return fmt.Sprintf("%d jobs of the trace arrive within %s, %.0f times faster than they did",
		len(jobs), seconds(compression.Arrivals.Seconds()), compression.Speedup), nil
}

func (r *run) startCluster(ctx context.Context) (string, error) {
	cluster, err := localcluster.Start(ctx, localcluster.Options{
		Binary: r.Binary, Log: indent{r.Out}, ScrapeInterval: scrapeInterval(len(r.workload.Nodes)),
	})
	if err != nil {
		return "", err
	}
	r.cluster = cluster
	config, err := cluster.RESTConfig()
	if err != nil {
		return "", err
	}
	config.ContentType = "application/vnd.kubernetes.protobuf"
	config.AcceptContentTypes = config.ContentType + ",application/json"
	if r.watches, err = kubernetes.NewForConfig(config); err != nil {
		return "", err
	}
	config = rest.CopyConfig(config)
	config.Timeout = time.Minute
	if r.client, err = kubernetes.NewForConfig(config); err != nil {
		return "", err
	}
	server, err := r.client.Discovery().ServerVersion()
	if err != nil {
		return "", fmt.Errorf("ask the API server for its version: %w", err)
	}
	r.report.Versions = map[string]string{"auriga": version.Get().GitVersion, "kubernetes": server.GitVersion, "go": runtime.Version()}
	r.report.Cores = runtime.NumCPU()
	return fmt.Sprintf("etcd, API server, controller manager, stock scheduler, kwok and Prometheus are ready: %s at %s", server.GitVersion, config.Host), nil
}

// scrapeInterval is how often Prometheus reads the workers' metrics: kwok
// computes each of them anew, on the processors that everything shares.
func scrapeInterval(workers int) time.Duration {
	if workers > 250 {
		return 15 * time.Second
	}
	return 5 * time.Second
}

func (r *run) startWorkers(ctx context.Context) (string, error) {
	if err := createTenants(ctx, r.client, r.workload.Jobs); err != nil {
		return "", err
	}
	if err := createWorkers(ctx, r.client, r.workload.Nodes); err != nil {
		return "", err
	}
	if err := r.awaitWorkers(ctx); err != nil {
		return "", err
	}
	r.report.Nodes = len(r.workload.Nodes)
	capacity := trace.Capacity(r.workload.Nodes)
	return fmt.Sprintf("%d workers are ready: %d cores, %d GiB, %d GPUs", len(r.workload.Nodes),
		capacity.CPUMilli/1000, capacity.MemoryBytes>>30, capacity.GPUs), nil
}

// awaitWorkers waits until each worker is ready and free of the taint that new
// nodes carry.
func (r *run) awaitWorkers(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, r.StallTimeout, fmt.Errorf("not all workers got ready within %v", r.StallTimeout))
	defer cancel()
	factory := informers.NewSharedInformerFactory(r.watches, 0)
	ready := newReadiness(len(r.workload.Nodes))
	if _, err := factory.Core().V1().Nodes().Informer().AddEventHandler(ready); err != nil {
		return err
	}
	factory.Start(ctx.Done())
	defer factory.Shutdown()
	defer cancel() // before Shutdown, which waits for the informers
	return r.wait(ctx, ready.all)
}

// wait waits for a signal, unless the context or one of the processes ends first.
func (r *run) wait(ctx context.Context, signal <-chan struct{}) error {
	select {
	case <-signal:
		return nil
	case <-r.cluster.Done():
		return fmt.Errorf("the local cluster broke down: %w", r.cluster.Err())
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (r *run) runJobs(ctx context.Context) (string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	factory := informers.NewSharedInformerFactoryWithOptions(r.watches, 0, informers.WithTweakListOptions(func(o *metav1.ListOptions) {
		o.LabelSelector = workloadLabel
	}))
	informer := factory.Core().V1().Pods().Informer()
	if _, err := informer.AddEventHandler(r.observer); err != nil {
		return "", err
	}
	factory.Start(ctx.Done())
	defer factory.Shutdown()
	defer cancel()
	if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
		return "", errors.New("the pods' watch did not start")
	}

	before, err := r.cpuTimes(ctx)
	if err != nil {
		return "", err
	}
	start := time.Now()
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error {
		if err := createForeign(groupCtx, r.client, r.ForeignPods); err != nil {
			return err
		}
		return submit(groupCtx, r.client, r.workload.Jobs, r.Seed)
	})
	group.Go(func() error { return r.follow(groupCtx) })
	endSampling := r.sampler.begin(ctx)
	err = group.Wait()
	endSampling()
	if err != nil {
		return "", err
	}
	after, err := r.cpuTimes(ctx)
	if err != nil {
		return "", err
	}
	r.report.machine(before, after, time.Since(start))

	capacity := trace.Capacity(r.workload.Nodes)
	seen := r.observer.result(amounts{
		cpu: float64(capacity.CPUMilli) / 1000, memory: float64(capacity.MemoryBytes), gpu: float64(capacity.GPUs),
	})
	r.report.fill(len(r.workload.Jobs), seen, names.PriorityClasses())
	r.report.Measured, r.report.Load = r.sampler.report(), r.sampler.load
	foreign := r.observer.counts(corev1.DefaultSchedulerName)
	r.report.DefaultSchedulerPods = Placed{Submitted: r.ForeignPods, Scheduled: foreign.scheduled}
	return fmt.Sprintf("%d jobs ended, %d of %d pods of the stock scheduler were placed", r.report.Pods, foreign.scheduled, r.ForeignPods), nil
}

// prepareSampler makes what measures the workers while the jobs run, and waits
// until it can. If it cannot, the demo goes on and its report says so.
func (r *run) prepareSampler(ctx context.Context) (string, error) {
	own, err := r.client.CoreV1().Pods(names.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return "", fmt.Errorf("list Auriga's own pods: %w", err)
	}
	r.observer.also(own.Items)
	interval := scrapeInterval(len(r.workload.Nodes))
	r.sampler, err = newSampler(r.cluster.PrometheusURL(), interval, r.workload.Nodes, r.observer.requested, clock.RealClock{})
	if err != nil {
		return "", err
	}
	tick := time.NewTicker(time.Second / 2)
	defer tick.Stop()
	err = r.sampler.await(ctx, tick.C)
	switch {
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case r.cluster.Err() != nil:
		return "", fmt.Errorf("the local cluster broke down: %w", r.cluster.Err())
	case err != nil:
		return fmt.Sprintf("the demo goes on without: %v", err), nil
	}
	return fmt.Sprintf("Prometheus reads the CPU and memory in use on each worker every %v", interval), nil
}

// follow shows the progress until all jobs have ended and all foreign pods
// have a worker.
func (r *run) follow(ctx context.Context) (err error) {
	bar := newProgress(r.Out, r.Terminal, len(r.workload.Jobs))
	defer func() { err = errors.Join(err, bar.done()) }()
	tick := time.NewTicker(time.Second / 2)
	defer tick.Stop()
	var last [2]counts
	lastStep := time.Now()
	for {
		select {
		case <-r.cluster.Done():
			return fmt.Errorf("the local cluster broke down: %w", r.cluster.Err())
		case <-ctx.Done():
			return context.Cause(ctx)
		case now := <-tick.C:
			state := [2]counts{r.observer.counts(names.Scheduler), r.observer.counts(corev1.DefaultSchedulerName)}
			if err := bar.show(now, state[0]); err != nil {
				return fmt.Errorf("show the progress: %w", err)
			}
			if state[0].ended() >= len(r.workload.Jobs) && state[1].scheduled >= r.ForeignPods {
				return nil
			}
			if state != last {
				last, lastStep = state, now
			} else if now.Sub(lastStep) > r.StallTimeout {
				return r.stalled(state)
			}
		}
	}
}

// stalled says what the pods wait for.
func (r *run) stalled(state [2]counts) error {
	lines := []string{fmt.Sprintf("no pod made a step for %v (--stall-timeout): %d of %d jobs ended, %d pods wait for Auriga, %d for the stock scheduler",
		r.StallTimeout, state[0].ended(), len(r.workload.Jobs), state[0].created-state[0].scheduled, state[1].created-state[1].scheduled)}
	for reason, n := range r.observer.obstacles() {
		lines = append(lines, fmt.Sprintf("%d pods: %s", n, reason))
	}
	return errors.New(strings.Join(lines, "\n"))
}

// tearDown ends the cluster; after a failure it keeps the logs.
func (r *run) tearDown(failed bool) error {
	var errs []error
	if failed {
		kept := filepath.Join(r.OutDir, "logs")
		if err := os.RemoveAll(kept); err != nil {
			errs = append(errs, fmt.Errorf("remove old logs: %w", err))
		}
		if err := os.CopyFS(kept, os.DirFS(filepath.Join(r.cluster.DataDir(), "logs"))); err != nil {
			errs = append(errs, fmt.Errorf("keep the logs: %w", err))
		} else {
			r.say("      the logs of all processes are in %s", kept)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := r.cluster.Stop(ctx); err != nil {
		errs = append(errs, fmt.Errorf("stop the local cluster: %w", err))
	}
	return errors.Join(errs...)
}
