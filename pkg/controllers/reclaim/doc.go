// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

// Package reclaim takes back room that was lent: it evicts reclaimed pods
// (capacity.Expected) from workers that would use more than their ceiling.
//
// In: the load of the workers (pkg/controllers/load) and the pods on them. Out:
// evictions through the API, which respects PodDisruptionBudgets, an event on
// each evicted pod, and metrics.
//
//	pod events ──> ledger ──────┐             ┌──> Eviction API
//	snapshot ──> measured ──────┤ Levels      │ Event, metrics
//	pods' requests (if stale) ──┴──> Decide ──┘
//
// A worker is looked at when a snapshot is published, and when a pod is placed
// on it: what an ordinary pod will use counts at once, before it is measured.
// For CPU and memory, each by itself, what counts is
//
//	with a fresh reading:  measured + in flight - counted twice - given back
//	without:               requests of ordinary pods + declared use of reclaimed ones
//
// against ceiling x capacity, or ceiling x allocatable by requests.
//
//   - Counted twice: a pod is in flight until a sample that is newer than its
//     start plus a ramp, but samples before that contain a part of it already: of
//     the CPU, a mean over a window, the share of the window in which it ran; of
//     the memory all. Where the scheduler had better count too much, this would
//     evict pods for nothing.
//   - Given back: a pod that has been told to end counts as gone, unless it
//     outstays its grace period. One that has ended is in the measurement until
//     the window no longer reaches back to its end, and counts as gone as well.
//     So one overload is answered once.
//
// Of what reclaimed pods will add, nothing counts unless an ordinary pod is in
// flight, too: the scheduler has placed them below the ceiling, by more than the
// noise between two scrapes. Else the two would take turns in placing and
// evicting.
//
// Victims are the youngest, which lose the least work, then by name; of those
// only as many as are needed, and none that does not help.
//
// Invariants:
//   - only pods of Auriga's scheduler names are evicted, and only reclaimed ones;
//   - nothing is decided before all pods and the first poll's answers are known,
//     and nothing by requests until a Prometheus that is configured has had the
//     time to answer (the oldest age of a reading);
//   - the state is the API server's and Prometheus': whoever becomes the leader
//     looks at every worker with reclaimed pods. All replicas follow the pods.
package reclaim
