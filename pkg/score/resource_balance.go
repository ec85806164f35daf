// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package score

import "math"

// Total is one resource summed over all workers of the cluster.
type Total struct {
	// Requested by all pods on all workers, without the pod to be placed.
	Requested float64
	// Allocatable on all workers. 0: nobody has it.
	Allocatable float64
}

// Utilization is Requested/Allocatable, from 0 to 1; 0 if nobody has the resource.
func (t Total) Utilization() float64 {
	if t.Allocatable <= 0 {
		return 0
	}
	return min(1, max(0, t.Requested/t.Allocatable))
}

// ResourceBalance prefers the worker whose placement leaves the least
// imbalance, both between its own resources and across the cluster:
//
//	within = sqrt(sum_r w_r (u'_r - m)^2 / sum_r w_r),  m = sum_r w_r u'_r / sum_r w_r
//	across = sum_r w_r d_r (u'_r - U_r) / sum_r w_r d_r
//	score  = 100 (1 - (2 within + (across + 1)/2) / 2)
//
// u'_r is the worker's utilization after placing ([Usage.After]), U_r the
// cluster's before, w_r the weight, d_r the share of the cluster's resource r
// that the pod asks for. cluster[i] belongs to worker[i].
//
// within runs over all resources that the worker has, asked for or not: GPUs
// that lie idle behind a full CPU are an imbalance, too. It is a standard
// deviation of numbers in [0, 1], so at most 1/2, and 2 within is in [0, 1].
// across runs over the resources that the pod asks for and is in [-1, 1]. Each
// makes up half of the score. A pod that asks for none of the resources gets
// Min everywhere; so does every pod where cluster is shorter than worker.
//
// Why across: let n equal workers have utilizations u_ir with mean U_r, and let
// V_r = sum_i (u_ir - U_r)^2 be the spread. Placing a pod that takes x_r of a
// worker on worker j adds x_r to u_jr and x_r/n to the mean, so that
//
//	change of V_r = 2 x_r (u_jr - U_r) + x_r^2 (1 - 1/n)
//	              = 2 x_r (u'_jr - U_r) - x_r^2 (1 + 1/n).
//
// The last term is the same for all j, and x_r = n d_r: across orders the
// workers exactly as the change of sum_r w_r V_r does. Workers of different
// size are ordered by the same formula, as an approximation. U_r moves all
// workers alike: it places the score in its range and never changes the order.
//
// Sources: within is what kube-scheduler's NodeResourcesBalancedAllocation
// computes, with weights. That the imbalance of each server and of the data
// center count together is the idea of Tian et al., A dynamic and integrated
// load-balancing scheduling algorithm for Cloud datacenters, IEEE CCIS 2011,
// doi:10.1109/CCIS.2011.6045081. The formula of across and the equal halves
// are ours.
func ResourceBalance(worker []Usage, cluster []Total) int64 {
	if len(cluster) < len(worker) {
		return Min
	}
	var across, pull float64
	var mean, weights float64
	for i := range worker {
		u := &worker[i]
		after := u.After()
		if u.counts() {
			w := float64(u.Weight) * float64(u.Asked) / max(1, cluster[i].Allocatable)
			across += w * (after - cluster[i].Utilization())
			pull += w
		}
		if u.Allocatable > 0 && u.Weight > 0 {
			mean += float64(u.Weight) * after
			weights += float64(u.Weight)
		}
	}
	if pull == 0 {
		return Min
	}
	across /= pull
	return scale(1 - (2*within(worker, mean, weights)+(across+1)/2)/2)
}

// within is the weighted population standard deviation of the utilizations
// after placing. sum and weights are those of the weighted mean.
func within(worker []Usage, sum, weights float64) float64 {
	if weights == 0 {
		return 0
	}
	mean, squares := sum/weights, 0.0
	for i := range worker {
		if u := &worker[i]; u.Allocatable > 0 && u.Weight > 0 {
			d := u.After() - mean
			squares += float64(u.Weight) * d * d
		}
	}
	return math.Sqrt(squares / weights)
}
