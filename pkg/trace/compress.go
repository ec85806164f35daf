// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"
)

// MinDuration is the shortest run that Compress gives a job: a simulated
// worker's kubelet tells time no finer.
const MinDuration = time.Second

// arrivalShare is the part of the target in which Compress lets jobs arrive;
// the rest is left for the last ones to run.
const arrivalShare = 2.0 / 3

// gapQuantile is the quantile of the gaps at which Compress cuts them.
const gapQuantile = 0.99

// Compression says what Compress did.
type Compression struct {
	// Arrivals is the time from the first to the last arrival afterwards.
	Arrivals time.Duration
	// GapLimit is the longest gap between arrivals, in the trace's time, that
	// was kept; CutGaps is how many were longer.
	GapLimit time.Duration
	CutGaps  int
	// Speedup is the trace's seconds per second afterwards, for arrivals, gaps
	// cut. 0 if all jobs arrive at once.
	Speedup float64
	// LongestRun is the longest duration afterwards.
	LongestRun time.Duration
}

// Compress returns the jobs with arrivals and durations mapped onto a wall
// time, such that every job that starts when it arrives has ended at target.
// The input must be ordered by arrival; it is left unchanged.
//
// Arrivals: gaps longer than the 99th percentile of the gaps count as that
// percentile, then all are scaled by one factor, so that the last job arrives
// at two thirds of the target. The order and the bursts stay; the empty weeks,
// in which a cluster trace starts or pauses, do not eat the target.
//
// Durations: logarithmic, 1 s -> 1 s and the longest run -> a third of the
// target: d' = 1 s + (target/3 - 1 s) ln(d/1 s) / ln(longest/1 s), with d < 1 s
// taken as 1 s. The order of durations stays, but not their ratios: runs in a
// cluster trace span seven powers of ten, and on a linear scale nearly all of
// them would be 1 s.
func Compress(jobs []Job, target time.Duration) ([]Job, Compression, error) {
	if target < 6*MinDuration {
		return nil, Compression{}, fmt.Errorf("compress the trace to %v: want at least %v", target, 6*MinDuration)
	}
	if !slices.IsSortedFunc(jobs, func(a, b Job) int { return cmp.Compare(a.Arrival, b.Arrival) }) {
		return nil, Compression{}, fmt.Errorf("compress the trace: jobs are not ordered by arrival")
	}
	if len(jobs) == 0 {
		return nil, Compression{}, nil
	}
	window := time.Duration(arrivalShare * float64(target))
	longest := MinDuration
	for _, j := range jobs {
		longest = max(longest, j.Duration)
	}

	c := Compression{GapLimit: gapLimit(jobs)}
	var cut time.Duration // sum of the gaps as cut
	arrivals := make([]time.Duration, len(jobs))
	for i := 1; i < len(jobs); i++ {
		gap := jobs[i].Arrival - jobs[i-1].Arrival
		if gap > c.GapLimit {
			gap = c.GapLimit
			c.CutGaps++
		}
		cut += gap
		arrivals[i] = cut
	}
	if cut > 0 {
		c.Speedup = float64(cut) / float64(window)
	}

	out := slices.Clone(jobs)
	for i := range out {
		if cut > 0 {
			out[i].Arrival = time.Duration(float64(arrivals[i]) / float64(cut) * float64(window))
		} else {
			out[i].Arrival = 0
		}
		out[i].Duration = compressDuration(jobs[i].Duration, longest, target-window)
		c.LongestRun = max(c.LongestRun, out[i].Duration)
	}
	c.Arrivals = out[len(out)-1].Arrival
	return out, c, nil
}

func compressDuration(d, longest, most time.Duration) time.Duration {
	if longest <= MinDuration || d <= MinDuration {
		return MinDuration
	}
	share := math.Log(float64(d)/float64(MinDuration)) / math.Log(float64(longest)/float64(MinDuration))
	return MinDuration + time.Duration(share*float64(most-MinDuration))
}

// gapLimit is the gapQuantile of the gaps by nearest rank, so a few gaps lose
// nothing.
func gapLimit(jobs []Job) time.Duration {
	if len(jobs) < 2 {
		return 0
	}
	gaps := make([]time.Duration, len(jobs)-1)
	for i := range gaps {
		gaps[i] = jobs[i+1].Arrival - jobs[i].Arrival
	}
	slices.Sort(gaps)
	return gaps[int(math.Ceil(gapQuantile*float64(len(gaps))))-1]
}
