// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package score

// BinPacking prefers the fullest worker that fits, so that others stay empty
// for large pods or can be removed:
//
//	score = 100 sum_r w_r u'_r / sum_r w_r
//
// over the resources r that the pod asks for, with u'_r the utilization after
// placing ([Usage.After]) and w_r the weight. Whether the pod fits is for the
// filters to say; requested more than allocatable counts as full. A pod that
// asks for none of the resources gets Min everywhere.
//
// Source: best fit, "the most nearly full bin in which it fits", Johnson et
// al., Worst-Case Performance Bounds for Simple One-Dimensional Packing
// Algorithms, SIAM J. Comput. 3(4), 1974. It bounds first fit and best fit
// alike, by 11/9 of the fewest bins plus 4 if items come in decreasing size;
// that order is the queue's matter. The weighted mean over several resources
// is ours.
func BinPacking(worker []Usage) int64 {
	load, ok := meanAfter(worker)
	if !ok {
		return Min
	}
	return scale(load)
}
