// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-base/metrics"
)

// Register adds a metric to a registry, as legacyregistry.Register does.
type Register func(metrics.Registerable) error

// QueueTime is the histogram cicd_job_queue_time_seconds: how long pods waited
// from their first arrival in the scheduling queue until they were bound.
type QueueTime struct {
	seconds *metrics.HistogramVec
	tenants *BoundedLabel
}

// NewQueueTime registers the histogram. It has at most ([TenantLimit]+1) * 6
// combinations of labels.
func NewQueueTime(register Register) (*QueueTime, error) {
	q := &QueueTime{
		seconds: metrics.NewHistogramVec(&metrics.HistogramOpts{
			Name: "cicd_job_queue_time_seconds",
			Help: "Time from a pod's first arrival in the scheduling queue until it was bound, by tenant and priority class. " +
				"The first 100 tenants have a value of their own, the rest are \"other\", as are foreign priority classes.",
			// 10 ms to 30 min: from a scheduler without a backlog to a day's rush hour.
			Buckets:        metrics.ExponentialBuckets(0.01, 3, 12),
			StabilityLevel: metrics.ALPHA,
		}, []string{"tenant", "priority"}),
		tenants: NewBoundedLabel(TenantLimit),
	}
	if err := register(q.seconds); err != nil {
		return nil, fmt.Errorf("registering cicd_job_queue_time_seconds: %w", err)
	}
	return q, nil
}

// Observe counts a pod that was bound after it had waited.
func (q *QueueTime) Observe(pod *corev1.Pod, waited time.Duration) {
	q.seconds.WithLabelValues(q.tenants.Value(Tenant(pod)), Priority(pod)).Observe(max(waited, 0).Seconds())
}
