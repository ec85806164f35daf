// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package perf

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"text/tabwriter"
)

// What is promised of scheduling by measured load.
const (
	// TargetPollSeconds bounds every single poll of 5000 nodes.
	TargetPollSeconds = 1
	// TargetFilterNanoseconds and TargetFilterAllocs bound a Filter call for a
	// node that passes.
	TargetFilterNanoseconds = 200
	TargetFilterAllocs      = 0
	// TargetHangRatio bounds the p99 of scheduling attempts while Prometheus
	// hangs, as a multiple of that while it answers. Faster is no failure.
	TargetHangRatio = 1.10
)

// CapacityReport is what `make bench-capacity` writes: what it costs to
// schedule by measured load. A figure that was not measured is absent.
type CapacityReport struct {
	Machine  Machine  `json:"machine"`
	Versions Versions `json:"versions"`
	// LoadAverage is of the last minute when the measuring began: processes that
	// wanted a core. 0 is unknown.
	LoadAverage    float64       `json:"loadAverage,omitempty"`
	PollToSnapshot *PollFigure   `json:"pollToSnapshot,omitempty"`
	Filter         *FilterFigure `json:"filter,omitempty"`
	Memory         *MemoryFigure `json:"memory,omitempty"`
	Hang           *HangFigure   `json:"hang,omitempty"`
}

// PollFigure is the time from the arrival of a poll's first query at the server
// to the published snapshot.
type PollFigure struct {
	Method string `json:"method"`
	Nodes  int    `json:"nodes"`
	// Queries are those of one poll, AnswerBytes the length of all their answers.
	Queries     int `json:"queries"`
	AnswerBytes int `json:"answerBytes"`
	// Seconds has one run for each poll.
	Seconds       Spread  `json:"seconds"`
	TargetSeconds float64 `json:"targetSeconds"`
	// Met is true if the slowest poll took less than the target.
	Met bool `json:"met"`
}

// FilterFigure is the cost of a call of RealCapacity.Filter.
type FilterFigure struct {
	Method string `json:"method"`
	// Nodes are filtered one after the other, over and over.
	Nodes   int    `json:"nodes"`
	Passing OpCost `json:"passing"`
	// Rejecting writes a reason, which allocates. It has no target.
	Rejecting              OpCost  `json:"rejecting"`
	TargetNanosecondsPerOp float64 `json:"targetNanosecondsPerOp"`
	TargetAllocationsPerOp int64   `json:"targetAllocationsPerOp"`
	MetNanoseconds         bool    `json:"metNanoseconds"`
	MetAllocations         bool    `json:"metAllocations"`
	// Met is both.
	Met bool `json:"met"`
}

// OpCost is that of one operation.
type OpCost struct {
	// NanosecondsPerOp are by the wall clock, CPUNanosecondsPerOp what the process
	// had of a core: less, where others want it, too.
	NanosecondsPerOp    Spread `json:"nanosecondsPerOp"`
	CPUNanosecondsPerOp Spread `json:"cpuNanosecondsPerOp"`
	// AllocationsPerOp and BytesPerOp are the most of all runs.
	AllocationsPerOp int64 `json:"allocationsPerOp"`
	BytesPerOp       int64 `json:"bytesPerOp"`
}

// MemoryFigure is the heap that the informer and the tracker keep.
type MemoryFigure struct {
	Method string `json:"method"`
	Nodes  int    `json:"nodes"`
	// WindowPolls are how many polls the burst window holds.
	WindowPolls       int     `json:"windowPolls"`
	HeapBytes         int64   `json:"heapBytes"`
	BytesPer1000Nodes float64 `json:"bytesPer1000Nodes"`
}

