// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

// Package telemetry is what Auriga's processes measure and trace with, as far
// as that needs no scheduler code.
//
//   - Labels: [BoundedLabel], [Tenant] and [Priority] turn what users write into
//     label values of which there are few, so that no user can fill a
//     Prometheus.
//   - [QueueTime] is the histogram cicd_job_queue_time_seconds.
//   - Traces: [ReadTracingConfig] reads the file that kube-apiserver's
//     --tracing-config-file has the format of, [NewProvider] sends spans to an
//     OTLP/gRPC collector.
//
// Invariants: nothing here is slower or bigger because somebody used many
// names. Ending a span never waits: spans that the collector does not take in
// time are dropped and counted in auriga_trace_spans_dropped_total.
// All durations in metrics are in seconds.
package telemetry
