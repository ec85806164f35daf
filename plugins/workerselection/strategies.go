// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package workerselection

import (
	"context"

	v1 "k8s.io/api/core/v1"
	fwk "k8s.io/kube-scheduler/framework"

	"auriga.dev/auriga/pkg/apis/config"
	"auriga.dev/auriga/pkg/score"
)

// scorer scores one worker for the pod for which it was prepared, from
// score.Min to score.Max. It is called from many goroutines.
type scorer func(ctx context.Context, worker fwk.NodeInfo) int64

// strategy is how one strategy meets the scheduling framework.
type strategy struct {
	// prepare does once what is the same for all workers. Its status is nil for
	// success, or Skip if the strategy has nothing to say about this pod.
	prepare func(ctx context.Context, pod *v1.Pod, feasible []fwk.NodeInfo) (scorer, *fwk.Status)
	// sign gives what of the pod the scores depend on.
	sign func(pod *v1.Pod) ([]fwk.SignFragment, *fwk.Status)
	// reserve and unreserve follow what becomes of the pod; nil if not needed.
	reserve   func(state fwk.CycleState, node string)
	unreserve func(state fwk.CycleState)
}

// builder makes a strategy from valid arguments, which it may keep.
type builder func(handle fwk.Handle, args *config.WorkerSelectionArgs) (strategy, error)

// strategies is the table of all strategies. The formulas on resources are
// called here by name, not passed as values, because only so does the compiler
// see that the buffer can stay on the stack.
func strategies() map[config.WorkerSelectionStrategy]builder {
	return map[config.WorkerSelectionStrategy]builder{
		config.LeastLoaded: byResources(func(p *podResources, w fwk.NodeInfo) int64 {
			return score.LeastLoaded(p.on(w, new(usageBuffer)))
		}),
		config.MostFree: byResources(func(p *podResources, w fwk.NodeInfo) int64 {
			return score.MostFree(p.on(w, new(usageBuffer)))
		}),
		config.BinPacking: byResources(func(p *podResources, w fwk.NodeInfo) int64 {
			return score.BinPacking(p.on(w, new(usageBuffer)))
		}),
		config.ResourceBalance: byResourcesInCluster(func(p *podResources, w fwk.NodeInfo) int64 {
			return score.ResourceBalance(p.on(w, new(usageBuffer)), p.cluster)
		}),
		config.RoundRobin:    newRoundRobin,
		config.LocalityAware: newLocalityAware,
		config.Custom:        newCustom,
	}
}
