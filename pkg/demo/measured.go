// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/api"
	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
	"k8s.io/utils/clock"

	"auriga.dev/auriga/pkg/demo/heatmap"
	"auriga.dev/auriga/pkg/trace"
)

const (
	// queryTimeout bounds one query.
	queryTimeout = 5 * time.Second
	// scrapesPerWindow is how many scrapes a rate is taken over. Two are the
	// least, one may be late; more would lag behind jobs that run for seconds.
	scrapesPerWindow = 3
	// memoryQuery is the memory in use on each worker, bytes.
	memoryQuery = "sum by (instance) (node_memory_MemTotal_bytes - node_memory_MemAvailable_bytes)"
)

// Load is what the workers were asked for and what they really used, over the
// time in which the jobs ran.
type Load struct {
	// Workers names the rows of the matrices.
	Workers []string
	// Seconds is when each column was taken, after the first job was submitted.
	Seconds []float64
	// CPU and Memory are shares of each worker's capacity.
	CPU, Memory Pair
}

// Pair is one resource: requested by the pods bound to each worker, and
// measured by Prometheus at the same moment (CPU: the mean over the last
// scrapes). What was not measured is NaN.
type Pair struct{ Requested, Measured heatmap.Matrix }

// add adds a column.
func (p *Pair) add(requested, measured []float64) {
	for i := range requested {
		p.Requested[i] = append(p.Requested[i], requested[i])
		p.Measured[i] = append(p.Measured[i], measured[i])
	}
}

// sampler asks Prometheus for the load of all workers, again and again.
type sampler struct {
	prometheus promv1.API
	interval   time.Duration
	nodes      []trace.Node
	requested  func() map[string]amounts // by worker
	clock      clock.PassiveClock

	start   time.Time // of the jobs
	load    Load
	samples int
	errors  int
	last    error
}

// newSampler makes a sampler that talks to the Prometheus at an address.
func newSampler(address string, interval time.Duration, nodes []trace.Node, requested func() map[string]amounts, c clock.PassiveClock) (*sampler, error) {
	client, err := api.NewClient(api.Config{Address: address, Client: &http.Client{}})
	if err != nil {
		return nil, fmt.Errorf("connect to Prometheus: %w", err)
	}
	s := &sampler{prometheus: promv1.NewAPI(client), interval: interval, nodes: nodes, requested: requested, clock: c}
	for _, n := range nodes {
		s.load.Workers = append(s.load.Workers, n.Name)
	}
	for _, m := range []*heatmap.Matrix{&s.load.CPU.Requested, &s.load.CPU.Measured, &s.load.Memory.Requested, &s.load.Memory.Measured} {
		*m = make(heatmap.Matrix, len(nodes))
	}
	return s, nil
}

// await waits until Prometheus has measured all workers, at the most for the
// time that this should take: it notices them within seconds, and a rate takes
// two scrapes. It is asked at each tick.
func (s *sampler) await(ctx context.Context, ticks <-chan time.Time) error {
	most := 15*time.Second + scrapesPerWindow*s.interval
	ctx, cancel := context.WithTimeoutCause(ctx, most, fmt.Errorf("not all workers were measured by Prometheus within %v", most))
	defer cancel()
	var last error
	for {
		select {
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), last)
		case <-ticks:
			cores, err := s.ask(ctx, s.cpuQuery())
			if err == nil && len(cores) >= len(s.nodes) {
				return nil
			}
			if ctx.Err() == nil {
				last = err
			}
		}
	}
}

// run takes a sample at each tick until ctx ends.
func (s *sampler) run(ctx context.Context, ticks <-chan time.Time) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks:
			s.sample(ctx)
		}
	}
}

// begin samples every interval, in the background. The function that it returns
// ends that and waits for it; only then may the sampler be read.
func (s *sampler) begin(ctx context.Context) (end func()) {
	s.start = s.clock.Now()
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(s.interval)
		defer ticker.Stop()
		s.run(ctx, ticker.C)
	}()
	return func() {
		cancel()
		<-done
	}
}

