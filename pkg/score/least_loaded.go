// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package score

// LeastLoaded prefers the worker with the lowest load:
//
//	load  = sum_r w_r u'_r / sum_r w_r
//	score = 100 (1 - load)
//
// over the resources r that the pod asks for, with u'_r the utilization after
// placing ([Usage.After]) and w_r the weight. A pod that asks for none of them
// gets Min everywhere: there is nothing to compare.
//
// Source: the worst-fit rule on the mean over resources; with the resources of
// a pod that asks for all of them it is kube-scheduler's LeastAllocated.
func LeastLoaded(worker []Usage) int64 {
	load, ok := meanAfter(worker)
	if !ok {
		return Min
	}
	return scale(1 - load)
}
