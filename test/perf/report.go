// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package perf

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const (
	// ClientQPS is the limit, and the burst, that scheduler_perf gives to the
	// client of the scheduler on both sides.
	ClientQPS = 5000
	// AcceptanceTestCase is the test case for which Auriga promises a
	// throughput: plain pods. Upstream's own goals for pods with affinity or
	// spreading are two to three times lower.
	AcceptanceTestCase = "SchedulingBasic"
	// AcceptanceNodes is the size of the cluster.
	AcceptanceNodes = 1000
	// AcceptancePodsPerSecond is promised on two cores: 10,000 pods a minute.
	AcceptancePodsPerSecond = 167
)

// Report is what `make bench` writes.
type Report struct {
	Machine    Machine     `json:"machine"`
	Versions   Versions    `json:"versions"`
	Method     Method      `json:"method"`
	Workloads  []Row       `json:"workloads"`
	Acceptance *Acceptance `json:"acceptance,omitempty"`
}

// Machine is where the runs were made.
type Machine struct {
	OS    string `json:"os"`
	Arch  string `json:"arch"`
	Cores int    `json:"cores"`
}

// Versions are those of what was compared.
type Versions struct {
	Go         string `json:"go"`
	Kubernetes string `json:"kubernetes"`
	Etcd       string `json:"etcd"`
}

// Method is what both sides have in common.
type Method struct {
	ClientQPS    float64         `json:"clientQPS"`
	ClientBurst  int             `json:"clientBurst"`
	Repetitions  int             `json:"repetitions"`
	FeatureGates map[string]bool `json:"featureGates"`
	Config       string          `json:"aurigaConfig"`
}

// Row is one workload. The plain figures are medians over the repetitions;
// Ratio is Auriga's median over stock's, RatioOfPairs that of each repetition.
type Row struct {
	Name                string  `json:"name"`
	Nodes               int     `json:"nodes"`
	Pods                int     `json:"pods"`
	StockPodsPerSecond  float64 `json:"stockPodsPerSecond"`
	AurigaPodsPerSecond float64 `json:"aurigaPodsPerSecond"`
	Ratio               float64 `json:"ratio"`
	Stock               Side    `json:"stock"`
	Auriga              Side    `json:"auriga"`
	RatioOfPairs        Spread  `json:"ratioOfPairs"`
}

// Side holds all that was measured with one profile.
type Side struct {
	PodsPerSecond Spread `json:"podsPerSecond"`
	// The durations are medians over the runs of each run's quantiles of the
	// scheduler's own histograms, of all pods that were placed, the initial ones
	// too: a whole attempt, and in it the filter and the score plugins on all
	// nodes together.
	AttemptSeconds Quantiles    `json:"attemptSeconds"`
	PhaseSeconds   PhaseSeconds `json:"phaseSeconds"`
}

// PhaseSeconds are parts of an attempt.
type PhaseSeconds struct {
	Filter Quantiles `json:"filter"`
	Score  Quantiles `json:"score"`
}

// Spread summarizes the runs, which are in the order in which they were made.
type Spread struct {
	Median float64   `json:"median"`
	Min    float64   `json:"min"`
	Max    float64   `json:"max"`
	Runs   []float64 `json:"runs"`
}

// Quantiles of a duration.
type Quantiles struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
}

// Acceptance says whether Auriga kept its promise.
type Acceptance struct {
	Workload            string  `json:"workload"`
	MinPodsPerSecond    float64 `json:"minPodsPerSecond"`
	AurigaPodsPerSecond float64 `json:"aurigaPodsPerSecond"`
	Met                 bool    `json:"met"`
}

// sample is what one run gives.
type sample struct {
	podsPerSecond          float64
	attempt, filter, score Quantiles // seconds
	algorithm              Quantiles // seconds; only of workloads that ask for it
}

// dataItems is the part of scheduler_perf's result file that we read.
type dataItems struct {
	DataItems []struct {
		Data   map[string]float64 `json:"data"`
		Labels map[string]string  `json:"labels"`
	} `json:"dataItems"`
}

// readSample takes the figures of one run out of scheduler_perf's result file,
// where durations are in milliseconds.
func readSample(data []byte) (sample, error) {
	var items dataItems
	if err := json.Unmarshal(data, &items); err != nil {
		return sample{}, fmt.Errorf("parse scheduler_perf's results: %w", err)
	}
	var s sample
	for _, item := range items.DataItems {
		seconds := Quantiles{P50: item.Data["Perc50"] / 1000, P99: item.Data["Perc99"] / 1000}
		switch metric := item.Labels["Metric"]; {
		case metric == "SchedulingThroughput":
			s.podsPerSecond = item.Data["Average"]
		case metric == attemptMetric && item.Labels["result"] == "scheduled":
			s.attempt = seconds
		case metric == algorithmMetric:
			s.algorithm = seconds
		case metric == phaseMetric && item.Labels["extension_point"] == "Filter":
			s.filter = seconds
		case metric == phaseMetric && item.Labels["extension_point"] == "Score":
			s.score = seconds
		}
	}
	if s.podsPerSecond <= 0 {
		return sample{}, fmt.Errorf("scheduler_perf took no throughput sample: " +
			"the run failed, or its pods were placed in less than two seconds (measure more of them)")
	}
	return s, nil
}