// HangFigure compares scheduling while Prometheus answers and while it hangs.
type HangFigure struct {
	Method              string  `json:"method"`
	Workload            string  `json:"workload"`
	Nodes               int     `json:"nodes"`
	Pods                int     `json:"pods"`
	PollIntervalSeconds float64 `json:"pollIntervalSeconds"`
	QueryTimeoutSeconds float64 `json:"queryTimeoutSeconds"`
	// Healthy and Hanging have one run for each pair, in order.
	Healthy HangSide `json:"healthy"`
	Hanging HangSide `json:"hanging"`
	// The ratios are of the hanging side's median over the healthy side's; those
	// of pairs are of each pair's two runs.
	P50Ratio        float64 `json:"p50Ratio"`
	P50RatioOfPairs Spread  `json:"p50RatioOfPairs"`
	P99Ratio        float64 `json:"p99Ratio"`
	P99RatioOfPairs Spread  `json:"p99RatioOfPairs"`
	// The algorithm is an attempt without the binding, which is the API server's:
	// all that a plugin could keep waiting.
	AlgorithmP99Ratio        float64 `json:"algorithmP99Ratio"`
	AlgorithmP99RatioOfPairs Spread  `json:"algorithmP99RatioOfPairs"`
	// HealthyP99MaxOverMin is by how much the healthy runs differ among each
	// other: a ratio nearer to 1 than this says nothing.
	HealthyP99MaxOverMin float64 `json:"healthyP99MaxOverMin"`
	TargetP99Ratio       float64 `json:"targetP99Ratio"`
	// Met judges P99Ratio. It is Conclusive if every single pair says the same:
	// else the machine's noise may have decided.
	Met        bool `json:"met"`
	Conclusive bool `json:"conclusive"`
}

// HangSide is what was measured against one of the two servers.
type HangSide struct {
	// The quantiles are of the scheduler's own histograms, interpolated in their
	// buckets: of attempts that placed a pod, and of the algorithm in all attempts.
	AttemptP50Seconds   Spread `json:"attemptP50Seconds"`
	AttemptP99Seconds   Spread `json:"attemptP99Seconds"`
	AlgorithmP99Seconds Spread `json:"algorithmP99Seconds"`
	PodsPerSecond       Spread `json:"podsPerSecond"`
	// QueriesAnswered and QueriesHung are of all runs together.
	QueriesAnswered int64 `json:"queriesAnswered"`
	QueriesHung     int64 `json:"queriesHung"`
	// NodesMeasured is how many nodes had a reading of CPU and memory when a run
	// ended: the least of all runs.
	NodesMeasured int `json:"nodesMeasured"`
}

// hangRun is one run of a HangSide.
type hangRun struct {
	sample
	answered, hung int64
	nodesMeasured  int
}

// newPollFigure judges at least one poll.
func newPollFigure(nodes, queries, answerBytes int, seconds []float64) *PollFigure {
	f := &PollFigure{
		Nodes: nodes, Queries: queries, AnswerBytes: answerBytes,
		Seconds: newSpread(seconds), TargetSeconds: TargetPollSeconds,
	}
	f.Met = f.Seconds.Max < TargetPollSeconds
	return f
}

// newFilterFigure judges the median time by the wall clock and the most
// allocations.
func newFilterFigure(nodes int, passing, rejecting OpCost) *FilterFigure {
	f := &FilterFigure{
		Nodes: nodes, Passing: passing, Rejecting: rejecting,
		TargetNanosecondsPerOp: TargetFilterNanoseconds, TargetAllocationsPerOp: TargetFilterAllocs,
	}
	f.MetNanoseconds = passing.NanosecondsPerOp.Median <= TargetFilterNanoseconds
	f.MetAllocations = passing.AllocationsPerOp <= TargetFilterAllocs
	f.Met = f.MetNanoseconds && f.MetAllocations
	return f
}

// newMemoryFigure takes the bytes of live heap without and with what is measured.
func newMemoryFigure(nodes, windowPolls int, without, with uint64) *MemoryFigure {
	kept := int64(with) - int64(without)
	return &MemoryFigure{
		Nodes: nodes, WindowPolls: windowPolls,
		HeapBytes: kept, BytesPer1000Nodes: float64(kept) * 1000 / float64(nodes),
	}
}

