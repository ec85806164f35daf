// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package realcapacity

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"

	"auriga.dev/auriga/pkg/apis/config"
	"auriga.dev/auriga/pkg/capacity"
)

// counters count what one profile decided.
type counters struct {
	profile                            string
	policy                             config.StalePolicy
	fallbacks, rejections, reactivated *metrics.CounterVec
	inFlight                           *metrics.GaugeVec
}

// newCounters registers the metrics, or finds them if another profile has.
// Every series starts at 0, so that an alert on its increase sees the first.
func newCounters(profile string, policy config.StalePolicy, ceilings []ceiling) (c counters, err error) {
	c = counters{profile: profile, policy: policy}
	counter := func(name, help string, labels ...string) *metrics.CounterVec {
		made, failed := register(metrics.NewCounterVec(&metrics.CounterOpts{Name: name, Help: help, StabilityLevel: metrics.ALPHA}, labels))
		err = errors.Join(err, failed)
		return made
	}
	c.fallbacks = counter("auriga_real_capacity_fallbacks_total",
		"Scheduling cycles in which RealCapacity had no fresh reading for a node and decided by its policy onStale.", "profile", "policy")
	c.rejections = counter("auriga_real_capacity_rejections_total",
		"Nodes that RealCapacity kept a pod off because a resource would pass its ceiling, by cycle and node.", "profile", "resource")
	c.reactivated = counter("auriga_real_capacity_reactivated_pods_total",
		"Pods that are tried again because the load of a node that rejected them fell.", "profile")
	c.inFlight, err = registerGauge(err)
	if err != nil {
		return counters{}, fmt.Errorf("registering metrics: %w", err)
	}
	c.fallbacks.WithLabelValues(profile, string(policy)).Add(0)
	c.reactivated.WithLabelValues(profile).Add(0)
	for _, ceiling := range ceilings {
		c.rejections.WithLabelValues(profile, ceiling.resource.String()).Add(0)
	}
	return c, nil
}

func registerGauge(before error) (*metrics.GaugeVec, error) {
	gauge, err := register(metrics.NewGaugeVec(&metrics.GaugeOpts{
		Name:           "auriga_real_capacity_in_flight_pods",
		Help:           "Pods whose use no measurement can contain yet, as of the last snapshot, by profile.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"profile"}))
	return gauge, errors.Join(before, err)
}

// register registers a metric or returns the one that is registered.
func register[T metrics.Registerable](metric T) (T, error) {
	err := legacyregistry.Register(metric)
	var registered prometheus.AlreadyRegisteredError
	if !errors.As(err, &registered) {
		return metric, err
	}
	existing, ok := registered.ExistingCollector.(T)
	if !ok {
		return metric, fmt.Errorf("found %T, want %T", registered.ExistingCollector, metric)
	}
	return existing, nil
}

// cycle counts what one scheduling cycle met.
func (c *counters) cycle(s *cycle) {
	if s.stale.Load() {
		c.fallbacks.WithLabelValues(c.profile, string(c.policy)).Inc()
	}
	for r := range s.rejectedBy {
		if n := s.rejectedBy[r].Load(); n > 0 {
			c.rejections.WithLabelValues(c.profile, capacity.Resource(r).String()).Add(float64(n))
		}
	}
}
