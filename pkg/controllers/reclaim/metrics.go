// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package reclaim

import (
	"github.com/prometheus/client_golang/prometheus"
)

// Reasons why a pod that should give way stays.
const (
	blockedByBudget = "pdb"
	blockedByError  = "error"
)

// metrics of the reclaiming.
type metrics struct {
	evictions, blocked *prometheus.CounterVec
}

// newMetrics makes metrics of which all series are there from the start.
func newMetrics() metrics {
	m := metrics{
		evictions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "auriga_reclaim_evictions_total", Help: "Reclaimed pods evicted, by the resource whose ceiling their worker would have passed."},
			[]string{"resource"}),
		blocked: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "auriga_reclaim_blocked_total", Help: "Evictions of reclaimed pods that failed, by reason: pdb (a PodDisruptionBudget forbids it) or error."},
			[]string{"reason"}),
	}
	for r := range numLevels {
		m.evictions.WithLabelValues(r.String())
	}
	for _, reason := range []string{blockedByBudget, blockedByError} {
		m.blocked.WithLabelValues(reason)
	}
	return m
}

// gauge exports how many reclaimed pods there are. Only the leader does, so that
// sums over replicas stay right.
type gauge struct {
	count   func() int
	elected <-chan struct{}
	desc    *prometheus.Desc
}

func newGauge(count func() int, elected <-chan struct{}) gauge {
	return gauge{count, elected, prometheus.NewDesc("auriga_reclaim_pods",
		"Reclaimed pods of Auriga's on workers: those that live on room that others have requested.", nil, nil)}
}

// Describe is part of prometheus.Collector.
func (g gauge) Describe(ch chan<- *prometheus.Desc) { ch <- g.desc }

// Collect is part of prometheus.Collector.
func (g gauge) Collect(ch chan<- prometheus.Metric) {
	select {
	case <-g.elected:
		ch <- prometheus.MustNewConstMetric(g.desc, prometheus.GaugeValue, float64(g.count()))
	default:
	}
}
