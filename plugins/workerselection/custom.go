// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package workerselection

import (
	"context"
	"errors"
	"fmt"
	"sync"

	v1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/resource"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"

	"auriga.dev/auriga/pkg/apis/config"
	"auriga.dev/auriga/pkg/score"
	"auriga.dev/auriga/pkg/score/expression"
)

// newCustom makes the strategy Custom. A failed evaluation scores 0, is counted
// and is logged for the first node of a pod: a bad expression must not stop
// scheduling, and must not go unnoticed.
func newCustom(handle fwk.Handle, args *config.WorkerSelectionArgs) (strategy, error) {
	program, err := expression.Compile(args.Custom.Expression, uint64(args.Custom.CostLimit))
	if err != nil {
		return strategy{}, err
	}
	failures, err := newExpressionErrors(handle.ProfileName())
	if err != nil {
		return strategy{}, err
	}
	return strategy{
		prepare: func(_ context.Context, pod *v1.Pod, _ []fwk.NodeInfo) (scorer, *fwk.Status) {
			p := &podExpression{program: program, pod: podInput(pod), failures: failures}
			return p.score, nil
		},
		sign: func(pod *v1.Pod) ([]fwk.SignFragment, *fwk.Status) {
			fragments := make([]fwk.SignFragment, 0, len(program.PodFields()))
			in := podInput(pod)
			for _, name := range program.PodFields() {
				value, err := podField(in, name)
				if err != nil {
					return nil, fwk.AsStatus(err)
				}
				fragments = append(fragments, fwk.SignFragment{Key: signKey("pod." + name), Value: value})
			}
			return fragments, nil
		},
	}, nil
}

// podExpression is the expression applied to one pod.
type podExpression struct {
	program  *expression.Program
	pod      *expression.Pod
	failures expressionErrors
	logged   sync.Once
}

func (p *podExpression) score(ctx context.Context, worker fwk.NodeInfo) int64 {
	x, err := p.program.Eval(ctx, expression.Input{
		Pod:     p.pod,
		Node:    nodeInput(worker.Node()),
		Amounts: p.amounts(worker),
	})
	if err != nil {
		p.failed(ctx, worker, err)
		return score.Min
	}
	return score.Round(x)
}

func (p *podExpression) failed(ctx context.Context, worker fwk.NodeInfo, err error) {
	reason := expression.Other
	var evaluation *expression.EvalError
	if errors.As(err, &evaluation) {
		reason = evaluation.Reason
	}
	p.failures.count(reason)
	p.logged.Do(func() {
		klog.FromContext(ctx).Error(err, "The custom expression failed; the node gets score 0. Further failures for this pod are counted and not logged",
			"plugin", Name, "pod", klog.KRef(p.pod.Namespace, p.pod.Name), "node", klog.KObj(worker.Node()), "reason", reason)
	})
}

// amounts lists the resources that the worker has, with the pod placed on it,
// in cores, bytes or pieces.
func (p *podExpression) amounts(worker fwk.NodeInfo) []expression.Amount {
	requested, allocatable := worker.GetRequested(), worker.GetAllocatable()
	scalars := allocatable.GetScalarResources()
	amounts := make([]expression.Amount, 0, 3+len(scalars))
	add := func(name v1.ResourceName, unit float64) {
		if has := amount(allocatable, name); has > 0 {
			amounts = append(amounts, expression.Amount{
				Resource:    string(name),
				Requested:   max(0, float64(amount(requested, name))/unit) + p.pod.Requests[string(name)],
				Allocatable: float64(has) / unit,
			})
		}
	}
	const millicoresPerCore = 1000
	add(v1.ResourceCPU, millicoresPerCore)
	add(v1.ResourceMemory, 1)
	add(v1.ResourceEphemeralStorage, 1)
	for name := range scalars {
		add(name, 1)
	}
	return amounts
}

func podInput(pod *v1.Pod) *expression.Pod {
	in := &expression.Pod{
		Namespace:   pod.Namespace,
		Name:        pod.Name,
		Labels:      pod.Labels,
		Annotations: pod.Annotations,
		Requests:    map[string]float64{},
	}
	if pod.Spec.Priority != nil {
		in.Priority = int64(*pod.Spec.Priority)
	}
	for name, quantity := range resource.PodRequests(pod, resource.PodResourcesOptions{}) {
		in.Requests[string(name)] = quantity.AsApproximateFloat64()
	}
	return in
}

func podField(pod *expression.Pod, name string) (any, error) {
	switch name {
	case "namespace":
		return pod.Namespace, nil
	case "name":
		return pod.Name, nil
	case "labels":
		return pod.Labels, nil
	case "annotations":
		return pod.Annotations, nil
	case "priority":
		return pod.Priority, nil
	case "requests":
		return pod.Requests, nil
	default:
		return nil, fmt.Errorf("%s cannot sign pods by the field %q", Name, name)
	}
}

func nodeInput(node *v1.Node) *expression.Node {
	in := &expression.Node{Name: node.Name, Labels: node.Labels, Annotations: node.Annotations}
	for i := range node.Spec.Taints {
		t := &node.Spec.Taints[i]
		in.Taints = append(in.Taints, expression.Taint{Key: t.Key, Value: t.Value, Effect: string(t.Effect)})
	}
	return in
}
