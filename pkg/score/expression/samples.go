// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package expression

import (
	"context"
	"errors"
	"fmt"
)

// try evaluates the expression on the samples, so that what fails everywhere
// fails at start. See Compile for what is an error.
func (p *Program) try() error {
	samples := samples()
	var failures []error
	for _, in := range samples {
		_, err := p.Eval(context.Background(), in)
		var failed *EvalError
		switch {
		case !errors.As(err, &failed), failed.Reason == NoSuchKey:
		case failed.Reason == CostLimit:
			return fmt.Errorf("trying the expression on a sample node: %w (make it simpler or raise the cost limit)", err)
		default:
			failures = append(failures, err)
		}
	}
	if len(failures) == len(samples) {
		return fmt.Errorf("the expression failed on each of %d sample nodes: %w", len(samples), failures[0])
	}
	return nil
}

// samples are a typical pod on a half-full worker with GPUs, the same on an
// empty worker without, and a pod without labels that asks for nothing on a full worker.
func samples() []Input {
	const gib = 1 << 30
	build := &Pod{
		Namespace: "team-a", Name: "build-1",
		Labels:      map[string]string{"app": "build", "auriga.dev/tenant": "team-a"},
		Annotations: map[string]string{"auriga.dev/locality-zone": "zone-a"},
		Priority:    1000,
		Requests:    map[string]float64{"cpu": 2, "memory": 4 * gib, "nvidia.com/gpu": 1},
	}
	worker := &Node{
		Name: "worker-1",
		Labels: map[string]string{
			"kubernetes.io/hostname": "worker-1", "kubernetes.io/arch": "amd64", "kubernetes.io/os": "linux",
			"topology.kubernetes.io/zone": "zone-a", "topology.kubernetes.io/region": "region-1",
			"node.kubernetes.io/instance-type": "large",
		},
		Annotations: map[string]string{},
		Taints:      []Taint{{Key: "dedicated", Value: "ci", Effect: "NoSchedule"}},
	}
	return []Input{
		{Pod: build, Node: worker, Amounts: []Amount{
			{"cpu", 8, 16}, {"memory", 32 * gib, 64 * gib}, {"ephemeral-storage", 10 * gib, 100 * gib}, {"nvidia.com/gpu", 2, 4}}},
		{Pod: build, Node: worker, Amounts: []Amount{
			{"cpu", 2, 32}, {"memory", 4 * gib, 128 * gib}, {"ephemeral-storage", 0, 100 * gib}}},
		{Pod: &Pod{Namespace: "default", Name: "p", Requests: map[string]float64{}}, Node: &Node{Name: "worker-2"}, Amounts: []Amount{
			{"cpu", 4, 4}, {"memory", 8 * gib, 8 * gib}}},
	}
}
