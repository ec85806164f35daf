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

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// RealCapacityArgs configures the RealCapacity plugin: decisions on what was
// measured on the workers, not only on what pods request.
type RealCapacityArgs struct {
	metav1.TypeMeta

	// Prometheus is where measurements come from. All profiles of a process that
	// name one must name the same, in the same words. Without an address nothing
	// is measured, and the plugin decides as OnStale says.
	Prometheus PrometheusSource

	// Ceilings are how full a worker may get, in percent of its capacity, 1 to
	// 100: measured use, what is in flight and the pod itself. A resource that
	// is not listed has none.
	// Default: cpu 90, memory 85.
	Ceilings []ResourceCeiling

	// OnStale decides for a worker and a resource without a reading that is at
	// most MaxAge old. Default: Requests.
	OnStale StalePolicy

	// MaxAge is how old a reading may be, 1s to 1h. Default: 1m.
	MaxAge metav1.Duration

	// InFlight says what pods are expected to use until it is measured. All
	// profiles of a process that use one Prometheus must agree on it.
	InFlight InFlightEstimate

	// Resources are what the score looks at: cpu, memory, disk, network, each
	// with its relative weight (1 to 100). Default: all four, weight 1 each.
	Resources []schedconfig.ResourceSpec

	// BurstPercent is how much the score looks at peaks (the 95th percentile of
	// the last minutes) instead of the mean, 0 to 100. Default: 30.
	BurstPercent int64

	// NetworkBytesPerSecond is the line speed of a worker, in bytes per second,
	// for the score's share of the network. At least 1. Default: 1250000000 (10 Gbit/s).
	NetworkBytesPerSecond int64
}

// StalePolicy is what to do without a fresh reading.
type StalePolicy string

const (
	// StaleRequests decides by what pods request, as kube-scheduler does.
	StaleRequests StalePolicy = "Requests"
	// StaleReject gives such a worker no pods.
	StaleReject StalePolicy = "Reject"
	// StaleIgnore lets the worker pass, with the lowest score.
	StaleIgnore StalePolicy = "Ignore"
)

// ResourceCeiling is how full a worker may get.
type ResourceCeiling struct {
	// Name is cpu, memory, disk or network.
	Name string
	// Percent of the capacity, 1 to 100.
	Percent int64
}

// PrometheusSource says how to ask Prometheus, or what speaks its API.
type PrometheusSource struct {
	// Address is its URL: http or https, host, port, perhaps a path. Empty: none.
	Address string
	// HTTPConfigFile is a file in the format of Prometheus' own http_config:
	// tls_config, authorization, basic_auth, oauth2, proxy_url. Empty: none.
	HTTPConfigFile string
	// PollInterval is the time between two polls, 1s to 10m, jittered by a tenth.
	// Default: 15s.
	PollInterval metav1.Duration
	// QueryTimeout bounds each query, 100ms to 1m. Default: 10s.
	QueryTimeout metav1.Duration
	// MaxResponseBytes bounds each answer, in bytes; at least 1 KiB. Default: 64 MiB.
	MaxResponseBytes int64
	// RateWindow is the range of rate() in the default queries, 5s to 1h; at least
	// twice Prometheus' scrape interval, better four times. Default: 1m.
	RateWindow metav1.Duration
	// BurstWindow is over how much of the past peaks are looked for. Default: 5m.
	BurstWindow metav1.Duration
	// Queries replace the default PromQL of cpu (cores), memory (bytes), disk
	// (share of time, 0 to 1), network (bytes/s), gpu (devices), gpuMemory
	// (bytes) and power (watts). Each gives one series a node, for all nodes at
	// once. An empty query turns the signal off.
	Queries map[string]string
	// AgeQuery gives the age of each node's last sample in seconds, by
	// Prometheus' own clock. Empty: readings are as old as the answer.
	AgeQuery *string
	// NodeMapping says which node a series is about.
	NodeMapping NodeMapping
	// History says how to learn what workloads use.
	History WorkloadHistory
}

// What of a node a label's value may be.
const (
	MatchNameOrInternalIP = "NameOrInternalIP"
	MatchName             = "Name"
	MatchInternalIP       = "InternalIP"
)

// NodeMapping joins series and nodes.
type NodeMapping struct {
	// Label of the series that says which node it is. Default: instance.
	Label string
	// Match is what of the node the label's value is: NameOrInternalIP, Name or
	// InternalIP. Default: NameOrInternalIP.
	Match string
	// Regexp takes the part in its first group out of the label's value. Empty:
	// the value without a port.
	Regexp string
}

// WorkloadHistory learns what a workload's pods use.
type WorkloadHistory struct {
	// Interval between two looks at the past, 1m to 24h. Default: 5m.
	Interval metav1.Duration
	// CPU and Memory are PromQL whose series carry the labels namespace and
	// workload, or namespace, owner_kind and owner_name; in cores and bytes for
	// one pod. Nil: the default. Empty: none.
	CPU, Memory *string
}

// InFlightEstimate says what pods are expected to use until it is measured.
type InFlightEstimate struct {
	// Ramp is how long after its start a pod's use may take to show in a sample;
	// at least RateWindow is right. 0s to 1h. Default: 1m.
	Ramp metav1.Duration
	// CPUPercent and MemoryPercent are the share of its request that a pod uses
	// of which nothing better is known, 1 to 100. Default: 70 and 80.
	CPUPercent, MemoryPercent int64
}
