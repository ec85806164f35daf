// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package workerselection

import (
	"context"
	"fmt"
	"sync"

	v1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/resource"
	fwk "k8s.io/kube-scheduler/framework"
	schedconfig "k8s.io/kubernetes/pkg/scheduler/apis/config"

	"auriga.dev/auriga/pkg/apis/config"
	"auriga.dev/auriga/pkg/score"
)

// usageBuffer holds a worker's resources on the stack; more of them than this
// work, but allocate.
type usageBuffer [16]score.Usage

// podResources is what the strategies on resources know about one pod.
type podResources struct {
	resources []schedconfig.ResourceSpec
	// asked[i] is what the pod asks of resources[i]: millicores for cpu, else
	// bytes or pieces.
	asked []int64
	// cluster[i] sums resources[i] over all nodes; only if the formula needs it.
	cluster []score.Total
}

// byResources makes a strategy of a formula on the worker's resources.
func byResources(formula func(*podResources, fwk.NodeInfo) int64) builder {
	return func(_ fwk.Handle, args *config.WorkerSelectionArgs) (strategy, error) {
		return resourceStrategy(args.Resources, formula, func(*podResources) error { return nil }), nil
	}
}

// byResourcesInCluster is the same for a formula that also needs the cluster's
// totals. All nodes, not only the feasible ones: the scheduler may have stopped
// looking once it had enough of them, and the utilization of a sample is not
// the cluster's.
func byResourcesInCluster(formula func(*podResources, fwk.NodeInfo) int64) builder {
	return func(handle fwk.Handle, args *config.WorkerSelectionArgs) (strategy, error) {
		cluster := &clusterTotals{resources: args.Resources}
		return resourceStrategy(args.Resources, formula, func(p *podResources) error {
			all, err := handle.SnapshotSharedLister().NodeInfos().List()
			if err != nil {
				return fmt.Errorf("listing the snapshot's nodes: %w", err)
			}
			p.cluster = cluster.over(all)
			return nil
		}), nil
	}
}

// totalsLife is for how many pods the cluster's totals are used before they are
// summed up again: at 5000 nodes that costs more than everything else that the
// plugin does for a pod. Old totals move the scores of all workers alike, so
// that they never change which worker is best (see [score.ResourceBalance]).
const totalsLife = 64

// clusterTotals sums resources over all nodes, now and then.
type clusterTotals struct {
	resources []schedconfig.ResourceSpec

	mu     sync.Mutex
	totals []score.Total // replaced, never changed: pods keep what they were given
	nodes  int           // of which totals is the sum
	served int           // pods since then
}

// over is the sum over nodes, at most totalsLife pods old and over as many nodes.
func (c *clusterTotals) over(nodes []fwk.NodeInfo) []score.Total {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.totals == nil || c.nodes != len(nodes) || c.served >= totalsLife {
		c.totals, c.nodes, c.served = totals(c.resources, nodes), len(nodes), 0
	}
	c.served++
	return c.totals
}

func resourceStrategy(resources []schedconfig.ResourceSpec, formula func(*podResources, fwk.NodeInfo) int64, complete func(*podResources) error) strategy {
	return strategy{
		prepare: func(_ context.Context, pod *v1.Pod, _ []fwk.NodeInfo) (scorer, *fwk.Status) {
			p := &podResources{resources: resources, asked: asked(pod, resources)}
			if !p.any() {
				return nil, fwk.NewStatus(fwk.Skip)
			}
			if err := complete(p); err != nil {
				return nil, fwk.AsStatus(err)
			}
			return func(_ context.Context, worker fwk.NodeInfo) int64 { return formula(p, worker) }, nil
		},
		sign: func(pod *v1.Pod) ([]fwk.SignFragment, *fwk.Status) {
			return []fwk.SignFragment{{Key: signKey("requests"), Value: asked(pod, resources)}}, nil
		},
	}
}

// signKey names a fragment of a pod's signature. Fragments of one name replace
// each other, so the names must not be those of other plugins.
func signKey(what string) string { return "auriga.dev/" + Name + "." + what }

func asked(pod *v1.Pod, resources []schedconfig.ResourceSpec) []int64 {
	requests := resource.PodRequests(pod, resource.PodResourcesOptions{})
	amounts := make([]int64, len(resources))
	for i := range resources {
		name := v1.ResourceName(resources[i].Name)
		quantity := requests[name]
		if name == v1.ResourceCPU {
			amounts[i] = quantity.MilliValue()
		} else {
			amounts[i] = quantity.Value()
		}
	}
	return amounts
}

func (p *podResources) any() bool {
	for _, a := range p.asked {
		if a > 0 {
			return true
		}
	}
	return false
}

// on is how the worker's resources look for the pod.
func (p *podResources) on(worker fwk.NodeInfo, buffer *usageBuffer) []score.Usage {
	requested, allocatable := worker.GetRequested(), worker.GetAllocatable()
	usage := buffer[:0]
	for i := range p.resources {
		name := v1.ResourceName(p.resources[i].Name)
		usage = append(usage, score.Usage{
			Requested:   amount(requested, name),
			Asked:       p.asked[i],
			Allocatable: amount(allocatable, name),
			Weight:      p.resources[i].Weight,
		})
	}
	return usage
}

func totals(resources []schedconfig.ResourceSpec, nodes []fwk.NodeInfo) []score.Total {
	sums := make([]score.Total, len(resources))
	for _, node := range nodes {
		requested, allocatable := node.GetRequested(), node.GetAllocatable()
		for i := range resources {
			name := v1.ResourceName(resources[i].Name)
			sums[i].Requested += float64(amount(requested, name))
			sums[i].Allocatable += float64(amount(allocatable, name))
		}
	}
	return sums
}

// amount is how much of a resource there is: millicores for cpu, else bytes or pieces.
func amount(r fwk.Resource, name v1.ResourceName) int64 {
	switch name {
	case v1.ResourceCPU:
		return r.GetMilliCPU()
	case v1.ResourceMemory:
		return r.GetMemory()
	case v1.ResourceEphemeralStorage:
		return r.GetEphemeralStorage()
	default:
		return r.GetScalarResources()[name]
	}
}
