// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func runs(pairs ...time.Duration) []Job {
	var jobs []Job
	for i := 0; i < len(pairs); i += 2 {
		jobs = append(jobs, Job{Arrival: pairs[i], Duration: pairs[i+1]})
	}
	return jobs
}

func TestCompress(t *testing.T) {
	const s = time.Second
	tests := map[string]struct {
		jobs   []Job
		target time.Duration
		want   []Job
		wantC  Compression
	}{
		"none": {nil, 30 * s, nil, Compression{}},
		"one": {
			runs(7*s, 100*s), 30 * s, // arrivals in 20 s, runs of 1..10 s
			runs(0, 10*s), Compression{LongestRun: 10 * s},
		},
		// 200 s -> 20 s. Runs: 1 s -> 1 s; 100 s, half of ln 10000 -> 1 + 9/2 s;
		// 10000 s, the longest -> 10 s.
		"linear arrivals, logarithmic runs": {
			runs(0, s, 50*s, 100*s, 200*s, 10000*s), 30 * s,
			runs(0, s, 5*s, 5500*time.Millisecond, 20*s, 10*s),
			Compression{Arrivals: 20 * s, GapLimit: 150 * s, Speedup: 10, LongestRun: 10 * s},
		},
		"less than a second counts as one": {
			runs(0, 0, 10*s, time.Millisecond), 30 * s,
			runs(0, s, 20*s, s),
			Compression{Arrivals: 20 * s, GapLimit: 10 * s, Speedup: 0.5, LongestRun: s},
		},
		"all at once": {
			runs(5*s, 10*s, 5*s, 10*s), 30 * s,
			runs(0, 10*s, 0, 10*s),
			Compression{LongestRun: 10 * s},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			before := slices.Clone(tc.jobs)
			got, c, err := Compress(tc.jobs, tc.target)
			if err != nil {
				t.Fatal(err)
			}
			round := cmp.Transformer("ms", func(d time.Duration) int64 { return d.Round(time.Millisecond).Milliseconds() })
			if diff := cmp.Diff(tc.want, got, round); diff != "" {
				t.Errorf("jobs (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.wantC, c, round); diff != "" {
				t.Errorf("compression (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(before, tc.jobs); diff != "" {
				t.Errorf("the input changed (-want +got):\n%s", diff)
			}
		})
	}
}

// A long pause between two even streams must not eat the target: 101 gaps of
// 1 s and one of 10^6 s, which counts as 1 s.
func TestCompressCutsPauses(t *testing.T) {
	var jobs []Job
	for i := range 103 {
		at := time.Duration(i) * time.Second
		if i > 51 {
			at += 999_999 * time.Second
		}
		jobs = append(jobs, Job{Arrival: at, Duration: time.Minute})
	}
	got, c, err := Compress(jobs, 153*time.Second) // arrivals in 102 s
	if err != nil {
		t.Fatal(err)
	}
	if c.CutGaps != 1 || c.GapLimit != time.Second {
		t.Errorf("got %d gaps cut to %v, want 1 to 1s", c.CutGaps, c.GapLimit)
	}
	for i, j := range got {
		if off := j.Arrival - time.Duration(i)*time.Second; off.Abs() > time.Millisecond {
			t.Fatalf("job %d arrives at %v, want %ds", i, j.Arrival, i)
		}
	}
}

// Order is kept and every job has ended at the target, whatever the trace.
func TestCompressInvariants(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		jobs := make([]Job, 1+r.IntN(50))
		var at time.Duration
		for i := range jobs {
			at += time.Duration(r.ExpFloat64() * r.ExpFloat64() * float64(time.Hour))
			jobs[i].Arrival = at
			jobs[i].Duration = time.Duration(r.ExpFloat64() * float64(time.Hour))
		}
		target := time.Duration(6+r.IntN(300)) * time.Second
		got, c, err := Compress(jobs, target)
		if err != nil {
			t.Fatal(err)
		}
		for i, j := range got {
			if j.Arrival < 0 || j.Duration < MinDuration || j.Arrival+j.Duration > target {
				t.Fatalf("job %d: arrival %v, duration %v, target %v", i, j.Arrival, j.Duration, target)
			}
			if i > 0 && j.Arrival < got[i-1].Arrival {
				t.Fatalf("job %d overtakes", i)
			}
			if j.Duration > c.LongestRun || j.Arrival > c.Arrivals {
				t.Fatalf("job %d is beyond %+v", i, c)
			}
		}
	}
}

func TestCompressRejects(t *testing.T) {
	for name, tc := range map[string]struct {
		jobs   []Job
		target time.Duration
		want   string
	}{
		"short target": {runs(0, 1), 5 * time.Second, "compress the trace to 5s: want at least 6s"},
		"not ordered":  {runs(2, 1, 1, 1), time.Minute, "compress the trace: jobs are not ordered by arrival"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := Compress(tc.jobs, tc.target); err == nil || err.Error() != tc.want {
				t.Errorf("got %v, want %s", err, tc.want)
			}
		})
	}
}
