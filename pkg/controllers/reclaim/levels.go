// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package reclaim

import (
	"math"
	"time"

	corev1 "k8s.io/api/core/v1"

	"auriga.dev/auriga/pkg/capacity"
)

// Policy says how full workers may be, and how to read what was measured.
type Policy struct {
	// Ceilings are shares, 0 to 1, by capacity.Resource.
	Ceilings [numLevels]float64
	// MaxAge is how old a reading may be.
	MaxAge time.Duration
	// Ramp is how long after its start the tracker has a pod in flight.
	Ramp time.Duration
	// CPUWindow is what the measurement of the CPU is a mean over.
	CPUWindow time.Duration
}

// window is what a measurement is a mean over; the memory's is of one moment.
func (p Policy) window(r capacity.Resource) time.Duration {
	if r == capacity.CPU {
		return p.CPUWindow
	}
	return 0
}

// leavingSlack is how long after the end of its grace period a pod may still be
// there before it no longer counts as gone.
const leavingSlack = 30 * time.Second

// Pod is a pod that was placed on a worker.
type Pod struct {
	Candidate
	// Reclaimed pods give way.
	Reclaimed bool
	// Ours says that a scheduler of Auriga's placed it.
	Ours bool
	// Told says that it has been told to end, Until when that will be, as far as
	// is known.
	Told  bool
	Until time.Time
	// Ended is when it ended; zero if it has not.
	Ended time.Time

	// waited says that it was seen on the worker before it ran.
	waited bool
}

// leaving says whether the pod is there and about to end.
func (p *Pod) leaving(now time.Time) bool {
	return p.Ended.IsZero() && p.Told && (p.Until.IsZero() || now.Before(p.Until.Add(leavingSlack)))
}

// contained is the share of the pod's use, 0 to 1, that a mean over a window
// until sampled contains; without a window, whether it ran when it was sampled.
func (p *Pod) contained(sampled time.Time, window time.Duration) float64 {
	if p.Started.IsZero() || !p.Started.Before(sampled) {
		return 0
	}
	end := sampled
	if !p.Ended.IsZero() && p.Ended.Before(sampled) {
		end = p.Ended
	}
	if window <= 0 {
		if end.Before(sampled) {
			return 0
		}
		return 1
	}
	from := sampled.Add(-window)
	if p.Started.After(from) {
		from = p.Started
	}
	return max(end.Sub(from).Seconds()/window.Seconds(), 0)
}

// Measure is the levels of a worker by what was measured and by the pods that
// the measurement has not wholly, or no longer, to do with. Those without a
// fresh reading are not Measured. e may be nil.
func (p Policy) Measure(e *capacity.Estimate, pods []Pod, now time.Time) Levels {
	var levels Levels
	for r := range numLevels {
		levels[r].Ceiling = p.Ceilings[r]
		if e == nil || e.Capacity[r] <= 0 {
			continue
		}
		mean := e.Measured[r].Mean
		if !mean.Fresh(now, p.MaxAge) {
			continue
		}
		// own is what reclaimed pods will add. The scheduler has made sure that they
		// stay below the ceiling, so that they are no reason to evict them, unless
		// an ordinary pod has come since.
		var twice, givenBack, own float64
		ordinary := false
		for i := range pods {
			pod := &pods[i]
			use := of(pod.Use, r)
			share := pod.contained(mean.Sampled, p.window(r))
			switch {
			case !pod.Ended.IsZero():
				givenBack += use * share
				continue
			case pod.leaving(now):
				givenBack += use
			}
			if !pod.Started.IsZero() && !mean.Sampled.Before(pod.Started.Add(p.Ramp)) {
				continue // settled
			}
			twice += use * share
			switch {
			case !pod.Reclaimed:
				ordinary = true
			case !pod.leaving(now):
				own += use * (1 - share)
			}
		}
		use := mean.Value + math.Max(e.InFlight(r)-twice, 0) - givenBack
		if !ordinary {
			use -= own
		}
		levels[r].Use, levels[r].Full = math.Max(use, 0), e.Capacity[r]
		levels[r].Measured, levels[r].Stale = true, mean.Sampled.Add(p.MaxAge)
	}
	return levels
}

// ByRequests fills the levels that are not measured from what the ordinary pods
// request and the reclaimed ones declare.
func (levels *Levels) ByRequests(node *corev1.Node, requested capacity.Use, pods []Pod, now time.Time) {
	full := capacity.Use{
		CPU:    node.Status.Allocatable.Cpu().AsApproximateFloat64(),
		Memory: node.Status.Allocatable.Memory().AsApproximateFloat64(),
	}
	for r := range numLevels {
		if levels[r].Measured {
			continue
		}
		use := of(requested, r)
		for i := range pods {
			if pod := &pods[i]; pod.Reclaimed && pod.Ended.IsZero() && !pod.leaving(now) {
				use += of(pod.Use, r)
			}
		}
		levels[r].Use, levels[r].Full = use, of(full, r)
	}
}

// stale is when the first of the levels will have to be taken from requests; zero
// if all are.
func (levels *Levels) stale() time.Time {
	var first time.Time
	for _, l := range levels {
		if l.Measured && (first.IsZero() || l.Stale.Before(first)) {
			first = l.Stale
		}
	}
	return first
}

// measured says whether all levels are.
func (levels *Levels) measured() bool {
	for _, l := range levels {
		if !l.Measured {
			return false
		}
	}
	return true
}
