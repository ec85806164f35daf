// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

// Package perf compares Auriga's profile with the stock kube-scheduler profile
// on Kubernetes' own scheduler benchmark, scheduler_perf.
//
// In: upstream's workload files, read from the folder of the module
// k8s.io/kubernetes; Auriga's profile, read from config/scheduler.yaml; the
// plugins of plugins.Registry.
//
// Out: a JSON report (Report) and a table. Throughput is in pods per second as
// scheduler_perf defines it: the mean of one-second samples of the pods that
// were bound, without the first second. Durations are in seconds.
//
// Every run has a new etcd and a new API server in the same process and on the
// same cores as the scheduler, so a figure says what a machine of that size
// does with all three, and the two sides are alike in everything but the
// profile:
//   - the client limit is scheduler_perf's (ClientQPS), far above what either
//     side reaches;
//   - feature gates are the defaults of the Kubernetes release (scheduler_perf
//     itself switches OpportunisticBatching off where a workload is silent);
//   - etcd does not wait for the disk (unsafe-no-fsync);
//   - nothing listens outside loopback.
//
// The sides alternate, stock first, and each run starts from a collected heap.
//
// It also measures what it costs to schedule by measured load (CapacityReport),
// against loopback servers that speak Prometheus' API: how soon a poll is a
// snapshot, what a Filter call takes, the memory that is kept, and whether
// attempts take longer while Prometheus hangs.
package perf
