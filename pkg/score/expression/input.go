// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package expression

import "github.com/google/cel-go/cel"

// Pod is what an expression sees as `pod`.
type Pod struct {
	Namespace   string            `cel:"namespace"`
	Name        string            `cel:"name"`
	Labels      map[string]string `cel:"labels"`
	Annotations map[string]string `cel:"annotations"`
	// Priority is the pod's spec.priority, 0 if unset.
	Priority int64 `cel:"priority"`
	// Requests is what the pod asks for, by resource name, in cores, bytes or pieces.
	Requests map[string]float64 `cel:"requests"`
}

// Node is what an expression sees as `node`.
type Node struct {
	Name        string            `cel:"name"`
	Labels      map[string]string `cel:"labels"`
	Annotations map[string]string `cel:"annotations"`
	Taints      []Taint           `cel:"taints"`
}

// Taint is one element of `node.taints`.
type Taint struct {
	Key    string `cel:"key"`
	Value  string `cel:"value"`
	Effect string `cel:"effect"`
}

// Amount is one resource of a node of which it has some.
type Amount struct {
	// Resource is its name, such as cpu or nvidia.com/gpu.
	Resource string
	// Requested is what is asked for in all after placing the pod, in cores, bytes or pieces.
	Requested float64
	// Allocatable is what the node has, in the same unit; positive.
	Allocatable float64
}

// Input is all that one evaluation sees.
type Input struct {
	Pod     *Pod
	Node    *Node
	Amounts []Amount
}

// variables resolves the names of an expression. A map is built when it is
// first used, so an expression pays only for what it reads. Not for concurrent use.
type variables struct {
	Input
	load, free, requested, allocatable map[string]float64
}

var _ cel.Activation = &variables{}

// ResolveName implements cel.Activation.
func (v *variables) ResolveName(name string) (any, bool) {
	switch name {
	case "pod":
		return v.Pod, true
	case "node":
		return v.Node, true
	case "load":
		return v.amounts(&v.load, func(a Amount) float64 { return a.Requested / a.Allocatable }), true
	case "free":
		return v.amounts(&v.free, func(a Amount) float64 { return max(0, 1-a.Requested/a.Allocatable) }), true
	case "requested":
		return v.amounts(&v.requested, func(a Amount) float64 { return a.Requested }), true
	case "allocatable":
		return v.amounts(&v.allocatable, func(a Amount) float64 { return a.Allocatable }), true
	default:
		return nil, false
	}
}

// Parent implements cel.Activation: there are no outer variables.
func (v *variables) Parent() cel.Activation { return nil }

func (v *variables) amounts(built *map[string]float64, value func(Amount) float64) map[string]float64 {
	if *built == nil {
		*built = make(map[string]float64, len(v.Amounts))
		for _, a := range v.Amounts {
			(*built)[a.Resource] = value(a)
		}
	}
	return *built
}
