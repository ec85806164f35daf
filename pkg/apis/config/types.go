// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	schedconfig "k8s.io/kubernetes/pkg/scheduler/apis/config"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// WorkerSelectionArgs configures the WorkerSelection plugin: which worker is
// best among those that can run the pod.
type WorkerSelectionArgs struct {
	metav1.TypeMeta

	// Strategy decides what makes a worker better than another.
	// Default: LeastLoaded.
	Strategy WorkerSelectionStrategy

	// Resources are the resources that LeastLoaded, MostFree, ResourceBalance
	// and BinPacking look at, each with its relative weight (1 to 100). A
	// strategy uses those of them that the pod asks for; ResourceBalance also
	// looks at the worker's others, and MostFree ignores how large a weight is.
	// Default: cpu and memory, weight 1 each.
	Resources []schedconfig.ResourceSpec

	// Locality configures LocalityAware. Must be nil for other strategies.
	Locality *LocalityOptions

	// Custom configures Custom. Required for it, must be nil for other strategies.
	Custom *CustomOptions
}

// WorkerSelectionStrategy names a way to compare workers.
type WorkerSelectionStrategy string

const (
	// LeastLoaded prefers the worker with the lowest load after placing the pod.
	LeastLoaded WorkerSelectionStrategy = "LeastLoaded"
	// MostFree prefers the worker whose scarcest resource has the largest free share after placing.
	MostFree WorkerSelectionStrategy = "MostFree"
	// ResourceBalance prefers the worker whose placement leaves the least imbalance,
	// between its own resources and across the cluster.
	ResourceBalance WorkerSelectionStrategy = "ResourceBalance"
	// BinPacking prefers the fullest worker that fits.
	BinPacking WorkerSelectionStrategy = "BinPacking"
	// RoundRobin prefers the worker that this profile used least recently.
	RoundRobin WorkerSelectionStrategy = "RoundRobin"
	// LocalityAware prefers workers that hold the pod's images or are in the zone the pod names.
	LocalityAware WorkerSelectionStrategy = "LocalityAware"
	// Custom scores workers by the user's CEL expression.
	Custom WorkerSelectionStrategy = "Custom"
)

// LocalityOptions weighs the two kinds of locality.
type LocalityOptions struct {
	// ImageWeight is the relative weight of image bytes already present, 0 to 100. Default: 1.
	ImageWeight int64
	// ZoneWeight is the relative weight of being in the pod's zone, 0 to 100. Default: 1.
	// At least one of the two weights must be positive.
	ZoneWeight int64
}

// CustomOptions is a scoring policy written in CEL.
type CustomOptions struct {
	// Expression is a CEL expression that yields the score of one worker, a
	// number from 0 (worst) to 100 (best); what is outside is clamped.
	Expression string
	// CostLimit bounds the work of one evaluation, in CEL cost units
	// (roughly one per operation), 1 to 1000000. Default: 10000.
	CostLimit int64
}
