// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package capacity

import (
	"testing"
	"time"
)

func TestLongestAbove(t *testing.T) {
	begin := time.Unix(1000, 0)
	at := func(seconds int) time.Time { return begin.Add(time.Duration(seconds) * time.Second) }
	line := []point{{at(0), 95}, {at(10), 80}, {at(20), 91}, {at(22), 99}, {at(25), 90}, {at(30), 92}}
	for name, tc := range map[string]struct {
		line     []point
		from, to int
		want     time.Duration
		peak     float64
	}{
		"nothing":                   {nil, 0, 100, 0, 0},
		"from the begin":            {line, 0, 29, 10 * time.Second, 99},
		"began before":              {line, 5, 15, 5 * time.Second, 95},
		"two steps are one run":     {line, 12, 29, 5 * time.Second, 99},
		"exactly at the ceiling":    {line, 25, 29, 0, 90},
		"lasts":                     {line, 26, 50, 20 * time.Second, 92},
		"what came later is not in": {line, 12, 15, 0, 80},
	} {
		t.Run(name, func(t *testing.T) {
			got, peak := longestAbove(tc.line, at(tc.from), at(tc.to), 90)
			if got != tc.want || peak != tc.peak {
				t.Errorf("longestAbove = %v, %v, want %v, %v", got, peak, tc.want, tc.peak)
			}
		})
	}
}

func TestNeeded(t *testing.T) {
	for name, tc := range map[string]struct {
		firm      float64
		reclaimed []float64
		want      int
	}{
		"nothing to do":      {5, []float64{2, 3}, 0},
		"the largest":        {6, []float64{1, 2, 3}, 1},
		"two":                {9, []float64{1, 1, 2}, 2},
		"all":                {10, []float64{1, 1, 1}, 3},
		"more than there is": {12, []float64{1, 1}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			if got := needed(tc.firm, tc.reclaimed, 10); got != tc.want {
				t.Errorf("needed = %d, want %d", got, tc.want)
			}
		})
	}
}
