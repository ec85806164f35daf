// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package score

// RoundRobin prefers the worker that was used least recently. rank is the
// worker's place among the n candidates in the order of last use, 0 for the
// least recent:
//
//	score = 100                              if rank = 0
//	score = floor(99 (n-1-rank) / (n-1))     else
//
// so that with distinct ranks exactly one worker has 100, however many there
// are. A rank outside of 0..n-1 gets Min.
//
// Source: round robin, with the circle replaced by the order of last use, so
// that workers may come, go or be unfit for a pod.
func RoundRobin(rank, n int) int64 {
	switch {
	case rank < 0 || rank >= n:
		return Min
	case rank == 0:
		return Max
	default:
		return int64(float64(Max-1) * (float64(n-1-rank) / float64(n-1)))
	}
}
