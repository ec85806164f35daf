// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package v1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	schedconfigv1 "k8s.io/kube-scheduler/config/v1"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
// +k8s:defaulter-gen=true

// WorkerSelectionArgs configures the WorkerSelection plugin: which worker is
// best among those that can run the pod.
type WorkerSelectionArgs struct {
	metav1.TypeMeta `json:",inline"`

	// strategy is one of LeastLoaded, MostFree, ResourceBalance, BinPacking,
	// RoundRobin, LocalityAware, Custom. Default: LeastLoaded.
	Strategy WorkerSelectionStrategy `json:"strategy,omitempty"`

	// resources are the resources that LeastLoaded, MostFree, ResourceBalance
	// and BinPacking look at, each with its relative weight (1 to 100). A
	// strategy uses those of them that the pod asks for; ResourceBalance also
	// looks at the worker's others, and MostFree ignores how large a weight is.
	// Default: cpu and memory, weight 1 each.
	// +listType=map
	// +listMapKey=name
	Resources []schedconfigv1.ResourceSpec `json:"resources,omitempty"`

	// locality configures LocalityAware. Not allowed for other strategies.
	Locality *LocalityOptions `json:"locality,omitempty"`

	// custom configures Custom. Required for it, not allowed for other strategies.
	Custom *CustomOptions `json:"custom,omitempty"`
}

// WorkerSelectionStrategy names a way to compare workers.
type WorkerSelectionStrategy string

// LocalityOptions weighs the two kinds of locality.
type LocalityOptions struct {
	// imageWeight is the relative weight of image bytes already present, 0 to 100. Default: 1.
	ImageWeight *int64 `json:"imageWeight,omitempty"`
	// zoneWeight is the relative weight of being in the pod's zone, 0 to 100. Default: 1.
	// At least one of the two weights must be positive.
	ZoneWeight *int64 `json:"zoneWeight,omitempty"`
}

// CustomOptions is a scoring policy written in CEL.
type CustomOptions struct {
	// expression is a CEL expression that yields the score of one worker, a
	// number from 0 (worst) to 100 (best); what is outside is clamped.
	Expression string `json:"expression"`
	// costLimit bounds the work of one evaluation, in CEL cost units
	// (roughly one per operation), 1 to 1000000. Default: 10000.
	CostLimit *int64 `json:"costLimit,omitempty"`
}
