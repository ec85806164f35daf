// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package capacity

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/api"
	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
)

// measurements asks the cluster's Prometheus.
type measurements struct {
	api    promv1.API
	config Config
}

func newMeasurements(address string, config Config) (*measurements, error) {
	client, err := api.NewClient(api.Config{Address: address})
	if err != nil {
		return nil, fmt.Errorf("connect to Prometheus: %w", err)
	}
	return &measurements{promv1.NewAPI(client), config}, nil
}

// windowedCPU is by worker, in cores, over the window that the scheduler decides by.
func (m *measurements) windowedCPU() string { return m.cpu("rate") }

// intervalCPU is by worker, in cores, between two scrapes.
func (m *measurements) intervalCPU() string { return m.cpu("irate") }

func (m *measurements) cpu(rate string) string {
	return fmt.Sprintf(`sum by (instance) (%s(node_cpu_seconds_total{mode!~"idle|iowait|steal"}[%s]))`, rate, model.Duration(m.config.Window()))
}

const memory = `sum by (instance) (node_memory_MemTotal_bytes - node_memory_MemAvailable_bytes)`

// all asks for one value a worker; it fails if any has none.
func (m *measurements) all(ctx context.Context, query string) error {
	value, _, err := m.api.Query(ctx, query, time.Now())
	if err != nil {
		return err
	}
	vector, ok := value.(model.Vector)
	if !ok || len(vector) != m.config.Workers {
		return fmt.Errorf("%s: %d of %d workers are measured", query, len(vector), m.config.Workers)
	}
	return nil
}

// matrix is one value a worker and scrape interval.
func (m *measurements) matrix(ctx context.Context, query string, from, to time.Time) (model.Matrix, error) {
	value, _, err := m.api.QueryRange(ctx, query, promv1.Range{Start: from, End: to, Step: m.config.Interval()})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", query, err)
	}
	matrix, ok := value.(model.Matrix)
	if !ok {
		return nil, fmt.Errorf("%s: a %s", query, value.Type())
	}
	return matrix, nil
}

// mean is the mean over all workers and scrape intervals.
func (m *measurements) mean(ctx context.Context, query string, from, to time.Time) (float64, error) {
	matrix, err := m.matrix(ctx, query, from, to)
	if err != nil {
		return 0, err
	}
	sum, n := 0.0, 0
	for _, series := range matrix {
		for _, sample := range series.Values {
			sum += float64(sample.Value)
			n++
		}
	}
	if n == 0 {
		return 0, fmt.Errorf("%s: nothing was measured from %v to %v", query, from, to)
	}
	return sum / float64(n), nil
}

// over is for how many intervals in a row workers were measured above the ceiling.
func (m *measurements) over(ctx context.Context, query string, from, to time.Time) (Run, error) {
	matrix, err := m.matrix(ctx, query, from, to)
	if err != nil {
		return Run{}, err
	}
	var run Run
	for _, series := range matrix {
		longest, length, peak := 0, 0, 0.0
		for _, sample := range series.Values {
			length++
			if float64(sample.Value) <= m.config.Ceiling()+rounding {
				length = 0
			}
			longest, peak = max(longest, length), max(peak, float64(sample.Value))
		}
		run.add(string(series.Metric["instance"]), float64(longest), peak/m.config.Cores)
	}
	return run, nil
}