// newHangFigure summarizes at least one pair; healthy[i] and hanging[i] are one.
// It refuses runs that were not what they should be: a comparison of the
// fallback with itself would meet any target.
func newHangFigure(w workload, healthy, hanging []hangRun) (*HangFigure, error) {
	var errs []error
	for i := range healthy {
		if r := healthy[i]; r.nodesMeasured != w.nodes || r.answered == 0 || r.hung != 0 {
			errs = append(errs, fmt.Errorf("healthy run %d: %d of %d nodes measured, %d queries answered, %d hung", i+1, r.nodesMeasured, w.nodes, r.answered, r.hung))
		}
		if r := hanging[i]; r.nodesMeasured != 0 || r.answered != 0 || r.hung == 0 {
			errs = append(errs, fmt.Errorf("hanging run %d: %d of %d nodes measured, %d queries answered, %d hung", i+1, r.nodesMeasured, w.nodes, r.answered, r.hung))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("the runs do not show what a hanging Prometheus does: %w", err)
	}
	p50 := func(r hangRun) float64 { return r.attempt.P50 }
	p99 := func(r hangRun) float64 { return r.attempt.P99 }
	f := &HangFigure{
		Workload: w.id(), Nodes: w.nodes, Pods: w.pods,
		Healthy: newHangSide(healthy), Hanging: newHangSide(hanging),
		P50RatioOfPairs: ratioOfPairs(healthy, hanging, p50),
		P99RatioOfPairs: ratioOfPairs(healthy, hanging, p99),

		AlgorithmP99RatioOfPairs: ratioOfPairs(healthy, hanging, func(r hangRun) float64 { return r.algorithm.P99 }),
		TargetP99Ratio:           TargetHangRatio,
	}
	f.P50Ratio = f.Hanging.AttemptP50Seconds.Median / f.Healthy.AttemptP50Seconds.Median
	f.P99Ratio = f.Hanging.AttemptP99Seconds.Median / f.Healthy.AttemptP99Seconds.Median
	f.AlgorithmP99Ratio = f.Hanging.AlgorithmP99Seconds.Median / f.Healthy.AlgorithmP99Seconds.Median
	f.HealthyP99MaxOverMin = f.Healthy.AttemptP99Seconds.Max / f.Healthy.AttemptP99Seconds.Min
	f.Met = f.P99Ratio <= TargetHangRatio
	f.Conclusive = (f.P99RatioOfPairs.Min <= TargetHangRatio) == f.Met && (f.P99RatioOfPairs.Max <= TargetHangRatio) == f.Met
	return f, nil
}

func newHangSide(runs []hangRun) HangSide {
	side := HangSide{
		AttemptP50Seconds:   spreadOf(runs, func(r hangRun) float64 { return r.attempt.P50 }),
		AttemptP99Seconds:   spreadOf(runs, func(r hangRun) float64 { return r.attempt.P99 }),
		AlgorithmP99Seconds: spreadOf(runs, func(r hangRun) float64 { return r.algorithm.P99 }),
		PodsPerSecond:       spreadOf(runs, func(r hangRun) float64 { return r.podsPerSecond }),
		NodesMeasured:       runs[0].nodesMeasured,
	}
	for _, r := range runs {
		side.QueriesAnswered += r.answered
		side.QueriesHung += r.hung
		side.NodesMeasured = min(side.NodesMeasured, r.nodesMeasured)
	}
	return side
}

func spreadOf(runs []hangRun, value func(hangRun) float64) Spread {
	values := make([]float64, len(runs))
	for i, r := range runs {
		values[i] = value(r)
	}
	return newSpread(values)
}

func ratioOfPairs(healthy, hanging []hangRun, value func(hangRun) float64) Spread {
	ratios := make([]float64, len(healthy))
	for i := range healthy {
		ratios[i] = value(hanging[i]) / value(healthy[i])
	}
	return newSpread(ratios)
}

// readCapacityReport reads what an earlier part of the benchmark wrote; a file
// that is not there is an empty report.
func readCapacityReport(path string) (CapacityReport, error) {
	var r CapacityReport
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return r, fmt.Errorf("read the report: %w", err)
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return r, fmt.Errorf("read the report %s: %w", path, err)
	}
	return r, nil
}

// writeFile writes the report for programs.
func (r CapacityReport) writeFile(path string) error { return writeJSON(path, r) }

