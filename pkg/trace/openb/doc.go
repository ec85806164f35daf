// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

// Package openb reads the Alibaba GPU cluster trace of 2023, "openb" (Weng et
// al., "Beware of Fragmentation: Scheduling GPU-Sharing Workloads with
// Fragmentation Gradient Descent", USENIX ATC 2023; github.com/alibaba/clusterdata,
// cluster-trace-gpu-v2023).
//
// In: the folder with the trace's csv files, or the folder above it. Out: a
// trace.Workload in the trace's own time (trace.Compress maps it onto a demo's)
// and what was done to the input. Every malformed line is an error, a
// *trace.InputError; nothing is skipped.
//
// What the trace does not say is derived from what it says:
//
//   - GPUs: a share of a GPU (num_gpu 1, gpu_milli < 1000) counts as one whole
//     GPU in Job.GPUs, rounded up; Job.GPUMilli keeps the share.
//   - Duration: deletion_time - scheduled_time, or - creation_time for a pod that
//     was never scheduled; at least 1 s. A pod without deletion_time (empty or 0)
//     runs to the end of the trace, the latest time in the file.
//   - Tenant: the trace names no owner. The tenant is the kind of work, which
//     differs in what it asks for: TenantCPU (no GPU), TenantShare (a share of a
//     GPU, typically inference), TenantWhole (whole GPUs, typically training).
//   - Priority, from the quality-of-service column: Guaranteed is critical, LS
//     (latency sensitive) high, Burstable medium, BE (best effort) low, and BE
//     with a share of a GPU, which already gives way to others on that GPU, batch.
//   - Zone: none.
package openb
