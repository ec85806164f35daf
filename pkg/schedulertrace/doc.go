// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

// Package schedulertrace traces a scheduler from outside, by decorating it:
// [Install] replaces each profile's framework by one that measures its phases,
// and wraps the two functions between which an attempt lies, NextPod and
// FailureHandler.
//
// In: a scheduler that is set up but does not run yet. Out: for each sampled
// pod one tree of spans, and for every bound pod an observation of
// cicd_job_queue_time_seconds.
//
//	schedule pod                first enqueued ... bound or deleted
//	├── queue                   waiting for the first attempt
//	├── attempt                 rejected
//	│   ├── PreFilter
//	│   ├── Filter
//	│   └── PostFilter
//	├── queue                   waiting for the next
//	└── attempt                 bound
//	    ├── PreFilter ... Score
//	    ├── Reserve, Permit, WaitOnPermit
//	    └── PreBind, Bind, PostBind
//
// The children of the root follow each other without gaps. A phase without
// plugins or that was not reached has no span; WaitOnPermit is there only if
// the pod had to wait.
//
// Attributes of phases: plugin.<Name>.seconds and plugin.<Name>.calls, the time
// in a plugin summed over nodes (Filter and Score run in parallel: the sum may
// exceed the span). The plugin that is called last for each node in Score has no
// seconds, only calls: nobody tells when it returns. See ADR 5 for how it is
// measured.
//
// Invariants: scheduling decides the same with and without tracing; nothing
// here waits for a network; at most [Options].MaxOpen traces are open; a pod
// that is not sampled costs one look-up a phase and allocates nothing. All
// phases of one pod are called one after another; only Filter is called
// concurrently.
package schedulertrace
