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

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
// +k8s:defaulter-gen=true

// RealCapacityArgs configures the RealCapacity plugin: decisions on what was
// measured on the workers, not only on what pods request.
type RealCapacityArgs struct {
	metav1.TypeMeta `json:",inline"`

	// prometheus is where measurements come from. All profiles of a process that
	// name one must name the same, in the same words. Without an address nothing
	// is measured, and the plugin decides as onStale says.
	Prometheus PrometheusSource `json:"prometheus,omitzero"`

	// ceilings are how full a worker may get, in percent of its capacity, 1 to
	// 100: measured use, what is in flight and the pod itself. A resource that
	// is not listed has none.
	// Default: cpu 90, memory 85.
	Ceilings []ResourceCeiling `json:"ceilings,omitempty"`

	// onStale decides for a worker and a resource without a reading that is at
	// most maxAge old. Default: Requests.
	OnStale StalePolicy `json:"onStale,omitempty"`

	// maxAge is how old a reading may be, 1s to 1h. Default: 1m.
	MaxAge metav1.Duration `json:"maxAge,omitzero"`

	// inFlight says what pods are expected to use until it is measured. All
	// profiles of a process that use one Prometheus must agree on it.
	InFlight InFlightEstimate `json:"inFlight,omitzero"`

	// resources are what the score looks at: cpu, memory, disk, network, each
	// with its relative weight (1 to 100). Default: all four, weight 1 each.
	Resources []schedconfigv1.ResourceSpec `json:"resources,omitempty"`

	// burstPercent is how much the score looks at peaks (the 95th percentile of
	// the last minutes) instead of the mean, 0 to 100. Default: 30.
	BurstPercent *int64 `json:"burstPercent,omitempty"`

	// networkBytesPerSecond is the line speed of a worker, in bytes per second,
	// for the score's share of the network. At least 1. Default: 1250000000 (10 Gbit/s).
	NetworkBytesPerSecond int64 `json:"networkBytesPerSecond,omitempty"`
}

// StalePolicy is what to do without a fresh reading: Requests, Reject or Ignore.
type StalePolicy string

// ResourceCeiling is how full a worker may get.
type ResourceCeiling struct {
	// name is cpu, memory, disk or network.
	Name string `json:"name"`
	// percent of the capacity, 1 to 100.
	Percent int64 `json:"percent,omitempty"`
}

// PrometheusSource says how to ask Prometheus, or what speaks its API.
type PrometheusSource struct {
	// address is its URL: http or https, host, port, perhaps a path. Empty: none.
	Address string `json:"address,omitempty"`
	// httpConfigFile is a file in the format of Prometheus' own http_config:
	// tls_config, authorization, basic_auth, oauth2, proxy_url. Empty: none.
	HTTPConfigFile string `json:"httpConfigFile,omitempty"`
	// pollInterval is the time between two polls, 1s to 10m, jittered by a tenth.
	// Default: 15s.
	PollInterval metav1.Duration `json:"pollInterval,omitzero"`
	// queryTimeout bounds each query, 100ms to 1m. Default: 10s.
	QueryTimeout metav1.Duration `json:"queryTimeout,omitzero"`
	// maxResponseBytes bounds each answer, in bytes; at least 1 KiB. Default: 64 MiB.
	MaxResponseBytes int64 `json:"maxResponseBytes,omitempty"`
	// rateWindow is the range of rate() in the default queries, 5s to 1h; at least
	// twice Prometheus' scrape interval, better four times. Default: 1m.
	RateWindow metav1.Duration `json:"rateWindow,omitzero"`
	// burstWindow is over how much of the past peaks are looked for. Default: 5m.
	BurstWindow metav1.Duration `json:"burstWindow,omitzero"`
	// queries replace the default PromQL of cpu (cores), memory (bytes), disk
	// (share of time, 0 to 1), network (bytes/s), gpu (devices), gpuMemory
	// (bytes) and power (watts). Each gives one series a node, for all nodes at
	// once. An empty query turns the signal off.
	Queries map[string]string `json:"queries,omitempty"`
	// ageQuery gives the age of each node's last sample in seconds, by
	// Prometheus' own clock. Empty: readings are as old as the answer.
	AgeQuery *string `json:"ageQuery,omitempty"`
	// nodeMapping says which node a series is about.
	NodeMapping NodeMapping `json:"nodeMapping,omitzero"`
	// history says how to learn what workloads use.
	History WorkloadHistory `json:"history,omitzero"`
}

// NodeMapping joins series and nodes.
type NodeMapping struct {
	// label of the series that says which node it is. Default: instance.
	Label string `json:"label,omitempty"`
	// match is what of the node the label's value is: NameOrInternalIP, Name or
	// InternalIP. Default: NameOrInternalIP.
	Match string `json:"match,omitempty"`
	// regexp takes the part in its first group out of the label's value. Empty:
	// the value without a port.
	Regexp string `json:"regexp,omitempty"`
}

// WorkloadHistory learns what a workload's pods use.
type WorkloadHistory struct {
	// interval between two looks at the past, 1m to 24h. Default: 5m.
	Interval metav1.Duration `json:"interval,omitzero"`
	// cpu and memory are PromQL whose series carry the labels namespace and
	// workload, or namespace, owner_kind and owner_name; in cores and bytes for
	// one pod. Nil: the default. Empty: none.
	CPU    *string `json:"cpu,omitempty"`
	Memory *string `json:"memory,omitempty"`
}

// InFlightEstimate says what pods are expected to use until it is measured.
type InFlightEstimate struct {
	// ramp is how long after its start a pod's use may take to show in a sample;
	// at least rateWindow is right. 0s to 1h. Default: 1m.
	Ramp *metav1.Duration `json:"ramp,omitempty"`
	// cpuPercent and memoryPercent are the share of its request that a pod uses
	// of which nothing better is known, 1 to 100. Default: 70 and 80.
	CPUPercent    int64 `json:"cpuPercent,omitempty"`
	MemoryPercent int64 `json:"memoryPercent,omitempty"`
}
