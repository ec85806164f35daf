// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

// Package jobmetrics measures the jobs that Auriga schedules.
//
// In: batch Jobs and Pods whose schedulerName is one of Auriga's. A Pod that no
// Job controls and that is meant to end (restartPolicy Never or OnFailure) is a
// job of one. Out, for every job that ends:
//
//   - cicd_job_duration_seconds{tenant, priority, result}: from the start of the
//     Job (of the Pod: when the kubelet took it) to its end. A job that ended
//     without having started counts with 0 s.
//   - cicd_pipeline_success_rate{tenant}, 0 to 1: of the pipelines with a job
//     that ended within the window (an hour by default), the share in which none
//     of those failed. Jobs of a namespace with the same label
//     auriga.dev/pipeline are one pipeline; a job without it is its own. There
//     is no value for a tenant of which nothing ended within the window. Of a
//     pipeline that is still running, the jobs that have ended count.
//
// Invariants: every job counts once, whatever the API server repeats. What is
// known is in memory: after a restart or a change of leader, the counters start
// from 0, as Prometheus expects, and only jobs that end from then on count. A
// job that ends between two leaders is not counted; one that is deleted before
// it ends neither.
package jobmetrics
