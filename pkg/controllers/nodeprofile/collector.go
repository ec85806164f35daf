// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package nodeprofile

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"auriga.dev/auriga/pkg/apis/names"
)

// listTimeout bounds a scrape that comes before the cache is filled.
const listTimeout = 5 * time.Second

// Collector exports profiles from the cache, so that a worker that is gone is
// gone here, too. Only the leader exports: two replicas with the same series
// would make every join with them ambiguous.
type Collector struct {
	nodes   client.Reader
	signals func(node string) Signals
	elected <-chan struct{}

	info, foreign *prometheus.Desc
}

var _ prometheus.Collector = &Collector{}

// NewCollector returns a collector over a cache of Nodes that is silent until
// elected is closed.
func NewCollector(nodes client.Reader, signals func(node string) Signals, elected <-chan struct{}) *Collector {
	return &Collector{
		nodes: nodes, signals: signals, elected: elected,
		info: prometheus.NewDesc("auriga_node_profile_info",
			"What a worker is made of, by its labels; the value is 1. An empty label is unknown.",
			[]string{"node", "arch", "gpu_model", "gpu_count", "storage", "zone", "region", "power_profile"}, nil),
		foreign: prometheus.NewDesc("auriga_node_profile_foreign_labels",
			"Workers on which somebody else has set a label of the profile to another value.",
			[]string{"label"}, nil),
	}
}

// Describe is part of prometheus.Collector.
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	ch <- c.info
	ch <- c.foreign
}

// Collect is part of prometheus.Collector.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	select {
	case <-c.elected:
	default:
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), listTimeout)
	defer cancel()
	var nodes corev1.NodeList
	if err := c.nodes.List(ctx, &nodes, client.UnsafeDisableDeepCopy); err != nil {
		ch <- prometheus.NewInvalidMetric(c.info, err)
		return
	}
	foreign := map[string]int{}
	for i := range nodes.Items {
		node := &nodes.Items[i]
		l := node.Labels
		ch <- prometheus.MustNewConstMetric(c.info, prometheus.GaugeValue, 1,
			node.Name, l[names.LabelCPUArch], l[names.LabelGPUModel], l[names.LabelGPUCount],
			l[names.LabelStorage], l[names.LabelZone], l[names.LabelRegion], l[names.LabelPowerProfile])
		for _, f := range Decide(node, Profile(node, c.signals(node.Name))).Foreign {
			foreign[f.Label]++
		}
	}
	for _, label := range names.ProfileLabels() {
		ch <- prometheus.MustNewConstMetric(c.foreign, prometheus.GaugeValue, float64(foreign[label]), label)
	}
}
