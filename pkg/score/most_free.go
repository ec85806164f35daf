// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package score

// MostFree prefers the worker whose scarcest resource has most left:
//
//	score = 100 min_r (1 - u'_r)
//
// over the resources r that the pod asks for, with u'_r the utilization after
// placing ([Usage.After]). A weight only says whether a resource counts: a
// minimum has no use for more. A pod that asks for none of the resources gets
// Min everywhere.
//
// Source: the largest u'_r is the dominant share of Ghodsi et al., Dominant
// Resource Fairness, NSDI 2011, taken of a worker instead of a user.
func MostFree(worker []Usage) int64 {
	free, counted := 1.0, false
	for i := range worker {
		if u := &worker[i]; u.counts() {
			free = min(free, 1-u.After())
			counted = true
		}
	}
	if !counted {
		return Min
	}
	return scale(free)
}
