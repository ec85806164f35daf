// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

// Package workerselection is the scheduler plugin WorkerSelection: it scores
// the workers that can run a pod by the strategy of its arguments.
//
// In: the pod, the scheduler's snapshot of all nodes, and for RoundRobin what
// this profile used before. Out: a score from 0 to 100 for each feasible node.
// It never rejects a pod, so it has no queueing hints.
//
// The formulas are in pkg/score, one strategy a file; strategies.go is the
// table that joins them to names, and everything else here turns Kubernetes
// objects into numbers. To add a strategy, write its formula there and its line
// in the table, name it in pkg/apis/config and accept it in the validation.
//
// Invariants:
//   - what depends on the pod only is computed once, in PreScore; what PreScore
//     leaves in the cycle state is not changed afterwards;
//   - Score allocates nothing, except for Custom, where CEL's interpreter does;
//   - requests are those that pods state. The stand-ins that kube-scheduler's
//     own scoring puts in the place of missing ones are not used, so that what
//     a strategy calls full is what the filters call full;
//   - arguments and state live on the instance: one profile never sees another's.
//
// A pod that asks for none of the configured resources is not scored by
// LeastLoaded, MostFree, ResourceBalance and BinPacking (PreScore skips): it
// leaves no trace in the numbers, so that a strategy would send every such pod
// to the same worker (kubernetes#129138). Likewise LocalityAware skips a pod
// that names no zone and of whose images no node reports a size.
package workerselection
