// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package score

// Locality prefers workers that hold the pod's images or are near its data:
//
//	score = 100 (w_i present/total + w_z z) / (w_i + w_z)
//
// present is how many bytes of the pod's images the worker holds, out of the
// total whose size is known; z is 1 in the pod's zone, else 0; w_i and w_z are
// the relative weights. A term drops out if its weight is 0 or less, or, for
// the images, if total is 0 or less (nobody knows their size): what is unknown
// is not absent. Without any term the score is Min everywhere. present counts
// as at least 0 and at most total.
//
// Source: kube-scheduler's ImageLocality counts bytes likewise, but against
// fixed thresholds; dividing by the pod's own total is ours.
func Locality(present, total, imageWeight int64, inZone bool, zoneWeight int64) int64 {
	var sum, weights float64
	if imageWeight > 0 && total > 0 {
		held := min(total, max(0, present))
		sum += float64(imageWeight) * (float64(held) / float64(total))
		weights += float64(imageWeight)
	}
	if zoneWeight > 0 {
		if inZone {
			sum += float64(zoneWeight)
		}
		weights += float64(zoneWeight)
	}
	if weights == 0 {
		return Min
	}
	return scale(sum / weights)
}
