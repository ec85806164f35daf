// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package prometheus

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"

	"auriga.dev/auriga/pkg/capacity"
)

// Values of metrics' labels.
const (
	resultSuccess = "success" // Each query was answered.
	resultPartial = "partial" // Some were.
	resultError   = "error"   // No reading came.

	rejectedNaN       = "nan"
	rejectedInfinite  = "infinite"
	rejectedNegative  = "negative"
	rejectedDuplicate = "duplicate"
	rejectedUnmatched = "unmatched"

	stateFresh      = "fresh"
	stateStale      = "stale"
	stateUnmeasured = "unmeasured"
)

// informerMetrics are the metrics of the informers of a process.
type informerMetrics struct {
	polls       *metrics.CounterVec
	duration    *metrics.Histogram
	queryErrors *metrics.CounterVec
	rejected    *metrics.CounterVec
	nodes       *metrics.GaugeVec
	oldest      *metrics.Gauge
	lastSuccess *metrics.Gauge
	workloads   *metrics.Gauge
}

// newInformerMetrics registers the metrics, or finds them if another informer
// has. Everything that is counted starts at 0, so that an alert on its increase
// sees the first.
func newInformerMetrics() (*informerMetrics, error) {
	var r registrar
	m := &informerMetrics{
		polls: register(&r, metrics.NewCounterVec(&metrics.CounterOpts{
			Name:           "auriga_capacity_polls_total",
			Help:           "Polls of Prometheus, by result: success (all queries were answered), partial (some) or error (no reading came).",
			StabilityLevel: metrics.ALPHA,
		}, []string{"result"})),
		duration: register(&r, metrics.NewHistogram(&metrics.HistogramOpts{
			Name:           "auriga_capacity_poll_duration_seconds",
			Help:           "How long a poll of Prometheus took, from the first query sent to the last reading taken.",
			Buckets:        metrics.ExponentialBuckets(0.01, 2, 12),
			StabilityLevel: metrics.ALPHA,
		})),
		queryErrors: register(&r, metrics.NewCounterVec(&metrics.CounterOpts{
			Name:           "auriga_capacity_query_errors_total",
			Help:           "Queries that brought no answer, by query and reason.",
			StabilityLevel: metrics.ALPHA,
		}, []string{"query", "reason"})),
		rejected: register(&r, metrics.NewCounterVec(&metrics.CounterOpts{
			Name:           "auriga_capacity_rejected_samples_total",
			Help:           "Samples in answers that were not taken as readings, by query and reason.",
			StabilityLevel: metrics.ALPHA,
		}, []string{"query", "reason"})),
		nodes: register(&r, metrics.NewGaugeVec(&metrics.GaugeOpts{
			Name: "auriga_capacity_nodes",
			Help: "Nodes by what is known of their CPU and memory: fresh, stale (a reading is older than four polls and a minute)" +
				" or unmeasured (a reading is missing).",
			StabilityLevel: metrics.ALPHA,
		}, []string{"state"})),
		oldest: register(&r, metrics.NewGauge(&metrics.GaugeOpts{
			Name:           "auriga_capacity_oldest_reading_age_seconds",
			Help:           "Age of the oldest reading of CPU or memory that a node has.",
			StabilityLevel: metrics.ALPHA,
		})),
		lastSuccess: register(&r, metrics.NewGauge(&metrics.GaugeOpts{
			Name:           "auriga_capacity_last_success_timestamp_seconds",
			Help:           "When a poll last brought readings, in seconds since 1970; 0 for never.",
			StabilityLevel: metrics.ALPHA,
		})),
		workloads: register(&r, metrics.NewGauge(&metrics.GaugeOpts{
			Name:           "auriga_capacity_workloads_known",
			Help:           "Workloads whose past use is known.",
			StabilityLevel: metrics.ALPHA,
		})),
	}
	if r.err != nil {
		return nil, fmt.Errorf("registering metrics: %w", r.err)
	}
	m.startAtZero()
	return m, nil
}

func (m *informerMetrics) startAtZero() {
	for _, result := range []string{resultSuccess, resultPartial, resultError} {
		m.polls.WithLabelValues(result).Add(0)
	}
	for _, state := range []string{stateFresh, stateStale, stateUnmeasured} {
		m.nodes.WithLabelValues(state).Add(0)
	}
	queries := []string{ageQuery, historyCPUQuery, historyMemoryQuery}
	for r := range capacity.NumResources {
		queries = append(queries, r.String())
	}
	for _, query := range queries {
		for _, reason := range queryErrorReasons() {
			m.queryErrors.WithLabelValues(query, reason).Add(0)
		}
		for _, reason := range []string{rejectedNaN, rejectedInfinite, rejectedNegative, rejectedDuplicate, rejectedUnmatched} {
			m.rejected.WithLabelValues(query, reason).Add(0)
		}
	}
}

// registrar collects errors.
type registrar struct{ err error }

// register registers a metric, or finds the one of that name.
func register[M metrics.Registerable](r *registrar, metric M) M {
	err := legacyregistry.Register(metric)
	if err == nil {
		return metric
	}
	var registered prometheus.AlreadyRegisteredError
	if !errors.As(err, &registered) {
		r.err = errors.Join(r.err, err)
		return metric
	}
	existing, ok := registered.ExistingCollector.(M)
	if !ok {
		r.err = errors.Join(r.err, fmt.Errorf("found %T, want %T", registered.ExistingCollector, metric))
		return metric
	}
	return existing
}
