// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package nodeprofile

import (
	"math"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"auriga.dev/auriga/pkg/apis/names"
)

// Labels that others set, and from which a profile is made.
const (
	// node-feature-discovery. Documented under "Feature labels".
	labelNFDCPUVendor     = "feature.node.kubernetes.io/cpu-model.vendor_id"
	labelNFDCPUFamily     = "feature.node.kubernetes.io/cpu-model.family"
	labelNFDCPUID         = "feature.node.kubernetes.io/cpu-model.id"
	labelNFDNonrotational = "feature.node.kubernetes.io/storage-nonrotationaldisk"
	labelNFDGovernor      = "feature.node.kubernetes.io/cpu-pstate.scaling_governor"

	// NVIDIA's GPU feature discovery. Memory is that of one GPU in MiB.
	labelNvidiaProduct = "nvidia.com/gpu.product"
	labelNvidiaCount   = "nvidia.com/gpu.count"
	labelNvidiaMemory  = "nvidia.com/gpu.memory"

	// AMD's node labeller. VRAM is that of one GPU in whole GiB, written "64G".
	labelAMDProduct = "amd.com/gpu.product-name"
	labelAMDMemory  = "amd.com/gpu.vram"

	resourceNvidia corev1.ResourceName = "nvidia.com/gpu"
	resourceAMD    corev1.ResourceName = "amd.com/gpu"
)

// Values of names.LabelStorage, slowest first.
const (
	StorageHDD  = "hdd"
	StorageSSD  = "ssd"
	StorageNVMe = "nvme"
)

// Values of names.LabelPowerProfile.
const (
	PowerLow      = "low"
	PowerStandard = "standard"
	PowerHigh     = "high"
)

// The limits between the power profiles, in watts per logical CPU (a hardware
// thread, as Kubernetes counts them) at the highest load seen.
//
// Provenance: published TDP over hardware threads. Below 2 are the processors
// with many small cores (EPYC 9754: 360 W / 256 = 1.4; EPYC 9654: 360/192 =
// 1.9), between them the usual servers (Xeon 8480+: 350/112 = 3.1; Altra
// Q80-30, which has no SMT: 210/80 = 2.6), above 4 the ones with high clocks
// (EPYC 7F52: 240/32 = 7.5; Xeon 6250: 185/16 = 11.6).
const (
	powerLowBelow  = 2.0
	powerHighAbove = 4.0
	// powerHysteresis is how far, relatively, a measurement must be beyond a
	// limit to change a class that a worker already has.
	powerHysteresis = 0.1
)

// State says what a source knows about a worker.
type State int

const (
	// Absent means that the source is not configured, or knows nothing of this worker.
	Absent State = iota
	// Known means that the value counts.
	Known
	// Unavailable means that the source does not answer. What is known already stays.
	Unavailable
)

// Signal is what a source outside the cluster says about one worker.
type Signal[T any] struct {
	State State
	Value T // if Known
}

// Signals is what Prometheus says about one worker.
type Signals struct {
	// Storage is the fastest kind of disk: StorageHDD, StorageSSD or StorageNVMe.
	Storage Signal[string]
	// PeakWatts is the highest power drawn by the processors over the query's
	// window, in watts.
	PeakWatts Signal[float64]
}

// Profile returns the labels that a worker should have. A label whose value is
// not known is not in it.
func Profile(node *corev1.Node, signals Signals) map[string]string {
	profile := map[string]string{}
	set := func(label, value string) {
		if value = LabelValue(value); value != "" {
			profile[label] = value
		}
	}
	set(names.LabelCPUArch, firstNonEmpty(node.Status.NodeInfo.Architecture, node.Labels[corev1.LabelArchStable]))
	set(names.LabelCPUModel, cpuModel(node.Labels))
	gpu := gpuOf(node)
	set(names.LabelGPUModel, gpu.model)
	if gpu.count > 0 {
		set(names.LabelGPUCount, strconv.FormatInt(gpu.count, 10))
	}
	if gpu.memoryMiB > 0 {
		set(names.LabelGPUMemoryMiB, strconv.FormatInt(gpu.memoryMiB, 10))
	}
	set(names.LabelZone, firstNonEmpty(node.Labels[corev1.LabelTopologyZone], node.Labels[corev1.LabelFailureDomainBetaZone]))
	set(names.LabelRegion, firstNonEmpty(node.Labels[corev1.LabelTopologyRegion], node.Labels[corev1.LabelFailureDomainBetaRegion]))

	owned := ownedLabels(node)
	kept := func(label string) string {
		if owned.Has(label) {
			return node.Labels[label]
		}
		return ""
	}
	set(names.LabelStorage, storage(node.Labels[labelNFDNonrotational], signals.Storage, kept(names.LabelStorage)))
	cpus := node.Status.Capacity.Cpu().AsApproximateFloat64()
	set(names.LabelPowerProfile, power(node.Labels[labelNFDGovernor], signals.PeakWatts, cpus, kept(names.LabelPowerProfile)))
	return profile
}

