// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package perf

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNewPollFigure(t *testing.T) {
	got := newPollFigure(5000, 8, 100, []float64{0.2, 0.999, 0.1})
	want := &PollFigure{
		Nodes: 5000, Queries: 8, AnswerBytes: 100,
		Seconds:       Spread{Median: 0.2, Min: 0.1, Max: 0.999, Runs: []float64{0.2, 0.999, 0.1}},
		TargetSeconds: 1, Met: true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("figure (-want +got):\n%s", diff)
	}
	if newPollFigure(1, 1, 1, []float64{0.1, 1, 0.1}).Met {
		t.Error("met, though one poll took 1 s")
	}
}

func TestNewFilterFigure(t *testing.T) {
	cost := func(allocations int64, nanoseconds ...float64) OpCost {
		return OpCost{NanosecondsPerOp: newSpread(nanoseconds), AllocationsPerOp: allocations}
	}
	for name, tc := range map[string]struct {
		passing                     OpCost
		time, allocations, together bool
	}{
		"both":       {cost(0, 100, 200, 900), true, true, true},
		"slow":       {cost(0, 100, 200.1, 900), false, true, false},
		"allocating": {cost(1, 1), true, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFilterFigure(1, tc.passing, cost(9, 9999))
			if f.MetNanoseconds != tc.time || f.MetAllocations != tc.allocations || f.Met != tc.together {
				t.Errorf("met: time %t, allocations %t, both %t; want %t, %t, %t", f.MetNanoseconds, f.MetAllocations, f.Met, tc.time, tc.allocations, tc.together)
			}
		})
	}
}

func TestNewMemoryFigure(t *testing.T) {
	got := newMemoryFigure(5000, 20, 1_000_000, 31_000_000)
	want := &MemoryFigure{Nodes: 5000, WindowPolls: 20, HeapBytes: 30_000_000, BytesPer1000Nodes: 6_000_000}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("figure (-want +got):\n%s", diff)
	}
	if got := newMemoryFigure(1000, 1, 10, 4).HeapBytes; got != -6 {
		t.Errorf("heap that shrank by 6 bytes: %d", got)
	}
}

// hangPair are runs as they should be, of a workload of 10 nodes.
func hangPair(healthyP99, hangingP99 float64) (healthy, hanging hangRun) {
	run := func(p99 float64) sample {
		return sample{podsPerSecond: 100, attempt: Quantiles{P50: p99 / 4, P99: p99}, algorithm: Quantiles{P99: p99 / 8}}
	}
	return hangRun{sample: run(healthyP99), answered: 16, nodesMeasured: 10}, hangRun{sample: run(hangingP99), hung: 8}
}

func TestNewHangFigure(t *testing.T) {
	w := workload{testCase: "Case", name: "10Nodes", nodes: 10, pods: 7}
	var healthy, hanging []hangRun
	for _, pair := range [][2]float64{{8, 4}, {4, 8}, {2, 2}} {
		a, b := hangPair(pair[0], pair[1])
		healthy, hanging = append(healthy, a), append(hanging, b)
	}
	got, err := newHangFigure(w, healthy, hanging)
	if err != nil {
		t.Fatal(err)
	}
	want := &HangFigure{
		Workload: "Case/10Nodes", Nodes: 10, Pods: 7,
		Healthy: HangSide{
			AttemptP50Seconds:   Spread{Median: 1, Min: 0.5, Max: 2, Runs: []float64{2, 1, 0.5}},
			AttemptP99Seconds:   Spread{Median: 4, Min: 2, Max: 8, Runs: []float64{8, 4, 2}},
			AlgorithmP99Seconds: Spread{Median: 0.5, Min: 0.25, Max: 1, Runs: []float64{1, 0.5, 0.25}},
			PodsPerSecond:       Spread{Median: 100, Min: 100, Max: 100, Runs: []float64{100, 100, 100}},
			QueriesAnswered:     48, NodesMeasured: 10,
		},
		Hanging: HangSide{
			AttemptP50Seconds:   Spread{Median: 1, Min: 0.5, Max: 2, Runs: []float64{1, 2, 0.5}},
			AttemptP99Seconds:   Spread{Median: 4, Min: 2, Max: 8, Runs: []float64{4, 8, 2}},
			AlgorithmP99Seconds: Spread{Median: 0.5, Min: 0.25, Max: 1, Runs: []float64{0.5, 1, 0.25}},
			PodsPerSecond:       Spread{Median: 100, Min: 100, Max: 100, Runs: []float64{100, 100, 100}},
			QueriesHung:         24,
		},
		P50Ratio: 1, P50RatioOfPairs: Spread{Median: 1, Min: 0.5, Max: 2, Runs: []float64{0.5, 2, 1}},
		P99Ratio: 1, P99RatioOfPairs: Spread{Median: 1, Min: 0.5, Max: 2, Runs: []float64{0.5, 2, 1}},
		AlgorithmP99Ratio: 1, AlgorithmP99RatioOfPairs: Spread{Median: 1, Min: 0.5, Max: 2, Runs: []float64{0.5, 2, 1}},
		HealthyP99MaxOverMin: 4,
		TargetP99Ratio:       1.1, Met: true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("figure (-want +got):\n%s", diff)
	}

	a, b := hangPair(100, 111)
	slower, err := newHangFigure(w, []hangRun{a}, []hangRun{b})
	if err != nil || slower.Met || !slower.Conclusive {
		t.Errorf("met, though attempts take 11 %% longer, or not conclusive: %+v (%v)", slower, err)
	}
	a, b = hangPair(100, 110)
	same, err := newHangFigure(w, []hangRun{a}, []hangRun{b})
	if err != nil || !same.Met || !same.Conclusive {
		t.Errorf("not met, though attempts take only 10 %% longer, or not conclusive: %+v (%v)", same, err)
	}
}

func TestNewHangFigureRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		spoil func(healthy, hanging *hangRun)
		want  string
	}{
		"nodes not matched":    {func(healthy, _ *hangRun) { healthy.nodesMeasured = 9 }, "healthy run 1: 9 of 10 nodes measured"},
		"nothing asked":        {func(healthy, _ *hangRun) { healthy.answered = 0 }, "healthy run 1: 10 of 10 nodes measured, 0 queries answered"},
		"nothing hung":         {func(_, hanging *hangRun) { hanging.hung = 0 }, "hanging run 1: 0 of 10 nodes measured, 0 queries answered, 0 hung"},
		"answered nonetheless": {func(_, hanging *hangRun) { hanging.nodesMeasured = 10 }, "hanging run 1: 10 of 10 nodes"},
	} {
		t.Run(name, func(t *testing.T) {
			healthy, hanging := hangPair(1, 1)
			tc.spoil(&healthy, &hanging)
			_, err := newHangFigure(workload{nodes: 10}, []hangRun{healthy}, []hangRun{hanging})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q", err, tc.want)
			}
		})
	}
}

func TestCapacityReportFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "capacity.json")
	got, err := readCapacityReport(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(CapacityReport{}, got); diff != "" {
		t.Errorf("report of no file (-want +got):\n%s", diff)
	}
	want := CapacityReport{Machine: Machine{Cores: 2}, Memory: newMemoryFigure(1000, 20, 0, 5)}
	if err := want.writeFile(path); err != nil {
		t.Fatal(err)
	}
	if got, err = readCapacityReport(path); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
}

func TestCapacityTable(t *testing.T) {
	healthy, hanging := hangPair(0.008, 0.01)
	hang, err := newHangFigure(workload{nodes: 10}, []hangRun{healthy}, []hangRun{hanging})
	if err != nil {
		t.Fatal(err)
	}
	report := CapacityReport{
		Machine:        Machine{Cores: 2},
		Versions:       Versions{Go: "go1", Kubernetes: "v1"},
		LoadAverage:    3.14,
		PollToSnapshot: newPollFigure(5000, 8, 1, []float64{0.1, 0.2}),
		Filter:         newFilterFigure(5000, OpCost{NanosecondsPerOp: newSpread([]float64{80}), CPUNanosecondsPerOp: newSpread([]float64{70})}, OpCost{NanosecondsPerOp: newSpread([]float64{300}), AllocationsPerOp: 3}),
		Memory:         newMemoryFigure(1000, 20, 0, 3<<20),
		Hang:           hang,
	}
	want := `FIGURE                                      MEASURED               MIN-MAX    TARGET         VERDICT
poll to snapshot, 5000 nodes                150 ms                 100-200    all < 1000 ms  met
Filter, 5000 nodes                          80 ns                  80-80      <= 200 ns      met
Filter, of a core                           70 ns                  70-70                     -
Filter, allocations                         0                                 0              met
Filter that rejects                         300 ns, 3 allocations  300-300                   -
attempts' p99 while Prometheus hangs        x 1.25 (10.0 of 8.0 ms)  1.25-1.25  <= x 1.10      NOT MET
attempts' p50 while Prometheus hangs        x 1.25 (2.5 of 2.0 ms)   1.25-1.25                 -
p99 without binding while Prometheus hangs  x 1.25 (1.2 of 1.0 ms)   1.25-1.25                 -
memory per 1000 nodes                       3.0 MiB                                            -

2 cores, go1, Kubernetes v1. The servers share the cores.
The machine was busy (load average 3.1 when this began): a quiet one does better.
The p99 of runs with a healthy Prometheus differ among each other by a factor of 1.0.
`
	// Widths are tabwriter's matter.
	fields := func(s string) [][]string {
		var lines [][]string
		for line := range strings.Lines(s) {
			lines = append(lines, strings.Fields(line))
		}
		return lines
	}
	if diff := cmp.Diff(fields(want), fields(report.table())); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
}
