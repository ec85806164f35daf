// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package realcapacity

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/utils/clock"

	"auriga.dev/auriga/pkg/apis/config"
	"auriga.dev/auriga/pkg/apis/names"
	"auriga.dev/auriga/pkg/capacity"
	"auriga.dev/auriga/pkg/capacity/podfeed"
	"auriga.dev/auriga/pkg/capacity/prometheus"
)

// source is what is known about the workers. One that has a Prometheus is an
// informer in the scheduler's shared factory, which starts and stops it and
// gives it to every profile.
type source struct {
	*prometheus.Informer // nil: nothing is measured

	tracker   *capacity.Tracker
	estimator capacity.Estimator
	// stated are the arguments that it was made of.
	stated statedSource
}

// statedSource are the arguments that all profiles with a Prometheus share.
type statedSource struct {
	Prometheus config.PrometheusSource
	InFlight   config.InFlightEstimate
}

// sourceFor is the source of the arguments: the factory's, if a profile has
// registered one, else a new one.
func sourceFor(logger klog.Logger, handle fwk.Handle, args *config.RealCapacityArgs, clock clock.WithTicker) (*source, error) {
	fresh := &source{
		tracker: capacity.NewTracker(args.InFlight.Ramp.Duration),
		stated:  statedSource{args.Prometheus, args.InFlight},
	}
	fresh.estimator = capacity.Estimator{
		CPUShare:    float64(args.InFlight.CPUPercent) / 100,
		MemoryShare: float64(args.InFlight.MemoryPercent) / 100,
	}
	factory := handle.SharedInformerFactory()
	if args.Prometheus.Address == "" {
		logger.Info("RealCapacity measures nothing: no prometheus.address is configured; it decides as onStale says", "onStale", args.OnStale)
		return fresh, fresh.followPods(factory.Core().V1().Pods().Informer(), clock)
	}
	informer, err := prometheus.NewInformer(informerConfig(&args.Prometheus), prometheus.Deps{
		Nodes: factory.Core().V1().Nodes().Lister(), Recorder: recorder(handle), Logger: logger, Clock: clock,
	})
	if err != nil {
		return nil, fmt.Errorf("prometheus: %w", err)
	}
	fresh.Informer = informer
	fresh.estimator.History = informer.History
	shared := factory.InformerFor(&capacity.NodeCapacity{}, func(kubernetes.Interface, time.Duration) cache.SharedIndexInformer { return fresh })
	if shared == cache.SharedIndexInformer(fresh) {
		if _, err := informer.Track(publisher{fresh.tracker, clock}); err != nil {
			return nil, fmt.Errorf("following the measurements: %w", err)
		}
		return fresh, fresh.followPods(factory.Core().V1().Pods().Informer(), clock)
	}
	known, ok := shared.(*source)
	if !ok {
		return nil, fmt.Errorf("the informer of NodeCapacity is %T, want %T", shared, fresh)
	}
	if !reflect.DeepEqual(known.stated, fresh.stated) {
		return nil, fmt.Errorf("prometheus, inFlight: must be the same in all profiles that name a Prometheus; another profile names %s, or has another inFlight", known.stated.Prometheus.Address)
	}
	return known, nil
}

func (s *source) followPods(pods cache.SharedIndexInformer, clock clock.PassiveClock) error {
	if _, err := pods.AddEventHandler(podfeed.New(s.tracker, s.estimator, clock)); err != nil {
		return fmt.Errorf("following the pods: %w", err)
	}
	return nil
}

// publisher joins an informer and a tracker.
type publisher struct {
	*capacity.Tracker
	clock clock.PassiveClock
}

func (p publisher) Delete(name string, _ bool) { p.Tracker.Delete(name) }
func (p publisher) Publish()                   { p.Tracker.Publish(p.clock.Now()) }

// informerConfig is the source's part of the arguments.
func informerConfig(p *config.PrometheusSource) prometheus.Config {
	c := prometheus.Config{
		Address: p.Address, HTTPConfigFile: p.HTTPConfigFile,
		PollInterval: p.PollInterval.Duration, QueryTimeout: p.QueryTimeout.Duration,
		MaxResponseBytes: p.MaxResponseBytes,
		RateWindow:       p.RateWindow.Duration, BurstWindow: p.BurstWindow.Duration,
		AgeQuery: p.AgeQuery,
		NodeMapping: prometheus.NodeMapping{
			Label: p.NodeMapping.Label, Match: prometheus.Match(p.NodeMapping.Match), Regexp: p.NodeMapping.Regexp,
		},
		Queries: map[capacity.Resource]string{},
		History: prometheus.DefaultHistory(),
	}
	for name, query := range p.Queries {
		if r, ok := capacity.ParseResource(name); ok {
			c.Queries[r] = query
		}
	}
	c.History.Interval = p.History.Interval.Duration
	if p.History.CPU != nil {
		c.History.CPU = *p.History.CPU
	}
	if p.History.Memory != nil {
		c.History.Memory = *p.History.Memory
	}
	return c
}

// namespaceFile is where a pod finds its namespace.
const namespaceFile = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

// recorder emits events about the scheduler itself, by its Lease, which is the
// one object that every installation has.
func recorder(handle fwk.Handle) func(eventtype, reason, note string) {
	namespace := names.Namespace
	if data, err := os.ReadFile(namespaceFile); err == nil {
		namespace = strings.TrimSpace(string(data))
	}
	lease := &v1.ObjectReference{APIVersion: "coordination.k8s.io/v1", Kind: "Lease", Namespace: namespace, Name: names.Lease}
	return func(eventtype, reason, note string) {
		if r := handle.EventRecorder(); r != nil {
			r.Eventf(lease, nil, eventtype, reason, "Measuring", "%s", note)
		}
	}
}