// table is the report for people.
func (r CapacityReport) table() string {
	var out strings.Builder
	w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	row := func(figure, measured, spread, target, verdict string) {
		// A strings.Builder takes everything.
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", figure, measured, spread, target, verdict)
	}
	row("FIGURE", "MEASURED", "MIN-MAX", "TARGET", "VERDICT")
	if f := r.PollToSnapshot; f != nil {
		row(fmt.Sprintf("poll to snapshot, %d nodes", f.Nodes), fmt.Sprintf("%.0f ms", f.Seconds.Median*1000),
			fmt.Sprintf("%.0f-%.0f", f.Seconds.Min*1000, f.Seconds.Max*1000), fmt.Sprintf("all < %.0f ms", f.TargetSeconds*1000), verdict(f.Met))
	}
	if f := r.Filter; f != nil {
		time := f.Passing.NanosecondsPerOp
		row(fmt.Sprintf("Filter, %d nodes", f.Nodes), fmt.Sprintf("%.0f ns", time.Median),
			fmt.Sprintf("%.0f-%.0f", time.Min, time.Max), fmt.Sprintf("<= %.0f ns", f.TargetNanosecondsPerOp), verdict(f.MetNanoseconds))
		cpu := f.Passing.CPUNanosecondsPerOp
		row("Filter, of a core", fmt.Sprintf("%.0f ns", cpu.Median), fmt.Sprintf("%.0f-%.0f", cpu.Min, cpu.Max), "", "-")
		row("Filter, allocations", fmt.Sprint(f.Passing.AllocationsPerOp), "", fmt.Sprint(f.TargetAllocationsPerOp), verdict(f.MetAllocations))
		time = f.Rejecting.NanosecondsPerOp
		row("Filter that rejects", fmt.Sprintf("%.0f ns, %d allocations", time.Median, f.Rejecting.AllocationsPerOp),
			fmt.Sprintf("%.0f-%.0f", time.Min, time.Max), "", "-")
	}
	if f := r.Hang; f != nil {
		ratio := func(what string, value float64, pairs, healthy, hanging Spread, target, verdict string) {
			row(what+" while Prometheus hangs", fmt.Sprintf("x %.2f (%.1f of %.1f ms)", value, hanging.Median*1000, healthy.Median*1000),
				fmt.Sprintf("%.2f-%.2f", pairs.Min, pairs.Max), target, verdict)
		}
		said := verdict(f.Met)
		if !f.Conclusive {
			said += ", pairs differ"
		}
		ratio("attempts' p99", f.P99Ratio, f.P99RatioOfPairs, f.Healthy.AttemptP99Seconds, f.Hanging.AttemptP99Seconds,
			fmt.Sprintf("<= x %.2f", f.TargetP99Ratio), said)
		ratio("attempts' p50", f.P50Ratio, f.P50RatioOfPairs, f.Healthy.AttemptP50Seconds, f.Hanging.AttemptP50Seconds, "", "-")
		ratio("p99 without binding", f.AlgorithmP99Ratio, f.AlgorithmP99RatioOfPairs, f.Healthy.AlgorithmP99Seconds, f.Hanging.AlgorithmP99Seconds, "", "-")
	}
	if f := r.Memory; f != nil {
		row("memory per 1000 nodes", fmt.Sprintf("%.1f MiB", f.BytesPer1000Nodes/(1<<20)), "", "", "-")
	}
	_ = w.Flush()
	fmt.Fprintf(&out, "\n%d cores, %s, Kubernetes %s. The servers share the cores.\n", r.Machine.Cores, r.Versions.Go, r.Versions.Kubernetes)
	if r.LoadAverage > float64(r.Machine.Cores)/2 {
		fmt.Fprintf(&out, "The machine was busy (load average %.1f when this began): a quiet one does better.\n", r.LoadAverage)
	}
	if f := r.Hang; f != nil {
		fmt.Fprintf(&out, "The p99 of runs with a healthy Prometheus differ among each other by a factor of %.1f.\n", f.HealthyP99MaxOverMin)
	}
	return out.String()
}

func verdict(met bool) string {
	if met {
		return "met"
	}
	return "NOT MET"
}