// newRow summarizes the runs of one workload; stock[i] and auriga[i] are the
// pair of one repetition.
func newRow(name string, nodes, pods int, stock, auriga []sample) Row {
	row := Row{Name: name, Nodes: nodes, Pods: pods, Stock: newSide(stock), Auriga: newSide(auriga)}
	ratios := make([]float64, 0, len(stock))
	for i := range stock {
		ratios = append(ratios, auriga[i].podsPerSecond/stock[i].podsPerSecond)
	}
	row.RatioOfPairs = newSpread(ratios)
	row.StockPodsPerSecond = row.Stock.PodsPerSecond.Median
	row.AurigaPodsPerSecond = row.Auriga.PodsPerSecond.Median
	row.Ratio = row.AurigaPodsPerSecond / row.StockPodsPerSecond
	return row
}

func newSide(samples []sample) Side {
	median := func(value func(sample) float64) float64 { return newSpread(collect(samples, value)).Median }
	return Side{
		PodsPerSecond: newSpread(collect(samples, func(s sample) float64 { return s.podsPerSecond })),
		AttemptSeconds: Quantiles{
			P50: median(func(s sample) float64 { return s.attempt.P50 }),
			P99: median(func(s sample) float64 { return s.attempt.P99 }),
		},
		PhaseSeconds: PhaseSeconds{
			Filter: Quantiles{
				P50: median(func(s sample) float64 { return s.filter.P50 }),
				P99: median(func(s sample) float64 { return s.filter.P99 }),
			},
			Score: Quantiles{
				P50: median(func(s sample) float64 { return s.score.P50 }),
				P99: median(func(s sample) float64 { return s.score.P99 }),
			},
		},
	}
}

func collect(samples []sample, value func(sample) float64) []float64 {
	values := make([]float64, len(samples))
	for i, s := range samples {
		values[i] = value(s)
	}
	return values
}

// newSpread summarizes at least one run. The median of an even number is the
// mean of the two in the middle.
func newSpread(runs []float64) Spread {
	sorted := slices.Sorted(slices.Values(runs))
	n := len(sorted)
	return Spread{
		Median: (sorted[(n-1)/2] + sorted[n/2]) / 2,
		Min:    sorted[0],
		Max:    sorted[n-1],
		Runs:   runs,
	}
}

// accept is nil if the workload of the promise was not run.
func accept(rows []Row) *Acceptance {
	for _, row := range rows {
		if row.Nodes == AcceptanceNodes && strings.HasPrefix(row.Name, AcceptanceTestCase+"/") {
			return &Acceptance{
				Workload:            row.Name,
				MinPodsPerSecond:    AcceptancePodsPerSecond,
				AurigaPodsPerSecond: row.AurigaPodsPerSecond,
				Met:                 row.AurigaPodsPerSecond >= AcceptancePodsPerSecond,
			}
		}
	}
	return nil
}

// writeFile writes the report for programs.
func (r Report) writeFile(path string) error { return writeJSON(path, r) }

// writeJSON writes a report, and the folder if need be.
func writeJSON(path string, report any) error {
	data, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the report: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("make the report's folder: %w", err)
	}
	if err := os.WriteFile(path, append(data, '\n'), 0o644); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

// table is the report for people.
func (r Report) table() string {
	width := len("WORKLOAD")
	for _, row := range r.Workloads {
		width = max(width, len(row.Name))
	}
	var out strings.Builder
	fmt.Fprintf(&out, "%-*s  %12s %11s  %13s %11s  %5s %11s\n",
		width, "WORKLOAD", "STOCK pods/s", "min-max", "AURIGA pods/s", "min-max", "RATIO", "min-max")
	for _, row := range r.Workloads {
		s, a, q := row.Stock.PodsPerSecond, row.Auriga.PodsPerSecond, row.RatioOfPairs
		fmt.Fprintf(&out, "%-*s  %12.0f %11s  %13.0f %11s  %5.2f %11s\n", width, row.Name,
			s.Median, fmt.Sprintf("%.0f-%.0f", s.Min, s.Max),
			a.Median, fmt.Sprintf("%.0f-%.0f", a.Min, a.Max),
			row.Ratio, fmt.Sprintf("%.2f-%.2f", q.Min, q.Max))
	}
	fmt.Fprintf(&out, "\nMedians of %d runs a side, alternating. %d cores, %s, Kubernetes %s, etcd %s;\n"+
		"client limit %.0f requests/s on both sides; the API server and etcd share the cores.\n%s\n",
		r.Method.Repetitions, r.Machine.Cores, r.Versions.Go, r.Versions.Kubernetes, r.Versions.Etcd,
		r.Method.ClientQPS, r.Acceptance)
	return out.String()
}

// String is the last line of the table.
func (a *Acceptance) String() string {
	if a == nil {
		return fmt.Sprintf("%s with %d nodes was not run, so the promise of %d pods/s was not checked.",
			AcceptanceTestCase, AcceptanceNodes, AcceptancePodsPerSecond)
	}
	verdict := "NOT MET"
	if a.Met {
		verdict = "met"
	}
	return fmt.Sprintf("Auriga promises %.0f pods/s on 2 cores in %s; it had %.0f: %s.",
		a.MinPodsPerSecond, a.Workload, a.AurigaPodsPerSecond, verdict)
}