// sample adds a column to the load: that which was requested in any case, that
// which was measured as far as Prometheus answers.
func (s *sampler) sample(ctx context.Context) {
	at, requested := s.clock.Since(s.start).Seconds(), s.requested()
	cores, cpuErr := s.ask(ctx, s.cpuQuery())
	bytes, memoryErr := s.ask(ctx, memoryQuery)
	if ctx.Err() != nil {
		return // the end of the jobs cut it short: neither a sample nor an error
	}
	for _, err := range []error{cpuErr, memoryErr} {
		if err != nil {
			s.errors++
			s.last = err
		}
	}
	if cpuErr == nil && memoryErr == nil {
		s.samples++
	}
	n := len(s.nodes)
	cpuRequested, cpuMeasured := make([]float64, n), make([]float64, n)
	memoryRequested, memoryMeasured := make([]float64, n), make([]float64, n)
	for i, node := range s.nodes {
		capacity := capacityOf(node)
		share := requested[node.Name].over(capacity)
		cpuRequested[i], memoryRequested[i] = share.cpu, share.memory
		cpuMeasured[i], memoryMeasured[i] = cores.of(node.Name)/capacity.cpu, bytes.of(node.Name)/capacity.memory
	}
	s.load.Seconds = append(s.load.Seconds, at)
	s.load.CPU.add(cpuRequested, cpuMeasured)
	s.load.Memory.add(memoryRequested, memoryMeasured)
}

// cpuQuery is the cores in use on each worker, the mean over the last scrapes.
func (s *sampler) cpuQuery() string {
	return fmt.Sprintf(`sum by (instance) (rate(node_cpu_seconds_total{mode!="idle"}[%s]))`, model.Duration(scrapesPerWindow*s.interval))
}

// readings are values by worker.
type readings map[string]float64

// of is NaN for a worker that is not among them.
func (r readings) of(worker string) float64 {
	if value, ok := r[worker]; ok {
		return value
	}
	return math.NaN()
}

// ask gets a value for each worker.
func (s *sampler) ask(ctx context.Context, query string) (readings, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	answer, _, err := s.prometheus.Query(ctx, query, time.Time{})
	if err != nil {
		return nil, fmt.Errorf("ask Prometheus for %s: %w", query, err)
	}
	vector, ok := answer.(model.Vector)
	if !ok {
		return nil, fmt.Errorf("ask Prometheus for %s: it answered a %s, not a vector", query, answer.Type())
	}
	if len(vector) == 0 {
		return nil, fmt.Errorf("ask Prometheus for %s: it knows no worker", query)
	}
	values := make(readings, len(vector))
	for _, series := range vector {
		values[string(series.Metric[model.InstanceLabel])] = float64(series.Value)
	}
	return values, nil
}

// capacityOf is what the worker has.
func capacityOf(n trace.Node) amounts {
	return amounts{cpu: float64(n.CPUMilli) / 1000, memory: float64(n.MemoryBytes), gpu: float64(n.GPUs)}
}

// report sums the samples up.
func (s *sampler) report() Measured {
	m := Measured{Samples: s.samples, Errors: s.errors, ScrapeIntervalSeconds: s.interval.Seconds()}
	if s.last != nil {
		m.LastError = s.last.Error()
	}
	var cpu, memory []float64
	for i, node := range s.nodes {
		capacity := capacityOf(node)
		cpu, memory = append(cpu, capacity.cpu), append(memory, capacity.memory)
		cpuRequested, cpuMeasured, cpuKnown := s.load.CPU.means(i)
		memoryRequested, memoryMeasured, memoryKnown := s.load.Memory.means(i)
		if cpuKnown && memoryKnown {
			m.Workers = append(m.Workers, WorkerUse{node.Name, cpuRequested, cpuMeasured, memoryRequested, memoryMeasured})
		}
	}
	m.CPU, m.Memory = s.load.CPU.use(cpu), s.load.Memory.use(memory)
	return m
}

// means are of one worker, over the moments at which it was measured; known is
// false if there were none.
func (p Pair) means(worker int) (requested, measured float64, known bool) {
	var moments float64
	for j, share := range p.Measured[worker] {
		if !math.IsNaN(share) {
			requested += p.Requested[worker][j]
			measured += share
			moments++
		}
	}
	if moments == 0 {
		return 0, 0, false
	}
	return requested / moments, measured / moments, true
}

// use is of all workers with these capacities together, over the moments at
// which any was measured, and of those that were.
func (p Pair) use(capacity []float64) ResourceUse {
	var u ResourceUse
	if len(p.Measured) == 0 {
		return u
	}
	var moments float64
	for j := range p.Measured[0] {
		var requested, measured, total float64
		for i, c := range capacity {
			if share := p.Measured[i][j]; !math.IsNaN(share) {
				requested += p.Requested[i][j] * c
				measured += share * c
				total += c
			}
		}
		if total == 0 {
			continue
		}
		requested, measured = requested/total, measured/total
		u.RequestedMean += requested
		u.MeasuredMean += measured
		u.RequestedPeak, u.MeasuredPeak = max(u.RequestedPeak, requested), max(u.MeasuredPeak, measured)
		moments++
	}
	if moments > 0 {
		u.RequestedMean /= moments
		u.MeasuredMean /= moments
	}
	return u
}
