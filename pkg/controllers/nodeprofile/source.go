// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package nodeprofile

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/klog/v2"
)

const (
	// queryTimeout bounds one query.
	queryTimeout = 30 * time.Second
	// retryInterval is the longest pause after a failure.
	retryInterval = 30 * time.Second
	// jitter is the share of the pause that is random, so that replicas and
	// clusters do not ask together.
	jitter = 0.1
)

// Querier answers PromQL. It is the part of Prometheus' API that is used here.
type Querier interface {
	Query(ctx context.Context, query string, at time.Time, options ...promv1.Option) (model.Value, promv1.Warnings, error)
}

// question is one query for all workers and its last answer.
type question[T any] struct {
	name   string
	query  string
	worker func([]*model.Sample) (T, bool)

	mu       sync.RWMutex
	answered bool         // the last attempt got a usable answer
	values   map[string]T // by worker, of the last usable answer
	said     string       // the last complaint in the log
}

// signal is what the last answer says about a worker.
func (q *question[T]) signal(node string) Signal[T] {
	q.mu.RLock()
	defer q.mu.RUnlock()
	value, ok := q.values[node]
	switch {
	case q.query == "":
		return Signal[T]{}
	case ok:
		return Signal[T]{State: Known, Value: value}
	case !q.answered:
		return Signal[T]{State: Unavailable}
	}
	return Signal[T]{}
}

// ask gets a new answer. An answer that matches none of the workers is a
// failure: a label that does not fit is likelier than that all lost a disk.
func (q *question[T]) ask(ctx context.Context, querier Querier, at time.Time, nodes []corev1.Node) (matched int, err error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	answer, _, err := querier.Query(ctx, q.query, at)
	if err != nil {
		return 0, err
	}
	vector, err := vectorOf(answer)
	if err != nil {
		return 0, err
	}
	values := map[string]T{}
	for node, samples := range match(vector, nodes) {
		if value, ok := q.worker(samples); ok {
			values[node] = value
		}
	}
	if len(values) == 0 && len(nodes) > 0 {
		return 0, fmt.Errorf("%d series match 0 of %d workers: a series needs the worker's name or address in one of the labels %v", len(vector), len(nodes), nodeLabels)
	}
	q.mu.Lock()
	q.values = values
	q.mu.Unlock()
	return len(values), nil
}

// note records how an attempt ended and logs what is new about it.
func (q *question[T]) note(logger klog.Logger, err error, matched, nodes int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.answered = err == nil
	complaint := ""
	if err != nil {
		complaint = err.Error()
	}
	switch {
	case err != nil && complaint != q.said:
		logger.Error(err, "Prometheus does not say; what is known stays", "signal", q.name)
	case err == nil && q.said != "":
		logger.Info("Prometheus says again", "signal", q.name, "workers", matched, "of", nodes)
	}
	q.said = complaint
}

// Source is what Prometheus says, refreshed from time to time. Without a
// Querier it says nothing.
type Source struct {
	querier  Querier
	interval time.Duration
	storage  question[string]
	power    question[float64]

	up, matched, answered *prometheus.GaugeVec
	failures              *prometheus.CounterVec
}

// SourceConfig says what to ask Prometheus.
type SourceConfig struct {
	// Querier is Prometheus. Nil: none.
	Querier Querier
	// Interval is the time between two refreshes; failures are retried after at
	// most 30 s. It must be positive.
	Interval time.Duration
	// StorageQuery and PowerQuery are PromQL; "" asks nothing.
	StorageQuery, PowerQuery string
}

// NewSource returns a Source that has not asked yet.
func NewSource(c SourceConfig) (*Source, error) {
	if c.Interval <= 0 {
		return nil, fmt.Errorf("interval %s: must be positive", c.Interval)
	}
	if c.Querier == nil {
		c.StorageQuery, c.PowerQuery = "", ""
	}
	const prefix = "auriga_node_profile_source_"
	labels := []string{"signal"}
	return &Source{
		querier:  c.Querier,
		interval: c.Interval,
		storage:  question[string]{name: "storage", query: c.StorageQuery, worker: storageOf},
		power:    question[float64]{name: "power", query: c.PowerQuery, worker: wattsOf},
		up: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: prefix + "up", Help: "Whether Prometheus' last answer about a signal (storage, power) was usable: 1 or 0."}, labels),
		matched: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: prefix + "matched_nodes", Help: "Workers that Prometheus' last usable answer about a signal has a value for."}, labels),
		answered: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: prefix + "last_success_timestamp_seconds", Help: "When Prometheus last gave a usable answer about a signal, in seconds since the epoch."}, labels),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: prefix + "failures_total", Help: "Queries about a signal without a usable answer."}, labels),
	}, nil
}

// Describe and Collect make Source a collector of its own figures.
func (s *Source) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range []prometheus.Collector{s.up, s.matched, s.answered, s.failures} {
		c.Describe(ch)
	}
}

// Collect is part of prometheus.Collector.
func (s *Source) Collect(ch chan<- prometheus.Metric) {
	for _, c := range []prometheus.Collector{s.up, s.matched, s.answered, s.failures} {
		c.Collect(ch)
	}
}

// Signals is what Prometheus last said about a worker.
func (s *Source) Signals(node string) Signals {
	return Signals{Storage: s.storage.signal(node), PeakWatts: s.power.signal(node)}
}

// Run refreshes until ctx ends: list gives the workers to match, and after each
// refresh done is called. Without anything to ask it returns at once.
func (s *Source) Run(ctx context.Context, list func(context.Context) ([]corev1.Node, error), done func([]corev1.Node)) {
	if s.storage.query == "" && s.power.query == "" {
		return
	}
	logger := klog.FromContext(ctx)
	for {
		pause := s.interval
		nodes, err := list(ctx)
		if err != nil {
			logger.Error(err, "Listing the workers failed")
		} else {
			err = s.refresh(ctx, nodes)
			done(nodes)
		}
		if err != nil {
			pause = min(pause, retryInterval)
		}
		timer := time.NewTimer(wait.Jitter(pause, jitter))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

func (s *Source) refresh(ctx context.Context, nodes []corev1.Node) error {
	return errors.Join(refresh(ctx, s, &s.storage, nodes), refresh(ctx, s, &s.power, nodes))
}

// refresh asks one question and keeps its figures.
func refresh[T any](ctx context.Context, s *Source, q *question[T], nodes []corev1.Node) error {
	if q.query == "" {
		return nil
	}
	now := time.Now()
	matched, err := q.ask(ctx, s.querier, now, nodes)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	q.note(klog.FromContext(ctx), err, matched, len(nodes))
	if err != nil {
		s.up.WithLabelValues(q.name).Set(0)
		s.failures.WithLabelValues(q.name).Inc()
		return err
	}
	s.up.WithLabelValues(q.name).Set(1)
	s.matched.WithLabelValues(q.name).Set(float64(matched))
	s.answered.WithLabelValues(q.name).Set(float64(now.Unix()))
	return nil
}
