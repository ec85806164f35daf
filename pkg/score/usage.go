// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package score

// Usage is one resource of one worker.
type Usage struct {
	// Requested is what the pods on the worker request already. Negative counts as 0.
	Requested int64
	// Asked is what the pod to be placed requests. 0 or less: it does not ask for the resource.
	Asked int64
	// Allocatable is what the worker has for pods. 0 or less: it does not have the resource.
	Allocatable int64
	// Weight is the resource's weight relative to the others. 0 or less: it does not count.
	Weight int64
}

// counts tells whether the resource matters to the pod.
func (u Usage) counts() bool { return u.Asked > 0 && u.Weight > 0 }

// After is the utilization after placing the pod, (Requested+Asked)/Allocatable,
// from 0 to 1. More than Allocatable counts as full, and so does a resource
// that the worker does not have.
func (u Usage) After() float64 {
	if u.Allocatable <= 0 {
		return 1
	}
	requested := max(0, float64(u.Requested)) + max(0, float64(u.Asked))
	return min(1, requested/float64(u.Allocatable))
}

// meanAfter is the weighted mean utilization after placing, over the resources
// that the pod asks for; ok is false if there are none.
func meanAfter(worker []Usage) (mean float64, ok bool) {
	var sum, weights float64
	for i := range worker {
		if u := &worker[i]; u.counts() {
			sum += float64(u.Weight) * u.After()
			weights += float64(u.Weight)
		}
	}
	if weights == 0 {
		return 0, false
	}
	return sum / weights, true
}
