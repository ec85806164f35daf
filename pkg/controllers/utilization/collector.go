// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package utilization

import (
	"cmp"
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"auriga.dev/auriga/pkg/telemetry"
)

const (
	// poolLimit is how many pools have a label value of their own.
	poolLimit = 100
	// readTimeout bounds the reading within one scrape.
	readTimeout = 5 * time.Second
)

// Read returns the readings of all workers, those without a fresh one with
// Unknown amounts in use. It must not wait for a network: it is called by every
// scrape.
type Read func(ctx context.Context) ([]Node, error)

// Collector exports the pools' utilization at the moment of the scrape. Only
// the leader does, so that sums over replicas stay right.
type Collector struct {
	read    Read
	elected <-chan struct{}
	pools   *telemetry.BoundedLabel

	utilization, unmeasured *prometheus.Desc
}

var _ prometheus.Collector = &Collector{}

// NewCollector returns a collector that is silent until elected is closed.
func NewCollector(read Read, elected <-chan struct{}) *Collector {
	return &Collector{
		read: read, elected: elected, pools: telemetry.NewBoundedLabel(poolLimit),
		utilization: prometheus.NewDesc("worker_manager_resource_utilization",
			"What is used of a pool's resource (cpu, memory) as measured, over the capacity of its measured workers, 0 to 1.",
			[]string{"pool", "resource"}, nil),
		unmeasured: prometheus.NewDesc("auriga_pool_unmeasured_nodes",
			"Workers of a pool without a fresh reading, which its utilization leaves out.",
			[]string{"pool"}, nil),
	}
}

// Describe is part of prometheus.Collector.
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	ch <- c.utilization
	ch <- c.unmeasured
}

// Collect is part of prometheus.Collector.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	select {
	case <-c.elected:
	default:
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), readTimeout)
	defer cancel()
	nodes, err := c.read(ctx)
	if err != nil {
		ch <- prometheus.NewInvalidMetric(c.utilization, err)
		return
	}
	for i := range nodes {
		// Pools beyond the limit are summed up as one.
		nodes[i].Pool = c.pools.Value(cmp.Or(nodes[i].Pool, DefaultPool))
	}
	samples, unmeasured := Aggregate(nodes)
	for _, s := range samples {
		ch <- prometheus.MustNewConstMetric(c.utilization, prometheus.GaugeValue, s.Value, s.Pool, s.Resource)
	}
	for _, u := range unmeasured {
		ch <- prometheus.MustNewConstMetric(c.unmeasured, prometheus.GaugeValue, float64(u.Nodes), u.Pool)
	}
}
