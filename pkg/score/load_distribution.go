// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package score

// Load is one resource of one worker as it would be with the pod, as shares of
// its capacity. More than 1 counts as 1, NaN and less than 0 as full: a load
// that is not known is no reason to prefer a worker.
type Load struct {
	// Mean is the use to expect, Burst that of a busy moment (95th percentile).
	Mean, Burst float64
	// Weight is the resource's weight relative to the others. 0 or less: it does not count.
	Weight int64
}

// LoadDistribution prefers the worker with the most capacity really free:
//
//	load_r = (1-b) mean_r + b max(mean_r, burst_r)
//	score  = 100 (1 - sum_r w_r load_r / sum_r w_r)
//
// with b the share of bursts, 0 to 1. Nothing to compare gives Min.
//
// Source: kube-scheduler's LeastAllocated on measured instead of requested
// amounts, with the risk of a busy moment as in LoadVariationRiskBalancing
// (scheduler-plugins, KEP-61), here by a percentile, which a short history
// estimates without assuming a distribution.
func LoadDistribution(loads []Load, b float64) int64 {
	var sum, weights float64
	for i := range loads {
		l := &loads[i]
		if l.Weight <= 0 {
			continue
		}
		mean := share(l.Mean)
		sum += float64(l.Weight) * ((1-b)*mean + b*max(mean, share(l.Burst)))
		weights += float64(l.Weight)
	}
	if weights == 0 {
		return Min
	}
	return scale(1 - sum/weights)
}

// share clamps to 0..1; what is not a share counts as full.
func share(v float64) float64 {
	if v >= 0 && v <= 1 {
		return v
	}
	return 1
}
