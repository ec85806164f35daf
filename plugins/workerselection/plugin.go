// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package workerselection

import (
	"context"
	"fmt"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	fwk "k8s.io/kube-scheduler/framework"
	frameworkruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"

	"auriga.dev/auriga/pkg/apis/config"
	"auriga.dev/auriga/pkg/apis/config/validation"
)

// Name is the plugin's name in the registry and in configurations.
const Name = "WorkerSelection"

// preScoreKey finds this plugin's data in the cycle state.
const preScoreKey fwk.StateKey = "PreScore" + Name

// WorkerSelection scores workers by one strategy.
type WorkerSelection struct {
	handle   fwk.Handle
	args     config.WorkerSelectionArgs
	strategy strategy
}

var (
	_ frameworkruntime.PluginFactory = New
	_ fwk.PreScorePlugin             = &WorkerSelection{}
	_ fwk.ScorePlugin                = &WorkerSelection{}
	_ fwk.SignPlugin                 = &WorkerSelection{}
	_ fwk.ReservePlugin              = &WorkerSelection{}
)

// New makes the plugin from *config.WorkerSelectionArgs, which it validates
// and does not keep.
func New(_ context.Context, obj runtime.Object, handle fwk.Handle) (fwk.Plugin, error) {
	args, ok := obj.(*config.WorkerSelectionArgs)
	if !ok {
		return nil, fmt.Errorf("the arguments of %s must be of kind %sArgs, got %T", Name, Name, obj)
	}
	if err := validation.ValidateWorkerSelectionArgs(field.NewPath("args"), args); err != nil {
		return nil, fmt.Errorf("the arguments of %s are not valid: %w", Name, err)
	}
	pl := &WorkerSelection{handle: handle, args: *args.DeepCopy()}
	build, ok := strategies()[args.Strategy]
	if !ok {
		return nil, fmt.Errorf("%s has no strategy %q", Name, args.Strategy)
	}
	var err error
	if pl.strategy, err = build(handle, &pl.args); err != nil {
		return nil, fmt.Errorf("preparing strategy %s of %s: %w", args.Strategy, Name, err)
	}
	return pl, nil
}

// Name implements fwk.Plugin.
func (pl *WorkerSelection) Name() string { return Name }

// preScoreState is what PreScore leaves for Score.
type preScoreState struct{ score scorer }

// Clone implements fwk.StateData. The state never changes, so a copy is not needed.
func (s *preScoreState) Clone() fwk.StateData { return s }

// PreScore computes what Score needs to know about the pod and the cluster.
// nodes are those that passed the filters.
func (pl *WorkerSelection) PreScore(ctx context.Context, state fwk.CycleState, pod *v1.Pod, nodes []fwk.NodeInfo) *fwk.Status {
	score, status := pl.strategy.prepare(ctx, pod, nodes)
	if !status.IsSuccess() {
		return status
	}
	state.Write(preScoreKey, &preScoreState{score})
	return nil
}

// Score scores one worker, 0 to 100.
func (pl *WorkerSelection) Score(ctx context.Context, state fwk.CycleState, _ *v1.Pod, worker fwk.NodeInfo) (int64, *fwk.Status) {
	data, err := state.Read(preScoreKey)
	if err != nil {
		return 0, fwk.AsStatus(fmt.Errorf("%s has no data from PreScore (enable it under multiPoint, or at both preScore and score): %w", Name, err))
	}
	s, ok := data.(*preScoreState)
	if !ok {
		return 0, fwk.AsStatus(fmt.Errorf("%s found %T in the cycle state, want %T", Name, data, s))
	}
	return s.score(ctx, worker), nil
}

// ScoreExtensions implements fwk.ScorePlugin: scores are in range already.
func (pl *WorkerSelection) ScoreExtensions() fwk.ScoreExtensions { return nil }

// SignPod gives all of the pod that its scores depend on. The scheduler keeps
// the ranking of the nodes for the next pod if that has the same signature and
// no longer fits on the node that was chosen, so that every node in question
// is as it was when the ranking was made (for half a second at most). A
// strategy may be signed, then, if its order of nodes that have not changed
// does not depend on what happened to others:
//   - LeastLoaded, MostFree, BinPacking, LocalityAware and Custom look at one
//     node at a time;
//   - ResourceBalance looks at the cluster's utilization, too, but that moves
//     all nodes alike (see score.ResourceBalance);
//   - RoundRobin depends on who was used a moment ago, and is not signed.
func (pl *WorkerSelection) SignPod(_ context.Context, pod *v1.Pod) ([]fwk.SignFragment, *fwk.Status) {
	return pl.strategy.sign(pod)
}

// Reserve tells the strategy that the pod takes the node.
func (pl *WorkerSelection) Reserve(_ context.Context, state fwk.CycleState, _ *v1.Pod, node string) *fwk.Status {
	if pl.strategy.reserve != nil {
		pl.strategy.reserve(state, node)
	}
	return nil
}

// Unreserve undoes Reserve.
func (pl *WorkerSelection) Unreserve(_ context.Context, state fwk.CycleState, _ *v1.Pod, _ string) {
	if pl.strategy.unreserve != nil {
		pl.strategy.unreserve(state)
	}
}
