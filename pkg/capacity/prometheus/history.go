// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package prometheus

import (
	"context"
	"maps"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/common/model"
	"k8s.io/utils/clock"

	"auriga.dev/auriga/pkg/capacity"
)

// historian asks for what workloads used.
type historian struct {
	History
	client  *client
	clock   clock.WithTicker
	metrics *informerMetrics
	jitter  *rand.Rand
	latest  atomic.Pointer[capacity.History]
	failing bool
}

// run refreshes until ctx ends, the first time at once.
func (h *historian) run(ctx context.Context) {
	if h.CPU == "" && h.Memory == "" {
		return
	}
	for {
		h.refresh(ctx)
		timer := h.clock.NewTimer(time.Duration(float64(h.Interval) * (0.9 + 0.2*h.jitter.Float64())))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C():
		}
	}
}

// refresh replaces the history, unless a query fails.
func (h *historian) refresh(ctx context.Context) {
	var cpu, memory answer
	var wg sync.WaitGroup
	ask := func(into *answer, name, promQL string) {
		if promQL != "" {
			wg.Go(func() { *into = h.client.ask(ctx, name, promQL) })
		}
	}
	ask(&cpu, historyCPUQuery, h.CPU)
	ask(&memory, historyMemoryQuery, h.Memory)
	wg.Wait()
	if ctx.Err() != nil {
		return
	}
	for _, a := range []answer{cpu, memory} {
		if a.err == nil {
			continue
		}
		if !h.failing {
			h.client.logger.Error(a.err, "Cannot find out what workloads used; what is known of them stays")
		}
		h.failing = true
		return
	}
	if h.failing {
		h.client.logger.Info("What workloads used is known again")
	}
	h.failing = false
	history := capacity.NewHistory(h.uses(cpu, memory))
	h.latest.Store(history)
	h.metrics.workloads.Set(float64(history.Len()))
}

// uses joins the answers. What is in only one of two is left out: unknown is not
// zero.
func (h *historian) uses(cpu, memory answer) map[capacity.Workload]capacity.Use {
	cores, bytes := h.byWorkload(cpu), h.byWorkload(memory)
	uses := make(map[capacity.Workload]capacity.Use, max(len(cores), len(bytes)))
	all := cores
	if h.CPU == "" {
		all = bytes
	}
	for workload := range maps.Keys(all) {
		c, hasCores := cores[workload]
		b, hasBytes := bytes[workload]
		if (hasCores || h.CPU == "") && (hasBytes || h.Memory == "") {
			uses[workload] = capacity.Use{CPU: c, Memory: b}
		}
	}
	return uses
}

// byWorkload sorts an answer; of several series of a workload, such as of a
// Deployment's ReplicaSets, the highest counts.
func (h *historian) byWorkload(a answer) map[capacity.Workload]float64 {
	values := make(map[capacity.Workload]float64, len(a.vector))
	rejected := map[string]int{}
	for _, s := range a.vector {
		workload, ok := workloadOf(s.Metric)
		if !ok {
			rejected[rejectedUnmatched]++
			continue
		}
		value, reason := plausible(s, false)
		if reason != "" {
			rejected[reason]++
			continue
		}
		values[workload] = max(values[workload], value)
	}
	for reason, count := range rejected {
		h.metrics.rejected.WithLabelValues(a.query, reason).Add(float64(count))
	}
	return values
}

// workloadOf is what the labels of a history's series name.
func workloadOf(m model.Metric) (capacity.Workload, bool) {
	namespace, kind, name := string(m["namespace"]), string(m["owner_kind"]), string(m["owner_name"])
	switch value := string(m["workload"]); {
	case namespace == "":
		return capacity.Workload{}, false
	case value != "":
		return capacity.LabelledWorkload(namespace, value), true
	case kind != "" && name != "":
		return capacity.OwnerWorkload(namespace, kind, name), true
	}
	return capacity.Workload{}, false
}
