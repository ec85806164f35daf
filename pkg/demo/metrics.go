// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"k8s.io/client-go/rest"
	"k8s.io/component-base/metrics/testutil"
)

// The scheduler's own histograms.
const (
	attemptHistogram   = "scheduler_scheduling_attempt_duration_seconds"
	algorithmHistogram = "scheduler_scheduling_algorithm_duration_seconds"
	phaseHistogram     = "scheduler_framework_extension_point_duration_seconds"
)

// schedulerMetrics are the families that a scheduler serves at /metrics.
type schedulerMetrics map[string]*dto.MetricFamily

// scrape reads the scheduler's metrics over its secure port, as the cluster's
// administrator: the scheduler asks the API server who that is.
func scrape(ctx context.Context, admin *rest.Config, address string) (schedulerMetrics, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	client, err := rest.HTTPClientFor(admin)
	if err != nil {
		return nil, fmt.Errorf("read the scheduler's metrics: %w", err)
	}
	defer client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+address+"/metrics", nil)
	if err != nil {
		return nil, fmt.Errorf("read the scheduler's metrics: %w", err)
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("read the scheduler's metrics: %w", err)
	}
	defer response.Body.Close() //nolint:errcheck // nothing was written
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("read the scheduler's metrics: %s answered %s", address, response.Status)
	}
	families, err := testutil.TextToMetricFamilies(response.Body)
	if err != nil {
		return nil, fmt.Errorf("read the scheduler's metrics: %w", err)
	}
	return families, nil
}

// quantiles are over all the histograms of a family that carry the labels.
// Nothing observed gives zeros.
func (m schedulerMetrics) quantiles(family string, labels map[string]string) Quantiles {
	var histograms testutil.HistogramVec
	for _, metric := range m[family].GetMetric() {
		if metric.GetHistogram().GetSampleCount() > 0 && testutil.LabelsMatch(metric, labels) {
			histograms = append(histograms, &testutil.Histogram{Histogram: metric.GetHistogram()})
		}
	}
	if len(histograms) == 0 {
		return Quantiles{}
	}
	finite := func(q float64) float64 {
		if v := histograms.Quantile(q); !math.IsNaN(v) {
			return v
		}
		return 0
	}
	return Quantiles{P50: finite(0.50), P99: finite(0.99)}
}

// latencies sets the report's latencies for the pods of one profile.
func (r *Report) latencies(m schedulerMetrics, profile string) {
	phase := func(point string) Quantiles {
		return m.quantiles(phaseHistogram, map[string]string{"profile": profile, "extension_point": point})
	}
	r.AttemptSeconds = m.quantiles(attemptHistogram, map[string]string{"profile": profile, "result": "scheduled"})
	// This family has no labels: one process, one profile.
	r.AlgorithmSeconds = m.quantiles(algorithmHistogram, nil)
	r.PhaseSeconds = Phases{Filter: phase("Filter"), Score: phase("Score"), Bind: phase("Bind")}
}

// forbidden are the lines of a log that say that a permission is missing.
func forbidden(log string) []string {
	var lines []string
	for line := range strings.Lines(log) {
		if strings.Contains(line, "forbidden") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}
