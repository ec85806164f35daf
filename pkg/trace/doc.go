// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

// Package trace holds what every source of work looks like to the rest of
// Auriga: workers, jobs and a workload made of both. The readers of public
// traces (openb) and the seeded generator (cicd) produce these types; the demo,
// the simulator and the evaluations consume them.
//
// In: files that the user names, or a seed. Out: plain numbers; nothing here
// knows Kubernetes' API types. Units are in the field comments: thousandths of
// a core, bytes, whole GPUs, and durations since the workload's first arrival.
//
// Invariants of a Workload made by this package's sources:
//   - jobs are ordered by Arrival, and the first arrives at 0;
//   - names are unique and valid as names of Kubernetes objects;
//   - no quantity is negative, and every Duration is positive;
//   - Priority is one of names.PriorityClasses().
//
// The same input gives the same output: no clock and no ambient randomness.
package trace
