// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package prometheus

import (
	"fmt"
	"time"

	"github.com/prometheus/common/model"

	"auriga.dev/auriga/pkg/capacity"
)

// Names of queries that are no resource's, in errors and metrics.
const (
	ageQuery           = "age"
	historyCPUQuery    = "historyCPU"
	historyMemoryQuery = "historyMemory"
)

// exampleSeries is what the default queries of memory and age read; the
// self-check looks at its labels.
const exampleSeries = "node_memory_MemAvailable_bytes"

// defaultQueries are for the series of node_exporter and of NVIDIA's DCGM
// exporter: one series a value of label. A counter that went back to 0 is rate's
// matter.
func defaultQueries(label string, window time.Duration) map[capacity.Resource]string {
	w := model.Duration(window).String()
	return map[capacity.Resource]string{
		// Waiting for a disk and what the hypervisor took are no use of this node.
		capacity.CPU: fmt.Sprintf(`sum by (%s) (rate(node_cpu_seconds_total{mode!~"idle|iowait|steal"}[%s]))`, label, w),
		capacity.Memory: fmt.Sprintf(
			`sum by (%[1]s) (node_memory_MemTotal_bytes) - sum by (%[1]s) (node_memory_MemAvailable_bytes)`, label),
		// The inner sum is of one series, but for exporters that tell the I/O of one
		// disk apart by who caused it.
		capacity.Disk: fmt.Sprintf(
			`clamp_max(max by (%[1]s) (sum by (%[1]s, device) (rate(node_disk_io_time_seconds_total[%[2]s]))), 1)`, label, w),
		// A packet from a pod passes a veth and the card; once is enough.
		capacity.Network: fmt.Sprintf(
			`sum by (%[1]s) (rate(node_network_receive_bytes_total{device!~"lo|veth.*"}[%[2]s]))`+
				` + sum by (%[1]s) (rate(node_network_transmit_bytes_total{device!~"lo|veth.*"}[%[2]s]))`, label, w),
		capacity.GPU:       fmt.Sprintf(`sum by (%s) (DCGM_FI_DEV_GPU_UTIL) / 100`, label),
		capacity.GPUMemory: fmt.Sprintf(`sum by (%s) (DCGM_FI_DEV_FB_USED) * 1048576`, label),
		capacity.Power: fmt.Sprintf(
			`sum by (%[1]s) (rate(node_rapl_package_joules_total[%[2]s])) or sum by (%[1]s) (node_hwmon_power_average_watt)`, label, w),
	}
}

// defaultAgeQuery is in seconds, by the source's clock on both sides.
func defaultAgeQuery(label string) string {
	return fmt.Sprintf(`max by (%s) (time() - timestamp(%s))`, label, exampleSeries)
}

// historyQuery is the 90th percentile over the pods of a workload, each at the
// 90th percentile of its last hour, from what is one series a pod. A pod that
// ended within the hour counts with what it had used.
func historyQuery(perPod string) string {
	return fmt.Sprintf(`quantile by (namespace, owner_kind, owner_name) (0.9, quantile_over_time(0.9, (%s)[1h:1m])`+
		` * on (namespace, pod) group_left (owner_kind, owner_name)`+
		` max by (namespace, pod, owner_kind, owner_name) (max_over_time(kube_pod_owner{owner_is_controller="true"}[1h])))`, perPod)
}
