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
	// ControllerLease is the name of the controller's leader-election Lease.
	ControllerLease = "auriga-controller"
	// FieldManagerNodeProfiler owns the labels of worker profiles in
	// server-side apply.
	FieldManagerNodeProfiler = "auriga-node-profiler"
	// Namespace is where Auriga is installed unless told otherwise.
	Namespace = "auriga-system"

	// LabelTenant says whose pod it is; without it the namespace is the tenant.
	LabelTenant = "auriga.dev/tenant"
	// LabelGPUModel is the node label that names the GPUs' model. The node
	// profiler sets it where GPU feature discovery says it and nobody else has.
	LabelGPUModel = "auriga.dev/gpu-model"
	// LabelPipeline names the pipeline run that a job or pod belongs to. Those
	// of a namespace with the same value are one run.
	LabelPipeline = "auriga.dev/pipeline"
	// LabelPool is the node label that names a worker's pool, unless told otherwise.
	LabelPool = "auriga.dev/pool"

	// AnnotationLocalityZone names the zone (topology.kubernetes.io/zone) in
	// which a pod's data is.
	AnnotationLocalityZone = "auriga.dev/locality-zone"

	// AnnotationTraceparent is the W3C trace context (traceparent) of whoever
	// submitted a pod; the trace of its scheduling hangs below it.
	AnnotationTraceparent = "auriga.dev/traceparent"

	// AnnotationSimulatedWorker marks a Node whose kubelet kwok simulates; the
	// value is SimulatedWorker.
	AnnotationSimulatedWorker = "kwok.x-k8s.io/node"
	// SimulatedWorker is the value of AnnotationSimulatedWorker.
	SimulatedWorker = "fake"

	// AnnotationRunDuration says how long a pod runs on a simulated worker
	// before it succeeds: a Go duration such as "1.5s". Real workers ignore it.
	AnnotationRunDuration = "auriga.dev/run-duration"

	// AnnotationUsage says what a pod uses, as "cpu=2,memory=4Gi": cores and bytes,
	// as Kubernetes quantities. The scheduler expects it of a pod whose workload
	// has no history; a pod of class auriga-batch that requests nothing is placed
	// by it (reclaimed capacity). Simulated workers behave by it: there a key left
	// out means 40 % of the request, and optional keys are disk (share of the time
	// that a disk is busy, 0 to 1) and network (bytes per second, each way).
	AnnotationUsage = "auriga.dev/usage"

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

// The worker's profile: node labels that the node profiler keeps, each only if
// its value is known and nobody else has set it. LabelGPUModel is one of them.
const (
	// LabelCPUArch is the processor's architecture in Go's words: amd64, arm64.
	LabelCPUArch = "auriga.dev/cpu-arch"
	// LabelCPUModel is vendor, family and model number: Intel-6-143.
	LabelCPUModel = "auriga.dev/cpu-model"
	// LabelGPUCount is the number of physical GPUs.
	LabelGPUCount = "auriga.dev/gpu-count"
	// LabelGPUMemoryMiB is the memory of one GPU in MiB.
	LabelGPUMemoryMiB = "auriga.dev/gpu-memory-mib"
	// LabelStorage is the fastest kind of local disk: nvme, ssd or hdd.
	LabelStorage = "auriga.dev/storage"
	// LabelZone is the failure zone.
	LabelZone = "auriga.dev/zone"
	// LabelRegion is the region.
	LabelRegion = "auriga.dev/region"
	// LabelPowerProfile is the class of power per processor: low, standard or high.
	LabelPowerProfile = "auriga.dev/power-profile"
)

// ProfileLabels lists the labels of a worker's profile.
func ProfileLabels() []string {
	return []string{
		LabelCPUArch, LabelCPUModel, LabelGPUModel, LabelGPUCount, LabelGPUMemoryMiB,
		LabelStorage, LabelZone, LabelRegion, LabelPowerProfile,
	}
}

// PriorityClasses lists Auriga's priority classes, highest first.
func PriorityClasses() []string {
	return []string{PriorityCritical, PriorityHigh, PriorityMedium, PriorityLow, PriorityBatch}
}
