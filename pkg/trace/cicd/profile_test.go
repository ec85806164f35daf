// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package cicd

import (
	"math"
	"testing"
	"time"
)

func TestWeekHour(t *testing.T) {
	// 2023-01-01 was a Sunday.
	for at, want := range map[string]float64{
		"2023-01-01 00:00:00": 0, "2023-01-01 23:30:00": 23.5, "2023-01-02 01:00:36": 25.01, "2023-01-07 23:59:59.64": 167.9999,
	} {
		parsed, err := time.Parse(runLayout, at)
		if err != nil {
			t.Fatal(err)
		}
		if got := weekHour(parsed); math.Abs(got-want) > 1e-9 {
			t.Errorf("%s: got hour %g of the week, want %g", at, got, want)
		}
	}
}

func flat() Profile {
	var p Profile
	for h := range p.Hour {
		p.Hour[h] = 1
	}
	for d := range p.Day {
		p.Day[d] = 1
	}
	return p
}

func TestOperational(t *testing.T) {
	// Half the rate in hour 0 of each day, one and a half in hour 1; Mondays
	// twice, Sundays none but a little: exact by hand.
	p := flat()
	p.Hour[0], p.Hour[1] = 0.5, 1.5
	p.Day[0], p.Day[1] = 0.25, 1.75
	for hours, want := range map[float64]float64{
		0: 0, 1: 0.25 * 0.5, 2: 0.25 * 2, 24: 0.25 * 24, 24.5: 6 + 1.75*0.25, 48: 48, 168: 168, 168 + 24: 174, 2 * 168: 336,
	} {
		if got := p.operational(hours) / secondsInHour; math.Abs(got-want) > 1e-9 {
			t.Errorf("at %g h: got %g operational hours, want %g", hours, got, want)
		}
	}
}

// clock must undo operational, from any start, over any length.
func TestClock(t *testing.T) {
	p := DefaultModel().Profile
	// The built-in factors are rounded, so that their mean is not 1 to the last
	// digit, which both directions take it to be.
	normalize(p.Hour[:])
	normalize(p.Day[:])
	for _, start := range []float64{0, 3.7, 32, 100.25, 167.9} {
		for _, length := range []float64{0, 0.1, 1, 5.5, 24, 167, 168, 1000.123} {
			seconds := p.operational(start+length) - p.operational(start)
			if got := p.clock(start, seconds); math.Abs(got-length) > 1e-6 {
				t.Errorf("from %g h, %g operational s: got %g h, want %g", start, seconds, got, length)
			}
		}
	}
}

func normalize(factors []float64) {
	var sum float64
	for _, f := range factors {
		sum += f
	}
	for i := range factors {
		factors[i] *= float64(len(factors)) / sum
	}
}

func TestFitProfile(t *testing.T) {
	// Three times at 5 o'clock, one at 6; two on Sunday, two on Monday.
	var times []time.Time
	for _, s := range []string{"2023-01-01 05:00:00", "2023-01-01 05:59:59", "2023-01-02 05:10:00", "2023-01-02 06:00:00"} {
		at, err := time.Parse(runLayout, s)
		if err != nil {
			t.Fatal(err)
		}
		times = append(times, at)
	}
	p := fitProfile(times)
	// (count+1)/(4+24)*24 and (count+1)/(4+7)*7
	for got, want := range map[float64]float64{
		p.Hour[5]: 4. / 28 * 24, p.Hour[6]: 2. / 28 * 24, p.Hour[0]: 1. / 28 * 24, p.Day[0]: 3. / 11 * 7, p.Day[6]: 1. / 11 * 7,
	} {
		if math.Abs(got-want) > 1e-12 {
			t.Errorf("got factor %g, want %g", got, want)
		}
	}
	if mean := p.operational(hoursInWeek) / hoursInWeek / secondsInHour; math.Abs(mean-1) > 1e-12 {
		t.Errorf("mean rate %g, want 1", mean)
	}
}
