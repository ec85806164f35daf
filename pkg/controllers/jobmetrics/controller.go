// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package jobmetrics

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"auriga.dev/auriga/pkg/telemetry"
)

// DefaultWindow is over which the success rate is taken.
const DefaultWindow = time.Hour

// durationBuckets are in seconds: from a lint to a day of training.
func durationBuckets() []float64 {
	return []float64{1, 2, 5, 10, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 28800, 86400}
}

// Config says what to measure.
type Config struct {
	// Schedulers are the schedulerNames whose jobs count; at least one.
	Schedulers []string
	// Window is over which the success rate is taken; positive.
	Window time.Duration
}

// Meter watches jobs and measures those that end. It is a Runnable of the
// leader and a collector.
type Meter struct {
	cache      cache.Informers
	schedulers sets.Set[string]
	window     time.Duration
	clock      clock.PassiveClock
	tenants    *telemetry.BoundedLabel

	duration *prometheus.HistogramVec
	rate     *prometheus.Desc

	mu      sync.Mutex
	tracker *tracker // nil until started
}

var (
	_ manager.Runnable               = &Meter{}
	_ manager.LeaderElectionRunnable = &Meter{}
	_ prometheus.Collector           = &Meter{}
)

// New returns a Meter that has not started.
func New(informers cache.Informers, c Config, clk clock.PassiveClock) (*Meter, error) {
	if len(c.Schedulers) == 0 {
		return nil, errors.New("no scheduler name: name at least one")
	}
	if c.Window <= 0 {
		return nil, fmt.Errorf("window %s: must be positive", c.Window)
	}
	return &Meter{
		cache: informers, schedulers: sets.New(c.Schedulers...), window: c.Window, clock: clk,
		tenants: telemetry.NewBoundedLabel(telemetry.TenantLimit),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "cicd_job_duration_seconds", Help: "From the start to the end of a job that Auriga scheduled, in seconds.",
			Buckets: durationBuckets(),
		}, []string{"tenant", "priority", "result"}),
		rate: prometheus.NewDesc("cicd_pipeline_success_rate",
			"Of the pipelines with a job that ended within the window, the share without a failed one, 0 to 1.",
			[]string{"tenant"}, nil),
	}, nil
}

// Add registers the Meter and its metrics.
func Add(mgr manager.Manager, c Config, registry prometheus.Registerer) error {
	meter, err := New(mgr.GetCache(), c, clock.RealClock{})
	if err != nil {
		return err
	}
	if err := registry.Register(meter); err != nil {
		return fmt.Errorf("register metrics: %w", err)
	}
	return mgr.Add(meter)
}

// NeedLeaderElection says that one replica measures: two would count twice.
func (m *Meter) NeedLeaderElection() bool { return true }

// Start measures until ctx ends. Events are handled where they arrive, not
// through a queue of keys: a Job that is deleted as soon as it has ended is
// still counted.
func (m *Meter) Start(ctx context.Context) error {
	m.mu.Lock()
	m.tracker = newTracker(m.clock.Now(), m.window)
	m.mu.Unlock()

	for _, object := range []client.Object{&batchv1.Job{}, &corev1.Pod{}} {
		informer, err := m.cache.GetInformer(ctx, object)
		if err != nil {
			return fmt.Errorf("watch %T: %w", object, err)
		}
		registration, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
			AddFunc:    func(object any) { m.see(object, false) },
			UpdateFunc: func(_, object any) { m.see(object, false) },
			DeleteFunc: func(object any) { m.see(object, true) },
		})
		if err != nil {
			return fmt.Errorf("watch %T: %w", object, err)
		}
		defer func() {
			if err := informer.RemoveEventHandler(registration); err != nil {
				klog.FromContext(ctx).Error(err, "Ending a watch failed")
			}
		}()
	}
	<-ctx.Done()
	return nil
}

// see looks at an object in the state in which it is, or was when it was deleted.
func (m *Meter) see(object any, gone bool) {
	if last, ok := object.(toolscache.DeletedFinalStateUnknown); ok {
		object = last.Obj
	}
	now := m.clock.Now()
	var job Job
	switch o := object.(type) {
	case *batchv1.Job:
		if !m.schedulers.Has(o.Spec.Template.Spec.SchedulerName) {
			return
		}
		job = fromJob(o)
	case *corev1.Pod:
		ok := m.schedulers.Has(o.Spec.SchedulerName)
		if ok {
			job, ok = fromPod(o, now)
		}
		if !ok {
			return
		}
	default:
		return
	}
	job.Tenant = m.tenants.Value(job.Tenant)

	m.mu.Lock()
	defer m.mu.Unlock()
	if m.tracker.observe(job, now) {
		m.duration.WithLabelValues(job.Tenant, job.Priority, string(job.Result)).Observe(job.Duration().Seconds())
	}
	if gone {
		m.tracker.forget(job.ID)
	}
}

// Describe is part of prometheus.Collector.
func (m *Meter) Describe(ch chan<- *prometheus.Desc) {
	m.duration.Describe(ch)
	ch <- m.rate
}

// Collect is part of prometheus.Collector.
func (m *Meter) Collect(ch chan<- prometheus.Metric) {
	m.duration.Collect(ch)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.tracker == nil {
		return
	}
	for tenant, rate := range m.tracker.rates(m.clock.Now()) {
		ch <- prometheus.MustNewConstMetric(m.rate, prometheus.GaugeValue, rate, tenant)
	}
}
