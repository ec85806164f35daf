// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package workerselection

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"

	"auriga.dev/auriga/pkg/score/expression"
)

// expressionErrors counts the failed evaluations of one profile.
type expressionErrors struct {
	counter *metrics.CounterVec
	profile string
}

// newExpressionErrors registers the counter, or finds it if another profile
// has. Every reason starts at 0, so that an alert on its increase sees the first.
func newExpressionErrors(profile string) (expressionErrors, error) {
	counter := metrics.NewCounterVec(&metrics.CounterOpts{
		Name:           "auriga_worker_selection_expression_errors_total",
		Help:           "Evaluations of the custom expression of WorkerSelection that failed, so that the node got score 0, by profile and reason.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"profile", "reason"})
	if err := legacyregistry.Register(counter); err != nil {
		var registered prometheus.AlreadyRegisteredError
		if !errors.As(err, &registered) {
			return expressionErrors{}, fmt.Errorf("registering metrics: %w", err)
		}
		existing, ok := registered.ExistingCollector.(*metrics.CounterVec)
		if !ok {
			return expressionErrors{}, fmt.Errorf("registering metrics: found %T, want %T", registered.ExistingCollector, counter)
		}
		counter = existing
	}
	for _, reason := range expression.Reasons() {
		counter.WithLabelValues(profile, string(reason)).Add(0)
	}
	return expressionErrors{counter, profile}, nil
}

func (e expressionErrors) count(reason expression.Reason) {
	e.counter.WithLabelValues(e.profile, string(reason)).Inc()
}
