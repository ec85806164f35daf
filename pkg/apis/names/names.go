// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

// Package names holds every name that users and other programs see: labels,
// annotations, priority classes, the scheduler's name and its Lease. All of
// them are here and nowhere else.
package names

const (
	// Scheduler is the schedulerName by which a pod chooses Auriga.
	Scheduler = "auriga"
	// Lease is the name of the scheduler's leader-election Lease.
	Lease = "auriga-scheduler"
	// Namespace is where Auriga is installed unless told otherwise.
	Namespace = "auriga-system"

	// LabelTenant says whose pod it is; without it the namespace is the tenant.
	LabelTenant = "auriga.dev/tenant"
	// LabelGPUModel is the node label that names the GPUs' model.
	LabelGPUModel = "auriga.dev/gpu-model"

	// AnnotationLocalityZone names the zone (topology.kubernetes.io/zone) in
	// which a pod's data is.
	AnnotationLocalityZone = "auriga.dev/locality-zone"

	// AnnotationSimulatedWorker marks a Node whose kubelet kwok simulates; the
	// value is SimulatedWorker.
	AnnotationSimulatedWorker = "kwok.x-k8s.io/node"
	// SimulatedWorker is the value of AnnotationSimulatedWorker.
	SimulatedWorker = "fake"

	// AnnotationRunDuration says how long a pod runs on a simulated worker
	// before it succeeds: a Go duration such as "1.5s". Real workers ignore it.
	AnnotationRunDuration = "auriga.dev/run-duration"

	// PriorityCritical is the class of what may not wait: rollbacks, hotfixes.
	PriorityCritical = "auriga-critical"
	// PriorityHigh is the class of what blocks a release.
	PriorityHigh = "auriga-high"
	// PriorityMedium is the class of what somebody waits for.
	PriorityMedium = "auriga-medium"
	// PriorityLow is the class of what nobody waits for.
	PriorityLow = "auriga-low"
	// PriorityBatch is the class of what gives way to everything else.
	PriorityBatch = "auriga-batch"
)

// PriorityClasses lists Auriga's priority classes, highest first.
func PriorityClasses() []string {
	return []string{PriorityCritical, PriorityHigh, PriorityMedium, PriorityLow, PriorityBatch}
}
