// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

// Package score has the arithmetic of scoring: how good is one worker for one
// pod, one strategy a file.
//
// In: plain numbers; resource amounts are counts in any unit, as long as it is
// the same for what is requested and what is allocatable. Out: an int64 from
// [Min] (worst) to [Max] (best).
//
// Invariants: every function is pure and allocates nothing; every input,
// also zero, negative and huge ones, gives a score in range; ratios are formed
// in float64, so that no sum overflows; scores are rounded to the nearest whole
// number, so workers that differ by less than half a percent may tie.
package score

import "math"

// Min and Max bound every score. They are those of the scheduling framework.
const (
	Min int64 = 0
	Max int64 = 100
)

// Round makes a score of a number: rounded to the nearest whole number, halves
// up, and clamped to [Min, Max]. NaN, which is no number, becomes Min.
func Round(x float64) int64 {
	switch {
	case math.IsNaN(x), x <= float64(Min):
		return Min
	case x >= float64(Max):
		return Max
	default:
		return int64(math.Floor(x + 0.5))
	}
}

// scale maps 0..1 to [Min, Max].
func scale(share float64) int64 { return Round(share * float64(Max)) }