func firstNonEmpty(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// cpuModel joins vendor, family and model number. Without the vendor the
// numbers mean nothing.
func cpuModel(labels map[string]string) string {
	vendor := labels[labelNFDCPUVendor]
	if vendor == "" {
		return ""
	}
	parts := []string{vendor}
	for _, label := range []string{labelNFDCPUFamily, labelNFDCPUID} {
		if v := labels[label]; v != "" {
			parts = append(parts, v)
		}
	}
	return strings.Join(parts, "-")
}

type gpus struct {
	model     string
	count     int64 // physical GPUs
	memoryMiB int64 // of one
}

// gpuOf reads NVIDIA's labels, else AMD's. The count falls back to the extended
// resource, which counts replicas where a GPU is shared, so that the label of
// physical GPUs comes first.
func gpuOf(node *corev1.Node) gpus {
	for _, vendor := range []struct {
		resource              corev1.ResourceName
		product, count, bytes string
		memory                func(string) int64
	}{
		{resourceNvidia, labelNvidiaProduct, labelNvidiaCount, labelNvidiaMemory, positive},
		{resourceAMD, labelAMDProduct, "", labelAMDMemory, vramMiB},
	} {
		found := gpus{
			// Time-slicing marks the product; it is the same GPU.
			model:     strings.TrimSuffix(node.Labels[vendor.product], "-SHARED"),
			count:     positive(node.Labels[vendor.count]),
			memoryMiB: vendor.memory(node.Labels[vendor.bytes]),
		}
		if found.count == 0 {
			found.count = quantity(node.Status.Capacity, vendor.resource)
		}
		if found != (gpus{}) {
			return found
		}
	}
	return gpus{}
}

// quantity is the whole number of a resource, 0 if there is none.
func quantity(list corev1.ResourceList, name corev1.ResourceName) int64 {
	q, ok := list[name]
	if !ok || q.Cmp(resource.Quantity{}) < 0 {
		return 0
	}
	return q.Value()
}

// positive is the value of a label that holds a positive number, else 0.
func positive(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// vramMiB reads whole GiB, "64G", or MiB, "512M".
func vramMiB(s string) int64 {
	const mibPerGiB = 1024
	if gib, ok := strings.CutSuffix(s, "G"); ok {
		n := positive(gib)
		if n > math.MaxInt64/mibPerGiB {
			return 0
		}
		return n * mibPerGiB
	}
	mib, ok := strings.CutSuffix(s, "M")
	if !ok {
		return 0
	}
	return positive(mib)
}

// storage prefers the measured kind, which tells nvme from ssd, then NFD's
// label. NFD says "true" if any disk does not rotate and says nothing
// otherwise, so that its silence is no hdd.
func storage(nonrotational string, measured Signal[string], kept string) string {
	if measured.State == Known {
		return measured.Value
	}
	if measured.State == Unavailable && kept != "" {
		return kept
	}
	switch nonrotational {
	case "true":
		return StorageSSD
	case "false":
		return StorageHDD
	}
	return ""
}

// power prefers the measured class, then the frequency governor: one that
// always runs at full clock is high. Other governors say nothing: "powersave"
// of intel_pstate is the ordinary one.
func power(governor string, peak Signal[float64], cpus float64, kept string) string {
	if peak.State == Known {
		if class := powerClass(peak.Value/cpus, kept); class != "" {
			return class
		}
	}
	if peak.State == Unavailable && kept != "" {
		return kept
	}
	if governor == "performance" {
		return PowerHigh
	}
	return ""
}

// powerClass is the class of watts per logical CPU, "" if that is no positive
// number. previous is the class until now, if any.
func powerClass(watts float64, previous string) string {
	if !(watts > 0) || math.IsInf(watts, 0) {
		return ""
	}
	low, high := powerLowBelow, powerHighAbove
	switch previous {
	case PowerLow:
		low *= 1 + powerHysteresis
	case PowerStandard:
		low *= 1 - powerHysteresis
		high *= 1 + powerHysteresis
	case PowerHigh:
		high *= 1 - powerHysteresis
	}
	switch {
	case watts < low:
		return PowerLow
	case watts > high:
		return PowerHigh
	}
	return PowerStandard
}
