// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

// Package capacity is what is known about the real load of the workers: what
// was measured, how old that is, and what was placed since.
//
// In: NodeCapacity objects (one a node and a poll, from a source such as
// pkg/capacity/prometheus) and the placements of pods. Out: an immutable
// [Snapshot], swapped by an atomic pointer, of which a reader pins one and asks
// for a node's [Estimate].
//
//	source ──NodeCapacity──> Tracker.Set ... Publish ──> Snapshot{Generation, TakenAt}
//	Reserve, bound pods ──Placement──> Tracker.Place ──> in flight ─┘ (atomic sums)
//
// Units: cores for CPU, bytes for memory, a share of time (0 to 1) for disk,
// bytes a second for network, devices for GPU, watts for power.
//
// Invariants:
//   - a value that is not a number, infinite, negative, missing or ambiguous is
//     no [Reading]: it is never taken for zero;
//   - an age is counted on this process' clock from when the source answered, on
//     top of the age that the source itself states, so that a source whose clock
//     is wrong makes no reading older or younger;
//   - what a pod is expected to use counts on its node from the moment of its
//     placement until a sample that is newer than its start plus a ramp;
//   - a node that was deleted and created again (another UID) has nothing of the
//     old one's readings;
//   - reading a snapshot takes no lock and allocates nothing.
//
// The package knows no cluster, no Prometheus and no clock: times are arguments.
package capacity
